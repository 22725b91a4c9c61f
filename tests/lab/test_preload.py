# SPDX-License-Identifier: Apache-2.0
"""libftcalls.so in programs as Debian ships them: they do their job, and what the library says
it routed is what the kernel counted."""

import ctypes
import errno
import json
import os
import re
import subprocess
from collections import Counter

import pytest

GUEST = "/srv/preload"  # in no sticky folder: processes of other users write the summary, too
CALLS = ("ft_fork", "ft_kill", "ft_wait")


def parse(text):
    """The sum of the summary's lines, by name."""
    counts = Counter()
    for line in text.splitlines():
        assert re.fullmatch(r"libftcalls: pid=\d+ program=\S+( \w+=\d+)+", line)
        counts.update({name: int(n) for name, n in re.findall(r" (\w+)=(\d+)", line)})
    del counts["pid"]
    return counts


def natively(counts):
    return {name: n for name, n in counts.items() if name.startswith("native_")}


class Preloaded:
    """Runs programs with the library in the guest."""

    def __init__(self, lab):
        self.lab = lab

    def run(self, *argv):
        """Run; its output, the summary's counts and what the kernel's counts went up by."""
        summary = f"{GUEST}/summary"
        self.lab.exec("install", "-m", "666", "/dev/null", summary)
        before = self.lab.scrape()
        library = f"LD_PRELOAD={GUEST}/libftcalls.so"
        done = self.lab.exec("env", library, f"FTCALLS_SUMMARY={summary}", *argv)
        after = self.lab.scrape()

        calls = Counter()
        for (name, labels), value in after.items():
            labels = dict(labels)
            if name == "pidinfod_ft_calls_total" and labels["syscall"] in CALLS:
                grown = value - before.value(name, **labels)
                calls[labels["syscall"], labels["result"]] += grown
        return done.stdout, parse(self.lab.exec("cat", summary).stdout), +calls

    def run_exact(self, *argv):
        """As run(), for programs whose every process lives to tell its counts."""
        stdout, counts, calls = self.run(*argv)
        assert {call: counts[call] for call in CALLS} == {call: calls[call, "ok"] for call in CALLS}
        return stdout, counts


@pytest.fixture(scope="module")
def preloaded(lab, library, preload_programs):
    lab.exec("install", "-d", "-m", "777", GUEST)
    lab.copy_in(library, GUEST)
    lab.copy_in(preload_programs / "forks", GUEST)
    lab.copy_in(preload_programs / "fork_in_constructor.so", GUEST)
    return Preloaded(lab)


def test_what_a_program_may_expect(preloaded):
    """forks.c checks every result itself; here its known numbers."""
    stdout, counts, calls = preloaded.run(f"{GUEST}/forks", f"{GUEST}/fork_in_constructor.so")
    assert stdout.splitlines()[-1] == "done"
    assert calls == {
        ("ft_fork", "ok"): 145, ("ft_fork", "EAGAIN"): 1,
        ("ft_kill", "ok"): 5, ("ft_kill", "EINVAL"): 1, ("ft_kill", "ESRCH"): 1,
        ("ft_kill", "EPERM"): 1,
        # Interrupted by a signal, and cancelled.
        ("ft_wait", "ok"): 140, ("ft_wait", "ECHILD"): 1, ("ft_wait", "ERESTARTSYS"): 2,
    }  # fmt: skip
    # The process that daemon() leaves ends inside the C library and tells nothing.
    assert counts == {
        "ft_fork": 144, "ft_fork_failed": 1, "ft_kill": 5, "ft_kill_failed": 3,
        "ft_wait": 140, "ft_wait_failed": 2,
        "native_wait_pid": 2, "native_wait_group": 1, "native_wait_nohang": 1,
        "native_wait_options": 1, "native_wait_rusage": 1,
    }  # fmt: skip


def test_bash(preloaded):
    script = """
        for ((i = 0; i < 101; i++)); do ( : ) || echo failed; done
        for ((i = 0; i < 53; i++)); do kill -0 $$ || echo failed; done
        for ((i = 0; i < 7; i++)); do (exit 3) & done; wait -n; echo $?; wait; echo $?
        sleep 60 & kill %1; wait %1; echo $?
        sleep 60 & kill -9 $!; wait $!; echo $?
        trap 'echo taken' USR1; kill -USR1 $$
        echo $(echo a | tr a b)
    """
    stdout, counts = preloaded.run_exact("bash", "-c", script)
    assert stdout.split() == ["3", "0", "143", "137", "taken", "b"]
    assert counts["ft_fork"] == 101 + 7 + 1 + 1 + 3
    assert counts["ft_kill"] == 53 + 1 + 1 + 1
    assert counts["ft_wait"] > 0
    assert not [name for name in natively(counts) if "fork" in name or "kill" in name]


def test_dash(preloaded):
    script = """
        i=0; while [ $i -lt 103 ]; do ( : ) || echo failed; i=$((i + 1)); done
        i=0; while [ $i -lt 59 ]; do kill -0 $$ || echo failed; i=$((i + 1)); done
        i=0; while [ $i -lt 11 ]; do /bin/true || echo failed; i=$((i + 1)); done
        sleep 60 & kill $!; wait $!; echo $?
        echo $(echo a | tr a b)
        exec sh -c 'kill -0 $$'
    """
    stdout, counts = preloaded.run_exact("dash", "-c", script)
    assert stdout.split() == ["143", "b"]
    assert counts["ft_fork"] == 103 + 11 + 1 + 3
    assert counts["ft_kill"] == 59 + 1 + 1
    assert counts["ft_wait"] >= 103 + 11
    assert not [name for name in natively(counts) if "fork" in name or "kill" in name]


def test_make_in_parallel(preloaded):
    makefile = "TARGETS := $(shell seq 47)\nall: $(TARGETS)\n$(TARGETS):\n\t@( : ); echo made $@\n"
    script = f"rm -rf {GUEST}/m; mkdir {GUEST}/m; cd {GUEST}/m; printf %s \"$1\" > Makefile; "
    script += "exec make -s -j5"
    stdout, counts = preloaded.run_exact("dash", "-c", script, "dash", makefile)
    assert sorted(stdout.splitlines()) == sorted(f"made {i}" for i in range(1, 48))
    # make itself goes by posix_spawn(), which is inside the C library: the recipes' shells fork.
    assert counts["ft_fork"] >= 47
    assert counts["ft_wait"] >= 47
    assert not [name for name in natively(counts) if "fork" in name]


def test_python(preloaded):
    program = """
import json, os, signal, subprocess, sys, threading
out = {}
out["subprocess"] = sum(len(subprocess.check_output(["echo", "x"])) for _ in range(43))
out["shell"] = subprocess.run("exit 7", shell=True).returncode
out["input"] = len(subprocess.run(["cat"], input=b"y" * 100003, capture_output=True).stdout)
try:
    subprocess.run(["/nonexistent"])
except FileNotFoundError:
    out["missing"] = True
sleeper = subprocess.Popen(["sleep", "60"])
os.kill(sleeper.pid, signal.SIGTERM)
out["killed"] = sleeper.wait()
statuses = set()
for i in range(37):
    if os.fork() == 0:
        os._exit(5)
    statuses.add(os.wait()[1])
out["forks"] = list(statuses)
thread = threading.Thread(target=lambda: subprocess.run(["true"], check=True))
thread.start()
thread.join()
for _ in range(13):
    subprocess.run(["true"], check=True)
print(json.dumps(out))
"""
    stdout, counts = preloaded.run_exact("python3", "-c", program)
    assert json.loads(stdout) == {
        "subprocess": 86, "shell": 7, "input": 100003, "missing": True, "killed": -15,
        "forks": [5 << 8],
    }  # fmt: skip
    # One for each subprocess, also from a thread.
    assert counts["ft_fork"] == 43 + 1 + 1 + 1 + 1 + 37 + 1 + 13
    assert counts["ft_kill"] == 1
    assert counts["ft_wait"] == 37


def test_stress_ng_fork(preloaded):
    _, counts = preloaded.run_exact("stress-ng", "--verify", "--fork", "1", "--fork-ops", "211")
    assert counts["ft_fork"] == 211 + 1  # and the stressor itself
    assert natively(counts) == {"native_wait_pid": 211 + 1}


@pytest.mark.parametrize("stressor", ["kill", "wait"])
def test_stress_ng(preloaded, stressor):
    """Its processes kill each other, so that not all of them tell their counts."""
    command = ["stress-ng", "--verify", f"--{stressor}", "1", f"--{stressor}-ops", "211"]
    _, counts, calls = preloaded.run(*command)
    assert counts["ft_fork"] == calls["ft_fork", "ok"] > 0
    assert 0 < counts["ft_kill"] <= calls["ft_kill", "ok"]
    assert counts["ft_wait"] <= calls["ft_wait", "ok"]
    # It waits for one process at a time, with WUNTRACED, and so on.
    assert not {name for name in natively(counts) if not name.startswith("native_wait_")}
    assert counts["native_wait_pid"] > 0


@pytest.mark.parametrize(
    ("sandbox", "reason"),
    [
        # It kills who makes a call that it does not know.
        ("SystemCallFilter=@system-service", "filter"),
        # No code may be changed, which is held by a filter as well.
        ("MemoryDenyWriteExecute=yes", "code"),
    ],
)  # fmt: skip
def test_in_a_sandbox(preloaded, sandbox, reason):
    run = ("systemd-run", "--quiet", "--pipe", "--wait", "-p", sandbox)
    environment = (f"--setenv=LD_PRELOAD={GUEST}/libftcalls.so", "--setenv=FTCALLS_SUMMARY=stderr")
    # systemd-run makes $ of $$.
    script = "for ((i = 0; i < 11; i++)); do ( exit 3 ); echo $?; kill -0 $$$$; done"
    done = preloaded.lab.exec(*run, *environment, "bash", "-c", script)
    assert done.stdout.split() == ["3"] * 11
    counts = parse(done.stderr)
    assert (counts[f"native_fork_{reason}"], counts["native_kill_filter"]) == (11, 11)


def test_says_nothing_unasked(preloaded):
    library = f"LD_PRELOAD={GUEST}/libftcalls.so"
    done = preloaded.lab.exec("env", library, "bash", "-c", "( : ); kill -0 $$; ( : ) & wait")
    assert (done.stdout, done.stderr) == ("", "")


def test_without_the_calls(library, preload_programs):
    """On a kernel without them, such as this machine's, all goes on to the C library."""
    ft_kill = ctypes.CDLL(None, use_errno=True).syscall(550, os.getpid(), 0)
    assert (ft_kill, ctypes.get_errno()) == (-1, errno.ENOSYS), "this kernel has the calls"
    environment = os.environ | {
        "LD_PRELOAD": str(library), "FTCALLS_SUMMARY": "stderr",
    }  # fmt: skip
    command = [preload_programs / "forks", preload_programs / "fork_in_constructor.so"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "done\n"
    counts = parse(done.stderr)
    assert not any(counts[call] for call in CALLS)
    assert {name for name, n in natively(counts).items() if n} == {
        f"native_{call}_enosys" for call in ("fork", "kill", "wait")
    }
