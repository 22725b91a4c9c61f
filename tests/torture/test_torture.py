# SPDX-License-Identifier: Apache-2.0
"""The series on a kernel with the kernel's own checkers: KASAN, lockdep, UBSAN, kmemleak.

PIDINFOD_TORTURE_SECONDS is the length of each part; `make torture` makes it longer. A report
of any checker on the console fails whatever command comes next, and the shutdown at the end.
"""

import os
import time

import pytest
from conftest import Lab

SECONDS = int(os.environ.get("PIDINFOD_TORTURE_SECONDS", "20"))
OURS = ("pid_info", "ft_fork", "ft_kill", "ft_wait")


@pytest.fixture(scope="module")
def debug_lab(programs):
    guest = Lab("test-debug")
    guest.run("down", check=False)
    guest.up("--kernel", "6.12-debug")
    guest.copy_in(programs, "/root/src")
    yield guest
    guest.run("down")


def counts(line):
    words = line.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


def test_checkers_are_on(debug_lab):
    config = debug_lab.exec("zcat", "/proc/config.gz").stdout.splitlines()
    for name in ("KASAN", "PROVE_LOCKING", "DEBUG_ATOMIC_SLEEP", "PROVE_RCU", "UBSAN"):
        assert f"CONFIG_{name}=y" in config


def test_selftests(debug_lab):
    assert debug_lab.run_selftests()


def test_race(debug_lab):
    """Processes come, change and go while others look at them and signal them."""
    done = counts(debug_lab.exec("/root/src/race", str(SECONDS)).stdout)
    assert done["families"] > 10
    assert done["records"] > 1000
    assert done["gone"] > 0
    assert done["signals"] > 0


def test_fuzz(debug_lab):
    seed = int(time.time())
    print("seed", seed)
    done = counts(debug_lab.exec("/root/src/fuzz", str(SECONDS), str(seed)).stdout)
    assert done["calls"] > 1000


def test_injected_failures(debug_lab):
    """Each point that can fail is made to: an error that the call may give, and no leak."""
    debug_lab.exec("sh", "-c", "echo clear > /sys/kernel/debug/kmemleak")
    lines = debug_lab.exec("/root/src/failnth").stdout.splitlines()
    done = {name: counts(rest) for name, _, rest in (line.partition(" ") for line in lines)}
    assert done["get_pid_info"]["failed"] > 5
    assert done["ft_fork"]["failed"] > 10
    assert done["ft_kill"]["survived"] > 0  # a lost siginfo
    assert done["ft_wait"]["failed"] > 0
    # What is freed by RCU is on nobody's list for a moment: two scans, apart.
    for _ in range(2):
        debug_lab.exec("sh", "-c", "sleep 6; echo scan > /sys/kernel/debug/kmemleak")
    leaks = debug_lab.exec("cat", "/sys/kernel/debug/kmemleak").stdout
    assert not any(name in leaks for name in OURS), leaks
