# SPDX-License-Identifier: Apache-2.0
"""One frozen view of everything. Each part is read on its own: one that fails is missing alone."""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pidinfod.deaths.ledger import Ledger
from pidinfod.groups.names import GroupNames, label_of_comm
from pidinfod.groups.placement import Placer, read_facts
from pidinfod.groups.rules import Rules
from pidinfod.groups.table import GroupTable
from pidinfod.kernel import libbpf, pid_info
from pidinfod.kernel.boot_time import BootTime
from pidinfod.kernel.events import Reader
from pidinfod.kernel.handoff import Loaded
from pidinfod.kernel.libbpf import RunStats
from pidinfod.kernel.pid_info import Swept
from pidinfod.kernel.records import FIXED_GROUP, PLACEMENT, PROCESS
from pidinfod.kernel.sweep import Found, Sweep
from pidinfod.metrics import per_pid
from pidinfod.metrics.families import DETAILS, DROPS, FAMILIES
from pidinfod.metrics.past import Past
from pidinfod.metrics.per_pid import PerPid, Wanted
from pidinfod.metrics.places import Places
from pidinfod.metrics.processes import ProcessCounts, count_processes, of_kernel
from pidinfod.metrics.program import family_maps
from pidinfod.metrics.recycling import Recycler
from pidinfod.metrics.schema import EVENTS, Series
from pidinfod.metrics.unseen import Unseen
from pidinfod.metrics.use import NOTHING, Observed, Totals, Use
from pidinfod.proc import procfs

log = logging.getLogger("pidinfod")

T = TypeVar("T")
K = TypeVar("K")

# Maps whose entries are counted beside those of the families.
COUNTED_MAPS = ("processes", "placements", "groups", "swept_signals", "ft_inflight")

NO_PIDS, NO_WISH = per_pid.Shown(), Wanted()

_GROUP = PROCESS.only("exec_id", "group")
_PLACED = PLACEMENT.only("exec_id", "group")


@dataclass(frozen=True)
class Snapshot:
    """What was read. What could not be read is missing."""

    # By family and series.
    counts: Mapping[str, Mapping[Series, int]] = field(default_factory=dict)
    # By family: what was counted in series that are not remembered.
    forgotten: Mapping[str, int] = field(default_factory=dict)
    shown: frozenset[str] = frozenset()  # groups that have series of their own
    waiting: int = 0  # those that have none, as there are too many
    groups_recycled: int = 0
    seen: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[tuple[str, str], int] = field(default_factory=dict)
    degraded: Mapping[str, int] = field(default_factory=dict)
    entries: Mapping[str, int] = field(default_factory=dict)
    run_stats: Mapping[str, RunStats] = field(default_factory=dict)  # by probe
    # None when they could not be swept.
    processes: ProcessCounts | None = field(default_factory=ProcessCounts)
    used: Mapping[str, Use] = field(default_factory=dict)  # by group
    used_by_others: Use = NOTHING  # groups that there are no more
    per_pid: per_pid.Shown = field(default_factory=per_pid.Shown)
    boot_time: float = 0.0  # the wall clock at the boot clock's zero, in seconds
    deaths: tuple[int, int] | None = None  # recorded, remembered
    misses: Mapping[str, int] | None = None  # of placement, by reason
    sweep_errors: Mapping[str, int] = field(default_factory=dict)  # by errno
    failures: Mapping[str, int] = field(default_factory=dict)  # of each part, so far
    failed: frozenset[str] = frozenset()  # parts, the last time
    seconds: Mapping[str, float] = field(default_factory=dict)  # of each part


class Parts:
    """Reads parts one after the other. A part that fails costs itself, and is counted."""

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self.failed: set[str] = set()  # at their last reading
        self.seconds: dict[str, float] = {}

    def read(self, name: str, function: Callable[[], T], missing: Any) -> T:
        """What the function returns, or `missing` when it raises."""
        start = time.perf_counter()
        self.failures[name] += 0
        try:
            found = function()
            self.failed.discard(name)
            return found
        except Exception as error:
            self.failures[name] += 1
            self.failed.add(name)
            log.error("reading %s: %s", name, error or type(error).__name__)
            return missing  # type: ignore[no-any-return]
        finally:
            self.seconds[name] = time.perf_counter() - start


class Source:
    """Where snapshots come from; safe for several threads.

    Without probes `loaded` has no maps, and only processes are counted.
    """

    def __init__(
        self,
        loaded: Loaded,
        rules: Rules,
        proc: Path,
        group_ttl: float,
        max_groups: int,
        shown_groups: int,
        wanted: Wanted = NO_WISH,
    ) -> None:
        self.loaded = loaded
        self.rules = rules
        self.wanted = wanted
        self.has_pid_info = pid_info.is_supported()
        self._sweeps_by_call = self.has_pid_info
        self.sweep = Sweep(loaded)
        self._knows_pids = True
        self._is_in_first_namespace = True
        self._proc = proc
        self._group_ttl = group_ttl
        self._max_groups = max_groups
        self._lock = threading.Lock()
        self._parts = Parts()
        self._sweep_errors: Counter[str] = Counter()
        self._places = Places(shown_groups, group_ttl)
        self._past = Past()
        self._used = Totals()
        self._observed = Observed()
        self._per_pid = PerPid(wanted)
        self._processes: list[per_pid.Process] = []  # of the last sweep, where they are wanted
        self._boot_time = BootTime()
        self._followed: Followed | None = None

    def follow(
        self,
        table: GroupTable,
        ledger: Ledger,
        placer: Placer,
        reader: Reader,
        knows_pids: bool = True,
        is_in_first_namespace: bool = True,
    ) -> None:
        """With probes: who takes their records.

        `knows_pids`: whether /proc has the PIDs that the probes see. `is_in_first_namespace`:
        whether system calls of this process take and give them.
        """
        recycler = Recycler(
            self.loaded, table, FAMILIES, self._past, self._group_ttl, reader.drain,
            self._give_back_use,
        )  # fmt: skip
        unseen = Unseen(self.loaded) if is_in_first_namespace else None
        self._knows_pids = knows_pids
        self._is_in_first_namespace = is_in_first_namespace
        # Rather the /proc that knows the PIDs than a call that does not.
        self._sweeps_by_call &= is_in_first_namespace or not knows_pids
        self._followed = Followed(table, ledger, placer, reader, recycler, unseen)

    def tidy(self) -> None:
        """Remove the records of what ended unseen, and give back the ids of groups that nothing
        names any more; to be called now and then."""
        if self._followed is None:
            return
        unseen, recycler = self._followed.unseen, self._followed.recycler
        with self._lock:
            if unseen:
                self._parts.read("unseen", unseen.round, None)
            self._parts.read("recycling", lambda: recycler.round(time.monotonic()), None)

    def take(self) -> Snapshot:
        """Read everything once."""
        with self._lock:
            values = self._with_probes(self._followed) if self._followed else self._without()
            return Snapshot(
                **values,
                sweep_errors=dict(self._sweep_errors),
                failures=dict(self._parts.failures),
                failed=frozenset(self._parts.failed),
                seconds=dict(self._parts.seconds),
            )

    def _without(self) -> dict[str, Any]:
        read = self._parts.read
        swept = read("sweep", partial(self._sweep, self._group_by_rules), None)
        return self._told_of(swept, live=frozenset())

    def _told_of(self, swept: ProcessCounts | None, live: Set[str]) -> dict[str, Any]:
        """What a snapshot has of a sweep, or of one that failed. `live` are groups with ids."""
        self._give_places(swept.groups.keys() if swept else frozenset(), live)
        boot_time = self._boot_time.now()
        used, others = self._used.split(live | self._places.shown)
        return {
            "processes": swept,
            "used": used,
            "used_by_others": others,
            "per_pid": self._per_pid.choose(self._processes, boot_time) if swept else NO_PIDS,
            "boot_time": boot_time,
            "shown": self._places.shown,
            "waiting": self._places.waiting,
        }

    def _with_probes(self, followed: Followed) -> dict[str, Any]:
        read, maps = self._parts.read, self.loaded.maps
        # Seen comes first, the ring has execs to count: in traffic, what is counted may be ahead
        # of what was seen, but never behind.
        seen = read("seen", lambda: self._array("seen", EVENTS.names), {})
        read("ring", followed.reader.drain, None)
        raw: dict[str, dict[bytes, int] | None] = {
            name: read(name, partial(libbpf.read_counts, maps[name]), None)
            for name in family_maps()
        }
        placed = read("placed_execs", self._placed_execs, None)
        found_in_kernel, groups = None, {}
        if self._sweeps_in_kernel:
            found_in_kernel = read("sweep", partial(self.sweep.run, self.wanted.any), None)
        elif self._knows_pids:
            groups = read("processes", self._groups, {})
        # Names come after what they are of: the counts of an id that came in between would be
        # of "other" this once, and then gone from there.
        table = read("groups", followed.table.names, None)
        names = table or GroupNames()
        past = self._past.counts()
        counts = {}
        for family in FAMILIES:
            found = [raw[name] for name in (family.name, family.other_map) if name]
            # Counts of groups without their names would all be of "other".
            if None in found or (table is None and family.group_labels):
                continue
            series = family.first(self._declared)
            for counted in filter(None, found):
                _add(series, family.decode(counted, names))
            _add(series, past.get(family.name, {}))
            counts[family.name] = series
        if placed is None:
            counts.pop("execs", None)  # one part of them is less than was told before
        elif "execs" in counts:
            for group, count in placed.items():
                _add(counts["execs"], {(names[group],): count})
        if found_in_kernel is not None:
            swept = self._of_kernel(found_in_kernel, names) if table else None
        elif self._sweeps_in_kernel:
            swept = None
        else:
            group_of = partial(self._known_group, groups if table else {}, names)
            swept = read("sweep", partial(self._sweep, group_of), None)
        entries = {name: len(found) for name, found in raw.items() if found is not None}
        for name in COUNTED_MAPS:
            number = read(f"entries of {name}", partial(libbpf.count_entries, maps[name]), None)
            if number is not None:
                entries[name] = number
        return {
            "counts": counts,
            "forgotten": dict(self._past.forgotten),
            "groups_recycled": followed.recycler.recycled,
            "seen": seen,
            "dropped": read("drops", lambda: self._array("drops", DROPS), {}),
            "degraded": read("degraded", partial(self._degraded, followed), {}),
            "entries": entries,
            "run_stats": read("run_stats", self._run_stats, {}),
            "deaths": (followed.ledger.recorded, len(followed.ledger)),
            "misses": dict(followed.placer.misses),
            # Who has a place keeps it while the names cannot be read.
            **self._told_of(swept, table.live if table else self._places.shown),
        }

    @property
    def _declared(self) -> list[str]:
        return [group.name for group in self.rules.groups]

    def _array(self, name: str, names: Sequence[K]) -> dict[K, int]:
        counts = libbpf.read_percpu_array(self.loaded.maps[name])
        return dict(zip(names, counts, strict=False))

    def _degraded(self, followed: Followed) -> dict[str, int]:
        """What the probes lost, and what was found that they did not see."""
        unseen = followed.unseen.counts if followed.unseen else {}
        return self._array("degraded", DETAILS) | dict(unseen)

    def _placed_execs(self) -> dict[int, int]:
        """Execs that user space counted, by group id."""
        placed = self.loaded.maps["placed_execs"]
        records = libbpf.read_records(placed, struct.Struct("=Q"))
        return {group: count for group, (count,) in records}

    def _groups(self) -> dict[int, int]:
        """Group id by process: a placement holds for the program that was looked at."""
        placements = {
            tgid: (exec_id, group)
            for tgid, (exec_id, group) in libbpf.read_records(
                self.loaded.maps["placements"], _PLACED
            )
        }
        found = {}
        for tgid, (exec_id, group) in libbpf.read_records(self.loaded.maps["processes"], _GROUP):
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
        facts, _ = read_facts(self._proc / str(process.pid), comm, self.rules.needs)
        place = self.rules.place(facts)
        if place is not None:
            return self.rules.groups[place].name
        return label_of_comm(process.comm, self._declared)

    @property
    def _sweeps_in_kernel(self) -> bool:
        return self.sweep.is_there and self._is_in_first_namespace

    @property
    def sweeps_by(self) -> tuple[str, str]:
        """How processes are swept, and why not by what would be better."""
        if self._sweeps_in_kernel:
            return "bpf_iter", ""
        why = self.sweep.reason or "not in the first PID namespace"
        return "get_pid_info" if self._sweeps_by_call else "procfs", why

    def note_use(self, seconds: float) -> None:
        """Have what processes used until now noted, unless that was done so many seconds ago.
        Raises OSError."""
        if self._sweeps_in_kernel:
            self.sweep.refresh(seconds)

    def _give_back_use(self, group: int, name: str) -> None:
        if self._sweeps_in_kernel:
            self._used.give_back(name, self.sweep.take_past(group))

    def _of_kernel(self, found: Found, names: GroupNames) -> ProcessCounts:
        counts, used = of_kernel(found, names, self.loaded.absent)
        self._used.update(used)
        self._processes = [
            per_pid.Process(pid, start_ns, names[group], *figures)
            for pid, (start_ns, _, group, *figures) in found.processes.items()
        ]
        return counts

    def _sweep(self, group_of: Callable[[Swept], str]) -> ProcessCounts:
        if self._sweeps_by_call:
            found, absent = pid_info.sweep(), pid_info.ABSENT
        else:
            found, absent = procfs.sweep(self._proc, self._sweep_errors), procfs.ABSENT
        errors = self._sweep_errors.total()
        placed = list(self._bounded(found, group_of))
        is_whole = errors == self._sweep_errors.total()
        self._used.update(self._observed.update(placed, is_whole))
        if self.wanted.any:
            self._processes = [
                per_pid.Process(one.pid, one.start_ns, group, one.use[0], one.resident_bytes, 0, 0)
                for one, group in placed
            ]
        return count_processes(placed, absent)

    def _bounded(
        self, found: Iterable[Swept], group_of: Callable[[Swept], str]
    ) -> Iterator[tuple[Swept, str]]:
        """Each process and its group; the names beyond `max_groups` are "other"."""
        names = {*FIXED_GROUP.names, *self._declared}
        for process in found:
            group = group_of(process)
            if group not in names and len(names) >= self._max_groups:
                group = "other"
            names.add(group)
            yield process, group

    def _give_places(self, present: Set[str], live: Set[str]) -> None:
        always = {*FIXED_GROUP.names, *self._declared}
        self._places.update(always, present, live, time.monotonic())

    def _run_stats(self) -> dict[str, RunStats]:
        return {
            probe.name: libbpf.run_stats(probe.prog_fd)
            for probe in self.loaded.probes
            if probe.prog_fd is not None
        }


@dataclass(frozen=True)
class Followed:
    """Who takes the records of the probes."""

    table: GroupTable
    ledger: Ledger
    placer: Placer
    reader: Reader
    recycler: Recycler
    unseen: Unseen | None  # None outside of the first PID namespace


def _add(series: dict[Series, int], more: Mapping[Series, int]) -> None:
    for key, count in more.items():
        series[key] = series.get(key, 0) + count
