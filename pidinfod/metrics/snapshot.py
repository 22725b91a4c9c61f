# SPDX-License-Identifier: Apache-2.0
"""One frozen view of everything. Each part is read on its own: one that fails is missing alone."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pidinfod.deaths.ledger import Ledger
from pidinfod.groups.names import GroupNames
from pidinfod.groups.placement import Placer
from pidinfod.groups.rules import Rules
from pidinfod.groups.table import GroupTable
from pidinfod.kernel import libbpf, pid_info
from pidinfod.kernel.boot_time import BootTime
from pidinfod.kernel.events import Reader
from pidinfod.kernel.handoff import Loaded
from pidinfod.kernel.libbpf import RunStats
from pidinfod.kernel.records import FIXED_GROUP
from pidinfod.metrics import per_pid
from pidinfod.metrics.families import DETAILS, DROPS, FAMILIES
from pidinfod.metrics.parts import Parts
from pidinfod.metrics.past import Past
from pidinfod.metrics.per_pid import PerPid, Wanted
from pidinfod.metrics.places import Places
from pidinfod.metrics.processes import ProcessCounts
from pidinfod.metrics.program import family_maps
from pidinfod.metrics.recycling import Recycler
from pidinfod.metrics.schema import EVENTS, Series
from pidinfod.metrics.sweeping import NO_WISH, Looked, Sweeper
from pidinfod.metrics.unseen import Unseen
from pidinfod.metrics.use import NOTHING, Use

K = TypeVar("K")

# Maps whose entries are counted beside those of the families.
COUNTED_MAPS = ("processes", "placements", "groups", "swept_signals", "ft_inflight")

NO_PIDS = per_pid.Shown()


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
        self.sweeper = Sweeper(loaded, rules, proc, max_groups, wanted)
        self.has_pid_info = pid_info.is_supported()
        self._group_ttl = group_ttl
        self._lock = threading.Lock()
        self._parts = Parts()
        self._places = Places(shown_groups, group_ttl)
        self._past = Past()
        self._per_pid = PerPid(wanted)
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
            self.sweeper.give_back,
        )  # fmt: skip
        unseen = Unseen(self.loaded) if is_in_first_namespace else None
        self.sweeper.see(knows_pids, is_in_first_namespace)
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
                sweep_errors=dict(self.sweeper.errors),
                failures=dict(self._parts.failures),
                failed=frozenset(self._parts.failed),
                seconds=dict(self._parts.seconds),
            )

    def _without(self) -> dict[str, Any]:
        return self._told_of(self.sweeper.tell(self._parts, Looked(), None), live=frozenset())

    def _told_of(self, swept: ProcessCounts | None, live: Set[str]) -> dict[str, Any]:
        """What a snapshot has of a sweep, or of one that failed. `live` are groups with ids."""
        self._give_places(swept.groups.keys() if swept else frozenset(), live)
        boot_time = self._boot_time.now()
        used, others = self.sweeper.used(live | self._places.shown)
        return {
            "processes": swept,
            "used": used,
            "used_by_others": others,
            "per_pid": self._per_pid.choose(self.sweeper.processes, boot_time)
            if swept else NO_PIDS,
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
        looked = self.sweeper.look(self._parts)
        # Names come after what they are of: the counts of an id that came in between would be
        # of "other" this once, and then gone from there.
        table = read("groups", followed.table.names, None)
        names = GroupNames() if table is None else table
        past = self._past.counts()
        counts = {}
        for family in FAMILIES:
            found = [raw[name] for name in (family.name, family.other_map) if name]
            # Counts of groups without their names would all be of "other".
            if None in found or (table is None and family.group_labels):
                continue
            series = family.first(self.rules.names)
            for counted in filter(None, found):
                _add(series, family.decode(counted, names))
            _add(series, past.get(family.name, {}))
            counts[family.name] = series
        if placed is None:
            counts.pop("execs", None)  # one part of them is less than was told before
        elif "execs" in counts:
            for group, count in placed.items():
                _add(counts["execs"], {(names[group],): count})
        swept = self.sweeper.tell(self._parts, looked, table)
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
            **self._told_of(swept, self._places.shown if table is None else table.live),
        }

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

    def _give_places(self, present: Set[str], live: Set[str]) -> None:
        always = {*FIXED_GROUP.names, *self.rules.names}
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
