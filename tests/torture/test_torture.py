# SPDX-License-Identifier: Apache-2.0
"""The series on a kernel with the kernel's own checkers: KASAN, lockdep, UBSAN, kmemleak.

PIDINFOD_TORTURE_SECONDS is the length of each part; `make torture` makes it longer. A report
of any checker on the console fails whatever command comes next, and the shutdown at the end;
the last test provokes some to see that it does.
"""

import os
import re
import time
from pathlib import Path

import pytest

from tests.support.lab import Lab

SECONDS = int(os.environ.get("PIDINFOD_TORTURE_SECONDS", "20"))
KMEMLEAK = "/sys/kernel/debug/kmemleak"
REPORTED = 3  # the lab's exit status when the kernel reported a fault


@pytest.fixture(scope="module")
def debug_lab(programs):
    guest = Lab("test-debug")
    guest.run("down", check=False)
    guest.up("--kernel", "6.12-debug")
    guest.copy_in(programs, "/root/src")
    scan_for_leaks(guest)
    guest.exec("sh", "-c", f"echo clear > {KMEMLEAK}")  # what booting left
    yield guest
    guest.run("down")


def scan_for_leaks(guest):
    """What is freed by RCU is on nobody's list for a moment: two scans, apart."""
    for _ in range(2):
        guest.exec("sh", "-c", f"sleep 6; echo scan > {KMEMLEAK}")


def counts(line):
    words = line.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


def test_checkers_are_on(debug_lab):
    config = debug_lab.exec("zcat", "/proc/config.gz").stdout.splitlines()
    for name in ("KASAN", "PROVE_LOCKING", "DEBUG_ATOMIC_SLEEP", "PROVE_RCU", "UBSAN"):
        assert f"CONFIG_{name}=y" in config


def test_selftests(debug_lab):
    """All but what needs io_uring, which this kernel is built without."""
    assert debug_lab.run_selftests(("no io_uring: ENOSYS",))


def test_race(debug_lab):
    """Processes come, change and go while others look at them and signal them."""
    done = counts(debug_lab.exec("/root/src/race", str(SECONDS), timeout=SECONDS + 600).stdout)
    assert done["families"] > 3
    assert done["records"] > 211
    assert done["gone"] > 0
    assert done["signals"] > 0


def test_fuzz(debug_lab):
    seed = int(time.time())
    print("seed", seed)
    command = ("/root/src/fuzz", str(SECONDS), str(seed))
    done = counts(debug_lab.exec(*command, timeout=SECONDS + 600).stdout)
    assert done["calls"] > 211


def test_injected_failures(debug_lab):
    """Each point that can fail is made to: an error that the call may give."""
    lines = debug_lab.exec("/root/src/failnth").stdout.splitlines()
    done = {name: counts(rest) for name, _, rest in (line.partition(" ") for line in lines)}
    assert done["get_pid_info"]["failed"] >= 5  # allocations, copies of strings and lists
    assert done["get_pid_info_many"]["failed"] >= 5
    assert done["ft_fork"]["failed"] > 10
    assert done["ft_kill"]["survived"] > 0  # a lost siginfo
    assert done["ft_wait"]["survived"] > 0  # its one copy, of an int, is no point


def test_nothing_leaked(debug_lab):
    scan_for_leaks(debug_lab)
    assert debug_lab.exec("cat", KMEMLEAK).stdout == ""


def test_checkers_are_still_on(debug_lab):
    """Lockdep gives up at its first find, or when a table is full."""
    stats = debug_lab.exec("cat", "/proc/lockdep_stats").stdout
    assert re.search(r"^ *debug_locks: +1$", stats, re.MULTILINE), stats


def test_a_report_is_a_failure(debug_lab):
    """What all of the above relies on. The last: the guest is spoilt by it."""
    console = Path(debug_lab.run("status").stdout.partition("CONSOLE=")[2].splitlines()[0])
    for kind, words in (
        ("READ_AFTER_FREE", "KASAN: slab-use-after-free in lkdtm"),
        ("ARRAY_BOUNDS", "UBSAN: array-index-out-of-bounds"),
        ("WARNING", "WARNING: CPU: "),
    ):
        provoke = f"echo {kind} > /sys/kernel/debug/provoke-crash/DIRECT"
        assert words not in console.read_text(errors="replace")
        assert debug_lab.exec("sh", "-c", provoke, check=False).returncode == REPORTED
        assert words in console.read_text(errors="replace")
    down = debug_lab.run("down", check=False)
    assert down.returncode == REPORTED
    assert "KASAN" in down.stderr
