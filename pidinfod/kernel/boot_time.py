# SPDX-License-Identifier: Apache-2.0
"""When the boot clock began, by the wall clock: the probes' times are of the one, people's of the
other."""

from __future__ import annotations

import time


class BootTime:
    """The wall clock at the boot clock's zero."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def now(self) -> float:
        """Seconds of the epoch; it moves only when the clock was set."""
        now = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        if abs(now - self._seconds) > 1:
            self._seconds = now
        return self._seconds
