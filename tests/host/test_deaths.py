# SPDX-License-Identifier: Apache-2.0
"""Deaths on this machine's kernel, and how they are asked for; tests/both has the culprits."""

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.support import REPO
from tests.support.daemon import COMMAND, Daemon, pidinfod


@pytest.fixture(scope="module")
def daemon(tmp_path_factory, root):
    with Daemon(tmp_path_factory.mktemp("deaths")) as running:
        yield running
    assert not running.socket.exists()


def start(*argv, **options):
    return subprocess.Popen(argv, stderr=subprocess.DEVNULL, **options)


def test_last_thread_counts(daemon):
    """A process whose main thread went first dies with its last."""
    script = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=lambda: (time.sleep(0.5), __import__('os')._exit(5))).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    child = start(sys.executable, "-c", script)
    assert child.wait() == 5
    death = daemon.death(child.pid)
    assert (death["exit_code"], death["age_ns"] > 0.5e9) == (5, True)


def test_command(daemon):
    child = start("sh", "-c", "kill -KILL $$")
    child.wait()
    death = daemon.death(child.pid)

    def run(*args):
        return pidinfod("deaths", "--socket", daemon.socket, *args)

    told = run("--format", "json", "--signal", "kill", "--since", "1m").stdout.splitlines()
    assert death in [json.loads(line) for line in told]
    assert all(json.loads(line)["signal"] == "SIGKILL" for line in told)
    assert f"(PID {child.pid}," in run("--group", death["group"]).stdout
    assert run("--group", "nobody-has-this").stdout == ""
    bad = run("--since", "yesterday")
    assert (bad.returncode, len(bad.stderr.splitlines())) == (2, 1)
    none = pidinfod("deaths", "--socket", "/nonexistent")
    assert (none.returncode, len(none.stderr.splitlines())) == (1, 1)


def test_once_of_the_dead(daemon):
    """The daemon answers for it; a PID that nobody had is nobody."""
    child = start("sh", "-c", "exit 43")
    child.wait()
    death = daemon.death(child.pid)

    def once(pid):
        return pidinfod("--config", daemon.config, "--once", str(pid), "--format", "json")

    answer = once(child.pid)
    assert answer.returncode == 0
    assert json.loads(answer.stdout) == {"state": "dead", "source": "pidinfod", **death}
    assert once(3999999).returncode == 3


def test_command_reads_the_daemons_configuration(daemon):
    done = pidinfod("deaths", "--config", daemon.config)
    assert (done.returncode, done.stderr) == (0, "")


def test_follow(daemon):
    command = [*COMMAND, "deaths", "--socket", daemon.socket, "--follow", "--since", "0s"]
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, text=True) as following:
        time.sleep(1)
        child = start("sh", "-c", "exit 41")
        child.wait()
        for line in following.stdout:
            if f"(PID {child.pid}," in line:
                assert line.endswith("exited with 41\n")
                break
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 0
