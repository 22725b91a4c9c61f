# SPDX-License-Identifier: Apache-2.0
"""Trees as /proc shows them, with every fault that one process may have."""

import errno
import os
from collections import Counter

import pytest

from pidinfod.kernel.records import STATES, USE_FIELDS
from pidinfod.proc import procfs

STATUS = (
    "Name:\tsh\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t1\n"
    "Uid:\t11\t13\t17\t19\nGid:\t23\t29\t31\t37\nGroups:\t{groups}\nVmSize:\t    2404 kB\n"
    "VmSwap:\t      47 kB\n"
    "SigQ:\t3/7919\nSigPnd:\t0000000000000100\nShdPnd:\t0000000000000002\n"
    "SigBlk:\t0000000000010000\nSigIgn:\t0000000000000004\nSigCgt:\t0000000000000008\n"
    "voluntary_ctxt_switches:\t41\nnonvoluntary_ctxt_switches:\t43\n"
)
PF_KTHREAD = 0x00200000


def stat(pid, comm=b"sh", flags=0x400100, state="S", ppid=1):
    fields = [
        state, ppid, 5, 7, 0, -1, flags, *range(10, 18), 20, 0, 2, 0, 997, 4211, 3, *range(28),
    ]  # fmt: skip
    return b"%d (%s) %s\n" % (pid, comm, " ".join(map(str, fields)).encode())


def add(proc, pid, *, status=None, **rest):
    folder = proc / str(pid)
    (folder / f"task/{pid}").mkdir(parents=True)
    (folder / "stat").write_bytes(stat(pid, **rest))
    (folder / "status").write_text(status or STATUS.format(pid=pid, groups="0 1"))
    (folder / f"task/{pid}/children").write_text("")
    (folder / "cwd").symlink_to("/")
    (folder / "root").symlink_to("/")
    return folder


@pytest.fixture
def proc(tmp_path):
    """A folder with two processes, and what else lies in /proc."""
    for pid in (2, 7):
        add(tmp_path, pid)
    (tmp_path / "sys").mkdir()
    (tmp_path / "uptime").touch()
    (tmp_path / "self").symlink_to("7")
    (tmp_path / "²").mkdir()
    return tmp_path


def swept(proc):
    errors = Counter()
    found = {one.pid: one for one in procfs.sweep(proc, errors)}
    return found, errors


def test_a_sweep(proc):
    found, errors = swept(proc)
    assert sorted(found) == [2, 7]
    assert not errors
    assert found[7] == (
        7, 1, "S", "sh", 2, 997 * procfs.TICK_NS, False, 1 << 8 | 1 << 1, 1 << 16, 3, 7919,
        found[7].use, 3 * procfs.PAGE, 4211, 47 * 1024,
    )  # fmt: skip
    # As proc(5) numbers the fields: minflt is the tenth, majflt the twelfth, then utime and stime.
    told = {name: number for name, number in zip(USE_FIELDS, found[7].use, strict=True) if number}
    assert told == {
        "min_flt": 10, "maj_flt": 12, "utime_ns": 14 * procfs.TICK_NS,
        "stime_ns": 15 * procfs.TICK_NS, "cpu_ns": 29 * procfs.TICK_NS,
    }  # fmt: skip
    # The others it does not tell, and says so.
    assert {*USE_FIELDS} - told.keys() == procfs.ABSENT & {*USE_FIELDS}


@pytest.mark.parametrize(
    ("line", "swap"),
    [("VmSwap:\t 1009 kB", 1009), ("VmSwap:\t0 kB", 0), ("VmSwap:\tmuch", 0), ("xVmSwap: 7 kB", 0),
     ("VmSwapped:\t 7 kB", 0)],
)  # fmt: skip
def test_swap(proc, line, swap):
    """A thread of the kernel has none, and a kernel may be built without."""
    text = STATUS.format(pid=7, groups="0")
    (proc / "7/status").write_text(text.replace("VmSwap:\t      47 kB", line))
    found, errors = swept(proc)
    assert (found[7].swap_bytes, found[7].sigq_limit) == (swap * 1024, 7919)
    assert not errors


def test_threads_of_the_kernel_are_told_by_their_flag(proc):
    # In a PID namespace of its own 2 is a PID like any other.
    add(proc, 11, comm=b"kworker/0:1", flags=PF_KTHREAD | 0x40)
    found, _ = swept(proc)
    assert [pid for pid, one in found.items() if one.is_kernel] == [11]


@pytest.mark.parametrize(
    ("comm", "shown"),
    [
        (b") S 1 (", ") S 1 ("),
        (b"a\nb\n9 (x) R 1", "a\nb\n9 (x) R 1"),
        (b"", ""),
        (b" ", " "),
        (b"caf\xe9\xff", "caf\\xe9\\xff"),
        ("café".encode(), "café"),
        (b"\x1b[2J\x0b\x85", "\x1b[2J\x0b\\x85"),
        (b"((((", "(((("),
        (b"))))", "))))"),
    ],
)
def test_every_name(proc, comm, shown):
    add(proc, 11, comm=comm, ppid=17)
    found, errors = swept(proc)
    assert not errors
    assert (found[11].comm, found[11].ppid, found[11].state) == (shown, 17, "S")
    info = procfs.read(11, proc)
    assert (info.comm, info.ppid) == (shown, 17)


@pytest.fixture
def fail(monkeypatch):
    """Makes a path of the tree fail with an errno, whoever opens or follows it."""
    numbers = {}

    def guard(module, name):
        genuine = getattr(module, name)

        def guarded(path, *args, **kwargs):
            for end, number in numbers.items():
                if isinstance(path, str | os.PathLike) and os.fspath(path).endswith(end):
                    raise OSError(number, os.strerror(number), os.fspath(path))
            return genuine(path, *args, **kwargs)

        monkeypatch.setattr(module, name, guarded)

    import builtins
    import io

    guard(builtins, "open")
    guard(io, "open")
    for name in ("readlink", "stat", "listdir", "scandir"):
        guard(os, name)
    return numbers.__setitem__


ERRNOS = ("EACCES", "EPERM", "EMFILE", "ENFILE", "ENOMEM", "EIO", "ENAMETOOLONG", "EINVAL")


@pytest.mark.parametrize("name", ERRNOS)
@pytest.mark.parametrize("file", ["stat", "status"])
def test_one_that_cannot_be_read_costs_itself(proc, fail, name, file):
    fail(f"/7/{file}", getattr(errno, name))
    found, errors = swept(proc)
    assert sorted(found) == [2]
    assert errors == {name: 1}
    assert [one.pid for one in procfs.sweep(proc)] == [2]  # who does not count is not stopped


@pytest.mark.parametrize("name", ["ENOENT", "ESRCH"])
@pytest.mark.parametrize("file", ["stat", "status"])
def test_one_that_ends_meanwhile_is_no_error(proc, fail, name, file):
    fail(f"/7/{file}", getattr(errno, name))
    found, errors = swept(proc)
    assert sorted(found) == [2]
    assert not errors


@pytest.mark.parametrize(
    "text", [b"", b"7", b"7 (sh)", b"7 (sh) S 1", b"x (sh) S 1 2 3", stat(7)[:40], b"\xff" * 97]
)
def test_a_text_that_is_broken_costs_itself(proc, text):
    (proc / "7/stat").write_bytes(text)
    found, errors = swept(proc)
    assert sorted(found) == [2]
    assert errors == {"EBADMSG": 1}
    with pytest.raises(OSError, match="not as expected") as raised:
        procfs.read(7, proc)
    assert raised.value.errno == errno.EBADMSG


@pytest.mark.parametrize("state", ["K", "x", "Ss", "0"])
def test_a_state_that_no_kernel_has_costs_itself(proc, state):
    add(proc, 11, state=state)
    found, errors = swept(proc)
    assert sorted(found) == [2, 7]
    assert errors == {"EBADMSG": 1}


@pytest.mark.parametrize("state", STATES)
def test_every_state(proc, state):
    add(proc, 11, state=state)
    found, errors = swept(proc)
    assert found[11].state == state
    assert not errors


def test_status_without_signals_costs_only_them(proc):
    (proc / "7/status").write_text("Name:\tsh\nTgid:\t7\n")
    found, errors = swept(proc)
    assert not errors
    assert found[7][7:11] == (None,) * 4
    assert (found[7].swap_bytes, found[7].use) == (0, found[2].use)


def test_status_longer_than_a_page(proc):
    groups = " ".join(map(str, range(65536)))
    (proc / "7/status").write_text(STATUS.format(pid=7, groups=groups))
    assert swept(proc)[0][7].sigq_limit == 7919


@pytest.mark.parametrize("name", ERRNOS)
def test_a_folder_that_cannot_be_listed_raises(proc, fail, name):
    fail(str(proc), getattr(errno, name))
    with pytest.raises(OSError, match=r"\[Errno") as raised:
        list(procfs.sweep(proc))
    assert raised.value.errno == getattr(errno, name)


@pytest.mark.parametrize("name", [*ERRNOS, "ELOOP", "ENOTCONN", "ESTALE", "ENOENT", "ENOTDIR"])
@pytest.mark.parametrize("field", ["cwd", "root"])
def test_a_path_that_is_not_told_costs_only_itself(proc, fail, name, field):
    fail(f"/7/{field}", getattr(errno, name))
    info = procfs.read(7, proc)
    assert getattr(info, field) is None
    assert (info.pid, info.uid, info.sigq_limit) == (7, 11, 7919)
    assert (field in info.denied) == (name in ("EACCES", "EPERM"))


@pytest.mark.parametrize("name", [*ERRNOS, "ENOENT", "ESRCH"])
@pytest.mark.parametrize(
    ("file", "field"),
    [("io", "rchar"), ("syscall", "sp"), ("cgroup", "cgroup_id"), ("/task", "children")],
)
def test_every_other_file_costs_only_its_fields(proc, fail, name, file, field):
    fail(f"/7/{file}".replace("//", "/"), getattr(errno, name))
    info = procfs.read(7, proc)
    assert getattr(info, field) is None
    assert (info.pid, info.cwd, info.nvcsw) == (7, "/", 41)


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("Uid", ("uid", "euid")),
        ("Gid", ("gid", "egid")),
        ("SigQ", ("sigq_len", "sigq_limit")),
        ("SigPnd", ("sig_pending",)),
        ("ShdPnd", ("sig_shared_pending",)),
        ("SigBlk", ("sig_blocked",)),
        ("SigIgn", ("sig_ignored",)),
        ("SigCgt", ("sig_caught",)),
        ("voluntary_ctxt_switches", ("nvcsw",)),
        ("nonvoluntary_ctxt_switches", ("nivcsw",)),
    ],
)
def test_a_line_that_is_missing_costs_only_its_fields(proc, line, fields):
    whole = procfs.read(7, proc)
    lines = STATUS.format(pid=7, groups="").splitlines(keepends=True)
    (proc / "7/status").write_text(
        "".join(text for text in lines if not text.startswith(f"{line}:"))
    )
    info = procfs.read(7, proc)
    changed = {
        name for name in whole.__dict__
        if name != "age_ns" and getattr(info, name) != getattr(whole, name)
    }  # fmt: skip
    assert changed == set(fields)
    assert all(getattr(info, name) is None for name in fields)


def test_a_name_does_not_forge_a_line(proc):
    text = STATUS.format(pid=7, groups="").replace("Name:\tsh", "Name:\tx\x0bSeccomp:9\x85Tgid:2")
    assert "Seccomp" not in procfs.parse_status(text.encode())
    (proc / "7/status").write_text(text)
    assert procfs.read(7, proc).tgid == 7


def test_children(proc):
    for tid, text in ((13, "17 19 "), (23, "29 ")):
        (proc / f"7/task/{tid}").mkdir()
        (proc / f"7/task/{tid}/children").write_text(text)
    (proc / "7/task/31").mkdir()  # a thread that left meanwhile
    info = procfs.read(7, proc)
    assert (sorted(info.children), info.children_count) == ([17, 19, 29], 3)


def test_children_on_a_kernel_that_does_not_list_them(proc):
    (proc / "7/task/7/children").unlink()
    add(proc, 11, ppid=7)
    add(proc, 13, ppid=7)
    assert sorted(procfs.read(7, proc).children) == [11, 13]


def test_one_that_is_not_there(proc, fail):
    with pytest.raises(ProcessLookupError):
        procfs.read(3, proc)
    fail("/7/status", errno.ESRCH)
    with pytest.raises(ProcessLookupError):
        procfs.read(7, proc)
    fail("/2/status", errno.EACCES)
    with pytest.raises(PermissionError):
        procfs.read(2, proc)


@pytest.mark.parametrize(
    ("raw", "inside"),
    [
        (b"0::/a.slice/b:c\n", b"a.slice/b:c"),
        (b"9:memory:/x\n0::/caf\xe9\n", b"caf\xe9"),
        (b"0::/\n", b""),
    ],
)
def test_the_cgroup_is_looked_for_where_it_is_mounted(proc, tmp_path, raw, inside):
    mount = tmp_path / "my cgroups"
    folder = os.fsencode(mount) + b"/" + inside
    os.makedirs(folder)
    line = f"26 25 0:23 / {tmp_path}/my\\040cgroups rw - cgroup2 cgroup2 rw\n"
    (proc / "7/mountinfo").write_text(line)  # self is 7
    (proc / "2/cgroup").write_bytes(raw)
    assert procfs.read(2, proc).cgroup_id == os.stat(folder).st_ino


@pytest.mark.parametrize("raw", [b"0::/..\n", b"0::/../../x\n", b"9:memory:/\n", b"", b"0::/no\n"])
def test_a_cgroup_that_the_mount_does_not_show_has_no_id(proc, tmp_path, raw):
    (tmp_path / "cgroups").mkdir()
    line = f"26 25 0:23 / {tmp_path}/cgroups rw - cgroup2 cgroup2 rw\n"
    (proc / "7/mountinfo").write_text(line)
    (proc / "2/cgroup").write_bytes(raw)
    assert procfs.read(2, proc).cgroup_id is None


def test_agrees_with_the_kernel_of_its_own_threads():
    """PID 2's children are threads of the kernel where it is one itself."""
    found, _ = swept(procfs.PROC)
    if 2 in found and found[2].comm == "kthreadd":
        assert all(one.is_kernel == (2 in (one.pid, one.ppid)) for one in found.values())
    assert not found[os.getpid()].is_kernel
