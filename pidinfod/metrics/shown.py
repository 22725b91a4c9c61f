# SPDX-License-Identifier: Apache-2.0
"""Families by group: the series of groups that are shown, and what all others come to.

A count never moves to another series, where it would look new. What is not shown is told by
family, so that what is shown and what is not make the total.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from prometheus_client.core import Metric

from pidinfod.kernel.records import FIXED_GROUP, GROUP_OTHER
from pidinfod.metrics import show
from pidinfod.metrics.schema import Counter, Counts, Histogram, Series

K = TypeVar("K", bound=Series)
V = TypeVar("V", int, float)


class Shown:
    """What is shown of one snapshot, and the account of what is not.

    `groups` are those that have series of their own, the declared ones among them.
    """

    def __init__(self, groups: Collection[str], declared: Collection[str]) -> None:
        self._groups = groups
        self._declared = declared
        # Only these have times of their own; one that is not declared any more had some.
        self._timed = {*declared, FIXED_GROUP[GROUP_OTHER]}
        # By the name of the series that count: what is not shown, added up, and how many series.
        self.hidden: dict[str, float] = {}
        self.hidden_series: dict[str, int] = {}

    def counter(self, family: Counter, counts: Counts, forgotten: int) -> Metric:
        """A family of the kernel's maps. `forgotten` is what it counted in series that there
        are no more."""
        groups = self._timed if isinstance(family, Histogram) else self._groups
        shown, hidden = _split(counts, family.group_labels, groups)
        if family.group_labels:
            events = sum(family.events(series, count) for series, count in hidden.items())
            self.hidden[family.counted] = forgotten + events
            width = len(family.labels)
            self.hidden_series[family.counted] = len({series[:width] for series in hidden})
        return family.family(shown)

    def used(
        self, name: str, text: str, labels: Sequence[str], values: Mapping[K, V], others: float
    ) -> Metric:
        """`pidinfod_NAME_total`, whose first label is a group, of no map of the kernel's. Zeros are
        of declared groups alone. `others` is what it counts of groups that there are no more."""
        shown = self._of_groups(f"pidinfod_{name}_total", values)
        self.hidden[f"pidinfod_{name}_total"] += others
        return show.counter(name, text, labels, shown)

    def _of_groups(self, metric: str, values: Mapping[K, V]) -> Mapping[K, V]:
        """What is shown of a metric whose first label is a group."""
        told = {key: value for key, value in values.items() if value or key[0] in self._declared}
        shown, hidden = _split(told, (0,), self._groups)
        self.hidden[metric] = sum(hidden.values())
        self.hidden_series[metric] = len(hidden)
        return shown

    def gauge(
        self, name: str, text: str, labels: Sequence[str], values: Mapping[K, V],
        adds_up: bool = True,
    ) -> Metric:  # fmt: skip
        """`pidinfod_NAME`, whose first label is a group. Zeros are of declared groups alone.

        Values of which a sum says nothing do not add up: then only the series that are not shown
        are counted.
        """
        shown = self._of_groups(f"pidinfod_{name}", values)
        if not adds_up:
            del self.hidden[f"pidinfod_{name}"]
        return show.gauge(name, text, labels, shown)


def _split(
    values: Mapping[K, V], places: Collection[int], groups: Collection[str]
) -> tuple[dict[K, V], dict[K, V]]:
    """The series whose groups, which stand at these places, are all among `groups`; the others."""
    shown: dict[K, V] = {}
    hidden: dict[K, V] = {}
    for key, value in values.items():
        part = shown if all(key[place] in groups for place in places) else hidden
        part[key] = value
    return shown, hidden
