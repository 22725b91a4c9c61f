# SPDX-License-Identifier: Apache-2.0
"""What a family of metrics is: one description of its map in the kernel and of what is shown.

The C text of the map and of the function that counts in it, the map's size, the decoding of its
keys, the names of what can be lost, and the family with its help all come from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from pidinfod.groups.names import GroupNames
from pidinfod.kernel.layout import Enum, Member, Struct, widest_first

# The values of a series' labels; a histogram's series has the number of a bucket after them.
Series = tuple[str | int, ...]
Counts = Mapping[Series, int]

# What is counted one by one: of each of these, seen is counted + dropped.
EVENTS = Enum(
    "seen_event", "SEEN",
    ("fork", "exec", "exit", "signal_generated", "signal_delivered", "ft_call"),
)  # fmt: skip

# The most entries of a map for what found no room elsewhere.
MOST_OTHERS = 1024

SUM_SLOT = 0xFFFF  # the place of a histogram's sum among its buckets


@dataclass(frozen=True)
class Label:
    """A label, and the member of the map's key that it is made of."""

    name: str
    member: str
    type: str  # in C
    show: Callable[[int, GroupNames], str]
    values: int  # that it can have, about; of a group, 1: all others are told apart by it
    is_group: bool = False


def group(name: str) -> Label:
    """A group's id, shown by its name."""
    return Label(name, name, "u32", lambda number, groups: groups[number], 1, is_group=True)


def named(enum: Enum, name: str, member: str = "") -> Label:
    """A number of an enumeration."""
    return Label(name, member or name, "u8", lambda number, _: enum[number], len(enum.names))


def number(name: str, kind: str, values: int, show: Callable[[int], str]) -> Label:
    """A number that a function shows."""
    return Label(name, name, kind, lambda value, _: show(value), values)


@dataclass(frozen=True, eq=False)
class Counter:
    """`pidinfod_NAME_total`: the per-CPU map NAME, in which the probes count by count_NAME()."""

    name: str
    help: str
    labels: tuple[Label, ...]
    entries: Callable[[int], int]  # that the map needs for so many groups
    # The probes that count here, as kernel/hooks.py names what they feed.
    probes: tuple[str, ...]
    # What is dropped when there is no room; without one it is a detail of something counted.
    event: str | None = None
    # The other labels' values of the series that each declared group has from the start.
    declared: tuple[str, ...] | None = None
    # Series that are there from the start.
    start: tuple[tuple[str, ...], ...] = ()

    @property
    def metric(self) -> str:
        return f"pidinfod_{self.name}_total"

    @property
    def counted(self) -> str:
        """The name of the series that count."""
        return self.metric

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    @cached_property
    def group_labels(self) -> tuple[int, ...]:
        """The places of the labels that are groups."""
        return tuple(place for place, label in enumerate(self.labels) if label.is_group)

    @property
    def other_map(self) -> str | None:
        """The map of what found no room in the family's own: there all groups are "other"."""
        return f"{self.name}_other" if self.group_labels else None

    @property
    def other_entries(self) -> int:
        """Room for all that the labels beside groups can be."""
        return min(prod(label.values for label in self.labels), MOST_OTHERS)

    def _members(self) -> list[Member]:
        return [Member(label.member, label.type) for label in self.labels]

    @cached_property
    def key(self) -> Struct:
        return Struct(f"{self.name}_key", *widest_first(self._members()))

    def groups_of(self, key: bytes) -> set[int]:
        """The ids of the groups in a key."""
        fields = self.key.unpack(key)
        return {getattr(fields, self.labels[place].member) for place in self.group_labels}

    def series(self, key: bytes, groups: GroupNames) -> Series:
        """The labels' values of a key."""
        fields = self.key.unpack(key)
        return tuple(label.show(getattr(fields, label.member), groups) for label in self.labels)

    def decode(self, counts: Mapping[bytes, int], groups: GroupNames) -> dict[Series, int]:
        """The map's counts by series. Keys that are shown alike are one series."""
        found: dict[Series, int] = {}
        for key, count in counts.items():
            series = self.series(key, groups)
            found[series] = found.get(series, 0) + count
        return found

    def events(self, series: Series, count: int) -> int:
        """What a series counts of the family's events."""
        return count

    def first(self, declared: Iterable[str]) -> dict[Series, int]:
        """The series that are there before anything was counted."""
        found: dict[Series, int] = dict.fromkeys(self.start, 0)
        if self.declared is not None:
            (place,) = self.group_labels
            for name in declared:
                found[(*self.declared[:place], name, *self.declared[place:])] = 0
        return found

    def family(self, counts: Counts) -> Metric:
        """The family to show."""
        family = CounterMetricFamily(f"pidinfod_{self.name}", self.help, labels=self.label_names)
        for series, count in counts.items():
            family.add_metric([str(value) for value in series], count)
        return family

    # What is lost when the map is full, by the name of its C constant.
    @property
    def drop(self) -> tuple[str, str] | None:
        """Event and cause."""
        return (self.event, "full") if self.event else None

    @property
    def details(self) -> tuple[str, ...]:
        """What of a thing that was counted can get lost here."""
        mine = () if self.event else (self.name,)
        return mine + ((f"{self.name}_groups",) if self.group_labels else ())

    def _loss(self) -> str:
        if self.event:
            return f"drop(DROP_{self.event.upper()}_FULL)"
        return f"degrade(DEGRADED_{self.name.upper()})"

    def map_text(self) -> str:
        """The structure of the key, and the family's own map."""
        name = self.name
        return (
            f"{self.key.c_text()}\n"
            f'BPF_TABLE("percpu_hash", struct {name}_key, u64, {name}, SIZE_{name.upper()});\n'
        )

    def c_text(self) -> str:
        """The map, and the function that adds to one of its counters."""
        name, retry, others_map = self.name, "", ""
        if self.group_labels:
            others_map = (
                f'BPF_TABLE("percpu_hash", struct {name}_key, u64, {self.other_map}, '
                f"{self.other_entries});\n"
            )
            others = "".join(
                f"\t\tothers.{self.labels[place].member} = GROUP_OTHER;\n"
                for place in self.group_labels
            )
            retry = (
                "\tif (!count) {\n"
                f"\t\tstruct {name}_key others = *key;\n\n"
                f"{others}"
                f"\t\tcount = {self.other_map}.lookup_or_try_init(&others, &zero);\n"
                f"\t\tif (count)\n\t\t\tdegrade(DEGRADED_{name.upper()}_GROUPS);\n"
                "\t}\n"
            )
        return self.map_text() + others_map + (
            f"\nstatic __always_inline void count_{name}(struct {name}_key *key, u64 amount)\n"
            "{\n"
            f"\tu64 zero = 0, *count = {name}.lookup_or_try_init(key, &zero);\n\n"
            f"{retry}"
            "\tif (count)\n"
            "\t\t__sync_fetch_and_add(count, amount);\n"
            "\telse\n"
            f"\t\t{self._loss()};\n"
            "}\n"
        )


@dataclass(frozen=True, eq=False)
class Histogram(Counter):
    """`pidinfod_NAME` of times: the probes add one by observe_NAME(). A detail, never an event.

    Times are told apart by declared group; those of all others are of "other".
    """

    # 2^(n+1) ns is the upper bound of bucket n; one more bucket takes what is above the last.
    slots: range = range(0)

    @property
    def metric(self) -> str:
        return f"pidinfod_{self.name}"

    @property
    def other_map(self) -> None:
        return None

    @property
    def counted(self) -> str:
        return f"{self.metric}_count"

    @property
    def bounds(self) -> tuple[float, ...]:
        """Seconds."""
        return tuple(2 ** (slot + 1) / 1e9 for slot in self.slots)

    def _members(self) -> list[Member]:
        return [*super()._members(), Member("slot", "u16")]

    def series(self, key: bytes, groups: GroupNames) -> Series:
        return (*super().series(key, groups), self.key.unpack(key).slot)

    def events(self, series: Series, count: int) -> int:
        # A sum of seconds counts none.
        return 0 if series[-1] == SUM_SLOT else count

    def first(self, declared: Iterable[str]) -> dict[Series, int]:
        return {(*series, SUM_SLOT): 0 for series in super().first(declared)}

    @property
    def details(self) -> tuple[str, ...]:
        return (self.name,)

    def family(self, counts: Counts) -> Metric:
        family = HistogramMetricFamily(self.metric, self.help, labels=self.label_names)
        bounds = [*(str(floatToGoString(bound))  # type: ignore[no-untyped-call]
            for bound in self.bounds), "+Inf"]
        buckets: dict[Series, list[int]] = {}
        seconds: dict[Series, float] = {}
        for (*labels, slot), count in counts.items():
            series = tuple(labels)
            found = buckets.setdefault(series, [0] * len(bounds))
            if slot == SUM_SLOT:
                seconds[series] = count / 1e9
            else:
                found[int(slot)] += count
        for series, found in buckets.items():
            total, cumulated = 0, []
            for bound, count in zip(bounds, found, strict=True):
                total += count
                cumulated.append((bound, total))
            names = [str(value) for value in series]
            family.add_metric(names, cumulated, seconds.get(series, 0.0))
        return family

    def c_text(self) -> str:
        name, first, step = self.name, self.slots.start, self.slots.step
        members = [self.labels[place].member for place in self.group_labels]
        share = "".join(f"\tkey->{name} = declared_or_other(key->{name});\n" for name in members)
        return self.map_text() + (
            f"\nstatic __always_inline void observe_{name}(struct {name}_key *key, u64 ns)\n"
            "{\n"
            "\tu64 zero = 0, *count, *sum;\n\n"
            f"{share}"
            f"\tkey->slot = bucket_of(ns, {first}, {step}, {len(self.slots)});\n"
            f"\tcount = {name}.lookup_or_try_init(key, &zero);\n"
            f"\tkey->slot = {SUM_SLOT};\n"
            f"\tsum = {name}.lookup_or_try_init(key, &zero);\n"
            "\t/* Both or neither: what is lost is one time. */\n"
            "\tif (count && sum) {\n"
            "\t\t__sync_fetch_and_add(count, 1);\n"
            "\t\t__sync_fetch_and_add(sum, ns);\n"
            "\t} else {\n"
            f"\t\tdegrade(DEGRADED_{name.upper()});\n"
            "\t}\n"
            "}\n"
        )

