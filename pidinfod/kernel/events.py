# SPDX-License-Identifier: Apache-2.0
"""What the kernel tells one by one: the ring's records to their handlers, by type."""

from __future__ import annotations

import logging
import os
import select
import struct
import threading
import time
from collections.abc import Callable, Mapping

from pidinfod.kernel.libbpf import Ring

log = logging.getLogger("pidinfod")

# The kernel tells of a record, but not of those that follow within 50 ms (bpf/common.bpf.c): after
# what was told, more are looked for so soon. What was told may have been taken for another, who
# asked, so that they are looked for now and then in any case.
LATE_SECONDS, QUIET_SECONDS = 0.25, 1.0
# How long records are taken at a stretch: whoever waits for its turn gets it then.
STRETCH_SECONDS = 0.1

Handler = Callable[[bytes], object]


class Reader(threading.Thread):
    """Empties the ring; the handlers are called one at a time, in the ring's order."""

    def __init__(self, fd: int, handlers: Mapping[int, Handler]) -> None:
        super().__init__(name="events", daemon=True)
        self._handlers = {struct.pack("=I", kind): handler for kind, handler in handlers.items()}
        self._ring = Ring(fd, self._take)
        self._taking = threading.Lock()
        self._stop_asked = threading.Event()
        self._wake_fd = os.eventfd(0)
        self._until = 0.0

    def _take(self, raw: bytes) -> bool:
        try:
            self._handlers[raw[:4]](raw)
        except Exception:
            log.exception("a record of the ring")
        return time.monotonic() < self._until and not self._stop_asked.is_set()

    def run(self) -> None:
        poll = select.poll()
        for source in (self._ring, self._wake_fd):
            poll.register(source, select.POLLIN)
        seconds = QUIET_SECONDS
        while not self._stop_asked.is_set():
            seconds = LATE_SECONDS if poll.poll(seconds * 1000) else QUIET_SECONDS
            self.drain()
        with self._taking:
            self._ring.close()
        os.close(self._wake_fd)

    def drain(self) -> bool:
        """Take the records that are there, for STRETCH_SECONDS at most; whether all were taken.

        In a storm more of them come than can be taken: the rest is taken later.
        """
        if not self._taking.acquire(timeout=2 * STRETCH_SECONDS):
            return False
        try:
            self._until = time.monotonic() + STRETCH_SECONDS
            return not self._stop_asked.is_set() and self._ring.consume()
        finally:
            self._taking.release()

    def stop(self) -> None:
        if not self._stop_asked.is_set():
            self._stop_asked.set()
            os.eventfd_write(self._wake_fd, 1)
        self.join()
