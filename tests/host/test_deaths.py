# SPDX-License-Identifier: Apache-2.0
"""Deaths on this machine's kernel, and how they are asked for; tests/both has the culprits."""

import json
import signal
import subprocess
import sys
import time

import pytest
from conftest import REPO, Daemon

from pidinfod.cli import deaths as client


@pytest.fixture(scope="module")
def daemon(tmp_path_factory, tracefs):
    folder = tmp_path_factory.mktemp("deaths")
    config = folder / "config.yml"
    config.write_text(f"socket: {folder}/socket\n")
    running = Daemon(folder, "--config", str(config))
    running.wait_until_ready()
    running.path, running.config = folder / "socket", config
    yield running
    status, errors = running.stop()
    assert status == 0, errors
    assert not running.path.exists()


def death_of(daemon, pid):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = client.ask(daemon.path, pid=pid, limit=1)
        if found:
            return found[0]
        time.sleep(0.05)
    pytest.fail(f"the death of {pid} was not told")


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
    death = death_of(daemon, child.pid)
    assert (death["exit_code"], death["age_ns"] > 0.5e9) == (5, True)


def test_command(daemon):
    child = start("sh", "-c", "kill -KILL $$")
    child.wait()
    death = death_of(daemon, child.pid)
    command = [sys.executable, "-m", "pidinfod", "deaths", "--socket", str(daemon.path)]

    def run(*args):
        return subprocess.run([*command, *args], cwd=REPO, capture_output=True, text=True)

    told = run("--format", "json", "--signal", "kill", "--since", "1m").stdout.splitlines()
    assert death in [json.loads(line) for line in told]
    assert all(json.loads(line)["signal"] == "SIGKILL" for line in told)
    assert f"(PID {child.pid}," in run("--group", death["group"]).stdout
    assert run("--group", "nobody-has-this").stdout == ""
    bad = run("--since", "yesterday")
    assert (bad.returncode, len(bad.stderr.splitlines())) == (2, 1)
    none = subprocess.run(
        [*command[:4], "--socket", "/nonexistent"], cwd=REPO, capture_output=True, text=True
    )
    assert (none.returncode, len(none.stderr.splitlines())) == (1, 1)


def test_once_of_the_dead(daemon):
    """The daemon answers for it; a PID that nobody had is nobody."""
    child = start("sh", "-c", "exit 43")
    child.wait()
    death = death_of(daemon, child.pid)

    def once(pid):
        command = [sys.executable, "-m", "pidinfod", "--config", str(daemon.config)]
        return subprocess.run(
            [*command, "--once", str(pid), "--format", "json"],
            cwd=REPO, capture_output=True, text=True,
        )  # fmt: skip

    answer = once(child.pid)
    assert answer.returncode == 0
    assert json.loads(answer.stdout) == {"state": "dead", "source": "pidinfod", **death}
    assert once(3999999).returncode == 3


def test_command_reads_the_daemons_configuration(daemon):
    command = [sys.executable, "-m", "pidinfod", "deaths", "--config", str(daemon.config)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_follow(daemon):
    command = [sys.executable, "-m", "pidinfod", "deaths", "--socket", str(daemon.path)]
    with subprocess.Popen(
        [*command, "--follow", "--since", "0s"], cwd=REPO, stdout=subprocess.PIPE, text=True
    ) as following:
        time.sleep(1)
        child = start("sh", "-c", "exit 41")
        child.wait()
        for line in following.stdout:
            if f"(PID {child.pid}," in line:
                assert line.endswith("exited with 41\n")
                break
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 0
