# SPDX-License-Identifier: Apache-2.0
"""What is read of one process, whole or with any part unreadable."""

import errno
import os
import sys
from pathlib import Path

import pytest

from pidinfod.groups import placement
from pidinfod.groups.placement import read_facts
from pidinfod.groups.rules import TEXT_MAX, Facts

ALL = frozenset({"comm", "exe", "cmdline", "cgroup", "uid"})


@pytest.fixture
def folder(tmp_path):
    """/proc/PID of one process."""
    (tmp_path / "exe").symlink_to("/usr/bin/rsync")
    (tmp_path / "cmdline").write_bytes(b"rsync\0-a\0a b\0")
    (tmp_path / "cgroup").write_text("1:name=systemd:/legacy\n0::/backup.slice/nightly.service\n")
    (tmp_path / "status").write_text("Name:\trsync\nUid:\t11\t13\t17\t19\nGid:\t23\t29\t31\t37\n")
    return tmp_path


WHOLE = Facts("rsync", "/usr/bin/rsync", "rsync -a a b", "/backup.slice/nightly.service", 13)


def test_all(folder):
    assert read_facts(folder, b"rsync", ALL) == (WHOLE, False)


@pytest.mark.parametrize("needs", [set(), {"comm"}, {"exe"}, {"cmdline", "uid"}, {"cgroup"}])
def test_only_what_is_needed(folder, needs):
    wanted = {name: getattr(WHOLE, name) for name in needs}
    facts, unreadable = read_facts(folder, b"rsync", frozenset(needs))
    assert facts == Facts(**{"comm": "rsync", **wanted})
    assert not unreadable


EMPTY = {"exe": "", "cmdline": "", "cgroup": "", "uid": None}
FILES = {"exe": "exe", "cmdline": "cmdline", "cgroup": "cgroup", "uid": "status"}


@pytest.fixture
def fail(folder, monkeypatch):
    """Makes the reading of one file fail."""

    def arrange(name, number):
        def guard(genuine):
            def guarded(path, *args, **kwargs):
                if os.fspath(path) == str(folder / name):
                    raise OSError(number, os.strerror(number))
                return genuine(path, *args, **kwargs)

            return guarded

        monkeypatch.setattr(placement, "_read", guard(placement._read))
        monkeypatch.setattr(os, "readlink", guard(os.readlink))

    return arrange


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EIO, errno.ENOMEM,
                                    errno.EMFILE])  # fmt: skip
@pytest.mark.parametrize("fact", EMPTY)
def test_what_cannot_be_read_is_empty_and_said(folder, fail, fact, number):
    fail(FILES[fact], number)
    facts, unreadable = read_facts(folder, b"rsync", ALL)
    assert unreadable
    assert facts == Facts(**{**vars(WHOLE), fact: EMPTY[fact]})


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESRCH])
@pytest.mark.parametrize("fact", EMPTY)
def test_what_is_not_there_is_empty(folder, fail, fact, number):
    fail(FILES[fact], number)
    assert read_facts(folder, b"rsync", ALL) == (
        Facts(**{**vars(WHOLE), fact: EMPTY[fact]}), False,
    )  # fmt: skip


def test_a_process_that_is_gone(tmp_path):
    assert read_facts(tmp_path / "1009", b"rsync", ALL) == (Facts("rsync"), False)


@pytest.mark.parametrize(
    "status", ["", "Name:\trsync\n", "Uid:\t11\n", "\nUid:\t\n", "\nUid:\tx y\n"]
)
def test_a_status_that_is_not_as_expected(folder, status):
    (folder / "status").write_text(status)
    facts, unreadable = read_facts(folder, b"rsync", ALL)
    assert facts.uid is None
    assert unreadable
    assert facts.cgroup == WHOLE.cgroup


def test_a_name_that_forges_a_line(folder):
    # The kernel escapes the end of a line in a name, and nothing else.
    (folder / "status").write_text("Name:\t\\nUid:\t0\nUmask:\t0022\nUid:\t11\t13\t17\t19\n")
    assert read_facts(folder, b"\nUid:\t0", ALL)[0].uid == 13


@pytest.mark.parametrize(
    ("target", "exe"),
    [
        ("/usr/bin/rsync (deleted)", "/usr/bin/rsync"),
        ("/tmp/a (deleted) (deleted)", "/tmp/a (deleted)"),
        ("/memfd:x (deleted)", "/memfd:x"),
        (b"/tmp/\xff", "/tmp/\udcff"),
    ],
)
def test_executables(folder, target, exe):
    (folder / "exe").unlink()
    os.symlink(target, os.fsencode(folder / "exe"))
    assert read_facts(folder, b"rsync", ALL)[0].exe == exe


@pytest.mark.parametrize(
    ("raw", "cmdline"),
    [(b"", ""), (b"\0\0", ""), (b"sh", "sh"), (b"sh\0\0\0", "sh"), (b"a\0\0b\0", "a  b"),
     (b"\xff\0x\0", "\udcff x"), (b"x" * 100_003, "x" * TEXT_MAX)],
)  # fmt: skip
def test_command_lines(folder, raw, cmdline):
    (folder / "cmdline").write_bytes(raw)
    assert read_facts(folder, b"rsync", ALL) == (
        Facts(**{**vars(WHOLE), "cmdline": cmdline}), False,
    )  # fmt: skip


@pytest.mark.parametrize(("comm", "name"), [(b"", ""), (b"\xff", "\\xff"), (b"a b", "a b")])
def test_names(folder, comm, name):
    assert read_facts(folder, comm, frozenset())[0] == Facts(name)


def test_a_process_of_this_machine():
    facts, unreadable = read_facts(Path("/proc/self"), b"python3", ALL)
    assert not unreadable
    assert facts.uid == os.geteuid()
    assert facts.exe == os.readlink("/proc/self/exe")
    assert facts.cmdline.split(" ")[0] == sys.orig_argv[0]
