# SPDX-License-Identifier: Apache-2.0
"""The series' own kselftests, and the errors they provoke. Other kernels: tests/kernels."""

import errno
import re

import pytest

from tests.support import REPO
from tests.support.lab import Lab
from tests.support.selftests import PROGRAMS

# Errors that the man page has and no selftest provokes: of memory that is short, of a security
# module, of a kernel that knows no inode.
ELSEWHERE = {("get_pid_info", name) for name in ("ENOMEM", "EACCES", "EOPNOTSUPP")}


def check_selftests(guest):
    """All pass, and the errors that the calls gave are those of the ERRORS of their man pages."""
    printed = guest.run_selftests()
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
    assert provoked == documented - ELSEWHERE


def test_selftests(lab):
    check_selftests(lab)


@pytest.fixture(scope="module")
def padded_lab(programs):
    """On a kernel whose structure has grown, as that of a later one."""
    guest = Lab("test-padded")
    guest.run("down", check=False)
    guest.up("--kernel", "6.12-padded")
    yield guest
    guest.run("down")


def test_callers_of_a_structure_that_has_grown(padded_lab):
    check_selftests(padded_lab)


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
