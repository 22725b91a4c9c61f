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


# What else /proc tells of one process, beside stat and status.
LIMITS = (
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max cpu time              unlimited            unlimited            seconds   \n"
    "Max stack size            8388608              unlimited            bytes     \n"
    "Max nice priority         0                    7                    \n"
)
FILES = {
    "io": "rchar: 2\nwchar: 3\nsyscr: 5\nsyscw: 7\nread_bytes: 11\nwrite_bytes: 13\n"
          "cancelled_write_bytes: 17\n",
    "syscall": "0 0x1 0x2 0x7ffc13dae1f0 0x7f0000000013\n",
    "schedstat": "1009 1013 1019\n",
    "oom_score_adj": "-500\n",
    "limits": LIMITS,
    "cmdline": "sh\0\0-c x\0",
}  # fmt: skip
NAMESPACES = (
    "cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children", "user",
    "uts",
)  # fmt: skip
WIDE_STATUS = (
    "NSpid:\t7\t3\t1\nTracerPid:\t19\n"
    "VmPeak:\t2 kB\nVmLck:\t3 kB\nVmPin:\t5 kB\nVmHWM:\t7 kB\nRssAnon:\t11 kB\n"
    "RssFile:\t13 kB\nRssShmem:\t17 kB\nVmData:\t19 kB\nVmStk:\t23 kB\nVmExe:\t29 kB\n"
    "VmPTE:\t31 kB\nCapInh:\t0000000000000002\nCapPrm:\t0000000000000003\n"
    "CapEff:\t0000000000000005\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000007\n"
    "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n"
)


def fill(folder, status=WIDE_STATUS):
    """All that /proc tells of one process."""
    with open(folder / "status", "a") as file:
        file.write(status)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "exe").symlink_to("/bin/sh (deleted)")
    (folder / "ns").mkdir()
    for place, name in enumerate(NAMESPACES):
        (folder / "ns" / name).symlink_to(f"{name.partition('_')[0]}:[{4026531835 + place}]")
    (folder / "fd").mkdir()
    for number in ("0", "1", "2", "211"):
        (folder / "fd" / number).touch()


def test_all_that_is_told(proc):
    """As proc(5) has it. The numbers of stat are those of their fields there, but for the first."""
    fill(proc / "7")
    info = procfs.read(7, proc)
    assert not info.denied
    assert (info.uid, info.euid, info.suid, info.fsuid) == (11, 13, 17, 19)
    assert (info.gid, info.egid, info.sgid, info.fsgid) == (23, 29, 31, 37)
    assert (info.groups, info.nspids, info.tracer_pid) == ((0, 1), (7, 3, 1), 19)
    assert (
        info.cap_inheritable, info.cap_permitted, info.cap_effective, info.cap_bounding,
        info.cap_ambient,
    ) == (2, 3, 5, 2**41 - 1, 7)  # fmt: skip
    assert (info.no_new_privs, info.seccomp_mode, info.seccomp_filters) == (1, 2, 3)
    assert {name: getattr(info, name) / 1024 for name in (
        "vsize_peak", "locked", "pinned", "rss_peak", "rss_anon", "rss_file", "rss_shmem", "data",
        "stack_size", "text", "page_tables", "swap",
    )} == {
        "vsize_peak": 2, "locked": 3, "pinned": 5, "rss_peak": 7, "rss_anon": 11, "rss_file": 13,
        "rss_shmem": 17, "data": 19, "stack_size": 23, "text": 29, "page_tables": 31, "swap": 47,
    }  # fmt: skip
    assert (
        info.rchar, info.wchar, info.syscr, info.syscw, info.read_bytes, info.write_bytes,
        info.cancelled_write_bytes,
    ) == (2, 3, 5, 7, 11, 13, 17)  # fmt: skip
    assert (info.cmin_flt, info.cmaj_flt) == (11, 13)
    assert (info.cutime_ns, info.cstime_ns) == (16 * procfs.TICK_NS, 17 * procfs.TICK_NS)
    assert (info.run_delay_ns, info.timeslices, info.runtime_ns) == (1013, 1019, None)
    assert (info.oom_score_adj, info.open_files, info.sp) == (-500, 4, 0x7FFC13DAE1F0)
    assert info.limits == ((2**64 - 1,) * 2, (8388608, 2**64 - 1), (0, 7))
    assert [getattr(info, f"ns_{name}") for name in NAMESPACES] == list(
        range(4026531835, 4026531845)
    )
    assert (info.exe, info.cmdline, info.name) == ("/bin/sh (deleted)", ("sh", "", "-c x"), "sh")
    # What /proc has not.
    assert {name for name, value in vars(info).items() if value is None} == {
        "inode", "flags", "securebits", "runtime_ns", "cgroup_id", "exit_code",
    }  # fmt: skip


def test_a_thread_is_read_in_its_process(proc):
    """Its own time on a processor is there to the nanosecond."""
    folder = add(proc / "7/task", 23, status=STATUS.format(pid=7, groups=""))
    fill(folder)
    (proc / "23").mkdir()
    (proc / "23/status").write_text((folder / "status").read_text())
    info = procfs.read(23, proc)
    assert (info.pid, info.tgid, info.runtime_ns, info.timeslices) == (23, 7, 1009, 1019)


def test_what_has_no_memory(proc):
    text = STATUS.format(pid=7, groups="")
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith("Vm")]
    (proc / "7/status").write_text("".join(lines))
    (proc / "7/cmdline").touch()
    info = procfs.read(7, proc)
    names = ("rss", "vsize", "swap", "rss_peak", "stack", "exe", "cmdline")
    assert [getattr(info, name) for name in names] == [None] * len(names)


@pytest.mark.parametrize(("threads", "status"), [(1, 49), (2, None)])
def test_a_zombie_is_dead_with_its_last_thread(proc, threads, status):
    """Until then its status is not that of the process."""
    text = stat(7, state="Z").split()
    text[19], text[51] = b"%d" % threads, b"49"
    (proc / "7/stat").write_bytes(b" ".join(text))
    assert procfs.read(7, proc).exit_code == status


PROTECTED = (
    ("io", ("rchar", "wchar", "read_bytes", "write_bytes", "syscr", "syscw",
            "cancelled_write_bytes")),
    ("syscall", ("sp",)), ("fd", ("open_files",)), ("exe", ("exe",)), ("cwd", ("cwd",)),
    ("root", ("root", "stack", "exit_code")),
    *((f"ns/{name}", (f"ns_{name}",)) for name in NAMESPACES),
)  # fmt: skip
OTHERS = (
    ("cgroup", ("cgroup_id",)), ("/task", ("children",)), ("limits", ("limits",)),
    ("oom_score_adj", ("oom_score_adj",)), ("cmdline", ("cmdline",)),
    ("schedstat", ("run_delay_ns", "timeslices")),
)  # fmt: skip


@pytest.mark.parametrize("name", [*ERRNOS, "ENOENT", "ESRCH"])
@pytest.mark.parametrize(("file", "fields"), [*PROTECTED, *OTHERS])
def test_every_other_file_costs_only_its_fields(proc, fail, name, file, fields):
    fill(proc / "7")
    whole = procfs.read(7, proc)
    fail(f"/7/{file}".replace("//", "/"), getattr(errno, name))
    info = procfs.read(7, proc)
    refused = name in ("EACCES", "EPERM")
    assert set(info.denied) == (set(fields) if refused and (file, fields) in PROTECTED else set())
    left = set(vars(whole)) - {*fields, "age_ns", "denied"}
    assert {one: getattr(info, one) for one in left} == {one: getattr(whole, one) for one in left}
    lost = fields if refused or file != "root" else ("root",)
    assert all(getattr(info, one) is None for one in lost)


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("Uid", ("uid", "euid", "suid", "fsuid")),
        ("Gid", ("gid", "egid", "sgid", "fsgid")),
        ("SigQ", ("sigq_len", "sigq_limit")),
        ("SigPnd", ("sig_pending",)),
        ("ShdPnd", ("sig_shared_pending",)),
        ("SigBlk", ("sig_blocked",)),
        ("SigIgn", ("sig_ignored",)),
        ("SigCgt", ("sig_caught",)),
        ("NSpid", ("nspids",)),
        ("Groups", ("groups",)),
        ("TracerPid", ("tracer_pid",)),
        ("VmHWM", ("rss_peak",)),
        ("RssAnon", ("rss_anon",)),
        ("CapAmb", ("cap_ambient",)),
        ("NoNewPrivs", ("no_new_privs",)),
        ("Seccomp", ("seccomp_mode",)),
        ("Seccomp_filters", ("seccomp_filters",)),
        ("voluntary_ctxt_switches", ("nvcsw",)),
        ("nonvoluntary_ctxt_switches", ("nivcsw",)),
    ],
)
def test_a_line_that_is_missing_costs_only_its_fields(proc, line, fields):
    text = STATUS.format(pid=7, groups="") + WIDE_STATUS
    (proc / "7/status").write_text(text)
    whole = procfs.read(7, proc)
    lines = text.splitlines(keepends=True)
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
    assert sorted(info.children) == [17, 19, 29]


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
