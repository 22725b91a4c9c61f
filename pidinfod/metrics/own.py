# SPDX-License-Identifier: Apache-2.0
"""What pidinfod tells of itself: probes, what they saw and lost, maps, and how reading went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.core import InfoMetricFamily, Metric

from pidinfod import __version__
from pidinfod.kernel.handoff import Loaded
from pidinfod.metrics.show import by_name, counter, gauge
from pidinfod.metrics.shown import Shown
from pidinfod.metrics.snapshot import Snapshot


def build(has_pid_info: bool, source: str) -> Iterable[Metric]:
    """Which version this is, and where it has processes from."""
    yield InfoMetricFamily(
        "pidinfod_build", "What runs here.", value={"version": __version__, "source": source}
    )
    yield gauge(
        "ft_supported", "1 when the kernel has get_pid_info and the ft_* calls.", (),
        {(): has_pid_info},
    )  # fmt: skip


def probes(loaded: Loaded, snapshot: Snapshot) -> Iterable[Metric]:
    """What is attached, what not and why, and what it cost."""
    yield gauge(
        "probe_attached", "1 when the probe is attached.", ("probe",),
        {(probe.name,): probe.attached for probe in loaded.probes},
    )  # fmt: skip
    yield gauge(
        "probe_missing_info", "Why a probe is not attached.", ("probe", "reason"),
        {(probe.name, probe.reason): 1 for probe in loaded.probes if not probe.attached},
    )  # fmt: skip
    stats = snapshot.run_stats
    # Without statistics nothing is counted: what never was is no 0.
    runs = {name: stat for name, stat in stats.items() if stat.runs}
    yield counter(
        "probe_runs", "Runs, while kernel.bpf_stats_enabled is set.", ("probe",),
        {(name,): stat.runs for name, stat in runs.items()},
    )  # fmt: skip
    yield counter(
        "probe_run_seconds", "Time in the probe, while kernel.bpf_stats_enabled is set.",
        ("probe",), {(name,): stat.run_ns / 1e9 for name, stat in runs.items()},
    )  # fmt: skip
    yield counter(
        "probe_missed", "Runs that the kernel left out, as the probe ran already on that CPU.",
        ("probe",), {(name,): stat.misses for name, stat in stats.items()},
    )  # fmt: skip


def events(snapshot: Snapshot) -> Iterable[Metric]:
    """What the probes saw and lost."""
    yield counter(
        "events_seen", "What the probes saw: at rest, each was counted or dropped.", ("event",),
        by_name(snapshot.seen),
    )  # fmt: skip
    yield counter(
        "dropped", "Events that were seen and could not be counted.", ("event", "cause"),
        snapshot.dropped,
    )  # fmt: skip
    yield counter(
        "degraded", "Events that were counted and lost a detail: *_groups, that they are of "
        "another group than \"other\".", ("what",), by_name(snapshot.degraded),
    )  # fmt: skip
    yield counter(
        "groups_recycled", "Group ids that were given back.", (), {(): snapshot.groups_recycled}
    )
    if snapshot.misses is not None:
        yield counter(
            "group_misses",
            "Processes that rules on more than the name could not place, or not by all rules.",
            ("reason",), by_name(snapshot.misses),
        )  # fmt: skip
    if snapshot.deaths is not None:
        recorded, remembered = snapshot.deaths
        yield counter("deaths_recorded", "Deaths taken from the ring.", (), {(): recorded})
        yield gauge("deaths_remembered", "Deaths that can be asked for.", (), {(): remembered})


def maps(
    loaded: Loaded, snapshot: Snapshot, memory: Mapping[str, int]
) -> Iterable[Metric]:
    """How full the maps are, and the memory that the kernel has for them."""
    yield gauge("map_entries", "Entries in use.", ("map",), by_name(snapshot.entries))
    yield gauge(
        "map_capacity", "Entries at most.", ("map",),
        {(name,): loaded.maps[name].max_entries for name in snapshot.entries},
    )  # fmt: skip
    yield gauge(
        "map_memory_bytes", "Memory of the map, by the kernel's account.", ("map",),
        by_name(memory),
    )  # fmt: skip


def hidden(shown: Shown, waiting: int) -> Iterable[Metric]:
    """What is not shown."""
    yield gauge(
        "hidden",
        "What a family comes to for groups without series of their own. With the family's series "
        "it makes the total.", ("family",), by_name(shown.hidden),
    )  # fmt: skip
    yield gauge(
        "hidden_series", "Series that such groups would have.", ("family",),
        by_name(shown.hidden_series),
    )  # fmt: skip
    yield gauge(
        "hidden_groups", "Groups that wait for one of the `shown_groups` places.", (),
        {(): waiting},
    )  # fmt: skip


def reading(snapshot: Snapshot) -> Iterable[Metric]:
    """How reading went."""
    parts = snapshot.failures
    yield gauge(
        "read_success", "1 when the part could be read.", ("part",),
        {(part,): part not in snapshot.failed for part in parts},
    )  # fmt: skip
    yield counter("read_failures", "Times that it could not.", ("part",), by_name(parts))
    yield gauge(
        "read_duration_seconds", "Time that reading the part took.", ("part",),
        by_name(snapshot.seconds),
    )  # fmt: skip
    yield counter(
        "sweep_errors", "Processes that could not be read.", ("errno",),
        by_name(snapshot.sweep_errors),
    )  # fmt: skip
