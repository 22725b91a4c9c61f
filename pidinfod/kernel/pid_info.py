# SPDX-License-Identifier: Apache-2.0
"""What a PID is: the record, and get_pid_info(2) that fills it on a patched kernel."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

from pidinfod.kernel.layout import text_of
from pidinfod.kernel.records import USE_FIELDS

# kernel/tree/include/uapi/linux/pid_info.h
NR_GET_PID_INFO = 548
NEXT = 1
IDENT, CREDS, TIMES, SCHED, FAULTS, MEM, IO, SIGNALS, EXIT, CGROUP, STACK, SP = (
    1 << bit for bit in range(12)
)
CHILDREN, ROOT, CWD = 1 << 12, 1 << 13, 1 << 14
ALL = (1 << 15) - 1

KTHREADD = 2  # the parent of all threads of the kernel

GROUPS = {
    CREDS: ("uid", "euid", "gid", "egid"),
    TIMES: ("start_ns", "age_ns", "utime_ns", "stime_ns"),
    SCHED: ("policy", "nice", "priority", "rt_priority", "nvcsw", "nivcsw"),
    FAULTS: ("min_flt", "maj_flt"),
    MEM: ("rss", "vsize"),
    IO: ("rchar", "wchar", "read_bytes", "write_bytes"),
    SIGNALS: (
        "sig_pending", "sig_shared_pending", "sig_blocked", "sig_ignored", "sig_caught",
        "sigq_len", "sigq_limit",
    ),
    EXIT: ("exit_code",),
    CGROUP: ("cgroup_id",),
    STACK: ("stack",),
    SP: ("sp",),
    CHILDREN: ("children", "children_count"),
    ROOT: ("root",),
    CWD: ("cwd",),
}  # fmt: skip


@dataclass(frozen=True)
class PidInfo:
    """One task. Names and units are those of struct pid_info: bytes, nanoseconds, bit sets.

    A field is None when it does not exist for the task or was not asked for; when it may not
    be seen it is named in `denied` too.
    """

    pid: int
    tgid: int
    ppid: int
    pgid: int
    sid: int
    state: str
    comm: str
    num_threads: int
    uid: int | None = None
    euid: int | None = None
    gid: int | None = None
    egid: int | None = None
    start_ns: int | None = None
    age_ns: int | None = None
    utime_ns: int | None = None
    stime_ns: int | None = None
    policy: int | None = None
    nice: int | None = None
    priority: int | None = None
    rt_priority: int | None = None
    nvcsw: int | None = None
    nivcsw: int | None = None
    min_flt: int | None = None
    maj_flt: int | None = None
    rss: int | None = None
    vsize: int | None = None
    rchar: int | None = None
    wchar: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    sig_pending: int | None = None
    sig_shared_pending: int | None = None
    sig_blocked: int | None = None
    sig_ignored: int | None = None
    sig_caught: int | None = None
    sigq_len: int | None = None
    sigq_limit: int | None = None
    cgroup_id: int | None = None
    stack: int | None = None
    sp: int | None = None
    children: tuple[int, ...] | None = None
    children_count: int | None = None
    root: str | None = None
    cwd: str | None = None
    exit_code: int | None = None
    denied: tuple[str, ...] = ()
    source: str = "get_pid_info"


class Swept(NamedTuple):
    """One process of a sweep: what is counted of all of them, and no more."""

    pid: int
    ppid: int
    state: str
    comm: str  # bytes that are not UTF-8 as \\x and two digits
    num_threads: int
    start_ns: int
    is_kernel: bool  # a thread of the kernel
    sig_pending: int | None  # bit sets; pending for the process or its main thread
    sig_blocked: int | None
    sigq_len: int | None
    sigq_limit: int | None
    use: tuple[int, ...]  # of records.USE_FIELDS; 0 for what is not told, here and below
    resident_bytes: int = 0
    virtual_bytes: int = 0
    swap_bytes: int = 0


class Struct(ctypes.Structure):
    """struct pid_info as the kernel has it; the header documents the members."""

    _fields_ = (
        ("mask", ctypes.c_uint64),
        *((name, ctypes.c_uint32) for name in ("size", "state")),
        *((name, ctypes.c_int32) for name in ("pid", "tgid", "ppid", "pgid", "sid")),
        ("num_threads", ctypes.c_uint32),
        ("comm", ctypes.c_char * 16),
        *((name, ctypes.c_uint32) for name in ("uid", "euid", "gid", "egid")),
        *((name, ctypes.c_uint64) for name in ("start_ns", "age_ns", "utime_ns", "stime_ns")),
        ("policy", ctypes.c_uint32),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_int32),
        ("rt_priority", ctypes.c_uint32),
        *(
            (name, ctypes.c_uint64)
            for name in (
                "nvcsw", "nivcsw", "min_flt", "maj_flt", "rss", "vsize", "rchar", "wchar",
                "read_bytes", "write_bytes", "sig_pending", "sig_shared_pending", "sig_blocked",
                "sig_ignored", "sig_caught", "sigq_len", "sigq_limit", "cgroup_id", "stack", "sp",
                "children", "root", "cwd",
            )
        ),
        *(
            (name, ctypes.c_uint32)
            for name in (
                "children_cap", "children_count", "root_cap", "root_len", "cwd_cap", "cwd_len",
            )
        ),
        ("exit_code", ctypes.c_int32),
        ("reserved", ctypes.c_uint32),
    )  # fmt: skip


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def call(pid: int, info: Struct, flags: int = 0) -> None:
    """get_pid_info(2). Raises OSError of the kind that its errno asks for."""
    size = ctypes.c_size_t(ctypes.sizeof(info))
    if _libc().syscall(NR_GET_PID_INFO, pid, ctypes.byref(info), size, flags) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"get_pid_info({pid}): {os.strerror(error)}")


@functools.cache
def is_supported() -> bool:
    """Whether the call can be made: the running kernel has it, and no seccomp filter forbids it
    (EPERM, as a rule)."""
    try:
        call(os.getpid(), Struct(mask=0))
    except OSError:
        return False
    return True


def read(pid: int, mask: int = ALL) -> PidInfo:
    """One task by its id. Fields of a group that the kernel cannot tell are None.

    Raises ProcessLookupError, or OSError with ENOSYS on a kernel without the call.
    """
    try:
        return _read(pid, mask)
    except ProcessLookupError:
        raise
    except OSError:
        # One group makes the whole call fail: a path beyond PATH_MAX is ENAMETOOLONG.
        tellable = _tellable(pid, mask)
        if tellable == mask:
            raise
        return _read(pid, tellable)


def _tellable(pid: int, mask: int) -> int:
    """The groups of a mask that can be told by themselves. Raises ProcessLookupError."""
    for bit in GROUPS:
        try:
            if mask & bit:
                _read(pid, bit)
        except ProcessLookupError:
            raise
        except OSError:
            mask &= ~bit
    return mask


def _read(pid: int, mask: int) -> PidInfo:
    """One task by its id, all groups or none. Raises OSError."""
    children_room, path_room = 64, 4096
    while True:
        info = Struct(mask=mask)
        children = (ctypes.c_int32 * children_room)()
        root = ctypes.create_string_buffer(path_room)
        cwd = ctypes.create_string_buffer(path_room)
        info.children, info.children_cap = ctypes.addressof(children), children_room
        info.root, info.root_cap = ctypes.addressof(root), path_room
        info.cwd, info.cwd_cap = ctypes.addressof(cwd), path_room
        call(pid, info)
        if info.children_count <= children_room:
            break
        # More arrived than there was room for: some are likely to arrive meanwhile, too.
        children_room = info.children_count + info.children_count // 8 + 8
    return _record(
        info, mask, tuple(children[: info.children_count]), _path(root.value), _path(cwd.value)
    )


# What a sweep by the call does not tell, of records.USE and of what is told beside. Context
# switches are those of the main thread alone.
ABSENT = frozenset(
    {"run_delay_ns", "nvcsw", "nivcsw", "threads", "swap_bytes", "descriptors"}
)


def _use(info: Struct) -> tuple[int, ...]:
    """Of records.USE_FIELDS. The CPU time is the sum of its two parts."""
    told = {"cpu_ns": info.utime_ns + info.stime_ns, "run_delay_ns": 0}
    return tuple(
        told[name] if name in told else int(getattr(info, name)) for name in USE_FIELDS
    )


def sweep() -> Iterator[Swept]:
    """Every visible process by ascending PID. Raises OSError."""
    pid = 1
    while True:
        info = Struct(mask=IDENT | TIMES | SIGNALS | SCHED | FAULTS | MEM | IO)
        try:
            call(pid, info, NEXT)
        except ProcessLookupError:
            return
        has_signals = bool(info.mask & SIGNALS)
        yield Swept(
            pid=info.pid,
            ppid=info.ppid,
            state=chr(info.state),
            comm=text_of(info.comm),
            num_threads=info.num_threads,
            start_ns=info.start_ns,
            is_kernel=KTHREADD in (info.pid, info.ppid),
            sig_pending=info.sig_pending | info.sig_shared_pending if has_signals else None,
            sig_blocked=info.sig_blocked if has_signals else None,
            sigq_len=info.sigq_len if has_signals else None,
            sigq_limit=info.sigq_limit if has_signals else None,
            use=_use(info),
            resident_bytes=info.rss,
            virtual_bytes=info.vsize,
        )
        pid = info.pid + 1


def _path(raw: bytes) -> str:
    return os.fsdecode(raw)


def _record(
    info: Struct, asked: int, children: tuple[int, ...], root: str | None, cwd: str | None
) -> PidInfo:
    """The answer as a record. Who may not see the I/O counters may see nothing protected."""
    variable: dict[str, object] = {"children": children, "root": root, "cwd": cwd}
    values: dict[str, object] = {}
    denied: list[str] = []
    hides = asked & IO and not info.mask & IO
    for bit, names in GROUPS.items():
        if not asked & bit:
            continue
        if info.mask & bit:
            values.update((name, variable.get(name, getattr(info, name))) for name in names)
        elif hides and bit in (IO, STACK, SP, ROOT, CWD):
            denied.extend(names)
    identity = {
        name: getattr(info, name) for name in ("pid", "tgid", "ppid", "pgid", "sid", "num_threads")
    }
    return PidInfo(
        **identity,
        state=chr(info.state),
        comm=text_of(info.comm),
        denied=tuple(denied),
        source="get_pid_info",
        **values,  # type: ignore[arg-type]
    )


FIELD_NAMES = tuple(field.name for field in fields(PidInfo))
