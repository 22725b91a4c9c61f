# SPDX-License-Identifier: Apache-2.0
"""The processes that there are: by group what they are and use, and their signals."""

from __future__ import annotations

from collections import Counter as Totals
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import Metric

from pidinfod.kernel.names import signal_name, signal_set
from pidinfod.kernel.pid_info import Swept
from pidinfod.kernel.records import STATES
from pidinfod.kernel.sweep import Found
from pidinfod.metrics.show import by_name
from pidinfod.metrics.shown import Shown
from pidinfod.metrics.use import NOTHING, Use, add

_STATE_NUMBERS = {state: number for number, state in enumerate(STATES)}


@dataclass
class Figures:
    """The processes of one group."""

    processes: list[int] = field(default_factory=lambda: [0] * len(STATES))  # by state
    threads: list[int] = field(default_factory=lambda: [0] * len(STATES))
    resident_bytes: int = 0
    virtual_bytes: int = 0
    swap_bytes: int = 0
    descriptors: int = 0
    descriptors_ratio: float = 0.0  # of the process nearest to its limit
    oldest_start_ns: int = 0  # on the boot clock; 0 without a process
    queued: tuple[int, int] = (0, 0)  # signals and their limit, of the process nearest to it
    unreaped: int = 0  # dead children

    def started(self, start_ns: int) -> None:
        if start_ns and (not self.oldest_start_ns or start_ns < self.oldest_start_ns):
            self.oldest_start_ns = start_ns

    def queues(self, queued: int, limit: int) -> None:
        most, most_limit = self.queued
        if limit and (not most_limit or queued * most_limit > most * limit):
            self.queued = queued, limit

    def add_group(self, found: Any) -> None:
        """What a sweep in the kernel found: a record of records.SWEPT."""
        for counts, raw in ((self.processes, found.processes), (self.threads, found.threads)):
            for number, count in enumerate(memoryview(raw).cast("I")[: len(STATES)]):
                counts[number] += count
        self.resident_bytes += found.resident_bytes
        self.virtual_bytes += found.virtual_bytes
        self.swap_bytes += found.swap_bytes
        self.descriptors += found.descriptors
        self.descriptors_ratio = max(self.descriptors_ratio, found.descriptors_ratio / (1 << 32))
        self.started(found.oldest_start_ns)
        self.queues(found.queued, found.queued_limit)
        self.unreaped += found.unreaped

    def add_process(self, process: Swept) -> None:
        """A process that was read by itself."""
        self.processes[_STATE_NUMBERS[process.state]] += 1
        self.resident_bytes += process.resident_bytes
        self.virtual_bytes += process.virtual_bytes
        self.swap_bytes += process.swap_bytes
        self.started(process.start_ns)
        if process.sigq_len is not None and process.sigq_limit is not None:
            self.queues(process.sigq_len, process.sigq_limit)


@dataclass(frozen=True)
class ProcessCounts:
    """Processes of one sweep by group, and by group and signal."""

    groups: Mapping[str, Figures] = field(default_factory=dict)
    pending: Totals[tuple[str, str]] = field(default_factory=Totals)
    blocked: Totals[tuple[str, str]] = field(default_factory=Totals)
    # Fields of Figures and of records.USE that cannot be told here.
    absent: frozenset[str] = frozenset()


def of_kernel(
    found: Found, names: Mapping[int, str], absent: frozenset[str] = frozenset()
) -> tuple[ProcessCounts, dict[str, Use]]:
    """What a sweep in the kernel tells of each group, and what was used in it so far: by those
    that left it, and by those that are in it."""
    groups: dict[str, Figures] = {}
    used: dict[str, Use] = {}
    for number, past in found.past.items():
        used[names[number]] = add(used.get(names[number], NOTHING), past)
    for number, swept in found.groups.items():
        name = names[number]
        groups.setdefault(name, Figures()).add_group(swept)
        used[name] = add(used.get(name, NOTHING), signed(swept.use))
    counts = ProcessCounts(groups, absent=absent)
    for (number, signal, which), processes in found.signals.items():
        sets = counts.pending if which == "pending" else counts.blocked
        sets[names[number], signal_name(signal)] += processes
    return counts, used


def signed(raw: bytes) -> Use:
    """What processes used since they joined their group. It is below 0 for a moment where a
    sweep missed a thread whose use from before is subtracted."""
    return tuple(memoryview(raw).cast("q"))


def count_processes(
    found: Iterable[tuple[Swept, str]], absent: frozenset[str] = frozenset()
) -> ProcessCounts:
    """What processes that were read one by one tell of each group."""
    groups: dict[str, Figures] = {}
    counts = ProcessCounts(groups, absent=absent)
    group_of_pid: dict[int, str] = {}
    unreaped: list[int] = []
    for process, group in found:
        group_of_pid[process.pid] = group
        groups.setdefault(group, Figures()).add_process(process)
        # One whose other threads live on is not dead.
        if process.state == "Z" and process.num_threads <= 1:
            unreaped.append(process.ppid)
        elif process.sig_blocked is not None:
            for signal in signal_set(process.sig_pending or 0):
                counts.pending[group, signal] += 1
            for signal in signal_set(process.sig_blocked):
                counts.blocked[group, signal] += 1
    for parent in unreaped:
        groups.setdefault(group_of_pid.get(parent, "kernel"), Figures()).unreaped += 1
    return counts


@dataclass(frozen=True)
class _Gauge:
    """A figure of each group. `field` is what a source may lack."""

    name: str
    help: str
    field: str
    value: Callable[[Figures], float]
    adds_up: bool = True


_GAUGES = (
    _Gauge(
        "group_resident_bytes",
        "Memory of the processes, as in /proc/PID/stat; shared pages count for each.",
        "resident_bytes", lambda group: group.resident_bytes,
    ),
    _Gauge(
        "group_virtual_bytes", "Address space of the processes.",
        "virtual_bytes", lambda group: group.virtual_bytes,
    ),
    _Gauge(
        "group_swap_bytes", "Memory of the processes that is swapped out.",
        "swap_bytes", lambda group: group.swap_bytes,
    ),
    _Gauge(
        "group_descriptors",
        "Open descriptors of the processes; where one may have more than 32,768, at least.",
        "descriptors", lambda group: group.descriptors,
    ),
    _Gauge(
        "group_descriptors_limit_ratio",
        "Open descriptors / RLIMIT_NOFILE, of the process that is nearest to its limit.",
        "descriptors", lambda group: group.descriptors_ratio,
        adds_up=False,
    ),
)  # fmt: skip


def families(
    counts: ProcessCounts, declared: Collection[str], shown: Shown, boot_time: float
) -> Iterable[Metric]:
    """Gauges by group. Of a declared group all are told."""
    groups = {name: Figures() for name in declared} | dict(counts.groups)

    def by_state(counts_of: Callable[[Figures], list[int]]) -> dict[tuple[str, str], int]:
        return {
            (name, state): count
            for name, group in groups.items()
            for state, count in zip(STATES, counts_of(group), strict=True)
        }

    yield shown.gauge(
        "group_processes", "Processes, by state as in /proc/PID/stat.", ("group", "state"),
        by_state(lambda group: group.processes),
    )  # fmt: skip
    if "threads" not in counts.absent:
        yield shown.gauge(
            "group_threads", "Threads, by state.", ("group", "state"),
            by_state(lambda group: group.threads),
        )  # fmt: skip
    yield shown.gauge(
        "zombies", "Dead processes that their parent has not reaped, by the group of the parent.",
        ("parent",), by_name({name: group.unreaped for name, group in groups.items()}),
    )  # fmt: skip
    for one in _GAUGES:
        if one.field not in counts.absent:
            values = by_name({name: one.value(group) for name, group in groups.items()})
            yield shown.gauge(one.name, one.help, ("group",), values, adds_up=one.adds_up)
    starts = {
        name: boot_time + group.oldest_start_ns / 1e9
        for name, group in groups.items() if group.oldest_start_ns
    }  # fmt: skip
    yield shown.gauge(
        "group_oldest_start_time_seconds", "When the oldest process started.", ("group",),
        by_name(starts), adds_up=False,
    )  # fmt: skip
    yield shown.gauge(
        "group_signals_pending", "Processes that have the signal pending.", ("group", "signal"),
        counts.pending,
    )  # fmt: skip
    yield shown.gauge(
        "group_signals_blocked", "Processes whose main thread blocks the signal.",
        ("group", "signal"), counts.blocked,
    )  # fmt: skip
    if "queued" in counts.absent:
        return
    # Where nothing is queued, no process is nearer to its limit than another.
    queues = {
        name: group.queued for name, group in groups.items() if group.queued[0] or name in declared
    }
    yield shown.gauge(
        "group_signals_queued",
        "Signals queued for the user of the group's process that is nearest to its limit.",
        ("group",), by_name({name: queued for name, (queued, _) in queues.items()}), adds_up=False,
    )  # fmt: skip
    yield shown.gauge(
        "group_signals_queued_limit", "The limit of that process, RLIMIT_SIGPENDING.", ("group",),
        by_name({name: limit for name, (_, limit) in queues.items()}), adds_up=False,
    )  # fmt: skip
