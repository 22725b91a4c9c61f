# SPDX-License-Identifier: Apache-2.0
"""What a process used counts for the group that it was in while it used it, to the byte."""

import os
import signal
import subprocess
import time

import pytest

from tests.support.daemon import Daemon

pytestmark = pytest.mark.usefixtures("root")

ME = os.getpid()
EARLY, LATER = 1_000_003, 2_000_003
METRIC = "pidinfod_group_io_bytes_total"
PLACED = "placed"
CONFIG = f"""
group_ttl: 2
groups:
- name: {PLACED}
  cmdline: [' placed{ME}$']
"""
# Writes as many bytes as each line says, to nowhere.
WRITER = """
import os, sys
nowhere = os.open("/dev/null", os.O_WRONLY)
for line in iter(lambda: os.read(0, 64), b""):
    os.write(nowhere, bytes(int(line)))
    os.read(int(sys.argv[1]), 1)
"""


class Writer:
    """A process of a name of its own that writes as it is told."""

    def __init__(self, path, *args):
        if not path.is_symlink():
            path.symlink_to("/usr/bin/python3")
        self.name = path.name
        read, self._answer = os.pipe()
        self._process = subprocess.Popen(
            [path, "-ISc", WRITER, str(read), *args], stdin=subprocess.PIPE, pass_fds=[read]
        )
        os.close(read)

    @property
    def pid(self):
        return self._process.pid

    def write(self, count):
        self._process.stdin.write(b"%d\n" % count)
        self._process.stdin.flush()
        os.write(self._answer, b"r")

    def end(self):
        self._process.communicate()
        os.close(self._answer)
        assert self._process.returncode == 0


@pytest.fixture
def daemon(tmp_path):
    with Daemon(tmp_path, CONFIG) as running:
        yield running


def wrote(scrape, group):
    return scrape.value(METRIC, group=group, direction="write")


def until(daemon, holds):
    deadline = time.monotonic() + 20
    while not holds(scrape := daemon.scrape()):
        told = scrape.table(METRIC, "group", "direction")
        assert time.monotonic() < deadline, f"{told}\n{daemon.log}"
        time.sleep(0.05)
    return scrape


def test_what_was_used_before_it_was_placed_late_stays_with_its_name(daemon, tmp_path):
    os.kill(daemon.process.pid, signal.SIGSTOP)
    writer = Writer(tmp_path / "late", f"placed{ME}")
    writer.write(EARLY)
    time.sleep(0.3)
    os.kill(daemon.process.pid, signal.SIGCONT)
    until(daemon, lambda found: found.value("pidinfod_execs_total", group=PLACED) == 1)
    writer.write(LATER)
    scrape = until(daemon, lambda found: wrote(found, PLACED) == LATER)
    assert wrote(scrape, "late") == EARLY
    writer.end()
    time.sleep(0.5)
    scrape = daemon.scrape()
    assert (wrote(scrape, "late"), wrote(scrape, PLACED)) == (EARLY, LATER)


def test_one_that_is_placed_at_once(daemon, tmp_path):
    writer = Writer(tmp_path / "prompt", f"placed{ME}")
    until(daemon, lambda found: found.value("pidinfod_execs_total", group=PLACED) == 1)
    writer.write(LATER)
    scrape = until(daemon, lambda found: wrote(found, PLACED) == LATER)
    assert wrote(scrape, "prompt") == 0
    writer.end()


def test_many_short_lives_that_are_placed(daemon, tmp_path):
    """Whether the daemon comes in time for each or not, what they used is counted once."""
    before = daemon.scrape()
    for _ in range(101):
        writer = Writer(tmp_path / "brief", f"placed{ME}")
        writer.write(1009)
        writer.end()
    total = 101 * 1009
    # Until the kernel has freed the last of them.
    until(daemon, lambda found: wrote(found, "brief") + wrote(found, PLACED) >= total)
    time.sleep(0.3)
    changes = daemon.scrape().since(before)
    assert wrote(changes, "brief") + wrote(changes, PLACED) == total
    execs = {name: changes.value("pidinfod_execs_total", group=name) for name in ("brief", PLACED)}
    assert sum(execs.values()) == 101
    # One that was placed counts there.
    assert wrote(changes, PLACED) == execs[PLACED] * 1009


def test_a_name_that_comes_back_goes_on_where_it_was(daemon, tmp_path):
    for total in (1009, 2 * 1009):
        writer = Writer(tmp_path / "again")
        writer.write(1009)
        until(daemon, lambda found, total=total: wrote(found, "again") == total)
        writer.end()
        gone = until(daemon, lambda found: not [1 for _, labels in found
                                                if ("group", "again") in labels])  # fmt: skip
        assert gone.value("pidinfod_groups_recycled_total") > 0


def test_those_that_ran_before_count_whole(tmp_path):
    writer = Writer(tmp_path / "before")
    writer.write(EARLY)
    time.sleep(0.3)
    with Daemon(tmp_path, CONFIG) as daemon:
        assert wrote(daemon.scrape(), "before") == EARLY
        writer.write(LATER)
        until(daemon, lambda found: wrote(found, "before") == EARLY + LATER)
        writer.end()
        time.sleep(0.5)
        assert wrote(daemon.scrape(), "before") == EARLY + LATER


def test_without_probes_what_was_seen_of_each_stays(tmp_path):
    """The time of one that has ended does not go down."""
    program = tmp_path / "spinner"
    program.symlink_to("/usr/bin/python3")
    with Daemon(tmp_path, CONFIG, "--procfs-only") as daemon:
        with subprocess.Popen([program, "-c", "while True: pass"]) as spinner:
            metric = "pidinfod_group_cpu_seconds_total"
            seen = until(daemon, lambda found: found.value(metric, group="spinner") > 0.2)
            spinner.kill()
        after = daemon.scrape().value(metric, group="spinner")
        assert after >= seen.value(metric, group="spinner")


# Waits for a CPU in its first thread and in another one, which execs the same program; that one
# waits once more. Tells what the kernel says that each thread has waited for.
WAITER = """
import os, sys, threading, time

def wait():
    end = time.thread_time() + 0.15
    while time.thread_time() < end:
        pass
    # What the kernel adds is from the last time that it got a CPU.
    os.sched_yield()
    with open("/proc/thread-self/schedstat") as file:
        return int(file.read().split()[1])

if sys.argv[1:]:
    print(int(sys.argv[1]) + wait(), flush=True)
    sys.stdin.read()
else:
    first = wait()
    def other():
        wait()
        os.execv(sys.executable, [*sys.orig_argv, str(first)])
    threading.Thread(target=other).start()
    time.sleep(60)
"""


def test_what_threads_waited_for_stays_over_an_exec_by_one_of_them(daemon, tmp_path):
    """Its own time goes with it, that of the first thread ends there."""
    metric = "pidinfod_group_run_queue_seconds_total"
    waiter = tmp_path / "waiter"
    waiter.symlink_to("/usr/bin/python3")
    on_one = ("taskset", "-c", "0")
    spin = [*on_one, "/usr/bin/python3", "-c", "while True: pass"]
    with subprocess.Popen(spin) as spinner:
        command = [*on_one, waiter, "-ISc", WAITER]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            told = int(process.stdout.readline()) / 1e9
            spinner.kill()
            found = daemon.scrape().value(metric, group="waiter")
            process.communicate("")
    assert told > 0.2
    assert abs(found - told) < 0.05, (found, told)
    time.sleep(0.5)
    assert daemon.scrape().value(metric, group="waiter") >= found
