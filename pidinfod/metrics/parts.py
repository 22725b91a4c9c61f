# SPDX-License-Identifier: Apache-2.0
"""Parts that are read one after the other, of which each may fail alone."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

log = logging.getLogger("pidinfod")

T = TypeVar("T")
M = TypeVar("M")


class Parts:
    """Reads parts one after the other. A part that fails costs itself, and is counted."""

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self.failed: set[str] = set()  # at their last reading
        self.seconds: dict[str, float] = {}

    def read(self, name: str, function: Callable[[], T], missing: M) -> T | M:
        """What the function returns, or `missing` when it raises."""
        start = time.perf_counter()
        self.failures[name] += 0
        try:
            found = function()
            self.failed.discard(name)
            return found
        except Exception as error:
            self.failures[name] += 1
            self.failed.add(name)
            log.error("reading %s: %s", name, error or type(error).__name__)
            return missing
        finally:
            self.seconds[name] = time.perf_counter() - start
