# SPDX-License-Identifier: Apache-2.0
"""Signals that wait for their delivery, and the dead that wait for their parent."""

import os
import resource
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.machine import declaring

pytestmark = pytest.mark.usefixtures("root")

RT = "signal.SIGRTMIN + 3"
# A process that does as its input says; each line is answered when it was done.
DOES = """
import os, signal, sys, time
for line in sys.stdin:
    exec(line)
    print(flush=True)
"""


class Puppet:
    def __init__(self, program):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [program, "-c", DOES], stdin=pipe, stdout=pipe, text=True
        )
        self.pid = self.process.pid

    def do(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        self.process.stdout.readline()


@contextmanager
def puppet(program=sys.executable):
    running = Puppet(program)
    with running.process:
        try:
            yield running
        finally:
            running.process.kill()


@pytest.fixture
def named_python(tmp_path):
    """An interpreter whose processes are a group of their own."""
    program = tmp_path / f"py{os.getpid()}"
    shutil.copy("/usr/bin/python3", program)
    return program


def bucket(found, family, **labels):
    """Cumulative counts by bound."""
    return {
        float(dict(key)["le"]): value
        for (name, key), value in found.items()
        if name == f"{family}_bucket" and labels.items() <= dict(key).items()
    }


def between(before, after, family, low, high, **labels):
    """How many were added in (low, high], by bounds nearest to them."""
    old, new = bucket(before, family, **labels), bucket(after, family, **labels)
    bounds = sorted(new)
    edges = [min(bounds, key=lambda bound: abs(bound - edge)) for edge in (low, high)]
    counts = [new[edge] - old.get(edge, 0) for edge in edges]
    return counts[1] - counts[0]


LATENCY = "pidinfod_signal_delivery_seconds"
UNMATCHED = "pidinfod_signal_delivery_unmatched_total"


def test_realtime_signals_match_in_order(daemon):
    """Two of one number, delivered one by one: each its own time."""
    with puppet() as target:
        target.do(f"signal.signal({RT}, lambda *_: None)")
        target.do(f"signal.pthread_sigmask(signal.SIG_BLOCK, [{RT}])")
        before = daemon.scrape()
        number = 34 + 3
        os.kill(target.pid, number)
        time.sleep(0.4)
        os.kill(target.pid, number)
        # sigsuspend(2) takes one at a time.
        suspend = "import ctypes; ctypes.CDLL(None).sigsuspend(bytes(128))"
        target.do(suspend)
        time.sleep(0.3)
        target.do(suspend)
    after = daemon.scrape()
    labels = {"class": "realtime"}
    counts = [found.value(f"{LATENCY}_count", **labels) for found in (before, after)]
    assert counts[1] - counts[0] == 2
    # 0.4 and 0.3 seconds; the other way round it were nothing and 0.7.
    assert between(before, after, LATENCY, 0.268, 0.537, **labels) == 2


def test_a_burst_is_matched_to_the_last(daemon):
    burst = 101
    with puppet() as target:
        target.do(f"signal.signal({RT}, lambda *_: None)")
        before = daemon.scrape()
        target.do(f"signal.pthread_sigmask(signal.SIG_BLOCK, [{RT}])")
        for _ in range(burst):
            os.kill(target.pid, 34 + 3)
        target.do(f"signal.pthread_sigmask(signal.SIG_UNBLOCK, [{RT}])")
    after = daemon.scrape()
    for name, wanted in ((f"{LATENCY}_count", burst), (UNMATCHED, 0)):
        labels = {"class": "realtime"}
        assert after.value(name, **labels) - before.value(name, **labels) == wanted, name


def test_standard_signals_wait(daemon):
    """A blocked one that is sent again stays one."""
    with puppet() as target:
        target.do("signal.signal(signal.SIGUSR1, lambda *_: None)")
        target.do("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])")
        before = daemon.scrape()
        os.kill(target.pid, 10)
        time.sleep(1.4)
        os.kill(target.pid, 10)
        target.do("signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])")
        after = daemon.scrape()
    assert between(before, after, LATENCY, 1.07, 2.15, **{"class": "standard"}) == 1


def test_standard_signals_that_wait_at_once(daemon):
    """Each has its own time: of the process, of its main thread, and another of the process."""
    standard = {"class": "standard"}
    with puppet() as target:
        target.do("for n in (10, 12): signal.signal(n, lambda *_: None)")
        target.do("signal.pthread_sigmask(signal.SIG_BLOCK, [10, 12])")
        before = daemon.scrape()
        for _ in range(2):
            os.kill(target.pid, 10)
            time.sleep(1.4)
            target.do("signal.raise_signal(10)")
            os.kill(target.pid, 12)
            time.sleep(0.4)
            # sigsuspend(2) takes one number at a time: 10 of the thread, 10 of the process, 12.
            for number in (10, 10, 12):
                mask = f"((1 << 1024) - 1 ^ 1 << {number} - 1).to_bytes(128, 'little')"
                target.do(f"import ctypes; ctypes.CDLL(None).sigsuspend({mask})")
        after = daemon.scrape()
    assert between(before, after, LATENCY, 0.268, 0.537, **standard) == 4
    assert between(before, after, LATENCY, 1.07, 2.15, **standard) == 2


@pytest.mark.parametrize("others", [[], [12]])
def test_what_is_taken_otherwise_is_counted_when_it_comes_again(daemon, others):
    """Alone, and beside another signal that waits."""
    labels = {"class": "standard", "reason": "undelivered"}
    with puppet() as target:
        target.do("for n in (10, 12): signal.signal(n, lambda *_: None)")
        target.do("signal.pthread_sigmask(signal.SIG_BLOCK, [10, 12])")
        before = daemon.scrape()
        for number in others:
            os.kill(target.pid, number)
        for _ in range(3):
            os.kill(target.pid, 10)
            target.do("signal.sigwait([10])")
        os.kill(target.pid, 10)
        target.do("signal.pthread_sigmask(signal.SIG_UNBLOCK, [10, 12])")
        after = daemon.scrape()
    assert after.value(UNMATCHED, **labels) - before.value(UNMATCHED, **labels) == 3


def test_a_signal_that_kills_is_matched(daemon):
    """It is delivered as SIGKILL."""
    with puppet() as target:
        target.do(f"signal.pthread_sigmask(signal.SIG_BLOCK, [{RT}])")
        before = daemon.scrape()
        os.kill(target.pid, 34 + 3)
        time.sleep(0.4)
        target.do(f"signal.pthread_sigmask(signal.SIG_UNBLOCK, [{RT}])")
        assert target.process.wait() == -37
    after = daemon.scrape()
    assert between(before, after, LATENCY, 0.268, 0.537, **{"class": "realtime"}) == 1


def test_what_is_not_delivered_is_counted(daemon):
    """Three that sigwait(2) takes, then one that is delivered."""
    labels = {"class": "realtime", "reason": "undelivered"}
    with puppet() as target:
        target.do(f"signal.signal({RT}, lambda *_: None)")
        target.do(f"signal.pthread_sigmask(signal.SIG_BLOCK, [{RT}])")
        before = daemon.scrape()
        for _ in range(3):
            os.kill(target.pid, 34 + 3)
        for _ in range(3):
            target.do(f"signal.sigwait([{RT}])")
        os.kill(target.pid, 34 + 3)
        target.do(f"signal.pthread_sigmask(signal.SIG_UNBLOCK, [{RT}])")
    after = daemon.scrape()
    assert after.value(UNMATCHED, **labels) - before.value(UNMATCHED, **labels) == 3


def test_what_was_generated_before_the_start_is_unseen(tmp_path, root):
    with puppet() as target:
        target.do(f"signal.signal({RT}, lambda *_: None)")
        target.do(f"signal.pthread_sigmask(signal.SIG_BLOCK, [{RT}])")
        for _ in range(5):
            os.kill(target.pid, 34 + 3)
        with Daemon(tmp_path) as daemon:
            target.do(f"signal.pthread_sigmask(signal.SIG_UNBLOCK, [{RT}])")
            found = daemon.scrape()
    assert found.value(UNMATCHED, **{"class": "realtime", "reason": "unseen"}) == 5
    assert found.value(f"{LATENCY}_count", **{"class": "realtime"}) == 0


def scrape_with_queue(daemon, pid):
    """A scrape, and the queue of the process's user, which others have signals in, too, and
    which did not change meanwhile."""

    def queue():
        status = Path(f"/proc/{pid}/status").read_text()
        return tuple(map(int, status.split("SigQ:\t")[1].split("\n")[0].split("/")))

    for _ in range(100):
        before, found, after = queue(), daemon.scrape(), queue()
        if before == after:
            break
    return found, *after


def test_pending_blocked_and_queued(daemon, named_python):
    """As /proc/PID/status has it."""
    group = named_python.name
    with puppet(named_python) as target:
        target.do(f"signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, {RT}])")
        os.kill(target.pid, 12)
        for _ in range(7):
            os.kill(target.pid, 34 + 3)
        found, queued, limit = scrape_with_queue(daemon, target.pid)
    for kind in ("pending", "blocked"):
        name = f"pidinfod_group_signals_{kind}"
        for signal, wanted in (("SIGUSR2", 1), ("SIGRTMIN+3", 1), ("SIGUSR1", 0)):
            assert found.value(name, group=group, signal=signal) == wanted, (kind, signal)
    assert found.value("pidinfod_group_signals_queued", group=group) == queued >= 7
    assert found.value("pidinfod_group_signals_queued_limit", group=group) == limit
    assert limit == resource.getrlimit(resource.RLIMIT_SIGPENDING)[0]


def test_zombies_and_their_parent(tmp_path, named_python):
    group, family = named_python.name, "pidinfod_reap_delay_seconds"
    with Daemon(tmp_path, declaring(group)) as daemon, puppet(named_python) as parent:
        parent.do("kids = [os.fork() or os._exit(0) for _ in range(13)]")
        time.sleep(1.5)
        states = subprocess.check_output(
            ["ps", "--ppid", str(parent.pid), "-o", "stat="], text=True
        ).split()
        assert len([state for state in states if state.startswith("Z")]) == 13
        before = daemon.scrape()
        assert before.value("pidinfod_zombies", parent=group) == 13
        parent.do("[os.waitpid(pid, 0) for pid in kids]")
        deadline = time.monotonic() + 10
        while daemon.scrape().value(f"{family}_count", parent=group) < 13:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        after = daemon.scrape()
        assert after.value("pidinfod_zombies", parent=group) == 0
    assert after.value(f"{family}_count", parent=group) == 13
    assert between(before, after, family, 1.07, 17.2, parent=group) == 13
    assert after.value(f"{family}_sum", parent=group) >= 13 * 1.5


def test_a_main_thread_that_left_is_no_zombie(daemon, named_python):
    """/proc shows its process as one, but its other thread lives."""
    group = named_python.name
    script = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    with puppet(named_python) as parent:
        parent.do("import subprocess")
        parent.do(f"child = subprocess.Popen([sys.executable, '-c', {script!r}])")
        pid = subprocess.check_output(["pgrep", "-P", str(parent.pid)], text=True).strip()
        stat = Path(f"/proc/{pid}/stat")
        deadline = time.monotonic() + 10
        while ") Z " not in stat.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        found = daemon.scrape()
        parent.do("child.kill(); child.wait()")
    assert found.value("pidinfod_group_processes", group=group, state="Z") == 1
    assert found.value("pidinfod_zombies", parent=group) == 0
