# SPDX-License-Identifier: Apache-2.0
"""Giving group ids back: of groups that nothing has named for a while.

A program on another CPU may hold an id that it looked up before the id was taken out of the
kernel's table of names. So an id goes in two rounds. In the first its name is taken out; then all
programs that could have seen it end (membarrier(2) waits for that); in the second, when still
no process and no record in the ring names the id, its counters are moved to the past and the id
is free.
"""

from __future__ import annotations

import ctypes
import logging
import platform
import struct
from collections.abc import Callable, Sequence

from pidinfod.groups.table import GroupTable, key_of
from pidinfod.kernel import libbpf
from pidinfod.kernel.handoff import Loaded
from pidinfod.kernel.layout import text_of
from pidinfod.kernel.records import (
    BY_COMM,
    COMM_BYTES,
    DECLARED,
    GROUP_ENTRY,
    NO_PRECEDENCE,
    PLACEMENT,
    PROCESS,
)  # fmt: skip
from pidinfod.metrics.lives import EXECS
from pidinfod.metrics.past import Past
from pidinfod.metrics.schema import Counter

log = logging.getLogger("pidinfod")

_GROUPS = PROCESS.only("group", "parent_group")
_PLACED = PLACEMENT.only("group")

# include/uapi/linux/membarrier.h
_MEMBARRIER_CMD_GLOBAL = 1
# Where the kernel cannot be asked: by then every program has ended, which take microseconds.
PROGRAMS_SECONDS = 10.0
_NR_MEMBARRIER = {"x86_64": 324, "aarch64": 283}


def wait_for_programs() -> bool:
    """Until every program that runs now has ended: an RCU grace period. False where the kernel
    does not wait for that, as with nohz_full."""
    number = _NR_MEMBARRIER[platform.machine()]
    return bool(ctypes.CDLL(None).syscall(number, _MEMBARRIER_CMD_GLOBAL, 0, 0) == 0)


class Recycler:
    """Finds groups that nothing names, and gives their ids back. Not safe for two threads at once.

    `drain` takes what is in the ring, whose records name groups, too; it says whether it took all.
    `give_back_use` is called with an id and its name, when its other counts have been moved.
    """

    def __init__(
        self,
        loaded: Loaded,
        table: GroupTable,
        families: Sequence[Counter],
        past: Past,
        ttl: float,
        drain: Callable[[], bool],
        give_back_use: Callable[[int, str], object],
    ) -> None:
        self._maps = loaded.maps
        self._table = table
        self._families = [family for family in families if family.group_labels]
        self._past = past
        self._ttl = ttl
        self._drain = drain
        self._give_back_use = give_back_use
        self._idle_since: dict[int, float] = {}
        self._leaving: dict[int, bytes] = {}  # ids whose name was taken out, and their entries
        self._left_at = 0.0  # when the last name was taken out
        self.recycled = 0

    def _named(self) -> set[int]:
        """The ids that a process, a zombie or a placement names."""
        named: set[int] = set()
        for _, groups in libbpf.read_records(self._maps["processes"], _GROUPS):
            named.update(groups)
        for _, (group,) in libbpf.read_records(self._maps["placements"], _PLACED):
            named.add(group)
        return named

    def round(self, now: float) -> None:
        """Look once. `now` is a time in seconds that only rises. Raises OSError."""
        if self._leaving and not (
            wait_for_programs() or now - self._left_at >= PROGRAMS_SECONDS
        ):
            return
        # Processes first: what one of them told before its record went is in the ring.
        named = self._named()
        if self._leaving and not self._drain():
            return
        self._finish(named)
        entries = libbpf.read_array(self._maps["group_table"])
        for number, raw in enumerate(entries):
            entry = GROUP_ENTRY.unpack(raw)
            is_ours = entry.kind == BY_COMM or (
                entry.kind == DECLARED and entry.precedence == NO_PRECEDENCE
            )
            if not is_ours or number in named or number in self._leaving:
                self._idle_since.pop(number, None)
            elif now - self._idle_since.setdefault(number, now) >= self._ttl:
                self._take_out(number, raw)
                self._left_at = now

    def _take_out(self, number: int, raw: bytes) -> None:
        """Let no more programs find the id by its name."""
        entry = GROUP_ENTRY.unpack(raw)
        key = entry.name[:COMM_BYTES]
        if libbpf.lookup(self._maps["groups"], key) == key_of(number):
            libbpf.delete(self._maps["groups"], key)
        self._leaving[number] = raw
        del self._idle_since[number]

    def _finish(self, named: set[int]) -> None:
        """Free the ids that are leaving; one that got a process at the last moment stays, and so
        does one whose group was declared anew."""
        table = self._maps["group_table"]
        staying = {
            number for number, raw in self._leaving.items()
            if number in named or libbpf.lookup(table, key_of(number)) != raw
        }  # fmt: skip
        going = self._leaving.keys() - staying
        for number in staying:
            entry = GROUP_ENTRY.unpack(self._leaving.pop(number))
            if entry.kind == BY_COMM:
                # Fails where the name has got another id meanwhile: then both are the name's.
                key = entry.name[:COMM_BYTES]
                libbpf.update(self._maps["groups"], key, key_of(number), libbpf.NOEXIST)
        if not going:
            return
        names = self._table.names()
        for family in self._families:
            handle = self._maps[family.name]
            for key in libbpf.read_keys(handle):
                if family.groups_of(key) & going:
                    count = libbpf.count_of(handle, key)
                    self._past.add(family, family.series(key, names), count)
                    libbpf.delete(handle, key)
        placed = self._maps["placed_execs"]
        for number in going:
            if raw := libbpf.lookup(placed, key_of(number)):
                (count,) = struct.unpack("=Q", raw)
                self._past.add(EXECS, (names[number],), count)
                libbpf.delete(placed, key_of(number))
            self._give_back_use(number, names[number])
            entry = GROUP_ENTRY.unpack(self._leaving.pop(number))
            log.debug("group %d, %r, is free", number, text_of(entry.name))
            self._table.give_back(number)
            self.recycled += 1
        self._past.trim({name for number, name in names.items() if number not in going})
