# SPDX-License-Identifier: Apache-2.0
"""The structure is the header's, byte by byte, and its answers are decoded; the call is made up."""

import ctypes
import errno
import struct
import subprocess

import pytest

from pidinfod.kernel import pid_info
from pidinfod.kernel.records import USE_FIELDS
from tests.support import REPO

NAMES = [name for _, _, name in pid_info.MEMBERS]


def test_the_structure_is_the_headers(tmp_path):
    """A compiler tells where each member is, and which group is which bit."""
    others = "THREAD", "PIDFD", "MANY", "F_KTHREAD"
    groups = {name: group for name, group in vars(pid_info).items() if name not in others
              and isinstance(group, int) and group in pid_info.GROUPS}  # fmt: skip
    assert len(groups) == 35
    header = {name: "GROUPS" if name == "GROUP_IDS" else name for name in groups}
    lines = [f'printf("%zu\\n", offsetof(struct pid_info, {name}));' for name in NAMES]
    lines += [f'printf("%llu\\n", PID_INFO_{header[name]});' for name in groups]
    lines += [
        'printf("%zu\\n%d\\n%d\\n", sizeof(struct pid_info), PID_INFO_SIZE_VER0, '
        "PID_INFO_SIZE_VER1);"
    ]
    source = tmp_path / "told.c"
    source.write_text(
        "#include <stdio.h>\n#include <stddef.h>\n#include <linux/types.h>\n"
        f'#include "{REPO}/kernel/tree/include/uapi/linux/pid_info.h"\n'
        f"int main(void)\n{{\n{chr(10).join(lines)}\n}}\n"
    )
    subprocess.run(["gcc", "-o", tmp_path / "told", source], check=True)
    told = subprocess.run([tmp_path / "told"], stdout=subprocess.PIPE, text=True, check=True)
    assert list(map(int, told.stdout.split())) == [
        *(getattr(pid_info.Struct, name).offset for name in NAMES),
        *groups.values(),
        ctypes.sizeof(pid_info.Struct), pid_info.SIZE_VER0, pid_info.SIZE_VER1,
    ]  # fmt: skip


class Kernel:
    """In the place of the call. Tasks by id: fields, pieces for the buffer, groups that are told;
    ids of threads are known with the flag alone."""

    def __init__(self, monkeypatch):
        self.found, self.errors, self.threads = {}, [], set()
        monkeypatch.setattr(pid_info, "call", self._call)

    def add(self, pid, groups=pid_info.ALL, denied=0, pieces=None, **fields):
        fields = {"ppid": 1, "state": ord("S"), **fields}
        self.found[pid] = groups, denied, pieces or {}, fields

    def _fill(self, info, pid):
        groups, denied, _, fields = self.found[pid]
        info.pid = info.tgid = pid
        info.supported = pid_info.ALL
        info.filled = (info.wanted | pid_info.IDENT) & groups & ~denied
        info.denied = info.wanted & denied
        shown = {name for group, names in pid_info.GROUPS.items() if info.filled & group
                 for name in names}  # fmt: skip
        for name in shown & fields.keys():
            setattr(info, name, fields[name])

    def _call(self, pid, info, flags=0, size=pid_info.SIZE_VER1):
        if self.errors:
            error = self.errors.pop()
            raise OSError(error, "made up")
        if flags == pid_info.MANY:
            return self._many(pid, info, size)
        if pid not in self.found or (pid in self.threads) != (flags == pid_info.THREAD):
            raise ProcessLookupError(errno.ESRCH, "made up")
        self._fill(info, pid)
        used = 0
        for name, piece in self.found[pid][2].items():
            fits = used + len(piece) <= info.buffer_size
            setattr(info, name, (used if fits else pid_info.NO_ROOM, len(piece)))
            if fits:
                ctypes.memmove(info.buffer + used, piece, len(piece))
            used += (len(piece) + 7) // 8 * 8
        info.buffer_needed = used
        return 0

    def _many(self, pid, info, size):
        assert pid == 0
        ids = sorted(one for one in self.found if one >= info.cursor)
        ids = ids[: info.buffer_size // size]
        for place, one in enumerate(ids):
            record = pid_info.Struct(wanted=info.wanted)
            self._fill(record, one)
            ctypes.memmove(info.buffer + place * size, bytes(record), size)
        info.cursor = ids[-1] + 1 if ids else info.cursor
        return len(ids)


@pytest.fixture
def kernel(monkeypatch):
    pid_info.is_supported.cache_clear()
    yield Kernel(monkeypatch)
    pid_info.is_supported.cache_clear()


def test_a_record(kernel):
    kernel.add(
        4211, denied=pid_info.IO | pid_info.SP, comm=b"odd\xff", uid=1009, nice=-7, rchar=3, sp=5,
        limits=(ctypes.c_uint64 * 32)(*range(32)), groups=pid_info.ALL & ~pid_info.EXIT,
        pieces={
            "children": struct.pack("=3i", 7, 11, 13), "root": b"/\0", "cwd": b"/caf\xe9\0",
            "exe": b"/bin/x (deleted)\0", "cmdline": b"x\0\0-a b\0", "name": b"kworker/\xff\0",
            "groups": struct.pack("=2I", 17, 2**32 - 2), "nspids": struct.pack("=2i", 4211, 1),
        },
    )  # fmt: skip
    info = pid_info.read(4211)
    assert (info.pid, info.comm, info.state, info.uid, info.nice) == (
        4211, "odd\\xff", "S", 1009, -7,
    )  # fmt: skip
    assert info.limits == tuple((soft, soft + 1) for soft in range(0, 32, 2))
    assert (info.children, info.groups, info.nspids) == ((7, 11, 13), (17, 2**32 - 2), (4211, 1))
    assert (info.root, info.cwd, info.exe) == ("/", "/caf\udce9", "/bin/x (deleted)")
    assert (info.cmdline, info.name) == (("x", "", "-a b"), "kworker/\\xff")
    assert (info.rchar, info.sp, info.exit_code) == (None, None, None)
    assert info.denied == ("rchar", "wchar", "read_bytes", "write_bytes", "sp")


def test_the_buffer_grows(kernel):
    ids = tuple(range(2, 20_011))
    kernel.add(7, pieces={"children": struct.pack(f"={len(ids)}i", *ids)})
    assert pid_info.read(7).children == ids


def test_what_is_longer_than_is_told(kernel, monkeypatch):
    kernel.add(7)
    fill = kernel._fill
    monkeypatch.setattr(
        kernel, "_fill", lambda info, pid: (fill(info, pid), setattr(
            info, "cwd", (pid_info.NO_ROOM, 2**32 - 1)))
    )  # fmt: skip
    assert pid_info.read(7).cwd is None


def test_a_thread_by_its_id(kernel):
    kernel.add(23)
    kernel.threads.add(23)
    assert pid_info.read(23).pid == 23


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOMEM, OSError), (errno.EPERM, PermissionError), (errno.EACCES, PermissionError)],
)
def test_an_error_is_told(kernel, number, kind):
    kernel.add(7)
    kernel.errors.append(number)
    with pytest.raises(kind, match="made up"):
        pid_info.read(7)


def test_no_process(kernel):
    with pytest.raises(ProcessLookupError):
        pid_info.read(4211)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, errno.EACCES])
def test_a_call_that_is_refused_is_not_there(monkeypatch, number):
    def refused(*_):
        raise OSError(number, "made up")

    monkeypatch.setattr(pid_info, "call", refused)
    pid_info.is_supported.cache_clear()
    assert not pid_info.is_supported()
    monkeypatch.setattr(pid_info, "call", lambda *_: 0)
    pid_info.is_supported.cache_clear()
    assert pid_info.is_supported()
    pid_info.is_supported.cache_clear()


def told(use):
    return {name: value for name, value in zip(USE_FIELDS, use, strict=True) if value}


def test_a_sweep(kernel):
    kernel.add(
        7, ppid=5, state=ord("R"), comm=b"odd\xff", num_threads=3, start_ns=11, utime_ns=13,
        stime_ns=17, nvcsw=19, nivcsw=23, min_flt=29, maj_flt=31, rss=37, vsize=41, rchar=43,
        wchar=47, read_bytes=53, write_bytes=59, sig_pending=1, sig_shared_pending=6, sig_blocked=8,
        sigq_len=61, sigq_limit=67,
    )  # fmt: skip
    kernel.add(2, ppid=0, flags=pid_info.F_KTHREAD)
    for pid in range(1009, 1009 + 1301):  # more than one buffer holds
        kernel.add(pid)
    kthreadd, ours, *others = pid_info.sweep()
    assert ours == (
        7, 5, "R", "odd\\xff", 3, 11, False, 7, 8, 61, 67, ours.use, 37, 41, 0,
    )  # fmt: skip
    assert told(ours.use) == {
        "cpu_ns": 30, "utime_ns": 13, "stime_ns": 17, "nvcsw": 19, "nivcsw": 23, "min_flt": 29,
        "maj_flt": 31, "rchar": 43, "wchar": 47, "read_bytes": 53, "write_bytes": 59,
    }  # fmt: skip
    assert (kthreadd.pid, kthreadd.is_kernel) == (2, True)
    assert [one.pid for one in others] == list(range(1009, 1009 + 1301))


def test_what_a_sweep_does_not_tell(kernel):
    """It says so, or it is there."""
    every = {name: 7 for group, code, name in pid_info.MEMBERS
             if group and name != "pid" and code in ("Q", "I", "i")}  # fmt: skip
    kernel.add(7, **every)
    (found,) = pid_info.sweep()
    assert {*USE_FIELDS} - told(found.use).keys() == pid_info.ABSENT & {*USE_FIELDS}
    without = {name for name in ("resident_bytes", "virtual_bytes", "swap_bytes")
               if not getattr(found, name)}  # fmt: skip
    assert without == pid_info.ABSENT & without == {"swap_bytes"}


def test_one_that_the_kernel_tells_less_of(kernel):
    kernel.add(7, groups=pid_info.IDENT | pid_info.TIMES, utime_ns=13, rchar=43, rss=37,
               sig_pending=1, sigq_limit=67)  # fmt: skip
    (found,) = pid_info.sweep()
    assert found[7:11] == (None,) * 4
    assert told(found.use) == {"cpu_ns": 13, "utime_ns": 13}
    assert found.resident_bytes == 0


def test_a_sweep_that_fails(kernel):
    kernel.errors.append(errno.EPERM)
    with pytest.raises(OSError, match="made up"):
        list(pid_info.sweep())
