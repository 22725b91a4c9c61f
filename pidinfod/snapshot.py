# SPDX-License-Identifier: Apache-2.0
"""One frozen view of everything, taken once per scrape."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pidinfod import decode, libbpf, pid_info, procfs
from pidinfod.config import Config
from pidinfod.deaths import Ledger
from pidinfod.handoff import Loaded, Probe
from pidinfod.libbpf import RunStats

log = logging.getLogger("pidinfod")


@dataclass(frozen=True)
class Snapshot:
    """What was read. A map that could not be read is absent; who needs it fails alone."""

    counts: Mapping[str, Mapping[bytes, int]]
    drops: tuple[int, ...]
    entries: Mapping[str, int]
    groups: decode.GroupNames
    processes: Mapping[tuple[str, str], int]  # by group and state
    run_stats: Mapping[str, RunStats] = field(default_factory=dict)  # by probe


@dataclass(frozen=True)
class Sources:
    """Where snapshots come from."""

    config: Config
    loaded: Loaded
    has_pid_info: bool
    ledger: Ledger | None = None

    @property
    def probes(self) -> tuple[Probe, ...]:
        return self.loaded.probes


def group_names(config: Config, loaded: Loaded) -> decode.GroupNames:
    """The groups that there are now. Raises OSError."""
    declared = [group.name for group in config.groups]
    return decode.GroupNames(libbpf.read_plain(loaded.maps["groups"]), declared)


def take(sources: Sources) -> Snapshot:
    """Read everything once."""
    counts: dict[str, dict[bytes, int]] = {}
    plain: dict[str, dict[bytes, bytes]] = {}
    drops: list[int] = []
    for name, handle in sources.loaded.maps.items():
        try:
            if name == "drops":
                drops = libbpf.read_percpu_array(handle)
            elif handle.is_percpu:
                counts[name] = libbpf.read_counts(handle)
            else:
                plain[name] = libbpf.read_plain(handle)
        except OSError as error:
            log.error("%s", error)
    declared = [group.name for group in sources.config.groups]
    groups = decode.GroupNames(plain.get("groups", {}), declared)
    group_of = decode.group_of(plain.get("group_of", {}))
    return Snapshot(
        counts=counts,
        drops=tuple(drops),
        entries={name: len(table) for name, table in (counts | plain).items()},
        groups=groups,
        processes=count_processes(sources, groups, group_of),
        run_stats={
            probe.name: libbpf.run_stats(probe.prog_fd)
            for probe in sources.probes
            if probe.prog_fd is not None
        },
    )


def count_processes(
    sources: Sources, groups: decode.GroupNames, group_of: Mapping[int, int]
) -> Counter[tuple[str, str]]:
    """Processes by group and state. Without probes a process is grouped by its name."""
    config = sources.config
    declared = {comm: group.name for group in config.groups for comm in group.comm}
    room = config.max_groups - len(config.groups)
    names: dict[str, str] = {}
    found = pid_info.sweep() if sources.has_pid_info else procfs.sweep(Path(config.procfs))
    processes: Counter[tuple[str, str]] = Counter()
    for info in found:
        if info.pid in group_of:
            group = groups[group_of[info.pid]]
        elif info.comm in declared:
            group = declared[info.comm]
        else:
            if info.comm not in names:
                names[info.comm] = info.comm if len(names) < room else "other"
            group = names[info.comm]
        processes[group, info.state] += 1
    return processes
