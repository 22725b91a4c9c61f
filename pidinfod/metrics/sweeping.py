# SPDX-License-Identifier: Apache-2.0
"""The processes that there are and what they used, by whichever way of sweeping the host has: an
iterator in the kernel, the call get_pid_info, or /proc."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pidinfod.groups.names import GroupNames, label_of_comm
from pidinfod.groups.placement import read_facts
from pidinfod.groups.rules import Rules
from pidinfod.kernel import libbpf, pid_info
from pidinfod.kernel.handoff import Loaded
from pidinfod.kernel.pid_info import Swept
from pidinfod.kernel.records import FIXED_GROUP, PLACEMENT, PROCESS
from pidinfod.kernel.sweep import Found, Sweep
from pidinfod.metrics import per_pid
from pidinfod.metrics.parts import Parts
from pidinfod.metrics.per_pid import Wanted
from pidinfod.metrics.processes import ProcessCounts, count_processes, of_kernel
from pidinfod.metrics.use import Observed, Totals, Use
from pidinfod.proc import procfs

NO_WISH = Wanted()

_GROUP = PROCESS.only("exec_id", "group")
_PLACED = PLACEMENT.only("exec_id", "group")


@dataclass(frozen=True)
class Looked:
    """What is read before the names of the groups that it is of."""

    found: Found | None = None  # by the kernel; None where it does not sweep, or failed
    groups: Mapping[int, int] = field(default_factory=dict)  # else the group's id by process


class Sweeper:
    """Sweeps, and keeps what was used. Not safe for two threads, but for note_use()."""

    def __init__(
        self,
        loaded: Loaded,
        rules: Rules,
        proc: Path,
        max_groups: int,
        wanted: Wanted = NO_WISH,
    ) -> None:
        self.wanted = wanted
        self.errors: Counter[str] = Counter()  # of reading /proc, by errno
        self.processes: list[per_pid.Process] = []  # of the last sweep, where they are wanted
        self._loaded = loaded
        self._rules = rules
        self._proc = proc
        self._max_groups = max_groups
        self._sweep = Sweep(loaded)
        self._is_by_call = pid_info.is_supported()
        self._knows_pids = True
        self._is_in_first_namespace = True
        self._used = Totals()
        self._observed = Observed()

    def see(self, knows_pids: bool, is_in_first_namespace: bool) -> None:
        """Beside probes: whether /proc has the PIDs that they see, and whether system calls of this
        process take and give them."""
        self._knows_pids = knows_pids
        self._is_in_first_namespace = is_in_first_namespace
        # Rather the /proc that knows the PIDs than a call that does not.
        self._is_by_call &= is_in_first_namespace or not knows_pids

    @property
    def _is_by_kernel(self) -> bool:
        return self._sweep.is_there and self._is_in_first_namespace

    @property
    def way(self) -> tuple[str, str]:
        """How processes are swept, and why not by what would be better."""
        if self._is_by_kernel:
            return "bpf_iter", ""
        why = self._sweep.reason or "not in the first PID namespace"
        return "get_pid_info" if self._is_by_call else "procfs", why

    def note_use(self, seconds: float) -> None:
        """Have what processes used until now noted, unless that was done so many seconds ago.
        Raises OSError."""
        if self._is_by_kernel:
            self._sweep.refresh(seconds)

    def give_back(self, group: int, name: str) -> None:
        """A group's id stands for nothing any more: what was used in it is kept by its name."""
        if self._is_by_kernel:
            self._used.give_back(name, self._sweep.take_past(group))

    def look(self, parts: Parts) -> Looked:
        """Beside probes: what has to come before names, as a group that came in between would be
        "other"."""
        if self._is_by_kernel:
            return Looked(parts.read("sweep", partial(self._sweep.run, self.wanted.any), None))
        if self._knows_pids:
            return Looked(groups=parts.read("processes", self._groups, {}))
        return Looked()

    def tell(self, parts: Parts, looked: Looked, names: GroupNames | None) -> ProcessCounts | None:
        """What there is by group; None when that failed. `names` are None without probes, and when
        they cannot be read."""
        if self._is_by_kernel:
            if looked.found is None or names is None:
                return None
            return self._of_kernel(looked.found, names)
        group_of = self._group_by_rules
        if names is not None:
            group_of = partial(self._known_group, looked.groups, names)
        return parts.read("sweep", partial(self._one_by_one, group_of), None)

    def used(self, groups: Collection[str]) -> tuple[Mapping[str, Use], Use]:
        """What was used in each of these groups so far, and in all others."""
        return self._used.split(groups)

    def _groups(self) -> dict[int, int]:
        """Group id by process: a placement holds for the program that was looked at."""
        maps = self._loaded.maps
        placements = {
            tgid: (exec_id, group)
            for tgid, (exec_id, group) in libbpf.read_records(maps["placements"], _PLACED)
        }
        found = {}
        for tgid, (exec_id, group) in libbpf.read_records(maps["processes"], _GROUP):
            if exec_id and tgid in placements:
                placed_exec_id, placed = placements[tgid]
                group = placed if placed_exec_id == exec_id else group
            found[tgid] = group
        return found

    def _known_group(self, groups: Mapping[int, int], names: GroupNames, process: Swept) -> str:
        if process.pid in groups:
            return names[groups[process.pid]]
        return self._group_by_rules(process)

    def _group_by_rules(self, process: Swept) -> str:
        """The group of a process that the probes do not know."""
        if process.is_kernel:
            return "kernel"
        comm = process.comm.encode()
        facts, _ = read_facts(self._proc / str(process.pid), comm, self._rules.needs)
        place = self._rules.place(facts)
        if place is not None:
            return self._rules.groups[place].name
        return label_of_comm(process.comm, self._rules.names)

    def _of_kernel(self, found: Found, names: GroupNames) -> ProcessCounts:
        counts, used = of_kernel(found, names, self._loaded.absent)
        self._used.update(used)
        self.processes = [
            per_pid.Process(pid, start_ns, names[group], *figures)
            for pid, (start_ns, _, group, *figures) in found.processes.items()
        ]
        return counts

    def _one_by_one(self, group_of: Callable[[Swept], str]) -> ProcessCounts:
        if self._is_by_call:
            found, absent = pid_info.sweep(), pid_info.ABSENT
        else:
            found, absent = procfs.sweep(self._proc, self.errors), procfs.ABSENT
        errors = self.errors.total()
        placed = list(self._bounded(found, group_of))
        is_whole = errors == self.errors.total()
        self._used.update(self._observed.update(placed, is_whole))
        if self.wanted.any:
            self.processes = [
                per_pid.Process(one.pid, one.start_ns, group, one.use[0], one.resident_bytes, 0, 0)
                for one, group in placed
            ]
        return count_processes(placed, absent)

    def _bounded(
        self, found: Iterable[Swept], group_of: Callable[[Swept], str]
    ) -> Iterator[tuple[Swept, str]]:
        """Each process and its group; the names beyond `max_groups` are "other"."""
        names = {*FIXED_GROUP.names, *self._rules.names}
        for process in found:
            group = group_of(process)
            if group not in names and len(names) >= self._max_groups:
                group = "other"
            names.add(group)
            yield process, group
