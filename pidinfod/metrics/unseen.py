# SPDX-License-Identifier: Apache-2.0
"""Records of processes whose end or reaping no probe saw: they would stay for ever.

A kernel may leave out a program's run (pidinfod_probe_missed_total), and then nothing else removes
the record. Which processes there are the kernel is asked by getpgid(2), which needs no rights and
knows those that hidepid hides.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable

from pidinfod.groups.table import key_of
from pidinfod.kernel import libbpf
from pidinfod.kernel.handoff import Loaded
from pidinfod.kernel.records import PROCESS

# The kernel frees a task, and the probe removes its record, an RCU grace period after the reaping.
GRACE_NS = 5_000_000_000

_LIFE = PROCESS.only("start_ns", "end_ns", "is_dead")


def exists(pid: int) -> bool:
    """Whether there is such a process, a zombie included."""
    try:
        os.getpgid(pid)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


class Unseen:
    """Removes such records and counts them. Not safe for two threads at once."""

    def __init__(self, loaded: Loaded, exists: Callable[[int], bool] = exists) -> None:
        self._processes = loaded.maps["processes"]
        self._others = [loaded.maps[name] for name in
                        ("placements", "users", "provisional_use")]  # fmt: skip
        self._exists = exists
        # By what was not seen of them.
        self.counts = Counter(dict.fromkeys(("exits_unseen", "reapings_unseen"), 0))
        self._suspects: set[tuple[int, int]] = set()  # PID and start

    def round(self) -> None:
        """Look once; what was gone in two rounds is removed. Raises OSError."""
        settled = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - GRACE_NS
        suspects = set()
        for pid, (start_ns, end_ns, is_dead) in libbpf.read_records(self._processes, _LIFE):
            if max(start_ns, end_ns) > settled or self._exists(pid):
                continue
            if (pid, start_ns) not in self._suspects:
                suspects.add((pid, start_ns))
                continue
            known = libbpf.lookup(self._processes, key_of(pid))
            if known and PROCESS.unpack(known).start_ns == start_ns:
                libbpf.delete(self._processes, key_of(pid))
                for handle in self._others:
                    libbpf.delete(handle, key_of(pid))
                self.counts["reapings_unseen" if is_dead else "exits_unseen"] += 1
        self._suspects = suspects
