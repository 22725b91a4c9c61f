# SPDX-License-Identifier: Apache-2.0
"""Which group each process is in, where the kernel alone cannot tell.

The kernel gives a process its group by name, at exec and exactly. Of an exec for which that
is not the last word it tells over the ring; then the process is looked at in /proc, and what
the rules say of it is written to the map `placements` for that one image. The kernel heeds it
only while the process still runs that image, so what was found of a process that has died or
gone on to another program can do no harm. Those that were there before the probes are
placed once, at the start.
"""

from __future__ import annotations

import os
import struct
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pidinfod.groups import cgroups
from pidinfod.groups.rules import Facts, Rules
from pidinfod.kernel import libbpf
from pidinfod.kernel.handoff import Loaded
from pidinfod.metrics.decode import (
    FIRST_GROUP,
    GROUP_KERNEL,
    GROUP_OTHER,
    MEMBERSHIP,
    PLACEMENT,
    comm_key,
)
from pidinfod.proc.procfs import parse_stat

# struct placement_event, bpf/groups.bpf.c
_EVENT = struct.Struct("=IIQQII16s")

PF_EXITING, PF_KTHREAD = 0x00000004, 0x00200000
CMDLINE_BYTES = 65536
IMAGES = 4096  # that are remembered

# Why a process could not be placed: it was gone or had gone on to another program before it
# was looked at, its executable may not be seen, the map was full.
MISSES = ("gone", "exec", "denied", "full")


def _number(value: int) -> bytes:
    return struct.pack("=I", value)


def _read(path: Path, size: int = -1) -> bytes:
    with open(path, "rb") as file:
        return file.read(size)


def read_facts(folder: Path, comm: bytes, needs: frozenset[str]) -> tuple[Facts, bool]:
    """What /proc tells of a task, and whether something of it may not be seen.

    Empty is what cannot be read: that it was gone meanwhile is for the caller to find out.
    """
    denied = False
    found: dict[str, str] = {}
    uid: int | None = None
    try:
        if "exe" in needs:
            try:
                found["exe"] = os.readlink(folder / "exe").removesuffix(" (deleted)")
            except PermissionError:
                denied = True
            except FileNotFoundError:
                pass  # a kernel thread has none
        if "cmdline" in needs:
            raw = _read(folder / "cmdline", CMDLINE_BYTES)
            found["cmdline"] = os.fsdecode(raw.rstrip(b"\0").replace(b"\0", b" "))
        if "cgroup" in needs:
            found["cgroup"] = cgroups.of_process(os.fsdecode(_read(folder / "cgroup")))
        if "uid" in needs:
            status = _read(folder / "status")
            uid = int(status.partition(b"\nUid:\t")[2].split()[1])  # the effective one
    except (FileNotFoundError, ProcessLookupError):
        pass
    return Facts(comm.decode(errors="replace"), **found, uid=uid), denied


@dataclass(frozen=True)
class _Process:
    pid: int
    ppid: int
    comm: bytes
    is_kernel: bool
    tasks: frozenset[int]  # those that are not about to end


def _processes(proc: Path) -> Iterator[_Process]:
    for folder in proc.glob("[0-9]*"):
        try:
            _, _, fields = parse_stat(_read(folder / "stat"))
            comm = _read(folder / "comm").removesuffix(b"\n")
            tasks = frozenset(
                int(name)
                for name in os.listdir(folder / "task")
                if not int(parse_stat(_read(folder / f"task/{name}/stat"))[2][6]) & PF_EXITING
            )
        except (FileNotFoundError, ProcessLookupError):
            continue
        is_kernel = bool(int(fields[6]) & PF_KTHREAD)
        yield _Process(int(folder.name), int(fields[1]), comm, is_kernel, tasks)


def _unplaced_line(
    process: _Process, processes: dict[int, _Process], groups: dict[int, int]
) -> list[_Process]:
    """A process and its ancestors, up to one that has been placed."""
    line: list[_Process] = []
    current: _Process | None = process
    # A PID that is used anew while /proc is read may close a circle.
    while current is not None and current.pid not in groups and current not in line:
        line.append(current)
        current = processes.get(current.ppid)
    return line


class Placer:
    """Places processes in groups. Not safe for two threads at once. All may raise OSError."""

    def __init__(self, rules: Rules, loaded: Loaded, proc: Path) -> None:
        assert loaded.free_groups_fd is not None
        self._rules = rules
        self._proc = proc
        self._groups, self._group_of = loaded.maps["groups"], loaded.maps["group_of"]
        self._placements = loaded.maps.get("placements")
        self._placed_execs = loaded.maps.get("placed_execs")
        self._free = loaded.free_groups_fd
        # What was found of images: a child may have gone on from one before it was placed.
        self._images: OrderedDict[int, int] = OrderedDict()
        self.misses: Counter[str] = Counter(dict.fromkeys(MISSES, 0))

    def add(self, raw: bytes) -> None:
        """Take a record of the ring: an exec, or a task that came of one in the meantime."""
        _, tid, image, before, provisional, is_exec, comm = _EVENT.unpack(raw)
        group = self._images.get(image)
        if group is None:
            group = self._look(tid, image, before, provisional, comm.partition(b"\0")[0])
        if group is not None and not self._place(tid, image, group):
            self.misses["full"] += 1
            group = None
        now = self._image(tid)
        if now != image:
            if group is not None:
                libbpf.delete(self._placements_map, _number(tid))
                group = None
            # Of a task that went on from its parent's program its own exec tells; and
            # one of image 0 was placed otherwise.
            if now is None:
                self.misses["gone"] += 1
            elif now and is_exec:
                self.misses["exec"] += 1
        elif group is not None:
            self._images[image] = group
            if len(self._images) > IMAGES:
                self._images.popitem(last=False)
        if is_exec:
            self._count_exec(provisional if group is None else group)

    def _look(
        self, tid: int, image: int, before: int, provisional: int, comm: bytes
    ) -> int | None:
        """The group of an image by what /proc tells; None when it is there no more.

        A process shows its new program a moment before the kernel tells of the exec. What is
        found then may be of the next image; that is why one look has to do for all tasks of
        an image, and rules on the name alone are left to the kernel.
        """
        if self._image(tid) != image:
            return None
        facts, denied = read_facts(self._proc / str(tid), comm, self._rules.needs)
        if denied:
            self.misses["denied"] += 1
        inherited = self._images.get(before, GROUP_KERNEL)
        certain = {provisional - FIRST_GROUP}
        if self._keeps_children(inherited):
            certain.add(inherited - FIRST_GROUP)
        place = self._rules.place(facts, certain)
        return provisional if place is None else FIRST_GROUP + place

    def _keeps_children(self, group: int) -> bool:
        place = group - FIRST_GROUP
        return 0 <= place < len(self._rules.groups) and self._rules.groups[place].children

    @property
    def _placements_map(self) -> libbpf.MapHandle:
        assert self._placements is not None
        return self._placements

    def _place(self, tid: int, image: int, group: int) -> bool:
        value = PLACEMENT.pack(image, group, 0)
        return libbpf.update(self._placements_map, _number(tid), value)

    def _image(self, tid: int) -> int | None:
        """The image that the kernel has of a task now; None when it is gone."""
        value = libbpf.lookup(self._group_of, _number(tid))
        return None if value is None else int(MEMBERSHIP.unpack(value)[2])

    def _count_exec(self, group: int) -> None:
        assert self._placed_execs is not None
        key = _number(group)
        value = libbpf.lookup(self._placed_execs, key) or bytes(8)
        count = struct.unpack("=Q", value)[0] + 1
        libbpf.update(self._placed_execs, key, struct.pack("=Q", count))

    def place_running(self) -> None:
        """Place every task that the kernel has not seen yet."""
        processes = {process.pid: process for process in _processes(self._proc)}
        groups: dict[int, int] = {}
        for process in processes.values():
            for line in reversed(_unplaced_line(process, processes, groups)):
                self._place_running(line, groups)
        # Those that ended meanwhile may have done so before they were entered.
        alive = {tid for process in _processes(self._proc) for tid in process.tasks}
        for process in processes.values():
            for tid in process.tasks - alive:
                libbpf.delete(self._group_of, _number(tid))

    def _place_running(self, process: _Process, groups: dict[int, int]) -> None:
        """Enter one whose parent has been, and note its group."""
        parent = groups.get(process.ppid, GROUP_KERNEL)
        certain = {parent - FIRST_GROUP} if self._keeps_children(parent) else set()
        place = None
        if process.is_kernel:
            group = GROUP_KERNEL
        else:
            tid = min(process.tasks, default=process.pid)
            facts, _ = read_facts(self._proc / str(tid), process.comm, self._rules.needs)
            place = self._rules.place(facts, certain)
            group = self._group_by_comm(process.comm) if place is None else FIRST_GROUP + place
        groups[process.pid] = group
        # What the kernel gave by name meanwhile yields to what only the parent tells.
        flags = libbpf.ANY if place in certain else libbpf.NOEXIST
        for tid in process.tasks:
            membership = MEMBERSHIP.pack(group, process.pid, 0)
            libbpf.update(self._group_of, _number(tid), membership, flags)

    def _group_by_comm(self, comm: bytes) -> int:
        """As the kernel does it: a name's group, or a new one, or "other"."""
        key = comm_key(comm)
        known = libbpf.lookup(self._groups, key)
        if known is None and (number := libbpf.pop(self._free)) is not None:
            if libbpf.update(self._groups, key, _number(number), libbpf.NOEXIST):
                return number
            libbpf.push(self._free, number)  # the kernel was faster
            known = libbpf.lookup(self._groups, key)
        return GROUP_OTHER if known is None else int(struct.unpack("=I", known)[0])
