# SPDX-License-Identifier: Apache-2.0
"""The counts of groups whose ids were given back.

They are not shown: a count that moved to another series would be seen as new there. When a name
comes back, its series go on where they were. What is not shown is told by family, so that what is
shown and what is not make the total.
"""

from __future__ import annotations

from collections import Counter as Totals
from collections.abc import Collection, Mapping

from pidinfod.metrics.schema import SUM_SLOT, Counter, Histogram, Series

# Series that are remembered, of all families together: some 4 MB.
CAPACITY = 16384


def _events(family: Counter, series: Series, count: int) -> int:
    """What a series counts of the family's events: a histogram's sum of seconds counts none."""
    return 0 if isinstance(family, Histogram) and series[-1] == SUM_SLOT else count


class Past:
    """Counts by family and series. Not safe for two threads at once."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        # In the order in which they were last added to.
        self._series: dict[tuple[Counter, Series], int] = {}
        # Of series that were forgotten: their names start at 0 when they come back.
        self._forgotten: Totals[str] = Totals()

    def add(self, family: Counter, series: Series, count: int) -> None:
        """Keep a count that is in no map any more."""
        key = family, series
        self._series[key] = self._series.pop(key, 0) + count
        while len(self._series) > self._capacity:
            oldest = next(iter(self._series))
            self._forgotten[oldest[0].name] += _events(*oldest, self._series.pop(oldest))

    def split(
        self, live: Collection[str]
    ) -> tuple[Mapping[str, Mapping[Series, int]], Mapping[str, int]]:
        """By family: the series all of whose groups there are now, and what the others counted."""
        shown: dict[str, dict[Series, int]] = {}
        hidden = Totals(self._forgotten)
        for (family, series), count in self._series.items():
            if all(series[place] in live for place in family.group_labels):
                shown.setdefault(family.name, {})[series] = count
            else:
                hidden[family.name] += _events(family, series, count)
        return shown, hidden
