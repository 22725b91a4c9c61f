# SPDX-License-Identifier: Apache-2.0
"""One frozen view of everything. Each part is read on its own: one that fails is missing alone."""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections import Counter as Totals
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
from pidinfod.kernel.events import Reader
from pidinfod.kernel.handoff import Loaded
from pidinfod.kernel.libbpf import RunStats
from pidinfod.kernel.pid_info import Swept
from pidinfod.kernel.records import FIXED_GROUP, PLACEMENT, PROCESS
from pidinfod.metrics.families import DETAILS, DROPS, FAMILIES
from pidinfod.metrics.past import Past
from pidinfod.metrics.places import Places
from pidinfod.metrics.processes import ProcessCounts, count_processes
from pidinfod.metrics.program import family_maps
from pidinfod.metrics.recycling import Recycler
from pidinfod.metrics.schema import EVENTS, Series
from pidinfod.metrics.unseen import Unseen
from pidinfod.proc import procfs

log = logging.getLogger("pidinfod")

T = TypeVar("T")
K = TypeVar("K")

# Maps whose entries are counted beside those of the families.
COUNTED_MAPS = ("processes", "placements", "groups", "ft_inflight")

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
    processes: ProcessCounts = field(default_factory=ProcessCounts)
    deaths: tuple[int, int] | None = None  # recorded, remembered
    misses: Mapping[str, int] | None = None  # of placement, by reason
    sweep_errors: Mapping[str, int] = field(default_factory=dict)  # by errno
    failures: Mapping[str, int] = field(default_factory=dict)  # of each part, so far
    failed: frozenset[str] = frozenset()  # parts, the last time
    seconds: Mapping[str, float] = field(default_factory=dict)  # of each part


class Parts:
    """Reads parts one after the other. A part that fails costs itself, and is counted."""

    def __init__(self) -> None:
        self.failures: Totals[str] = Totals()
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
    ) -> None:
        self.loaded = loaded
        self.rules = rules
        self.has_pid_info = pid_info.is_supported()
        self._sweeps_by_call = self.has_pid_info
        self._knows_pids = True
        self._proc = proc
        self._group_ttl = group_ttl
        self._max_groups = max_groups
        self._lock = threading.Lock()
        self._parts = Parts()
        self._sweep_errors: Totals[str] = Totals()
        self._places = Places(shown_groups, group_ttl)
        self._past = Past()
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
            self.loaded, table, FAMILIES, self._past, self._group_ttl, reader.drain
        )
        unseen = Unseen(self.loaded) if is_in_first_namespace else None
        self._knows_pids = knows_pids
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
        swept = read("sweep", lambda: self._sweep(self._group_by_rules), ProcessCounts())
        self._give_places(swept, live=frozenset())
        return {
            "processes": swept,
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
        groups = read("processes", self._groups, {}) if self._knows_pids else {}
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
        group_of = partial(self._known_group, groups if table else {}, names)
        swept = read("sweep", lambda: self._sweep(group_of), ProcessCounts())
        # Who has a place keeps it while the names cannot be read.
        self._give_places(swept, table.live if table else self._places.shown)
        entries = {name: len(found) for name, found in raw.items() if found is not None}
        for name in COUNTED_MAPS:
            number = read(f"entries of {name}", partial(libbpf.count_entries, maps[name]), None)
            if number is not None:
                entries[name] = number
        return {
            "counts": counts,
            "forgotten": dict(self._past.forgotten),
            "shown": self._places.shown,
            "waiting": self._places.waiting,
            "groups_recycled": followed.recycler.recycled,
            "seen": seen,
            "dropped": read("drops", lambda: self._array("drops", DROPS), {}),
            "degraded": read("degraded", partial(self._degraded, followed), {}),
            "entries": entries,
            "run_stats": read("run_stats", self._run_stats, {}),
            "processes": swept,
            "deaths": (followed.ledger.recorded, len(followed.ledger)),
            "misses": dict(followed.placer.misses),
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

    def _sweep(self, group_of: Callable[[Swept], str]) -> ProcessCounts:
        if self._sweeps_by_call:
            found = pid_info.sweep()
        else:
            found = procfs.sweep(self._proc, self._sweep_errors)
        return count_processes(self._bounded(found, group_of))

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

    def _give_places(self, swept: ProcessCounts, live: Set[str]) -> None:
        always = {*FIXED_GROUP.names, *self._declared}
        present = {group for group, _ in swept.states}
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
