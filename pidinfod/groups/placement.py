# SPDX-License-Identifier: Apache-2.0
"""Which group each process is in, where the kernel alone cannot tell.

The kernel gives a process its group by name, at exec and exactly. Of an exec for which that
is not the last word it tells over the ring; then the process is looked at in /proc, and what
the rules say of it is written to the map `placements` for that one program, told by the time of
its exec. The kernel heeds it only while the process still runs that program, so what was found
of a process that has died or gone on to another program does no harm. Processes that were there
before the probes are placed once, at the start.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import struct
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pidinfod.groups import cgroups
from pidinfod.groups.rules import TEXT_MAX, Facts, Rules
from pidinfod.groups.table import GroupTable, key_of
from pidinfod.kernel import libbpf
from pidinfod.kernel.handoff import Loaded
from pidinfod.kernel.layout import text_of
from pidinfod.kernel.records import GROUP_KERNEL, PLACEMENT, PLACEMENT_EVENT, PROCESS
from pidinfod.proc.procfs import PF_KTHREAD, TICK_NS, parse_stat

log = logging.getLogger("pidinfod")

REMEMBERED = 4096  # programs
STAT_BYTES = 4096  # more than /proc/PID/stat has: to read so many takes one call

# Why a process could not be placed, or not by all rules: it was gone, or had gone on to another
# program, before it was looked at; something of it cannot be read; the map was full; a rule's
# pattern took too long.
MISSES = ("gone", "exec", "unreadable", "full", "slow")

# What a program used before it was placed later than this stays with the group of its name.
LATE_NS = 50_000_000
# The part of an exec_id that is its time: bpf/processes.bpf.c, new_exec_id().
_EXEC_TIME = (1 << 42) - 1

_PROGRAM = PROCESS.only("exec_id", "is_dead")


def _read(path: Path | str, size: int = -1) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(size)


def _with_memory(folder: Path) -> Path:
    """The folder of a thread that still has the program: the main thread may have left it."""
    try:
        if _read(folder / "cmdline", 1):
            return folder
        for name in os.listdir(folder / "task"):
            thread = folder / "task" / name
            if name != folder.name and _read(thread / "cmdline", 1):
                return thread
    except OSError:
        pass  # gone, which the caller finds out
    return folder


def read_facts(folder: Path, comm: bytes, needs: frozenset[str]) -> tuple[Facts, bool]:
    """What /proc tells of a process, and whether something of it cannot be read.

    What cannot be read is empty. A process that is gone has nothing that can be read, and that is
    for the caller to find out.
    """
    unreadable = False
    found: dict[str, str] = {}
    if "exe" in needs or "cmdline" in needs:
        folder = _with_memory(folder)
    uid: int | None = None

    @contextlib.contextmanager
    def guarded() -> Iterator[None]:
        nonlocal unreadable
        try:
            yield
        except OSError as error:
            # A kernel thread has no executable.
            unreadable |= error.errno not in (errno.ENOENT, errno.ESRCH)
        except (ValueError, IndexError):
            unreadable = True

    if "exe" in needs:
        with guarded():
            found["exe"] = os.readlink(folder / "exe").removesuffix(" (deleted)")
    if "cmdline" in needs:
        with guarded():
            raw = _read(folder / "cmdline", TEXT_MAX)
            found["cmdline"] = os.fsdecode(raw.rstrip(b"\0").replace(b"\0", b" "))
    if "cgroup" in needs:
        with guarded():
            found["cgroup"] = cgroups.of_process(os.fsdecode(_read(folder / "cgroup")))
    if "uid" in needs:
        with guarded():
            status = _read(folder / "status")
            uid = int(status.partition(b"\nUid:\t")[2].split()[1])  # the effective one
    return Facts(text_of(comm), **found, uid=uid), unreadable


class _Running(NamedTuple):
    pid: int
    ppid: int
    comm: bytes
    is_kernel: bool
    start_ns: int  # rounded down to a clock tick


def _running(proc: Path) -> Iterator[_Running]:
    """Every process that can be read. Raises OSError when `proc` cannot be listed."""
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        try:
            raw = _read(f"{proc}/{name}/stat", STAT_BYTES)
            _, _, fields = parse_stat(raw)
            comm = raw[raw.index(b"(") + 1 : raw.rindex(b")")]
            is_kernel = bool(int(fields[6]) & PF_KTHREAD)
            start_ns = int(fields[19]) * TICK_NS
            yield _Running(int(name), int(fields[1]), comm, is_kernel, start_ns)
        except (OSError, ValueError, IndexError):
            continue  # gone, or hidden: the kernel places it by its name when it does something


def _unplaced_line(
    process: _Running, processes: dict[int, _Running], groups: dict[int, int]
) -> list[_Running]:
    """A process and its ancestors, up to one that has been placed."""
    line: dict[int, _Running] = {}
    current: _Running | None = process
    # A PID that is used anew while /proc is read may close a circle.
    while current is not None and current.pid not in groups and current.pid not in line:
        line[current.pid] = current
        current = processes.get(current.ppid)
    return list(line.values())


class Placer:
    """Places processes in groups. Not safe for two threads at once.

    `proc` is None where no /proc has the PIDs that the probes count: there programs stay in the
    groups that the kernel gave them. `note_use` has what processes used until now noted, unless
    that was done so many seconds ago.
    """

    def __init__(
        self,
        rules: Rules,
        loaded: Loaded,
        proc: Path | None,
        misses: Counter[str],
        note_use: Callable[[float], object],
    ) -> None:
        self._rules = rules
        self._proc = proc
        self._maps = loaded.maps
        self._table = GroupTable(loaded)
        ids = self._table.declared()
        self._ids = [ids[group.name] for group in rules.groups]
        # The group that was found of each program: a child may have gone on from one before it
        # was placed.
        self._programs: OrderedDict[int, int] = OrderedDict()
        self.misses = misses  # by MISSES
        self._note_use = note_use

    def on_event(self, raw: bytes) -> None:
        """Take a record of the ring: an exec, or a process that was forked before its parent's
        exec was looked at. An exec is counted whatever happens."""
        event = PLACEMENT_EVENT.unpack(raw)
        group: int | None = None
        try:
            group = self._place_program(event)
        except OSError as error:
            log.error("placing %d: %s", event.tgid, error)
            self.misses["unreadable"] += 1
        finally:
            if event.is_exec:
                self._count_exec(event.group if group is None else group)

    def _place_program(self, event: Any) -> int | None:
        """The group that was found for the program of an event, None if that came too late."""
        group = self._programs.get(event.exec_id)
        if group is None:
            group = self._look(event)
        if group not in (None, event.group):
            self._note_use_of_late(event.exec_id)
        if group is not None and not self._write(event.tgid, event.exec_id, group):
            self.misses["full"] += 1
            group = None
        now = self._exec_id(event.tgid)
        if now != event.exec_id:
            if group is not None:
                libbpf.delete(self._maps["placements"], key_of(event.tgid))
                group = None
            # Of a process that went on from its parent's program its own exec tells; and
            # one whose exec_id is 0 was placed otherwise.
            if now is None:
                self.misses["gone"] += 1
            elif now and event.is_exec:
                self.misses["exec"] += 1
        elif group is not None:
            self._remember(event.exec_id, group)
        return group

    def _note_use_of_late(self, exec_id: int) -> None:
        """Before a program is placed that has run for a while."""
        age_ns = (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - exec_id) & _EXEC_TIME
        if age_ns >= LATE_NS:
            # Without it all counts for the group that the program is placed in.
            with contextlib.suppress(OSError):
                self._note_use(LATE_NS / 1e9)

    def _remember(self, exec_id: int, group: int) -> None:
        self._programs[exec_id] = group
        if len(self._programs) > REMEMBERED:
            self._programs.popitem(last=False)

    def _look(self, event: Any) -> int | None:
        """The group of a program by what /proc tells; None when it is there no more.

        A process shows its new program a moment before the kernel tells of the exec. What is
        found then may be of the next program; that is why one look has to do for all processes
        that run it, and rules on the name alone are left to the kernel.
        """
        if self._exec_id(event.tgid) != event.exec_id:
            return None
        if self._proc is None:
            self._count_unreadable()
            return int(event.group)
        comm = event.comm.partition(b"\0")[0]
        folder = self._proc / str(event.tgid)
        facts, unreadable = read_facts(folder, comm, self._rules.needs)
        # One that runs and is not in /proc is hidden from us.
        is_hidden = not folder.exists() and self._exec_id(event.tgid) == event.exec_id
        if unreadable or is_hidden:
            self._count_unreadable()
        inherited = self._programs.get(event.before, GROUP_KERNEL)
        certain = self._places(event.group, *self._children_of(inherited))
        place = self._rules.place(facts, certain)
        return int(event.group) if place is None else self._ids[place]

    def _count_unreadable(self) -> None:
        """Nothing is missed where names do for all rules."""
        if self._rules.refined_from is not None:
            self.misses["unreadable"] += 1

    def _places(self, *groups: int) -> set[int]:
        """The places of declared groups in the file."""
        return {self._ids.index(group) for group in groups if group in self._ids}

    def _children_of(self, group: int) -> tuple[int, ...]:
        """The groups that a child of a process in this group is in, whatever it runs."""
        keeps = any(self._rules.groups[place].children for place in self._places(group))
        return (group,) if keeps else ()

    def _write(self, tgid: int, exec_id: int, group: int) -> bool:
        value = PLACEMENT.pack(exec_id=exec_id, group=group)
        return libbpf.update(self._maps["placements"], key_of(tgid), value)

    def _exec_id(self, tgid: int) -> int | None:
        """Which program the kernel says that a process runs; None when it is gone.

        A zombie has a record, but nothing that can be looked at.
        """
        value = libbpf.lookup(self._maps["processes"], key_of(tgid))
        if value is None:
            return None
        exec_id, is_dead = _PROGRAM.unpack(value)
        return None if is_dead else int(exec_id)

    def _count_exec(self, group: int) -> None:
        placed = self._maps["placed_execs"]
        value = libbpf.lookup(placed, key_of(group)) or bytes(8)
        (count,) = struct.unpack("=Q", value)
        libbpf.update(placed, key_of(group), struct.pack("=Q", count + 1))

    def place_running(self) -> None:
        """Place every process that there is. Raises OSError when /proc or a map cannot be read."""
        assert self._proc is not None
        processes = {process.pid: process for process in _running(self._proc)}
        groups: dict[int, int] = {}
        # Names are fewer than processes, and a name keeps its id meanwhile.
        own_group = functools.cache(self._table.own_group)
        for process in processes.values():
            for ancestor in reversed(_unplaced_line(process, processes, groups)):
                groups[ancestor.pid] = self._place_running(ancestor, groups, own_group)
        alive = {int(name) for name in os.listdir(self._proc) if name.isdigit()}
        for pid in processes.keys() - alive:
            self._forget(processes[pid])

    def _forget(self, process: _Running) -> None:
        """Remove the record of one that ended meanwhile, perhaps before it was entered. A record
        that the kernel made, it removes; it may be of the next process with that PID."""
        key, records = key_of(process.pid), self._maps["processes"]
        known = libbpf.lookup(records, key)
        if known and PROCESS.unpack(known).start_ns == process.start_ns:
            libbpf.delete(records, key)

    def _place_running(
        self, process: _Running, groups: Mapping[int, int], own_group: Callable[[bytes], int]
    ) -> int:
        """Enter a process whose parent is in `groups`, and give its group; `own_group` gives that
        of a name that no rule declares."""
        place, before = None, None
        if self._rules.groups and not process.is_kernel:
            before = self._exec_id(process.pid)
            place = self._look_at_running(process, groups.get(process.ppid, GROUP_KERNEL))
        if place is not None:
            group = self._ids[place]
        else:
            group = GROUP_KERNEL if process.is_kernel else own_group(process.comm)
        record = PROCESS.pack(start_ns=process.start_ns, is_start_rounded=1, group=group)
        entered = libbpf.update(
            self._maps["processes"], key_of(process.pid), record, libbpf.NOEXIST
        )
        if entered or place is None:
            return group
        # The kernel has entered it by its name; the rules know more. Its record is the kernel's
        # to write, which may be doing so now.
        exec_id = self._exec_id(process.pid)
        if exec_id and before in (None, exec_id):
            self._remember(exec_id, group)
            self._write(process.pid, exec_id, group)
        return group

    def _look_at_running(self, process: _Running, parent: int) -> int | None:
        """The place of the rule for a process whose parent is in this group; None without one."""
        assert self._proc is not None
        facts, _ = read_facts(self._proc / str(process.pid), process.comm, self._rules.needs)
        return self._rules.place(facts, self._places(*self._children_of(parent)))
