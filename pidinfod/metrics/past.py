# SPDX-License-Identifier: Apache-2.0
"""The counts of groups whose ids were given back: when a name comes back, its series go on where
they were."""

from __future__ import annotations

from collections import Counter as Totals
from collections.abc import Collection, Mapping

from pidinfod.metrics.schema import Counter, Series

# Series that are remembered, of all families together: some 4 MB.
CAPACITY = 16384


class Past:
    """Counts by family and series. Not safe for two threads at once."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        # In the order in which they were last added to.
        self._series: dict[tuple[Counter, Series], int] = {}
        # By family, of series that are not remembered: their names start at 0 when they come back.
        self.forgotten: Totals[str] = Totals()

    def add(self, family: Counter, series: Series, count: int) -> None:
        """Keep a count that is in no map any more."""
        key = family, series
        self._series[key] = self._series.pop(key, 0) + count

    def trim(self, live: Collection[str]) -> None:
        """Forget the oldest above the capacity, but none whose groups are there: what is told of
        those would fall."""
        surplus = len(self._series) - self._capacity
        if surplus <= 0:
            return
        gone = [
            (family, series) for family, series in self._series
            if not all(series[place] in live for place in family.group_labels)
        ]  # fmt: skip
        for family, series in gone[:surplus]:
            count = self._series.pop((family, series))
            self.forgotten[family.name] += family.events(series, count)

    def counts(self) -> Mapping[str, Mapping[Series, int]]:
        """Those that are remembered, by family and series."""
        found: dict[str, dict[Series, int]] = {}
        for (family, series), count in self._series.items():
            found.setdefault(family.name, {})[series] = count
        return found
