# SPDX-License-Identifier: Apache-2.0
"""Series of single processes: those of groups that ask for it, and the first by some measure.

There are never more than the configuration says, whatever processes there are. A process is
named by its PID and its start, as PIDs are used anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import NamedTuple

from prometheus_client.core import Metric

from pidinfod.metrics.show import counter, gauge

LABELS = ("pid", "start", "group")


class Process(NamedTuple):
    """What a sweep found of one."""

    pid: int
    start_ns: int  # on the boot clock
    group: str
    cpu_ns: int
    resident_bytes: int
    descriptors: int
    signals: int  # that were generated for it since its record was made


@dataclass(frozen=True)
class Wanted:
    """Which processes are told of one by one; without more, none are."""

    groups: frozenset[str] = frozenset()  # all of these
    # So many of those that have used most CPU time since the last sweep, have most memory or
    # descriptors, or were sent most signals since the last sweep.
    cpu: int = 0
    memory: int = 0
    descriptors: int = 0
    signals: int = 0
    most: int = 64  # in all

    @property
    def any(self) -> bool:
        return bool(self.groups or self.cpu or self.memory or self.descriptors or self.signals)


@dataclass(frozen=True)
class Shown:
    """The processes to tell of, with their starts as seconds of the epoch, and how many of those
    that are wanted there was no room for."""

    processes: Sequence[tuple[Process, str]] = ()
    left_out: int = 0


@dataclass
class _Known:
    """A process that is told of."""

    start: str
    cpu_ns: int = 0


class PerPid:
    """Chooses, and remembers what it told. Not safe for two threads at once."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._known: dict[tuple[int, int], _Known] = {}
        # Of all processes, at the last sweep: CPU time and signals.
        self._before: dict[tuple[int, int], tuple[int, int]] = {}

    def choose(self, found: Iterable[Process], boot_time: float) -> Shown:
        """Of what one sweep found."""
        wanted = self._wanted
        processes = {(one.pid, one.start_ns): one for one in found if one.group != "kernel"}

        def grown(one: Process) -> tuple[int, int]:
            cpu_ns, signals = self._before.get((one.pid, one.start_ns), (0, 0))
            return one.cpu_ns - cpu_ns, one.signals - signals

        everyone = processes.values()
        chosen = [one for one in everyone if one.group in wanted.groups]
        chosen += nlargest(wanted.cpu, everyone, key=lambda one: grown(one)[0])
        chosen += nlargest(wanted.memory, everyone, key=lambda one: one.resident_bytes)
        chosen += nlargest(wanted.descriptors, everyone, key=lambda one: one.descriptors)
        chosen += nlargest(wanted.signals, everyone, key=lambda one: grown(one)[1])
        ordered = dict.fromkeys((one.pid, one.start_ns) for one in chosen)
        left_out = max(0, len(ordered) - wanted.most)
        # Who was told of before stays while there is room, so that series do not come and go.
        for life in self._known:
            if life in processes:
                ordered.setdefault(life)
        shown = list(ordered)[: wanted.most]
        self._known = {life: self._known.get(life) or _Known(
            f"{boot_time + life[1] / 1e9:.2f}") for life in shown}  # fmt: skip
        if wanted.cpu or wanted.signals:
            self._before = {life: (one.cpu_ns, one.signals) for life, one in processes.items()}
        told = []
        for life, known in self._known.items():
            # A sweep may read too little: the highest is the nearest to the truth.
            known.cpu_ns = max(known.cpu_ns, processes[life].cpu_ns)
            told.append((processes[life]._replace(cpu_ns=known.cpu_ns), known.start))
        return Shown(told, left_out)


def families(shown: Shown, absent: Collection[str]) -> Iterable[Metric]:
    """Of each process that is shown; without what cannot be told here."""
    labelled = [((str(one.pid), start, one.group), one) for one, start in shown.processes]
    yield counter(
        "process_cpu_seconds", "CPU time of one process.", LABELS,
        {labels: one.cpu_ns / 1e9 for labels, one in labelled},
    )  # fmt: skip
    yield gauge(
        "process_resident_bytes", "Memory of one process, as in /proc/PID/stat.", LABELS,
        {labels: one.resident_bytes for labels, one in labelled},
    )  # fmt: skip
    if "descriptors" not in absent:
        yield gauge(
            "process_descriptors", "Open descriptors of one process.", LABELS,
            {labels: one.descriptors for labels, one in labelled},
        )  # fmt: skip
        yield counter(
            "process_signals", "Signals generated for one process.", LABELS,
            {labels: one.signals for labels, one in labelled},
        )  # fmt: skip
    yield gauge(
        "processes_left_out", "Processes that have no series of their own, as there is no room.",
        (), {(): shown.left_out},
    )  # fmt: skip
