# SPDX-License-Identifier: Apache-2.0
"""The series' own kselftests, on every kernel that has a series, and the errors they provoke."""

import errno
import re

import pytest

from tests.support import REPO
from tests.support.daemon import TESTED
from tests.support.lab import Lab
from tests.support.machine import Guest
from tests.support.sweeping import check_figures, check_use

PROGRAMS = {
    f"pid_info/{name}_test"
    for name in ("abi", "children", "fields", "many", "permission", "race", "whom")
} | {f"ft_calls/{name}_test" for name in ("fork", "kill", "wait")}

# Errors that the man page has and no selftest provokes: of memory that is short, of a security
# module.
ELSEWHERE = {("get_pid_info", "ENOMEM"), ("get_pid_info", "EACCES")}
NO_INODE = ("EOPNOTSUPP",)  # where every task has an inode


@pytest.fixture(scope="module")
def lab_6_1(programs):
    guest = Lab("test-6-1")
    guest.run("down", check=False)
    guest.up("--kernel", "6.1")
    guest.configure(TESTED)
    yield guest
    guest.run("down")


def check_selftests(guest, elsewhere=(), lacks=()):
    """All pass, and the errors that the calls gave are those of the ERRORS of their man pages."""
    printed = guest.run_selftests(lacks)
    assert set(printed) == PROGRAMS
    provoked = set(
        re.findall(r"^# error of (\w+): (E\w+)$", "\n".join(printed.values()), re.MULTILINE)
    )
    documented = set()
    for call in ("get_pid_info", "ft_fork", "ft_kill", "ft_wait"):
        page = (REPO / f"kernel/man/{call}.2").read_text()
        errors = re.search(r"^\.SH ERRORS\n(.*?)^\.SH ", page, re.MULTILINE | re.DOTALL)[1]
        rows = re.findall(r"^\.TP\n\.B (E\w+)$", errors, re.MULTILINE)
        assert len(rows) == len(set(rows)) > 0
        documented |= {(call, row) for row in rows}
    assert provoked == documented - ELSEWHERE - {("get_pid_info", name) for name in elsewhere}


def test_selftests_on_6_12(lab):
    check_selftests(lab, NO_INODE)


def test_selftests_on_6_1(lab_6_1):
    check_selftests(lab_6_1, lacks=("this kernel has no pidfds of threads",))


def test_daemon_on_6_1(lab_6_1, programs):
    """The probes attach and count exactly on the older kernel, too."""
    lab_6_1.copy_in(programs / "ft_workload", "/root/ft_workload")
    before = lab_6_1.scrape()
    lab_6_1.exec("/root/ft_workload")
    after = lab_6_1.scrape()
    probes = after.table("pidinfod_probe_attached", "probe")
    assert set(probes.values()) == {1}
    assert ("kprobe:__x64_sys_ft_fork",) in probes
    for syscall, result, count in (
        ("ft_fork", "ok", 211),
        ("ft_wait", "ok", 211),
        ("ft_kill", "ok", 503),
        ("ft_kill", "ESRCH", 101),
        ("ft_kill", "EPERM", 53),
    ):
        labels = {"syscall": syscall, "result": result}
        found = [scrape.value("pidinfod_ft_calls_total", **labels) for scrape in (before, after)]
        assert found[1] - found[0] == count, labels


def test_sweep_on_6_1(lab_6_1, programs):
    lab_6_1.copy_in(programs, "/root/src")
    guest = Guest(lab_6_1)
    check_figures(guest, "procfs", "get_pid_info")
    check_use(guest, 211)


@pytest.fixture(scope="module")
def padded_lab(programs):
    """On a kernel whose structure has grown, as that of a later one."""
    guest = Lab("test-padded")
    guest.run("down", check=False)
    guest.up("--kernel", "6.12-padded")
    yield guest
    guest.run("down")


def test_callers_of_a_structure_that_has_grown(padded_lab):
    check_selftests(padded_lab, NO_INODE)


def test_a_structure_that_has_grown(padded_lab):
    """It is that kernel's: what the header's has no room for is no longer unknown."""
    program = (
        "import ctypes\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "for size in (1000, 1008, 1064, 1072):\n"
        "    info = ctypes.create_string_buffer(bytes(1000) + b'\\1' * 72)\n"
        "    ret = libc.syscall(548, 0, info, ctypes.c_size_t(size), 0)\n"
        "    print(ret, ret and ctypes.get_errno(), set(info.raw[1000:1072]))\n"
    )
    told = padded_lab.exec("python3", "-c", program).stdout.splitlines()
    assert told == [
        "0 0 {1}", "0 0 {0, 1}", "0 0 {0, 1}", f"-1 {errno.E2BIG} {{1}}",
    ]  # fmt: skip


def test_calls_off(padded_lab):
    """kernel.ft_calls: the last test of this guest, as nothing turns them on again."""
    printed = padded_lab.run_selftest(padded_lab.kernel / "selftests/ft_calls/off_test")
    assert printed.count("\nok ") > 3
