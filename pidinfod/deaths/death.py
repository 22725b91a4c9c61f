# SPDX-License-Identifier: Apache-2.0
"""The record of one death, and how the ring's record of it is read."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

from pidinfod.deaths.sentence import explain
from pidinfod.groups import cgroups
from pidinfod.kernel.layout import text_of
from pidinfod.kernel.names import signal_name
from pidinfod.kernel.records import BLAME, DEATH, ORIGIN

_OUTLINE = DEATH.only("pid", "end_ns", "cgroup_id", "group")
# Timers and faults have no sender; these do.
_WITH_SENDER = ("user", "self", "parent_death", "tracer_exit", "pid_namespace")


@dataclass(frozen=True)
class Blame:
    """The last signal that could have ended the process, and who sent it where that can be told.

    `origin` is one of ORIGIN, or what only the death tells: self, oom. With parent_death and
    tracer_exit the sender is the parent or tracer whose end the kernel answered with the signal;
    with pid_namespace it is the namespace's init. `sender_uid` is None also where whoever asks may
    not know it. `before_ns` is the time from the signal to the death.
    """

    signal: str
    origin: str
    sender_pid: int | None
    sender_comm: str | None
    sender_uid: int | None
    before_ns: int


@dataclass(frozen=True)
class Death:
    """One death.

    `started` and `died` are of the wall clock as it is set now, in seconds since 1970; all other
    times are in nanoseconds. `start_ns` is on the boot clock: with the PID it names one life.
    `seq` rises by one with each death that one ledger records.
    """

    seq: int
    pid: int
    comm: str
    group: str
    ppid: int
    parent_comm: str
    uid: int
    cgroup_id: int
    cgroup: str | None  # its path, where that is known
    unit: str | None  # the systemd unit that the path names
    start_ns: int
    started: float
    died: float
    age_ns: int
    exit_code: int | None
    signal: str | None
    core_dumped: bool
    oom: bool
    blame: Blame | None
    term_before_ns: int | None  # from the SIGTERM that asked the process to end, to the death

    @property
    def why(self) -> str:
        """The certificate in one sentence. Names stand in it as they are, so it is text to be
        escaped before a terminal."""
        return explain(self)

    def as_dict(self) -> dict[str, Any]:
        """What JSON tells: all fields, and `why`."""
        blame = vars(self.blame).copy() if self.blame else None
        return {**vars(self), "blame": blame, "why": self.why}


def outline(raw: bytes) -> tuple[int, int, int, int]:
    """PID, time of the death on the boot clock, cgroup's id and group's id in a ring's record."""
    pid, end_ns, cgroup_id, group = _OUTLINE.unpack(raw)
    return pid, end_ns, cgroup_id, group


def _origin(index: int, number: int, is_self: bool, is_oom: bool) -> str:
    """Where a signal came from: the probe's account, and what only the death tells."""
    name = ORIGIN[index] if index < len(ORIGIN.names) else "other"
    if name == "user" and is_self:
        return "self"
    if name == "kernel" and number == signal.SIGKILL:
        if is_oom:
            return "oom"
        if is_self:
            return "limit"  # the hard one of RLIMIT_CPU
    return name


def decode(raw: bytes, seq: int, group: str, cgroup: str | None, boot: float) -> Death:
    """A record of the ring.

    `group` and `cgroup` are the names of the numbers in it. `boot` is the wall clock's time at
    the boot clock's zero, in seconds.
    """
    record = DEATH.unpack(raw)
    sent = BLAME.unpack(record.blame)
    killer = record.status & 0x7F
    blame = None
    if sent.signal:
        is_self = sent.sender == record.pid
        origin = _origin(sent.origin, sent.signal, is_self, bool(record.is_oom_victim))
        has_sender = origin in _WITH_SENDER and sent.sender != 0
        blame = Blame(
            signal=signal_name(sent.signal),
            origin=origin,
            sender_pid=sent.sender if has_sender else None,
            sender_comm=text_of(sent.sender_comm) if has_sender else None,
            sender_uid=sent.sender_uid if has_sender else None,
            before_ns=record.end_ns - sent.time_ns,
        )
    return Death(
        seq=seq,
        pid=record.pid,
        comm=text_of(record.comm),
        group=group,
        ppid=record.ppid,
        parent_comm=text_of(record.parent_comm),
        uid=record.uid,
        cgroup_id=record.cgroup_id,
        cgroup=cgroup,
        unit=cgroups.unit(cgroup) if cgroup else None,
        start_ns=record.start_ns,
        started=round(boot + record.start_ns / 1e9, 6),
        died=round(boot + record.end_ns / 1e9, 6),
        age_ns=record.end_ns - record.start_ns,
        exit_code=None if killer else record.status >> 8 & 0xFF,
        signal=signal_name(killer) if killer else None,
        core_dumped=bool(record.status & 0x80),
        oom=bool(record.is_oom_victim),
        blame=blame,
        term_before_ns=record.end_ns - record.term_ns if record.term_ns else None,
    )
