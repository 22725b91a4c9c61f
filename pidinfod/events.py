# SPDX-License-Identifier: Apache-2.0
"""What the kernel tells one by one: the ring's records to those that take them, by type."""

from __future__ import annotations

import logging
import struct
import threading
from collections.abc import Callable, Mapping

from pidinfod.libbpf import Ring

log = logging.getLogger("pidinfod")

# bpf/common.bpf.c: enum event
DEATH, PLACEMENT, CGROUP = range(3)


class Reader(threading.Thread):
    """Empties the ring; the takers are called in this one thread, in the ring's order."""

    def __init__(self, fd: int, takers: Mapping[int, Callable[[bytes], object]]) -> None:
        super().__init__(name="events", daemon=True)
        self._takers = {struct.pack("=I", number): taker for number, taker in takers.items()}
        self._ring = Ring(fd, self._take)
        self._stop_asked = threading.Event()

    def _take(self, raw: bytes) -> None:
        try:
            self._takers[raw[:4]](raw)
        except Exception:
            log.exception("a record of the ring")

    def run(self) -> None:
        while not self._stop_asked.is_set():
            self._ring.poll(0.25)
        self._ring.close()

    def stop(self) -> None:
        self._stop_asked.set()
        self.join()
