# SPDX-License-Identifier: Apache-2.0
"""What groups used: counters that never go down, of readings that may be too low.

A sweep reads what processes use while they run, end and join other groups. What it finds may be
too little, never too much, so the highest reading is the nearest to the truth.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from operator import sub

from prometheus_client.core import Metric

from pidinfod.kernel.pid_info import Swept
from pidinfod.kernel.records import USE_FIELDS
from pidinfod.metrics.shown import Shown

Use = tuple[int, ...]  # of USE_FIELDS

NOTHING: Use = (0,) * len(USE_FIELDS)
_CPU, _USER, _SYSTEM = (USE_FIELDS.index(name) for name in ("cpu_ns", "utime_ns", "stime_ns"))

# Names without a process that are remembered: those beyond start at 0 when they come back.
REMEMBERED = 16384


def add(one: Use, other: Use) -> Use:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def split_cpu(
    cpu_ns: int, utime_ns: int, stime_ns: int, before: tuple[int, int]
) -> tuple[int, int]:
    """User and system time: parts of the exact sum in the proportion of the samples, of which
    neither goes down. As cputime_adjust() in kernel/sched/cputime.c does it for one process."""
    user_before, system_before = before
    sampled = utime_ns + stime_ns
    system = cpu_ns * stime_ns // sampled if sampled else 0
    system = max(system, system_before)
    user = max(cpu_ns - system, user_before)
    return user, cpu_ns - user


class Totals:
    """What groups used, by name. Not safe for two threads at once."""

    def __init__(self) -> None:
        self._told: dict[str, Use] = {}
        self._split: dict[str, tuple[int, int]] = {}
        # Of ids that were given back; their processes are not in any sweep.
        self._gone: dict[str, Use] = {}
        self._forgotten = NOTHING

    def give_back(self, name: str, past: Use) -> None:
        """An id of that name counts no more."""
        self.update({name: past})
        self._gone[name] = add(self._gone.get(name, NOTHING), past)

    def update(self, found: Mapping[str, Use]) -> None:
        """Take what a sweep found of each name: what has left it and what is in it."""
        for name, use in found.items():
            told = tuple(map(max, add(use, self._gone.get(name, NOTHING)),
                             self._told.pop(name, NOTHING)))  # fmt: skip
            self._told[name] = told  # at the end: who was found now is forgotten last
            self._split[name] = split_cpu(
                told[_CPU], told[_USER], told[_SYSTEM], self._split.get(name, (0, 0))
            )
        while len(self._told) > REMEMBERED:
            oldest = next(iter(self._told))
            self._forgotten = add(self._forgotten, self._whole(oldest))
            for known in (self._told, self._split, self._gone):
                known.pop(oldest, None)

    def _whole(self, name: str) -> Use:
        """User and system time make the CPU time."""
        told = self._told[name]
        return told[:_USER] + self._split[name] + told[_SYSTEM + 1 :]

    def split(self, names: Collection[str]) -> tuple[dict[str, Use], Use]:
        """What to tell of these, and what all others come to, with those that are forgotten."""
        found, others = {}, self._forgotten
        for name in self._told:
            if name in names:
                found[name] = self._whole(name)
            else:
                others = add(others, self._whole(name))
        return found, others


class Observed:
    """What groups used, where no probe tells of what ends: what was seen of each process. Not safe
    for two threads at once."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], Use] = {}
        self._used: dict[str, Use] = {}

    def update(self, found: Iterable[tuple[Swept, str]], is_whole: bool) -> dict[str, Use]:
        """Take one sweep of processes and their groups; what was used in each group so far. Who is
        missing has ended where nobody was left out: it is whole."""
        seen: dict[tuple[int, int], Use] = {}
        for process, group in found:
            life = process.pid, process.start_ns
            before = self._seen.get(life, NOTHING)
            seen[life] = tuple(map(max, process.use, before))
            more = tuple(map(sub, seen[life], before))
            self._used[group] = add(self._used.pop(group, NOTHING), more)
        missing = {} if is_whole else {
            life: use for life, use in self._seen.items() if life not in seen
        }  # fmt: skip
        while len(missing) > REMEMBERED:
            del missing[next(iter(missing))]
        self._seen = missing | seen
        while len(self._used) > REMEMBERED:
            del self._used[next(iter(self._used))]
        return self._used


@dataclass(frozen=True)
class _Family:
    """A counter by group, and perhaps by one more label."""

    name: str
    help: str
    label: str | None
    fields: Mapping[str, str]  # of USE_FIELDS, by the value of that label
    unit: float = 1.0


_FAMILIES = (
    _Family(
        "group_cpu_seconds",
        "CPU time of the processes while they were in the group. The sum is exact, its parts are "
        "in the proportion of samples at the clock's ticks.",
        "mode", {"user": "utime_ns", "system": "stime_ns"}, 1e-9,
    ),
    _Family(
        "group_run_queue_seconds", "Time that threads were ready to run and waited for a CPU.",
        None, {"": "run_delay_ns"}, 1e-9,
    ),
    _Family(
        "group_page_faults", "Page faults: minor, and major, which wait for storage.",
        "kind", {"minor": "min_flt", "major": "maj_flt"},
    ),
    _Family(
        "group_context_switches",
        "Switches to another task: voluntary, to wait for something, or not.",
        "kind", {"voluntary": "nvcsw", "involuntary": "nivcsw"},
    ),
    _Family(
        "group_io_bytes", "Bytes that calls such as read(2) and write(2) passed, of anything.",
        "direction", {"read": "rchar", "write": "wchar"},
    ),
    _Family(
        "group_storage_bytes", "Bytes fetched from storage, and caused to be sent to it.",
        "direction", {"read": "read_bytes", "write": "write_bytes"},
    ),
)  # fmt: skip


def families(
    used: Mapping[str, Use],
    others: Use,
    declared: Collection[str],
    absent: frozenset[str],
    shown: Shown,
) -> Iterable[Metric]:
    """What groups used, by name, and all that have no id; without what cannot be told here."""
    used = dict.fromkeys(declared, NOTHING) | dict(used)
    for family in _FAMILIES:
        if not absent.isdisjoint(family.fields.values()):
            continue  # a kernel keeps both or none of a pair
        places = {value: USE_FIELDS.index(name) for value, name in family.fields.items()}
        yield shown.used(
            family.name, family.help, ("group", *filter(None, (family.label,))),
            {(group, *filter(None, (value,))): use[place] * family.unit
             for group, use in used.items() for value, place in places.items()},
            sum(others[place] for place in places.values()) * family.unit,
        )  # fmt: skip
