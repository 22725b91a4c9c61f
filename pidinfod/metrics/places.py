# SPDX-License-Identifier: Apache-2.0
"""Which groups have series of their own.

The kernel's, "other" and the declared ones always do. Beside them there are places for so many,
taken in the order in which groups come and kept until nothing has been in the group for a while:
series do not come and go with what others do, and however many names somebody makes up, no group
loses its place by that.
"""

from __future__ import annotations

from collections.abc import Set
from itertools import islice


class Places:
    """So many places. Not safe for two threads at once."""

    def __init__(self, number: int, ttl: float) -> None:
        self._number = number
        self._ttl = ttl
        # When there was last a process in each group; in the order in which they came, those
        # without a place, too.
        self._seen: dict[str, float] = {}
        self.shown: frozenset[str] = frozenset()
        self.waiting = 0  # groups that are not shown

    def update(self, always: Set[str], present: Set[str], live: Set[str], now: float) -> None:
        """Give and take places.

        `present` are the groups that have processes, `live` those that have ids, which they keep
        for a while after their last process. Those that come at once come by their names.
        """
        came = (present | live) - self._seen.keys()
        self._seen |= dict.fromkeys(sorted(came), now)
        self._seen |= dict.fromkeys(present, now)
        self._seen = {
            name: at for name, at in self._seen.items() if name in live or now - at <= self._ttl
        }
        others = [name for name in self._seen if name not in always]
        self.shown = frozenset(always).union(islice(others, self._number))
        self.waiting = max(0, len(others) - self._number)
