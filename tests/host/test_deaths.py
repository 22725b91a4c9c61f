# SPDX-License-Identifier: Apache-2.0
"""Certificates of deaths, each caused by a program that is not ours, on this machine's kernel."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from conftest import REPO, Daemon

from pidinfod import client


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


def test_killed_by_another(daemon):
    """A cron job's pkill: neither the target nor its parent is to blame."""
    with start("sleep", "10007") as victim:
        killer = start("pkill", "-TERM", "-f", "sleep 10007")
        killer.wait()
        assert victim.wait() == -signal.SIGTERM
    death = death_of(daemon, victim.pid)
    assert (death["comm"], death["signal"], death["exit_code"]) == ("sleep", "SIGTERM", None)
    assert (death["ppid"], death["oom"], death["core_dumped"]) == (os.getpid(), False, False)
    blame = death["blame"]
    assert (blame["origin"], blame["sender_comm"], blame["sender_uid"]) == ("user", "pkill", 0)
    assert blame["sender_pid"] == killer.pid
    assert 0 <= blame["before_ns"] < 10**9


def test_supervisor_escalates(daemon):
    """SIGTERM, which is ignored, then SIGKILL."""
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True)"
    child = start(
        sys.executable, "-c", f"{script}; time.sleep(99)", stdout=subprocess.PIPE
    )
    child.stdout.readline()
    child.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    child.kill()
    child.communicate()
    death = death_of(daemon, child.pid)
    assert death["signal"] == "SIGKILL"
    assert death["blame"]["sender_pid"] == os.getpid()
    assert 0.2e9 <= death["term_before_ns"] < 5e9


def test_supervisor_escalates_on_a_handler(daemon):
    script = "import signal, time; signal.signal(15, lambda *_: None); print(flush=True)"
    child = start(
        sys.executable, "-c", f"{script}\nwhile True: time.sleep(99)", stdout=subprocess.PIPE
    )
    child.stdout.readline()
    child.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    child.kill()
    child.communicate()
    death = death_of(daemon, child.pid)
    assert death["signal"] == "SIGKILL"
    assert 0.3e9 <= death["term_before_ns"] < 5e9
    assert "after SIGTERM" in death["why"]


@pytest.mark.parametrize(
    ("script", "name", "origin"),
    [
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV", "fault"),
        ("import os; os.abort()", "SIGABRT", "self"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGUSR1)", "SIGUSR1", "self"),
        ("import signal, time; signal.alarm(1); time.sleep(9)", "SIGALRM", "timer"),
        (
            "import signal, time; signal.setitimer(signal.ITIMER_REAL, 0.1); time.sleep(9)",
            "SIGALRM", "timer",
        ),
        (
            "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 9))\nwhile True: pass",
            "SIGXCPU", "limit",
        ),
    ],
)  # fmt: skip
def test_own_doing(daemon, script, name, origin):
    child = start(sys.executable, "-c", script)
    assert child.wait() == -signal.Signals[name]
    death = death_of(daemon, child.pid)
    assert (death["signal"], death["blame"]["signal"]) == (name, name)
    assert death["blame"]["origin"] == origin
    if origin != "self":
        assert death["blame"]["sender_pid"] is None


def test_terminal_hangs_up(daemon):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("sleep", ["sleep", "99"])
    time.sleep(0.5)
    os.close(terminal)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGHUP
    death = death_of(daemon, pid)
    assert (death["signal"], death["blame"]["origin"]) == ("SIGHUP", "terminal")


def test_init_of_a_namespace_ends(daemon):
    script = "sleep 10009 & echo; read line"
    pipe = subprocess.PIPE
    init = start("unshare", "-fp", "sh", "-c", script, stdin=pipe, stdout=pipe)
    init.stdout.readline()
    found = subprocess.run(["pgrep", "-fx", "sleep 10009"], stdout=pipe, text=True).stdout
    sleeper = int(found)
    init.communicate(b"\n")
    death = death_of(daemon, sleeper)
    assert (death["signal"], death["blame"]["origin"]) == ("SIGKILL", "pid_namespace")
    assert death["blame"]["sender_comm"] == "sh"


def test_exits_on_its_own(daemon):
    child = start("sh", "-c", "exit 37")
    child.wait()
    death = death_of(daemon, child.pid)
    assert (death["exit_code"], death["signal"], death["blame"]) == (37, None, None)
    assert death["why"] == "exited with 37"


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
