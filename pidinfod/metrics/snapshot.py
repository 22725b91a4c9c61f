# SPDX-License-Identifier: Apache-2.0
"""One frozen view of everything, taken once per scrape."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from pidinfod.deaths.ledger import Ledger
from pidinfod.groups.placement import Placer, read_facts
from pidinfod.groups.rules import Facts, Rules
from pidinfod.kernel import libbpf, pid_info
from pidinfod.kernel.handoff import Loaded, Probe
from pidinfod.kernel.libbpf import RunStats
from pidinfod.kernel.names import signal_set
from pidinfod.kernel.pid_info import PidInfo
from pidinfod.metrics import decode
from pidinfod.proc import procfs
from pidinfod.service.config import Config

log = logging.getLogger("pidinfod")


@dataclass(frozen=True)
class ProcessCounts:
    """Processes of one sweep by group, and by state or signal."""

    states: Counter[tuple[str, str]] = field(default_factory=Counter)
    zombies: Counter[str] = field(default_factory=Counter)  # by the group of the parent
    pending: Counter[tuple[str, str]] = field(default_factory=Counter)
    blocked: Counter[tuple[str, str]] = field(default_factory=Counter)
    # Signals queued and their limit, of the group's process that is nearest to it. The kernel
    # counts them by user.
    queues: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """What was read. A map that could not be read is absent; who needs it fails alone."""

    counts: Mapping[str, Mapping[bytes, int]]
    drops: tuple[int, ...]
    seen: tuple[int, ...]
    entries: Mapping[str, int]
    groups: decode.GroupNames
    processes: ProcessCounts
    run_stats: Mapping[str, RunStats] = field(default_factory=dict)  # by probe


class Recent:
    """Groups that have processes, or had not long ago."""

    def __init__(self, ttl: float) -> None:
        self._ttl = ttl
        self._seen: dict[str, float] = {}

    def update(self, present: Set[str], now: float) -> set[str]:
        """Note those that are there now, and give those of the last `ttl` seconds."""
        self._seen |= dict.fromkeys(present, now)
        self._seen = {name: at for name, at in self._seen.items() if now - at <= self._ttl}
        return set(self._seen)


@dataclass(frozen=True)
class Sources:
    """Where snapshots come from."""

    config: Config
    loaded: Loaded
    has_pid_info: bool
    ledger: Ledger | None = None
    placer: Placer | None = None
    recent: Recent = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "recent", Recent(self.config.group_ttl))

    @property
    def probes(self) -> tuple[Probe, ...]:
        return self.loaded.probes


def group_names(config: Config, loaded: Loaded) -> decode.GroupNames:
    """The groups that there are now. Raises OSError."""
    declared = [group.name for group in config.groups]
    return decode.GroupNames(libbpf.read_plain(loaded.maps["groups"]), declared)


def take(sources: Sources) -> Snapshot:
    """Read everything once."""
    if sources.ledger:
        sources.ledger.catch_up()
    counts: dict[str, dict[bytes, int]] = {}
    plain: dict[str, dict[bytes, bytes]] = {}
    arrays: dict[str, list[int]] = {"drops": [], "seen": []}
    for name, handle in sources.loaded.maps.items():
        try:
            if name in arrays:
                arrays[name] = libbpf.read_percpu_array(handle)
            elif handle.is_percpu:
                counts[name] = libbpf.read_counts(handle)
            else:
                plain[name] = libbpf.read_plain(handle)
        except OSError as error:
            log.error("%s", error)
    declared = [group.name for group in sources.config.groups]
    groups = decode.GroupNames(plain.get("groups", {}), declared)
    group_of = decode.group_of(plain.get("group_of", {}), plain.get("placements", {}))
    for group, count in decode.placed_execs(plain.get("placed_execs", {})).items():
        counts["execs"][group] = counts["execs"].get(group, 0) + count
    return Snapshot(
        counts=counts,
        drops=tuple(arrays["drops"]),
        seen=tuple(arrays["seen"]),
        entries={name: len(table) for name, table in (counts | plain).items()},
        groups=groups,
        processes=count_processes(group_processes(sources, groups, group_of)),
        run_stats={
            probe.name: libbpf.run_stats(probe.prog_fd)
            for probe in sources.probes
            if probe.prog_fd is not None
        },
    )


def group_processes(
    sources: Sources, groups: decode.GroupNames, group_of: Mapping[int, int]
) -> Iterator[tuple[PidInfo, str]]:
    """Every process and its group; without probes each is looked at anew."""
    config = sources.config
    rules, has_probes = Rules(config.groups), bool(sources.loaded.maps)
    room = config.max_groups - len(config.groups)
    names: dict[str, str] = {}
    mask = pid_info.IDENT | pid_info.SIGNALS
    found = pid_info.sweep(mask) if sources.has_pid_info else procfs.sweep(Path(config.procfs))
    for info in found:
        if info.pid in group_of:
            group = groups[group_of[info.pid]]
        elif (place := rules.place(facts_of(info, rules, config, has_probes))) is not None:
            group = config.groups[place].name
        else:
            if info.comm not in names:
                names[info.comm] = info.comm if len(names) < room else "other"
            group = names[info.comm]
        yield info, group


def facts_of(info: PidInfo, rules: Rules, config: Config, has_probes: bool) -> Facts:
    """Of a process that is in no map. With probes that is a zombie, which has but a name."""
    if has_probes:
        return Facts(info.comm)
    return read_facts(Path(config.procfs) / str(info.pid), info.comm.encode(), rules.needs)[0]


def count_processes(found: Iterable[tuple[PidInfo, str]]) -> ProcessCounts:
    """What is told of the processes of each group."""
    counts = ProcessCounts()
    group_of_pid: dict[int, str] = {}
    unreaped: list[int] = []
    for info, group in found:
        group_of_pid[info.pid] = group
        counts.states[group, info.state] += 1
        # One whose other threads live on is not dead.
        if info.state == "Z" and info.num_threads <= 1:
            unreaped.append(info.ppid)
        if info.sig_blocked is None or info.sigq_len is None or not info.sigq_limit:
            continue
        for signal in signal_set((info.sig_pending or 0) | (info.sig_shared_pending or 0)):
            counts.pending[group, signal] += 1
        for signal in signal_set(info.sig_blocked):
            counts.blocked[group, signal] += 1
        queued, limit = counts.queues.get(group, (0, 0))
        if not limit or info.sigq_len * limit > queued * info.sigq_limit:
            counts.queues[group] = (info.sigq_len, info.sigq_limit)
    for parent in unreaped:
        counts.zombies[group_of_pid.get(parent, "kernel")] += 1
    return counts
