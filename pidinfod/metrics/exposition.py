# SPDX-License-Identifier: Apache-2.0
"""Snapshot to metric families."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from prometheus_client import registry
from prometheus_client.core import Metric

from pidinfod.kernel import libbpf
from pidinfod.kernel.handoff import Loaded
from pidinfod.metrics import ft_calls, own, per_pid, processes, use
from pidinfod.metrics.families import FAMILIES
from pidinfod.metrics.shown import Shown
from pidinfod.metrics.snapshot import Snapshot, Source


def families(
    snapshot: Snapshot,
    loaded: Loaded,
    declared: Collection[str],
    has_pid_info: bool,
    memory: Mapping[str, int],
    sweeps_by: str,
    has_per_pid: bool,
) -> Iterator[Metric]:
    """All that is told of a snapshot. A pure function of what it is given."""
    shown = Shown(snapshot.shown, declared)
    yield from own.build(has_pid_info, sweeps_by)
    swept = snapshot.processes
    if swept is not None:
        yield from processes.families(swept, declared, shown, snapshot.boot_time)
        yield from use.families(
            snapshot.used, snapshot.used_by_others, declared, swept.absent, shown
        )
        if has_per_pid:
            yield from per_pid.families(snapshot.per_pid, swept.absent)
    yield from own.reading(snapshot)
    yield from own.probes(loaded, snapshot)
    if loaded.maps:
        for family in FAMILIES:
            if family.name in snapshot.counts and (has_pid_info or family not in ft_calls.FAMILIES):
                counts = snapshot.counts[family.name]
                yield shown.counter(family, counts, snapshot.forgotten.get(family.name, 0))
        yield from own.events(snapshot)
        yield from own.maps(loaded, snapshot, memory)
    yield from own.hidden(shown, snapshot.waiting)


def declared_series(loaded: Loaded, declared: Collection[str]) -> int:
    """How many series declared groups have before anything happens."""

    def samples(names: Collection[str]) -> int:
        counts = {family.name: family.first(names) for family in FAMILIES}
        snapshot = Snapshot(counts=counts, shown=frozenset(names))
        told = families(snapshot, loaded, names, True, {}, "", has_per_pid=False)
        return sum(len(family.samples) for family in told)

    return samples(declared) - samples(())


class Collector(registry.Collector):
    """The one collector that is registered. `taken` is told of each snapshot."""

    def __init__(self, source: Source, taken: Callable[[Snapshot], object]) -> None:
        self._source = source
        self._taken = taken
        maps = source.loaded.maps
        # It does not change: all maps are there from the start, at their full size.
        self._memory = {name: libbpf.memory_bytes(handle) for name, handle in maps.items()}

    def describe(self) -> list[Metric]:
        """The families without samples: registering reads nothing, and name[] knows the names."""
        empty = Snapshot(
            counts={family.name: {} for family in FAMILIES}, deaths=(0, 0), misses={}
        )
        return list(self._families(empty))

    def collect(self) -> Iterator[Metric]:
        """Take a snapshot and tell it."""
        snapshot = self._source.take()
        self._taken(snapshot)
        yield from self._families(snapshot)

    def _families(self, snapshot: Snapshot) -> Iterator[Metric]:
        source = self._source
        return families(
            snapshot, source.loaded, source.rules.names, source.has_pid_info, self._memory,
            source.sweeper.way[0], source.sweeper.wanted.any,
        )  # fmt: skip
