# SPDX-License-Identifier: Apache-2.0
"""Why processes died: one bounded record each, from the kernel's account of it."""

from __future__ import annotations

import signal
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pidinfod.groups import cgroups
from pidinfod.kernel.names import signal_name
from pidinfod.metrics.decode import ORIGINS, GroupNames

# struct death and, in it, struct blame: bpf/deaths.bpf.c
_DEATH = struct.Struct("=IIQQQ6I16s16s" + "QQIIIIII16s")
_CGROUP_ID = struct.Struct("=Q")
_CGROUP_ID_AT = 24

PF_EXITING = 0x4  # include/linux/sched.h


@dataclass(frozen=True)
class Blame:
    """The last signal that could have ended the process; who sent it where that can be told.

    `origin` is one of decode.ORIGINS or, told apart only at the death, self, oom,
    pid_namespace. `before_ns` is how long before the death it came.
    """

    signal: str
    origin: str
    sender_pid: int | None
    sender_comm: str | None
    sender_uid: int | None
    before_ns: int


@dataclass(frozen=True)
class Death:
    """One death. Times are of the wall clock, in seconds; ages in nanoseconds."""

    pid: int
    comm: str
    group: str
    ppid: int
    parent_comm: str
    uid: int
    cgroup_id: int
    cgroup: str | None  # its path, where that is known
    unit: str | None  # the systemd unit that the path names
    started: float
    died: float
    age_ns: int
    exit_code: int | None
    signal: str | None
    core_dumped: bool
    oom: bool
    blame: Blame | None
    term_before_ns: int | None
    why: str


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode(errors="replace")


def _origin(index: int, number: int, is_self: bool, is_oom: bool, sender_exits: bool) -> str:
    """The probe's account of where a signal came from, and what only the death tells."""
    name = ORIGINS[index] if index < len(ORIGINS) else "other"
    if name == "user" and is_self:
        return "self"
    if name == "kernel" and number == signal.SIGKILL:
        if is_oom:
            return "oom"
        if is_self:
            return "limit"  # the hard one of RLIMIT_CPU
        if sender_exits:
            return "pid_namespace"
    return name


def decode(raw: bytes, cgroup: str | None, groups: GroupNames, boot: float) -> Death:
    """A record of the ring. `boot` is the wall clock's time at the boot clock's zero."""
    (
        _, pid, start_ns, end_ns, cgroup_id, ppid, uid, group, status, is_oom, _, comm, parent_comm,
        blame_ns, term_ns, number, source, sender, sender_uid, sender_flags, _, sender_comm,
    ) = _DEATH.unpack(raw)  # fmt: skip
    killer = status & 0x7F
    blame = None
    if number:
        exits = bool(sender_flags & PF_EXITING)
        where = _origin(source, number, sender == pid, bool(is_oom), exits)
        # Of a timer or a fault nobody is the sender; the end of a PID namespace has one.
        has_sender = where in ("user", "self", "pid_namespace")
        blame = Blame(
            signal=signal_name(number),
            origin=where,
            sender_pid=sender if has_sender else None,
            sender_comm=_text(sender_comm) if has_sender else None,
            sender_uid=sender_uid if has_sender else None,
            before_ns=end_ns - blame_ns,
        )
    death = Death(
        pid=pid,
        comm=_text(comm),
        group=groups[group],
        ppid=ppid,
        parent_comm=_text(parent_comm),
        uid=uid,
        cgroup_id=cgroup_id,
        cgroup=cgroup,
        unit=cgroups.unit(cgroup) if cgroup else None,
        started=round(boot + start_ns / 1e9, 6),
        died=round(boot + end_ns / 1e9, 6),
        age_ns=end_ns - start_ns,
        exit_code=None if killer else status >> 8 & 0xFF,
        signal=signal_name(killer) if killer else None,
        core_dumped=bool(status & 0x80),
        oom=bool(is_oom),
        blame=blame,
        term_before_ns=end_ns - term_ns if term_ns else None,
        why="",
    )
    object.__setattr__(death, "why", explain(death))
    return death


def explain(death: Death) -> str:
    """The certificate in one sentence."""
    blame = death.blame
    if death.signal is None:
        text = f"exited with {death.exit_code}"
        # A program that takes SIGTERM and leaves is still ended by it.
        if blame and blame.origin in ("user", "terminal", "timer") and blame.before_ns < 10**10:
            text += f", {_seconds(blame.before_ns)} after {_cause(blame)}"
        return text
    text = f"killed by {death.signal}" + (" (core dumped)" if death.core_dumped else "")
    if blame and blame.signal == death.signal:
        text += ": " + _cause(blame)
        if death.signal == "SIGKILL" and death.term_before_ns is not None:
            text += f", {_seconds(death.term_before_ns - blame.before_ns)} after SIGTERM"
    return text


def _cause(blame: Blame) -> str:
    sender = f"{blame.sender_comm} (PID {blame.sender_pid}, uid {blame.sender_uid})"
    return {
        "user": f"{blame.signal} sent by {sender}",
        "self": f"{blame.signal} raised by itself",
        "fault": f"{blame.signal}, a fault of its own",
        "timer": f"{blame.signal} of a timer",
        "terminal": f"{blame.signal} from its terminal",
        "oom": "the OOM killer",
        "pid_namespace": f"the end of its PID namespace's init, {sender}",
        "limit": f"{blame.signal}, a resource limit",
        "seccomp": "SIGSYS, a system call that its seccomp filter forbids",
        "io": f"{blame.signal} of its input or output",
    }.get(blame.origin, f"{blame.signal} from the kernel")


def _seconds(ns: int) -> str:
    return f"{ns / 1e9:.3f} s"


@dataclass(frozen=True)
class Filter:
    """Which deaths are wanted: all that match what is given."""

    pid: int | None = None
    group: str | None = None
    signal: str | None = None
    since: float | None = None  # wall clock, seconds
    limit: int | None = None

    @staticmethod
    def parse(values: Mapping[str, str]) -> Filter:
        """From texts by name. Raises ValueError that names what is wrong."""
        readers: dict[str, Callable[[str], Any]] = {
            "pid": int, "group": str, "signal": str, "since": float, "limit": int,
        }  # fmt: skip
        found: dict[str, Any] = {}
        for name, text in values.items():
            if name not in readers:
                raise ValueError(f"{name!r}: expected one of {', '.join(readers)}")
            try:
                found[name] = readers[name](text)
            except ValueError:
                raise ValueError(f"{name}: expected a number, got {text!r}") from None
        return Filter(**found)

    def of(self, ledger: Ledger) -> list[Death]:
        """The matching deaths of a ledger, newest first."""
        found: list[Death] = []
        for death in ledger.newest_first():
            if self.since is not None and death.died < self.since:
                break
            if self.limit is not None and len(found) >= self.limit:
                break
            if (
                self.pid in (None, death.pid)
                and self.group in (None, death.group)
                and self.signal in (None, death.signal)
            ):
                found.append(death)
        return found


class Ledger:
    """The last deaths. Records stay as the kernel wrote them until someone asks."""

    def __init__(
        self,
        capacity: int,
        groups: Callable[[], GroupNames],
        path_of: Callable[[int], str | None],
    ) -> None:
        self._records: deque[tuple[bytes, str | None]] = deque(maxlen=capacity)
        self._groups = groups
        self._path_of = path_of
        self._lock = threading.Lock()
        self._boot = 0.0
        self.recorded = 0
        # Has the records that are still in the ring added.
        self.catch_up: Callable[[], object] = lambda: None

    def add(self, raw: bytes) -> None:
        """Take a record of the ring; the oldest goes when there is no room."""
        # Now, as the cgroup may be gone when someone asks.
        path = self._path_of(_CGROUP_ID.unpack_from(raw, _CGROUP_ID_AT)[0])
        with self._lock:
            self._records.append((raw, path))
            self.recorded += 1

    def __len__(self) -> int:
        return len(self._records)

    def _boot_time(self) -> float:
        """The wall clock at the boot clock's zero; it moves only when the clock was set."""
        now = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        if abs(now - self._boot) > 1:
            self._boot = now
        return self._boot

    def newest_first(self) -> Iterator[Death]:
        """Decoded one by one, so that who wants one pays for one."""
        self.catch_up()
        boot = self._boot_time()
        groups = self._groups()
        with self._lock:
            records = list(self._records)
        for raw, path in reversed(records):
            yield decode(raw, path, groups, boot)
