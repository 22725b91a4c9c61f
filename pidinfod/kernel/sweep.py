# SPDX-License-Identifier: Apache-2.0
"""The sweep in the kernel: all tasks summed by group, by the iterator that the loader linked."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pidinfod.kernel import libbpf
from pidinfod.kernel.handoff import SWEEP, Loaded
from pidinfod.kernel.records import (
    SETTING,
    SIGNAL_SET,
    SWEPT,
    SWEPT_SIGNAL,
    SWEPT_SIGNAL_KEY,
    USE,
    USER,
)  # fmt: skip

# Of one process: when it started, the group that it counts for, and what was found of it.
PROCESS = ("start_ns", "visit", "visit_group", "cpu_ns", "resident_bytes", "descriptors", "signals")
_PROCESS = USER.only(*PROCESS)
_VISIT = PROCESS.index("visit")
_NUMBER = SETTING.number("sweep").to_bytes(4, "little")


@dataclass(frozen=True)
class Found:
    """What one sweep found, by group id."""

    # Of records.USE: what those used that have left the group. It was read before the others.
    past: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    groups: Mapping[int, Any] = field(default_factory=dict)  # of records.SWEPT
    # Processes by group, number of the signal and the name of the set.
    signals: Mapping[tuple[int, int, str], int] = field(default_factory=dict)
    # By PID, where they were asked for: the members of records.USER that are in PROCESS.
    processes: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


class Sweep:
    """Runs the iterator, one sweep at a time. Safe for several threads."""

    def __init__(self, loaded: Loaded) -> None:
        self._maps = loaded.maps
        (self._link, self.reason) = next(
            ((probe.link_fd, probe.reason) for probe in loaded.probes if probe.feeds == SWEEP),
            (None, "without probes"),
        )
        self._lock = threading.Lock()
        self._number = 0
        self._started = float("-inf")

    @property
    def is_there(self) -> bool:
        """Whether the kernel let it load."""
        return self._link is not None

    def _walk(self) -> None:
        assert self._link is not None
        self._number = self._number % 0xFFFFFFFF + 1
        started = time.monotonic()
        number = self._number.to_bytes(4, "little")
        libbpf.update(self._maps["settings"], _NUMBER, number)
        libbpf.iterate(self._link)
        self._started = started  # one that fails is none

    def refresh(self, seconds: float) -> None:
        """Have what processes used until now noted, unless that was done so many seconds ago.
        Raises OSError."""
        with self._lock:
            if self._link is not None and time.monotonic() - self._started > seconds:
                self._walk()

    def run(self, with_processes: bool = False) -> Found:
        """One sweep. Raises OSError."""
        with self._lock:
            past = {
                group: USE.unpack(raw)
                for group, raw in enumerate(libbpf.read_array(self._maps["past_use"]))
                if any(raw)
            }
            self._walk()
            groups = {
                int.from_bytes(key, "little"): found
                for key, raw in libbpf.read_entries(self._maps["swept"])
                if (found := SWEPT.unpack(raw)).sweep == self._number
            }
            signals = {}
            for key, raw in libbpf.read_entries(self._maps["swept_signals"]):
                found = SWEPT_SIGNAL.unpack(raw)
                if found.sweep == self._number:
                    of = SWEPT_SIGNAL_KEY.unpack(key)
                    signals[of.group, of.signal, SIGNAL_SET[of.set]] = found.processes
                else:
                    libbpf.delete(self._maps["swept_signals"], key)  # none has it any more
            processes = {}
            if with_processes:
                processes = {
                    pid: found
                    for pid, found in libbpf.read_records(self._maps["users"], _PROCESS)
                    if found[_VISIT] == self._number
                }
            return Found(past, groups, signals, processes)

    def take_past(self, group: int) -> tuple[int, ...]:
        """What those used that have left a group, of records.USE; nothing is kept of the group, as
        its id stands for nothing any more. Raises OSError."""
        key = group.to_bytes(4, "little")
        with self._lock:
            past = libbpf.lookup(self._maps["past_use"], key) or bytes(USE.size)
            libbpf.delete(self._maps["swept"], key)
            libbpf.update(self._maps["past_use"], key, bytes(USE.size))
        return tuple(USE.unpack(past))
