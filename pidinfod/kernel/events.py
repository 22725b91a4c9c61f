# SPDX-License-Identifier: Apache-2.0
"""What the kernel tells one by one: the ring's records to those that take them, by type."""

from __future__ import annotations

import logging
import struct
import threading
from collections.abc import Callable, Mapping

from pidinfod.kernel.libbpf import Ring

log = logging.getLogger("pidinfod")

# bpf/common.bpf.c: enum event
DEATH, PLACEMENT, CGROUP = range(3)


# Who asks gets what is there; of what nobody asks for, this is how late it may be taken.
LATE_SECONDS = 0.25


class Reader(threading.Thread):
    """Empties the ring; the takers are called one at a time, in the ring's order."""

    def __init__(self, fd: int, takers: Mapping[int, Callable[[bytes], object]]) -> None:
        super().__init__(name="events", daemon=True)
        self._takers = {struct.pack("=I", number): taker for number, taker in takers.items()}
        self._ring = Ring(fd, self._take)
        self._taking = threading.Lock()
        self._stop_asked = threading.Event()

    def _take(self, raw: bytes) -> None:
        try:
            self._takers[raw[:4]](raw)
        except Exception:
            log.exception("a record of the ring")

    def run(self) -> None:
        while not self._stop_asked.is_set():
            self._ring.wait(LATE_SECONDS)
            self.drain()
        with self._taking:
            self._ring.close()

    def drain(self) -> None:
        """Take all that are there."""
        with self._taking:
            if not self._stop_asked.is_set():
                self._ring.consume()

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()
