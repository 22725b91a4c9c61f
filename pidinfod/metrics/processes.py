# SPDX-License-Identifier: Apache-2.0
"""The processes that there are: by group and state, and their signals."""

from __future__ import annotations

from collections import Counter as Totals
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from prometheus_client.core import Metric

from pidinfod.kernel.names import signal_set
from pidinfod.kernel.pid_info import Swept
from pidinfod.metrics.show import by_name
from pidinfod.metrics.shown import Shown

# As in /proc/PID/stat.
STATES = ("R", "S", "D", "T", "t", "Z", "I")


@dataclass(frozen=True)
class ProcessCounts:
    """Processes of one sweep by group, and by state or signal."""

    states: Totals[tuple[str, str]] = field(default_factory=Totals)
    zombies: Totals[str] = field(default_factory=Totals)  # by the group of the parent
    pending: Totals[tuple[str, str]] = field(default_factory=Totals)
    blocked: Totals[tuple[str, str]] = field(default_factory=Totals)
    # Signals queued and their limit, of the group's process that is nearest to it. The kernel
    # counts them by user.
    queues: dict[str, tuple[int, int]] = field(default_factory=dict)


def count_processes(found: Iterable[tuple[Swept, str]]) -> ProcessCounts:
    """What is told of the processes of each group."""
    counts = ProcessCounts()
    group_of_pid: dict[int, str] = {}
    unreaped: list[int] = []
    for process, group in found:
        group_of_pid[process.pid] = group
        counts.states[group, process.state] += 1
        # One whose other threads live on is not dead.
        if process.state == "Z" and process.num_threads <= 1:
            unreaped.append(process.ppid)
        if process.sig_blocked is None or process.sigq_len is None or not process.sigq_limit:
            continue
        for signal in signal_set(process.sig_pending or 0):
            counts.pending[group, signal] += 1
        for signal in signal_set(process.sig_blocked):
            counts.blocked[group, signal] += 1
        queued, limit = counts.queues.get(group, (0, 0))
        if not limit or process.sigq_len * limit > queued * process.sigq_limit:
            counts.queues[group] = (process.sigq_len, process.sigq_limit)
    for parent in unreaped:
        counts.zombies[group_of_pid.get(parent, "kernel")] += 1
    return counts


def families(
    counts: ProcessCounts, declared: Collection[str], shown: Shown
) -> Iterable[Metric]:
    """Gauges by group. Of a declared group all states are told."""
    states = {(name, state): 0 for name in declared for state in STATES} | counts.states
    zombies = dict.fromkeys(declared, 0) | counts.zombies
    yield shown.gauge(
        "group_processes", "Processes, by state as in /proc/PID/stat.", ("group", "state"), states
    )
    yield shown.gauge(
        "zombies", "Dead processes that their parent has not reaped, by the group of the parent.",
        ("parent",), by_name(zombies),
    )  # fmt: skip
    yield shown.gauge(
        "group_signals_pending", "Processes that have the signal pending.", ("group", "signal"),
        counts.pending,
    )  # fmt: skip
    yield shown.gauge(
        "group_signals_blocked", "Processes whose main thread blocks the signal.",
        ("group", "signal"), counts.blocked,
    )  # fmt: skip
    # Where nothing is queued, no process is nearer to its limit than another.
    queues = {
        name: queue for name, queue in counts.queues.items() if queue[0] or name in declared
    }
    yield shown.gauge(
        "group_signals_queued",
        "Signals queued for the user of the group's process that is nearest to its limit.",
        ("group",), {(name,): queued for name, (queued, _) in queues.items()}, adds_up=False,
    )  # fmt: skip
    yield shown.gauge(
        "group_signals_queued_limit", "The limit of that process, RLIMIT_SIGPENDING.", ("group",),
        {(name,): limit for name, (_, limit) in queues.items()}, adds_up=False,
    )  # fmt: skip
