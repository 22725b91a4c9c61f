# SPDX-License-Identifier: Apache-2.0
"""What a group is called: the label of each group id."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from pidinfod.kernel.layout import text_of
from pidinfod.kernel.records import BY_COMM, DECLARED, FIXED_GROUP, FREE, GROUP_ENTRY

# In front of a program's name that is one of ours, or a declared group's.
COMM_PREFIX = "comm:"
_KIND = GROUP_ENTRY.only("kind")


def label_of_comm(name: str, declared: Collection[str]) -> str:
    """The group of a program that no rule names. Nobody gets into another group by a name."""
    is_taken = name in FIXED_GROUP.names or name in declared or name.startswith(COMM_PREFIX)
    return COMM_PREFIX + name if is_taken else name


class GroupNames(Mapping[int, str]):
    """Group id to label, from the kernel's table of groups. An id that is free is "other"."""

    def __init__(self, table: Sequence[bytes] = ()) -> None:
        self._names = dict(enumerate(FIXED_GROUP.names))
        by_comm: dict[int, str] = {}
        for group, raw in enumerate(table):
            (kind,) = _KIND.unpack(raw)
            if kind == FREE:
                continue
            name = text_of(GROUP_ENTRY.unpack(raw).name)
            if kind == DECLARED:
                self._names[group] = name
            elif kind == BY_COMM:
                by_comm[group] = name
        declared = frozenset(self._names.values())
        for group, name in by_comm.items():
            self._names[group] = label_of_comm(name, declared)
        self.live = frozenset(self._names.values())

    def __getitem__(self, group: int) -> str:
        return self._names.get(group, "other")

    def __iter__(self) -> Iterator[int]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
