# SPDX-License-Identifier: Apache-2.0
"""The same record from /proc, for kernels without get_pid_info(2).

Fetching and parsing are apart, and the folder is a parameter, so that recorded trees can
be read. Times have the clock tick's resolution here.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from pidinfod.kernel.pid_info import PidInfo

PROC = Path("/proc")
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

T = TypeVar("T")


def parse_stat(text: bytes) -> tuple[int, str, list[str]]:
    """PID, name and the fields from the state on, of /proc/PID/stat.

    The name is whatever is between the first ( and the last ), which it may contain itself.
    """
    head, _, tail = text.rpartition(b")")
    pid, _, comm = head.partition(b" (")
    return int(pid), comm.decode(errors="replace"), tail.decode().split()


def parse_status(text: bytes) -> dict[str, str]:
    """/proc/PID/status and files like it: name to value."""
    pairs = (line.partition(":") for line in text.decode(errors="replace").splitlines())
    return {name: value.strip() for name, _, value in pairs}


def read(pid: int, proc: Path = PROC) -> PidInfo:
    """One task by its id. Raises ProcessLookupError."""
    folder = proc / str(pid)
    try:
        status = parse_status((folder / "status").read_bytes())
        tgid = int(status["Tgid"])
        if tgid != pid:
            # A thread: its own numbers are in its process's task folder.
            folder = proc / str(tgid) / "task" / str(pid)
        _, comm, stat = parse_stat((folder / "stat").read_bytes())
        return _record(proc, folder, pid, tgid, comm, stat, status)
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError):
        raise ProcessLookupError(f"no process {pid}") from None


def sweep(proc: Path = PROC) -> Iterator[PidInfo]:
    """Every process: identity and signals; one that ends meanwhile is left out."""
    for entry in os.scandir(proc):
        if not entry.name.isdigit():
            continue
        try:
            with open(f"{entry.path}/stat", "rb") as file:
                pid, comm, stat = parse_stat(file.read())
            with open(f"{entry.path}/status", "rb") as file:
                queued, limit, pending, shared, blocked = parse_signals(file.read())
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield PidInfo(
            pid=pid, tgid=pid, ppid=int(stat[1]), pgid=int(stat[2]), sid=int(stat[3]),
            state=stat[0], comm=comm, num_threads=int(stat[17]), sigq_len=queued,
            sigq_limit=limit, sig_pending=pending, sig_shared_pending=shared,
            sig_blocked=blocked, source="procfs",
        )  # fmt: skip


# What a sweep takes of /proc/PID/status, which the kernel writes in this order.
_SIGNALS = re.compile(
    rb"^SigQ:\s*(\d+)/(\d+)\nSigPnd:\s*(\w+)\nShdPnd:\s*(\w+)\nSigBlk:\s*(\w+)$", re.MULTILINE
)


def parse_signals(status: bytes) -> tuple[int, int, int, int, int] | tuple[None, ...]:
    """Of /proc/PID/status: signals queued and their limit; pending for the thread, pending for
    the process and blocked, as bit sets. Nones for a process that has none any more."""
    found = _SIGNALS.search(status)
    if not found:
        return (None,) * 5
    queued, limit, *sets = found.groups()
    pending, shared, blocked = (int(bits, 16) for bits in sets)
    return int(queued), int(limit), pending, shared, blocked


def _record(
    proc: Path,
    folder: Path,
    pid: int,
    tgid: int,
    comm: str,
    stat: list[str],
    status: dict[str, str],
) -> PidInfo:
    denied: list[str] = []

    def guarded(names: tuple[str, ...], fetch: Callable[[], T]) -> T | None:
        """What `fetch` gives; None where it does not exist or may not be seen."""
        try:
            return fetch()
        except PermissionError:
            denied.extend(names)
        except (FileNotFoundError, ProcessLookupError):
            pass
        return None

    io_names = ("rchar", "wchar", "read_bytes", "write_bytes")
    io = guarded(io_names, lambda: parse_status((folder / "io").read_bytes())) or {}
    root = guarded(("root",), lambda: os.readlink(folder / "root"))
    cwd = guarded(("cwd",), lambda: os.readlink(folder / "cwd"))
    sp = guarded(("sp",), lambda: _stack_pointer((folder / "syscall").read_text()))
    cgroup = guarded(("cgroup_id",), lambda: _cgroup_id((folder / "cgroup").read_text()))
    # stat shows 0 for what may not be seen, and for what a kernel thread has not.
    hides = "root" in denied
    if hides:
        denied.append("stack")
    state = stat[0]
    uids, gids = status["Uid"].split(), status["Gid"].split()
    queued, _, limit = status["SigQ"].partition("/")
    start_ns = int(stat[19]) * TICK_NS
    children = _children(proc, folder, pid, tgid)
    has_memory = "VmSize" in status
    return PidInfo(
        pid=pid, tgid=tgid, ppid=int(stat[1]), pgid=int(stat[2]), sid=int(stat[3]),
        state=state, comm=comm, num_threads=int(stat[17]),
        uid=int(uids[0]), euid=int(uids[1]), gid=int(gids[0]), egid=int(gids[1]),
        start_ns=start_ns, age_ns=max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - start_ns),
        utime_ns=int(stat[11]) * TICK_NS, stime_ns=int(stat[12]) * TICK_NS,
        policy=int(stat[38]), nice=int(stat[16]), priority=int(stat[15]),
        rt_priority=int(stat[37]),
        nvcsw=int(status["voluntary_ctxt_switches"]),
        nivcsw=int(status["nonvoluntary_ctxt_switches"]),
        min_flt=int(stat[7]), maj_flt=int(stat[9]),
        rss=int(stat[21]) * PAGE, vsize=int(stat[20]),
        rchar=_number(io, "rchar"), wchar=_number(io, "wchar"),
        read_bytes=_number(io, "read_bytes"), write_bytes=_number(io, "write_bytes"),
        sig_pending=int(status["SigPnd"], 16), sig_shared_pending=int(status["ShdPnd"], 16),
        sig_blocked=int(status["SigBlk"], 16), sig_ignored=int(status["SigIgn"], 16),
        sig_caught=int(status["SigCgt"], 16), sigq_len=int(queued), sigq_limit=int(limit),
        cgroup_id=cgroup,
        stack=int(stat[25]) if has_memory and not hides else None, sp=sp,
        children=children, children_count=len(children), root=root, cwd=cwd,
        exit_code=int(stat[49]) if state == "Z" and not hides else None,
        denied=tuple(denied), source="procfs",
    )  # fmt: skip


def _number(values: dict[str, str], name: str) -> int | None:
    return int(values[name]) if name in values else None


def _stack_pointer(text: str) -> int | None:
    """The last but one field of /proc/PID/syscall; there is none while the task runs."""
    words = text.split()
    return int(words[-2], 16) if len(words) > 2 and int(words[-2], 16) else None


def _cgroup_id(text: str) -> int | None:
    """The id of a cgroup of the default hierarchy is its folder's inode."""
    found = re.search(r"^0::(.*)$", text, re.MULTILINE)
    for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if found and os.path.exists(f"{mount}/cgroup.controllers"):
            return os.stat(mount + found[1]).st_ino
    return None


def _children(proc: Path, folder: Path, pid: int, tgid: int) -> tuple[int, ...]:
    """The children of all threads of a process, or of one thread."""
    tasks = [folder] if pid != tgid else list((folder / "task").iterdir())
    try:
        lists = [(task / "children").read_text().split() for task in tasks]
        return tuple(int(child) for children in lists for child in children)
    except FileNotFoundError:
        # A kernel without CONFIG_PROC_CHILDREN: who names this one as its parent.
        return tuple(info.pid for info in sweep(proc) if info.ppid == pid)
