# SPDX-License-Identifier: Apache-2.0
"""What a PID is: the record, and get_pid_info(2) that fills it on a patched kernel."""

from __future__ import annotations

import ctypes
import functools
import operator
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from pidinfod.kernel.layout import text_of
from pidinfod.kernel.records import USE_FIELDS

# kernel/tree/include/uapi/linux/pid_info.h
NR_GET_PID_INFO = 548
THREAD, PIDFD, MANY = 1, 2, 4
NO_ROOM = 0xFFFFFFFF
F_KTHREAD = 1
(
    IDENT, PGRP, SESSION, INODE, CREDS, TIMES, SCHED, SWITCHES, FAULTS, MEM, IO, SIGNALS, EXIT,
    CGROUP, STACK, SP, CHILDREN, ROOT, CWD, EXE, CMDLINE, NAME, GROUP_IDS, NSPIDS, CAPS, SECCOMP,
    CTIMES, CPU, MEMSTAT, BLOCKIO, TTY, TRACER, NAMESPACES, FILES, LIMITS,
) = (1 << bit for bit in range(35))  # fmt: skip
ALL = LIMITS * 2 - 1
SIZE_VER0, SIZE_VER1 = 408, 1000

# The structure, without a gap: the group, the type as struct has it, the members. DATA is a
# string or a list in the buffer: where, and how many bytes.
DATA = "2I"
LAYOUT = (
    (0, "Q", "wanted filled denied supported buffer match_inode match_start_ns"),
    (0, "I", "buffer_size buffer_needed string_max"),
    (0, "i", "cursor"),
    (0, "I", "size"),
    (IDENT, "I", "flags state"),
    (IDENT, "i", "pid tgid ppid"),
    (IDENT, "I", "num_threads"),
    (IDENT, "i", "exit_signal"),
    (IDENT, "16s", "comm"),
    (IDENT, "Q", "start_ns age_ns"),
    (PGRP, "i", "pgid"),
    (SESSION, "i", "sid"),
    (INODE, "Q", "inode"),
    (CREDS, "I", "uid euid suid fsuid gid egid sgid fsgid"),
    (TIMES, "Q", "utime_ns stime_ns"),
    (SCHED, "I", "policy"),
    (SCHED, "i", "nice priority"),
    (SCHED, "I", "rt_priority"),
    (SWITCHES, "Q", "nvcsw nivcsw"),
    (FAULTS, "Q", "min_flt maj_flt"),
    (MEM, "Q", "rss vsize"),
    (IO, "Q", "rchar wchar read_bytes write_bytes"),
    (SIGNALS, "Q", "sig_pending sig_shared_pending sig_blocked sig_ignored sig_caught"),
    (SIGNALS, "Q", "sigq_len sigq_limit"),
    (CGROUP, "Q", "cgroup_id"),
    (STACK, "Q", "stack"),
    (SP, "Q", "sp"),
    (EXIT, "i", "exit_code"),
    (0, "I", "reserved"),
    (CHILDREN, DATA, "children"),
    (ROOT, DATA, "root"),
    (CWD, DATA, "cwd"),  # the end of SIZE_VER0
    (EXE, DATA, "exe"),
    (CMDLINE, DATA, "cmdline"),
    (NAME, DATA, "name"),
    (GROUP_IDS, DATA, "groups"),
    (NSPIDS, DATA, "nspids"),
    (CAPS, "Q", "cap_inheritable cap_permitted cap_effective cap_bounding cap_ambient"),
    (CAPS, "I", "securebits"),
    (SECCOMP, "I", "no_new_privs seccomp_mode seccomp_filters"),
    (CTIMES, "Q", "cutime_ns cstime_ns cmin_flt cmaj_flt"),
    (CPU, "Q", "runtime_ns run_delay_ns timeslices"),
    (CPU, "I", "cpu"),
    (MEMSTAT, "i", "oom_score_adj"),
    (MEMSTAT, "Q", "rss_anon rss_file rss_shmem swap rss_peak vsize_peak locked pinned"),
    (MEMSTAT, "Q", "page_tables data stack_size text"),
    (BLOCKIO, "Q", "syscr syscw cancelled_write_bytes"),
    (TTY, "I", "tty"),
    (TTY, "i", "tpgid"),
    (TRACER, "i", "tracer_pid"),
    (FILES, "I", "open_files"),
    (NAMESPACES, "I", "ns_cgroup ns_ipc ns_mnt ns_net ns_pid ns_pid_for_children ns_time"),
    (NAMESPACES, "I", "ns_time_for_children ns_user ns_uts"),
    (LIMITS, "32Q", "limits"),
)  # the end of SIZE_VER1
_TYPES: dict[str, type[ctypes._SimpleCData[int]] | type[ctypes.Array[Any]]] = {
    "Q": ctypes.c_uint64, "I": ctypes.c_uint32, "i": ctypes.c_int32, "16s": ctypes.c_char * 16,
    DATA: ctypes.c_uint32 * 2, "32Q": ctypes.c_uint64 * 32,
}  # fmt: skip
MEMBERS = tuple((group, code, name) for group, code, names in LAYOUT for name in names.split())
GROUPS = {
    group: tuple(name for of, _, name in MEMBERS if of == group)
    for group in sorted({group for group, _, _ in MEMBERS} - {0})
}


@dataclass(frozen=True)
class PidInfo:
    """One task. Names and units are those of struct pid_info: bytes, nanoseconds, bit sets.

    A field is None when it does not exist for the task or was not asked for; when it may not
    be seen it is named in `denied` too. Limits are soft and hard, by the number of RLIMIT_*,
    2**64-1 for none.
    """

    pid: int
    tgid: int
    ppid: int
    state: str
    comm: str
    num_threads: int
    pgid: int | None = None
    sid: int | None = None
    inode: int | None = None
    flags: int | None = None
    exit_signal: int | None = None
    name: str | None = None
    uid: int | None = None
    euid: int | None = None
    suid: int | None = None
    fsuid: int | None = None
    gid: int | None = None
    egid: int | None = None
    sgid: int | None = None
    fsgid: int | None = None
    groups: tuple[int, ...] | None = None
    cap_inheritable: int | None = None
    cap_permitted: int | None = None
    cap_effective: int | None = None
    cap_bounding: int | None = None
    cap_ambient: int | None = None
    securebits: int | None = None
    no_new_privs: int | None = None
    seccomp_mode: int | None = None
    seccomp_filters: int | None = None
    start_ns: int | None = None
    age_ns: int | None = None
    utime_ns: int | None = None
    stime_ns: int | None = None
    cutime_ns: int | None = None
    cstime_ns: int | None = None
    runtime_ns: int | None = None
    run_delay_ns: int | None = None
    timeslices: int | None = None
    cpu: int | None = None
    policy: int | None = None
    nice: int | None = None
    priority: int | None = None
    rt_priority: int | None = None
    nvcsw: int | None = None
    nivcsw: int | None = None
    min_flt: int | None = None
    maj_flt: int | None = None
    cmin_flt: int | None = None
    cmaj_flt: int | None = None
    rss: int | None = None
    vsize: int | None = None
    rss_anon: int | None = None
    rss_file: int | None = None
    rss_shmem: int | None = None
    swap: int | None = None
    rss_peak: int | None = None
    vsize_peak: int | None = None
    locked: int | None = None
    pinned: int | None = None
    page_tables: int | None = None
    data: int | None = None
    stack_size: int | None = None
    text: int | None = None
    oom_score_adj: int | None = None
    rchar: int | None = None
    wchar: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None
    syscr: int | None = None
    syscw: int | None = None
    cancelled_write_bytes: int | None = None
    open_files: int | None = None
    limits: tuple[tuple[int, int], ...] | None = None
    sig_pending: int | None = None
    sig_shared_pending: int | None = None
    sig_blocked: int | None = None
    sig_ignored: int | None = None
    sig_caught: int | None = None
    sigq_len: int | None = None
    sigq_limit: int | None = None
    cgroup_id: int | None = None
    ns_cgroup: int | None = None
    ns_ipc: int | None = None
    ns_mnt: int | None = None
    ns_net: int | None = None
    ns_pid: int | None = None
    ns_pid_for_children: int | None = None
    ns_time: int | None = None
    ns_time_for_children: int | None = None
    ns_user: int | None = None
    ns_uts: int | None = None
    nspids: tuple[int, ...] | None = None
    tracer_pid: int | None = None
    tty: int | None = None
    tpgid: int | None = None
    stack: int | None = None
    sp: int | None = None
    children: tuple[int, ...] | None = None
    root: str | None = None
    cwd: str | None = None
    exe: str | None = None
    cmdline: tuple[str, ...] | None = None
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

    _fields_ = tuple((name, _TYPES[code]) for _, code, name in MEMBERS)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def call(pid: int, info: Struct, flags: int = 0, size: int = SIZE_VER1) -> int:
    """get_pid_info(2); of many records their number. Raises OSError of the kind that its errno
    asks for."""
    count: int = _libc().syscall(
        NR_GET_PID_INFO, pid, ctypes.byref(info), ctypes.c_size_t(size), flags
    )
    if count < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"get_pid_info({pid}): {os.strerror(error)}")
    return count


@functools.cache
def is_supported() -> bool:
    """Whether the call can be made: the running kernel has it, and no seccomp filter forbids it
    (EPERM, as a rule)."""
    try:
        call(os.getpid(), Struct())
    except OSError:
        return False
    return True


def read(pid: int, wanted: int = ALL) -> PidInfo:
    """One process by its id, or one thread by its own. Fields that the kernel does not tell are
    None.

    Raises ProcessLookupError, PermissionError where the process is hidden, or OSError with
    ENOSYS on a kernel without the call.
    """
    room, flags = 8192, 0
    while True:
        buffer = ctypes.create_string_buffer(room)
        info = Struct(wanted=wanted, buffer=ctypes.addressof(buffer), buffer_size=room)
        try:
            call(pid, info, flags)
        except ProcessLookupError:
            if flags:
                raise
            flags = THREAD
            continue
        if info.buffer_needed <= room:
            return _record(info, buffer)
        # More arrived than there was room for: some is likely to arrive meanwhile, too.
        room = info.buffer_needed + info.buffer_needed // 8 + 64


# What a sweep by the call does not tell, of records.USE and of what is told beside.
ABSENT = frozenset({"run_delay_ns", "threads", "swap_bytes", "descriptors"})

# The groups that a sweep asks for.
SWEEP = IDENT | TIMES | SIGNALS | SWITCHES | FAULTS | MEM | IO
_TOLD = (
    "filled", "flags", "state", "pid", "ppid", "num_threads", "comm", "start_ns", "utime_ns",
    "stime_ns", "nvcsw", "nivcsw", "min_flt", "maj_flt", "rss", "vsize", "rchar", "wchar",
    "read_bytes", "write_bytes", "sig_pending", "sig_shared_pending", "sig_blocked", "sigq_len",
    "sigq_limit",
)  # fmt: skip
# Of a record of SIZE_VER0 bytes all but these is passed over. They come in this order, which is
# the structure's.
_RECORD = struct.Struct(
    "="
    + "".join(
        code if name in _TOLD else f"{struct.calcsize('=' + code)}x"
        for _, code, name in MEMBERS[: [name for _, _, name in MEMBERS].index("cwd") + 1]
    )
)
# Where the use is, behind a sum of the two parts of the CPU's time and a 0 for what is not told.
_USE = operator.itemgetter(
    *({"cpu_ns": 0, "run_delay_ns": 1}[name] if name in ("cpu_ns", "run_delay_ns")
      else 2 + _TOLD.index(name) for name in USE_FIELDS)
)  # fmt: skip


def sweep() -> Iterator[Swept]:
    """Every visible process by ascending PID. Raises OSError."""
    buffer = (ctypes.c_uint64 * (512 * SIZE_VER0 // 8))()
    records = memoryview(buffer).cast("B")
    request = Struct(
        wanted=SWEEP, buffer=ctypes.addressof(buffer), buffer_size=ctypes.sizeof(buffer)
    )
    while count := call(0, request, MANY, SIZE_VER0):
        for told in _RECORD.iter_unpack(records[: count * SIZE_VER0]):
            yield _swept(told)


def _swept(told: tuple[Any, ...]) -> Swept:
    """One record; its members are _TOLD."""
    filled, flags, state, pid, ppid, num_threads, comm, start_ns, utime_ns, stime_ns = told[:10]
    pending, shared, blocked, queued, limit = told[20:] if filled & SIGNALS else (None,) * 5
    return Swept(
        pid, ppid, chr(state), text_of(comm), num_threads, start_ns, bool(flags & F_KTHREAD),
        None if pending is None else pending | shared, blocked, queued, limit,
        _USE((utime_ns + stime_ns, 0, *told)), told[14], told[15],
    )  # fmt: skip


def _record(info: Struct, buffer: ctypes.Array[ctypes.c_char]) -> PidInfo:
    """The answer as a record."""
    values: dict[str, object] = {}
    for group, code, name in MEMBERS:
        if group and info.filled & group:
            value = getattr(info, name)
            values[name] = _DECODED[name](_bytes(value, buffer)) if code == DATA else value
    limits = values.get("limits")
    if limits:
        pairs = iter(info.limits)
        values["limits"] = tuple(zip(pairs, pairs, strict=True))
    return PidInfo(
        **{**values, "state": chr(info.state), "comm": text_of(info.comm)},  # type: ignore[arg-type]
        denied=tuple(name for group, names in GROUPS.items() if info.denied & group
                     for name in names),
    )  # fmt: skip


def _bytes(
    data: ctypes.Array[ctypes.c_uint32], buffer: ctypes.Array[ctypes.c_char]
) -> bytes | None:
    """What a member tells of in the buffer; None for a path that is longer than is told."""
    offset, size = data
    return None if offset == NO_ROOM else buffer.raw[offset : offset + size]


def _path(raw: bytes | None) -> str | None:
    return None if raw is None else os.fsdecode(raw.rstrip(b"\0"))


def _ids(code: str) -> Callable[[bytes | None], tuple[int, ...] | None]:
    def decoded(raw: bytes | None) -> tuple[int, ...] | None:
        return None if raw is None else struct.unpack(f"={len(raw) // 4}{code}", raw)

    return decoded


def arguments(raw: bytes | None) -> tuple[str, ...] | None:
    """A command line, with NUL behind each argument."""
    if raw is None:
        return None
    return tuple(os.fsdecode(one) for one in raw.removesuffix(b"\0").split(b"\0")) if raw else ()


_DECODED: dict[str, Callable[[bytes | None], object]] = {
    "children": _ids("i"), "nspids": _ids("i"), "groups": _ids("I"), "cmdline": arguments,
    "root": _path, "cwd": _path, "exe": _path,
    "name": lambda raw: None if raw is None else text_of(raw.rstrip(b"\0")),
}  # fmt: skip

FIELD_NAMES = tuple(field.name for field in fields(PidInfo))
