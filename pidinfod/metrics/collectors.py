# SPDX-License-Identifier: Apache-2.0
"""Snapshot to metric families.

Each collector is a function of a snapshot; it is timed and on its own: one that raises costs
its own families and nothing else.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client import registry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from pidinfod import __version__
from pidinfod.kernel.libbpf import MapHandle
from pidinfod.metrics import decode
from pidinfod.metrics.snapshot import Snapshot, Sources, take

log = logging.getLogger("pidinfod")

STATES = ("R", "S", "D", "T", "t", "Z", "I")

Families = Iterable[Metric]
Labels = tuple[str, ...]


def _counter(
    name: str, text: str, labels: Sequence[str], values: Mapping[Labels, float]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"pidinfod_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _gauge(
    name: str, text: str, labels: Sequence[str], samples: Iterable[tuple[Sequence[str], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"pidinfod_{name}", text, labels=labels)
    for key, value in samples:
        family.add_metric(key, value)
    return family


def _histogram(
    name: str,
    text: str,
    label: str,
    bounds: Sequence[float],
    histograms: Mapping[str, decode.Histogram],
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"pidinfod_{name}", text, labels=(label,))
    texts = [*(f"{bound:g}" for bound in bounds), "+Inf"]
    for key, (buckets, seconds) in histograms.items():
        family.add_metric((key,), list(zip(texts, buckets, strict=True)), seconds)
    return family


def ft_calls(sources: Sources, snapshot: Snapshot) -> Families:
    """The four calls of the patched kernel."""
    supported = GaugeMetricFamily(
        "pidinfod_ft_supported", "1 when the kernel has get_pid_info and the ft_* calls."
    )
    supported.add_metric((), sources.has_pid_info)
    yield supported
    if not sources.has_pid_info:
        return
    calls: dict[Labels, int] = {(name, "ok"): 0 for name in decode.SYSCALLS.values()}
    yield _counter(
        "ft_calls", "Calls of the patched kernel's system calls.", ("syscall", "result"),
        calls | decode.ft_calls(snapshot.counts["ft_calls"]),
    )  # fmt: skip
    yield _counter(
        "ft_kill_signals", "Calls of ft_kill.", ("signal", "result"),
        decode.ft_kill_signals(snapshot.counts["ft_calls"]),
    )  # fmt: skip
    yield _histogram(
        "ft_call_duration_seconds", "Time in the call.", "syscall", decode.BOUNDS,
        decode.ft_durations(
            snapshot.counts["ft_call_duration"], snapshot.counts["ft_call_duration_ns"]
        ),
    )  # fmt: skip


def signals(sources: Sources, snapshot: Snapshot) -> Families:
    """Signals by who sent them and what became of them."""
    yield _counter(
        "signals_generated", "Signals generated, by the kernel's own account of the result.",
        ("signal", "origin", "result", "sender", "target"),
        decode.signals_generated(snapshot.counts["signals_generated"], snapshot.groups),
    )  # fmt: skip
    calls = snapshot.counts["kill_calls"]
    yield _counter(
        "kill_failures", "Calls that could not send a signal.", ("call", "errno", "sender"),
        decode.kill_calls(calls, snapshot.groups, is_probe=False),
    )  # fmt: skip
    yield _counter(
        "liveness_probes", "Calls with signal 0, which asks whether somebody is there.",
        ("call", "result", "sender"), decode.kill_calls(calls, snapshot.groups, is_probe=True),
    )  # fmt: skip
    yield _counter(
        "signals_delivered",
        "Signals that a task took; one that kills is taken as SIGKILL.",
        ("signal", "disposition", "target"),
        decode.signals_delivered(snapshot.counts["signals_delivered"], snapshot.groups),
    )  # fmt: skip
    delivery = snapshot.counts["delivery"]
    yield _histogram(
        "signal_delivery_seconds", "From generation to delivery.", "class", decode.BOUNDS,
        decode.deliveries(delivery),
    )  # fmt: skip
    yield _counter(
        "signal_delivery_unmatched", "Generations without a delivery, or the other way round.",
        ("class", "reason"),
        decode.unmatched_deliveries(delivery),
    )  # fmt: skip


def lifecycle(sources: Sources, snapshot: Snapshot) -> Families:
    """Forks, execs and exits; declared groups from the start."""
    names = [group.name for group in sources.config.groups]
    forks: dict[Labels, int] = {("process", "native", name): 0 for name in names}
    execs: dict[Labels, int] = {(name,): 0 for name in names}
    exits: dict[Labels, int] = {(name, "exited", "0"): 0 for name in names}
    yield _counter(
        "forks", "New tasks, by the parent's group.", ("kind", "via", "group"),
        forks | decode.forks(snapshot.counts["forks"], snapshot.groups),
    )  # fmt: skip
    yield _counter(
        "execs", "Programs started, by the group that it made.", ("group",),
        execs | decode.execs(snapshot.counts["execs"], snapshot.groups),
    )  # fmt: skip
    yield _counter(
        "exits", "Processes ended.", ("group", "reason", "status"),
        exits | decode.exits(snapshot.counts["exits"], snapshot.groups),
    )  # fmt: skip
    zero: dict[Labels, int] = {(name,): 0 for name in names}
    lives, groups = snapshot.counts["lives"], snapshot.groups
    empty = [0] * (len(decode.LIFE_BOUNDS) + 1)
    nothing: dict[str, decode.Histogram] = {name: (empty, 0.0) for name in names}
    yield _counter(
        "shutdown_escalations", "Processes that SIGKILL ended after SIGTERM.", ("group",),
        zero | decode.life_counts(lives, groups, decode.ESCALATIONS),
    )  # fmt: skip
    yield _counter(
        "oom_kills", "Processes that the OOM killer ended.", ("group",),
        zero | decode.life_counts(lives, groups, decode.OOM_KILLS),
    )  # fmt: skip
    yield _histogram(
        "process_lifetime_seconds", "From fork to the exit of the last thread.", "group",
        decode.LIFE_BOUNDS,
        nothing | decode.life_histograms(lives, groups, decode.LIFETIME, decode.LIFETIME_NS),
    )  # fmt: skip
    yield _histogram(
        "shutdown_seconds", "From the first SIGTERM to the exit.", "group", decode.LIFE_BOUNDS,
        nothing | decode.life_histograms(lives, groups, decode.SHUTDOWN, decode.SHUTDOWN_NS),
    )  # fmt: skip
    yield _histogram(
        "reap_delay_seconds",
        "From the exit of a process until the kernel forgets it, which is an RCU grace period "
        "after its parent reaped it.",
        "parent", decode.LIFE_BOUNDS,
        nothing | decode.life_histograms(lives, groups, decode.REAP_DELAY, decode.REAP_DELAY_NS),
    )  # fmt: skip
    yield _counter(
        "reapings_unseen", "Processes whose reaping the probe did not see.", ("parent",),
        zero | decode.life_counts(lives, groups, decode.REAPED_UNSEEN),
    )  # fmt: skip


def deaths(sources: Sources, snapshot: Snapshot) -> Families:
    """How many deaths were recorded, and how many are remembered."""
    if sources.ledger is None:
        return
    yield _counter(
        "deaths_recorded", "Deaths taken from the ring.", (), {(): sources.ledger.recorded}
    )
    remembered = GaugeMetricFamily("pidinfod_deaths_remembered", "Deaths that can be asked for.")
    remembered.add_metric((), len(sources.ledger))
    yield remembered


def processes(sources: Sources, snapshot: Snapshot) -> Families:
    """Processes there are."""
    counts = snapshot.processes
    declared = [group.name for group in sources.config.groups]
    recent = sources.recent.update({group for group, _ in counts.states}, time.monotonic())
    names = sorted({*declared, *recent})
    yield _gauge(
        "group_processes", "Processes, by state as in /proc/PID/stat.", ("group", "state"),
        (((name, state), counts.states[name, state]) for name in names for state in STATES),
    )  # fmt: skip
    yield _gauge(
        "zombies", "Dead processes that their parent has not reaped, by its group.", ("parent",),
        (((name,), counts.zombies[name]) for name in sorted({*names, *counts.zombies})),
    )  # fmt: skip
    yield _gauge(
        "group_signals_pending", "Processes that have the signal pending.", ("group", "signal"),
        counts.pending.items(),
    )  # fmt: skip
    yield _gauge(
        "group_signals_blocked", "Processes whose main thread blocks the signal.",
        ("group", "signal"), counts.blocked.items(),
    )  # fmt: skip
    yield _gauge(
        "group_signals_queued",
        "Signals queued for the user of the group's process that is nearest to its limit.",
        ("group",), (((name,), queued) for name, (queued, _) in counts.queues.items()),
    )  # fmt: skip
    yield _gauge(
        "group_signals_queued_limit", "The limit of that process, RLIMIT_SIGPENDING.", ("group",),
        (((name,), limit) for name, (_, limit) in counts.queues.items()),
    )  # fmt: skip


def group_misses(sources: Sources, snapshot: Snapshot) -> Families:
    """What the rules could not be asked about."""
    if sources.placer is None:
        return
    misses: dict[Labels, float] = {(why,): n for why, n in sources.placer.misses.items()}
    yield _counter(
        "group_misses", "Processes that rules on more than the name could not place, or not whole.",
        ("reason",), misses,
    )  # fmt: skip


def probes(sources: Sources, snapshot: Snapshot) -> Families:
    """What is attached, what not and why, what it cost and what was lost."""
    attached = GaugeMetricFamily(
        "pidinfod_probe_attached", "1 when the probe is attached, else the reason.",
        labels=("probe", "reason"),
    )  # fmt: skip
    for probe in sources.probes:
        attached.add_metric((probe.name, probe.reason), probe.attached)
    yield attached
    stats = snapshot.run_stats
    yield _counter(
        "probe_runs", "Runs, while kernel.bpf_stats_enabled is set.", ("probe",),
        {(name,): stat.runs for name, stat in stats.items()},
    )  # fmt: skip
    yield _counter(
        "probe_run_seconds", "Time in the probe, while kernel.bpf_stats_enabled is set.",
        ("probe",), {(name,): stat.run_ns / 1e9 for name, stat in stats.items()},
    )  # fmt: skip
    causes = decode.drops(snapshot.drops).items()
    dropped: dict[Labels, float] = {(cause,): count for cause, count in causes}
    # A program that would interrupt another on its CPU is not run.
    dropped["probe_missed",] = sum(stat.misses for stat in stats.values())
    yield _counter("dropped", "What could not be counted.", ("cause",), dropped)
    yield _counter(
        "events_seen", "What the probes saw: each was counted or dropped.", ("event",),
        {(event,): count for event, count in decode.seen(snapshot.seen).items()},
    )  # fmt: skip


def maps(sources: Sources, snapshot: Snapshot) -> Families:
    """How full the maps are."""
    entries = GaugeMetricFamily("pidinfod_map_entries", "Entries in use.", labels=("map",))
    capacity = GaugeMetricFamily("pidinfod_map_capacity", "Entries at most.", labels=("map",))
    handles: Mapping[str, MapHandle] = sources.loaded.maps
    for name, count in snapshot.entries.items():
        entries.add_metric((name,), count)
        capacity.add_metric((name,), handles[name].max_entries)
    return entries, capacity


def build_info(sources: Sources, snapshot: Snapshot) -> Families:
    """Which version this is and where it has processes from."""
    source = "get_pid_info" if sources.has_pid_info else "procfs"
    yield InfoMetricFamily(
        "pidinfod_build", "What runs here.", value={"version": __version__, "source": source}
    )


ALWAYS: tuple[Callable[[Sources, Snapshot], Families], ...] = (build_info, processes)
WITH_PROBES = (ft_calls, signals, lifecycle, deaths, group_misses, probes, maps)


class Collector(registry.Collector):
    """The one collector that is registered; a scrape at a time."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._lock = threading.Lock()

    def describe(self) -> list[Metric]:
        """Nothing, so that registering reads nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Take a snapshot and tell it."""
        seconds = GaugeMetricFamily(
            "pidinfod_collector_duration_seconds", "Time in the collector.", labels=("collector",)
        )
        success = GaugeMetricFamily(
            "pidinfod_collector_success", "1 when the collector worked.", labels=("collector",)
        )
        with self._lock:
            start = time.perf_counter()
            snapshot = take(self._sources)
            seconds.add_metric(("snapshot",), time.perf_counter() - start)
            functions = ALWAYS + (WITH_PROBES if self._sources.loaded.maps else (unattached,))
            for function in functions:
                start = time.perf_counter()
                try:
                    families = list(function(self._sources, snapshot))
                except Exception:
                    log.exception("collector %s", function.__name__)
                    success.add_metric((function.__name__,), 0)
                else:
                    success.add_metric((function.__name__,), 1)
                    yield from families
                seconds.add_metric((function.__name__,), time.perf_counter() - start)
        yield seconds
        yield success


def unattached(sources: Sources, snapshot: Snapshot) -> Families:
    """Without BPF: which probes are missing and why."""
    attached = GaugeMetricFamily(
        "pidinfod_probe_attached", "1 when the probe is attached, else the reason.",
        labels=("probe", "reason"),
    )  # fmt: skip
    for probe in sources.probes:
        attached.add_metric((probe.name, probe.reason), 0)
    yield attached
