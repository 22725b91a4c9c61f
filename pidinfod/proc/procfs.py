# SPDX-License-Identifier: Apache-2.0
"""The same record from /proc, for kernels without get_pid_info(2).

Fetching and parsing are apart, and the folder is a parameter, so that recorded trees can
be read. Times have the clock tick's resolution here, and context switches are the main thread's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from pidinfod.kernel.pid_info import BLOCKIO, GROUPS, IO, NAMESPACES, PidInfo, Swept, arguments
from pidinfod.kernel.records import STATES, USE_FIELDS
from pidinfod.proc.mounts import cgroup_mount

PROC = Path("/proc")
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PF_KTHREAD = 0x00200000  # include/linux/sched.h

T = TypeVar("T")
GONE = (FileNotFoundError, ProcessLookupError, NotADirectoryError)


def parse_stat(text: bytes) -> tuple[int, str, list[str]]:
    """PID, name and the fields from the state on, of /proc/PID/stat. Raises ValueError.

    The name is whatever is between the first ( and the last ), which it may contain itself.
    """
    head, _, tail = text.rpartition(b")")
    pid, _, comm = head.partition(b" (")
    return int(pid), comm.decode(errors="backslashreplace"), tail.decode().split()


def parse_status(text: bytes) -> dict[str, str]:
    """/proc/PID/status and files like it: name to value.

    A process's name may hold every character that ends a line elsewhere; only \\n is escaped.
    """
    pairs = (line.partition(":") for line in text.decode(errors="replace").split("\n"))
    return {name: value.strip() for name, colon, value in pairs if colon}


def read(pid: int, proc: Path = PROC) -> PidInfo:
    """One task by its id. A field that cannot be read is None.

    Raises ProcessLookupError, PermissionError where the process is hidden, OSError.
    """
    folder = proc / str(pid)
    try:
        status = parse_status((folder / "status").read_bytes())
        tgid = int(status["Tgid"])
        if tgid != pid:
            # A thread: its own numbers are in its process's task folder.
            folder = proc / str(tgid) / "task" / str(pid)
        _, comm, stat = parse_stat((folder / "stat").read_bytes())
        return _record(proc, folder, pid, tgid, comm, stat, status)
    except GONE:
        raise ProcessLookupError(f"no process {pid}") from None
    except (ValueError, LookupError) as error:
        raise OSError(errno.EBADMSG, f"{folder} is not as expected: {error!r}") from None


def sweep(proc: Path = PROC, errors: Counter[str] | None = None) -> Iterator[Swept]:
    """Every process that can be read; one that ends meanwhile is left out.

    One that cannot be read is left out and counted in `errors` by the name of its errno;
    EBADMSG is a text that is not as expected. Raises OSError when `proc` cannot be listed.
    """
    for name in os.listdir(proc):
        if not name.isdecimal():
            continue
        try:
            yield _swept(f"{proc}/{name}")
        except (FileNotFoundError, ProcessLookupError):
            continue
        except (OSError, ValueError, IndexError) as error:
            if errors is not None:
                number = error.errno if isinstance(error, OSError) else errno.EBADMSG
                errors[errno.errorcode.get(number or 0, str(number))] += 1


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


# What a sweep does not tell, of records.USE and of what is told beside: it would take more files
# of each process and thread, or rights over them.
ABSENT = frozenset({
    "run_delay_ns", "nvcsw", "nivcsw", "rchar", "wchar", "read_bytes", "write_bytes", "threads",
    "descriptors",
})  # fmt: skip


def _swept(folder: str) -> Swept:
    pid, comm, stat = parse_stat(_read(f"{folder}/stat"))
    if stat[0] not in STATES:
        raise ValueError(f"the state {stat[0]!r}")
    status = _read(f"{folder}/status")
    queued, limit, pending, blocked = parse_signals(status)
    utime_ns, stime_ns = int(stat[11]) * TICK_NS, int(stat[12]) * TICK_NS
    told = {
        "cpu_ns": utime_ns + stime_ns, "utime_ns": utime_ns, "stime_ns": stime_ns,
        "min_flt": int(stat[7]), "maj_flt": int(stat[9]),
    }  # fmt: skip
    swap = _SWAP.search(status)
    return Swept(
        pid, int(stat[1]), stat[0], comm, int(stat[17]), int(stat[19]) * TICK_NS,
        bool(int(stat[6]) & PF_KTHREAD), pending, blocked, queued, limit,
        tuple(told.get(name, 0) for name in USE_FIELDS), int(stat[21]) * PAGE, int(stat[20]),
        int(swap[1]) * 1024 if swap else 0,
    )  # fmt: skip


# What a sweep takes of /proc/PID/status, which the kernel writes in this order.
_SWAP = re.compile(rb"^VmSwap:\s*(\d+) kB$", re.MULTILINE)
_SIGNALS = re.compile(
    rb"^SigQ:\s*(\d+)/(\d+)\nSigPnd:\s*(\w+)\nShdPnd:\s*(\w+)\nSigBlk:\s*(\w+)$", re.MULTILINE
)


def parse_signals(status: bytes) -> tuple[int, int, int, int] | tuple[None, None, None, None]:
    """Of /proc/PID/status: signals queued and their limit; pending and blocked, as bit sets.
    Nones for a process that has none any more."""
    found = _SIGNALS.search(status)
    if not found:
        return (None,) * 4
    queued, limit, *sets = found.groups()
    pending, shared, blocked = (int(bits, 16) for bits in sets)
    return int(queued), int(limit), pending | shared, blocked


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
        """What `fetch` gives; None where that does not exist or cannot be told: a path may be
        longer than the kernel tells, on a disk that does not answer, not for us to see."""
        try:
            return fetch()
        except PermissionError:
            denied.extend(names)
        except (OSError, ValueError):
            pass
        return None

    def link(name: str) -> str | None:
        return guarded((name,), lambda: os.readlink(folder / name))

    io_names = GROUPS[IO] + GROUPS[BLOCKIO]
    io = guarded(io_names, lambda: parse_status((folder / "io").read_bytes())) or {}
    sp = guarded(("sp",), lambda: _stack_pointer((folder / "syscall").read_text()))
    root = link("root")
    # stat shows 0 for what may not be seen, and for what a kernel thread has not.
    hides = "root" in denied
    if hides:
        denied += ("stack", "exit_code")
    state = stat[0]
    start_ns = int(stat[19]) * TICK_NS
    has_memory = "VmSize" in status
    delays = guarded((), lambda: [int(one) for one in (folder / "schedstat").read_text().split()])
    is_dead = state == "Z" and stat[17] == "1"  # and so is every thread
    return PidInfo(
        pid=pid, tgid=tgid, ppid=int(stat[1]), pgid=int(stat[2]), sid=int(stat[3]),
        state=state, comm=comm, name=comm, num_threads=int(stat[17]), exit_signal=int(stat[35]),
        **_ids(status), **_capabilities(status), **_memory(status), **_namespaces(folder, guarded),
        groups=_numbers(status, "Groups"), nspids=_numbers(status, "NSpid"),
        no_new_privs=_number(status, "NoNewPrivs"), seccomp_mode=_number(status, "Seccomp"),
        seccomp_filters=_number(status, "Seccomp_filters"),
        tracer_pid=_number(status, "TracerPid"),
        start_ns=start_ns, age_ns=max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - start_ns),
        utime_ns=int(stat[11]) * TICK_NS, stime_ns=int(stat[12]) * TICK_NS,
        cutime_ns=int(stat[13]) * TICK_NS, cstime_ns=int(stat[14]) * TICK_NS,
        # Of a process the file has the main thread's alone.
        runtime_ns=delays[0] if delays and pid != tgid else None,
        run_delay_ns=delays[1] if delays else None, timeslices=delays[2] if delays else None,
        cpu=int(stat[36]), policy=int(stat[38]), nice=int(stat[16]), priority=int(stat[15]),
        rt_priority=int(stat[37]),
        nvcsw=_number(status, "voluntary_ctxt_switches"),
        nivcsw=_number(status, "nonvoluntary_ctxt_switches"),
        min_flt=int(stat[7]), maj_flt=int(stat[9]), cmin_flt=int(stat[8]), cmaj_flt=int(stat[10]),
        rss=int(stat[21]) * PAGE if has_memory else None,
        vsize=int(stat[20]) if has_memory else None,
        oom_score_adj=guarded((), lambda: int((folder / "oom_score_adj").read_text())),
        **{name: _number(io, name) for name in io_names},
        open_files=guarded(("open_files",), lambda: len(os.listdir(folder / "fd"))),
        limits=guarded((), lambda: parse_limits((folder / "limits").read_text())),
        sig_pending=_number(status, "SigPnd", base=16),
        sig_shared_pending=_number(status, "ShdPnd", base=16),
        sig_blocked=_number(status, "SigBlk", base=16),
        sig_ignored=_number(status, "SigIgn", base=16),
        sig_caught=_number(status, "SigCgt", base=16),
        sigq_len=_number(status, "SigQ"), sigq_limit=_number(status, "SigQ", 1),
        cgroup_id=guarded((), lambda: _cgroup_id(proc, (folder / "cgroup").read_bytes())),
        tty=int(stat[4]), tpgid=int(stat[5]),
        stack=int(stat[25]) if has_memory and not hides else None, sp=sp,
        children=guarded((), lambda: _children(proc, folder, pid, tgid)),
        root=root, cwd=link("cwd"), exe=link("exe"),
        cmdline=guarded((), lambda: arguments((folder / "cmdline").read_bytes() or None)),
        exit_code=int(stat[49]) if is_dead and not hides else None,
        denied=tuple(denied), source="procfs",
    )  # fmt: skip


def _ids(status: dict[str, str]) -> dict[str, int | None]:
    return {
        f"{kind}{name}id": _number(status, name.capitalize() + "id", place)
        for name in ("u", "g")
        for place, kind in enumerate(("", "e", "s", "fs"))
    }


def _capabilities(status: dict[str, str]) -> dict[str, int | None]:
    lines = {"inheritable": "Inh", "permitted": "Prm", "effective": "Eff", "bounding": "Bnd",
             "ambient": "Amb"}  # fmt: skip
    return {f"cap_{name}": _number(status, f"Cap{line}", base=16) for name, line in lines.items()}


def _memory(status: dict[str, str]) -> dict[str, int | None]:
    """Bytes of the lines that tell kB."""
    lines = {
        "rss_anon": "RssAnon", "rss_file": "RssFile", "rss_shmem": "RssShmem", "swap": "VmSwap",
        "rss_peak": "VmHWM", "vsize_peak": "VmPeak", "locked": "VmLck", "pinned": "VmPin",
        "page_tables": "VmPTE", "data": "VmData", "stack_size": "VmStk", "text": "VmExe",
    }  # fmt: skip
    found = {name: _number(status, line) for name, line in lines.items()}
    return {name: None if value is None else value * 1024 for name, value in found.items()}


def _namespaces(
    folder: Path, guarded: Callable[[tuple[str, ...], Callable[[], int]], int | None]
) -> dict[str, int | None]:
    """The inodes, which the links name: pid:[4026531836]."""

    def inode(name: str) -> int:
        link = os.readlink(folder / "ns" / name.removeprefix("ns_"))
        return int(link.partition("[")[2].rstrip("]"))

    return {name: guarded((name,), partial(inode, name)) for name in GROUPS[NAMESPACES]}


# /proc/PID/limits, in the order of RLIMIT_*; a name may hold spaces.
_LIMIT = re.compile(r"^Max .*?\s{2,}(unlimited|\d+)\s+(unlimited|\d+)", re.MULTILINE)
UNLIMITED = 2**64 - 1


def parse_limits(text: str) -> tuple[tuple[int, int], ...]:
    """Soft and hard, UNLIMITED for none."""
    return tuple(
        (UNLIMITED if soft == "unlimited" else int(soft),
         UNLIMITED if hard == "unlimited" else int(hard))
        for soft, hard in _LIMIT.findall(text)
    )  # fmt: skip


def _numbers(values: dict[str, str], name: str) -> tuple[int, ...] | None:
    return tuple(map(int, values[name].split())) if name in values else None


def _number(values: dict[str, str], name: str, place: int = 0, base: int = 10) -> int | None:
    """One of the numbers of a line, as in "Uid: 0 0 0 0" or "SigQ: 0/1000"; None without the
    line, which a kernel may be built without."""
    return int(re.split(r"[\s/]+", values[name])[place], base) if name in values else None


def _stack_pointer(text: str) -> int | None:
    """The last but one field of /proc/PID/syscall; there is none while the task runs."""
    words = text.split()
    return int(words[-2], 16) if len(words) > 2 and int(words[-2], 16) else None


def _cgroup_id(proc: Path, text: bytes) -> int | None:
    """The id of a cgroup of the default hierarchy is its folder's inode."""
    found = re.search(rb"^0::(.*)$", text, re.MULTILINE)
    mount = cgroup_mount(proc / "self/mountinfo")
    folder = mount.folder_of(os.fsdecode(found[1])) if found and mount else None
    return None if folder is None else os.stat(folder).st_ino


def _children(proc: Path, folder: Path, pid: int, tgid: int) -> tuple[int, ...]:
    """The children of all threads of a process, or of one thread. Raises OSError."""
    if not (folder / "children" if pid != tgid else folder / f"task/{pid}/children").exists():
        # A kernel without CONFIG_PROC_CHILDREN: who names this one as its parent.
        return tuple(swept.pid for swept in sweep(proc) if swept.ppid == pid)
    tasks = [folder] if pid != tgid else list((folder / "task").iterdir())
    children: list[int] = []
    for task in tasks:
        with contextlib.suppress(*GONE):  # this thread left; the others did not
            children.extend(int(child) for child in (task / "children").read_text().split())
    return tuple(children)
