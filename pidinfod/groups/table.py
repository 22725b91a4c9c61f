# SPDX-License-Identifier: Apache-2.0
"""The kernel's table of groups: which id stands for which group, and the rules on names.

An id belongs to a name for as long as anything names the group; where a group stands in the
configuration is a field beside it. So rules can come, go and change places while the probes count,
and each count stays under its name.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pidinfod.groups.names import GroupNames, label_of_comm
from pidinfod.groups.rules import Group, Rules
from pidinfod.kernel import libbpf
from pidinfod.kernel.handoff import Loaded
from pidinfod.kernel.layout import text_of
from pidinfod.kernel.records import (
    BY_COMM,
    DECLARED,
    FIXED_GROUP,
    FREE,
    GROUP_ENTRY,
    GROUP_OTHER,
    NO_PRECEDENCE,
    SETTING,
    comm_key,
)  # fmt: skip

FIRST_GROUP = len(FIXED_GROUP.names)


def key_of(number: int) -> bytes:
    """A key that is a u32."""
    return struct.pack("=I", number)


def entry_of(group: Group, place: int) -> bytes:
    """What the table holds of a declared group."""
    return GROUP_ENTRY.pack(
        kind=DECLARED, precedence=place, keeps_children=group.children, name=group.name.encode()
    )


def comm_keys(group: Group) -> list[bytes]:
    """The names by which the kernel alone tells a declared group."""
    return [comm_key(comm.encode()) for comm in group.comm] if group.is_by_comm else []


def refined_precedence(groups: Sequence[Group]) -> int:
    """The place of the first rule that takes more than the name to tell."""
    refined = Rules(groups).refined_from
    return NO_PRECEDENCE if refined is None else refined


class TooManyGroups(Exception):
    """No id is left for a declared group."""


class GroupTable:
    """The groups of the running probes. All may raise OSError."""

    def __init__(self, loaded: Loaded) -> None:
        assert loaded.free_groups_fd is not None
        self._maps = loaded.maps
        self._free = loaded.free_groups_fd
        self._declared_names = frozenset(self.declared())

    def names(self) -> GroupNames:
        """What each id stands for now."""
        return GroupNames(libbpf.read_array(self._maps["group_table"]))

    def name_of(self, group: int) -> str:
        """What one id stands for now."""
        if group < FIRST_GROUP:
            return FIXED_GROUP[group]
        raw = libbpf.lookup(self._maps["group_table"], key_of(group))
        entry = GROUP_ENTRY.unpack(raw) if raw else None
        if entry is None or entry.kind == FREE:
            return "other"
        name = text_of(entry.name)
        return name if entry.kind == DECLARED else label_of_comm(name, self._declared_names)

    def declared(self) -> dict[str, int]:
        """The ids of the declared groups, by name."""
        found = {}
        for number, raw in enumerate(libbpf.read_array(self._maps["group_table"])):
            entry = GROUP_ENTRY.unpack(raw)
            if entry.kind == DECLARED and entry.precedence != NO_PRECEDENCE:
                found[text_of(entry.name)] = number
        return found

    def declare(self, groups: Sequence[Group]) -> None:
        """Make these the declared groups, in this order. A group that is not declared any more
        keeps its id until nothing names it. Raises TooManyGroups before anything is changed."""
        table, rules = self._maps["group_table"], self._maps["comm_rules"]
        known = {}
        for number, raw in enumerate(libbpf.read_array(table)):
            entry = GROUP_ENTRY.unpack(raw)
            if entry.kind == DECLARED:
                known[text_of(entry.name)] = number
        missing = [group.name for group in groups if group.name not in known]
        given: list[int] = []
        for _ in missing:
            free = libbpf.pop(self._free)
            if free is None:
                for taken in given:
                    libbpf.push(self._free, taken)
                raise TooManyGroups(f"no room for {len(missing)} more groups")
            given.append(free)
        ids = known | dict(zip(missing, given, strict=True))

        wanted = {group.name for group in groups}
        for name in known.keys() - wanted:
            retired = GROUP_ENTRY.pack(
                kind=DECLARED, precedence=NO_PRECEDENCE, name=name.encode()
            )
            libbpf.update(table, key_of(ids[name]), retired)
        for number, group in enumerate(groups):
            libbpf.update(table, key_of(ids[group.name]), entry_of(group, number))
        by_comm = {key: ids[group.name] for group in groups for key in comm_keys(group)}
        for key in set(libbpf.read_keys(rules)) - by_comm.keys():
            libbpf.delete(rules, key)
        for key, number in by_comm.items():
            libbpf.update(rules, key, key_of(number))
        place = SETTING.number("refined_precedence")
        setting = key_of(refined_precedence(groups))
        self._declared_names = frozenset(wanted)
        libbpf.update(self._maps["settings"], key_of(place), setting)

    def own_group(self, comm: bytes) -> int:
        """The id of a name that no rule declares, as the kernel gives it: a known one, or a new
        one, or "other"."""
        key, groups, table = comm_key(comm), self._maps["groups"], self._maps["group_table"]
        known = libbpf.lookup(groups, key)
        if known is None and (number := libbpf.pop(self._free)) is not None:
            entry = GROUP_ENTRY.pack(kind=BY_COMM, precedence=NO_PRECEDENCE, name=key)
            libbpf.update(table, key_of(number), entry)
            if libbpf.update(groups, key, key_of(number), libbpf.NOEXIST):
                return number
            # The kernel was faster.
            self.give_back(number)
            known = libbpf.lookup(groups, key)
        return GROUP_OTHER if known is None else int(struct.unpack("=I", known)[0])

    def give_back(self, number: int) -> None:
        """An id stands for nothing from now on. Nothing may name it any more."""
        libbpf.update(self._maps["group_table"], key_of(number), GROUP_ENTRY.pack())
        libbpf.push(self._free, number)
