# SPDX-License-Identifier: Apache-2.0
"""Which declared group a process belongs to: a pure function of what is known of it."""

from __future__ import annotations

import functools
import pwd
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from pidinfod.groups import cgroups

# What a group may ask of a process; the first and the last by name, the others by pattern.
NAMES = ("comm", "user")
PATTERNS = ("exe", "cmdline", "cgroup", "unit", "container")
CONDITIONS = ("comm", *PATTERNS, "user")


@dataclass(frozen=True)
class Group:
    """A declared group. All its conditions must hold; of one condition any value will do."""

    name: str
    comm: tuple[str, ...] = ()
    exe: tuple[str, ...] = ()
    cmdline: tuple[str, ...] = ()
    cgroup: tuple[str, ...] = ()
    unit: tuple[str, ...] = ()
    container: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    children: bool = False

    @property
    def is_by_comm(self) -> bool:
        """Whether the kernel alone can tell."""
        return not any(getattr(self, name) for name in CONDITIONS if name != "comm")


@dataclass(frozen=True)
class Facts:
    """What is known of a process, as of its exec; only what some rule needs."""

    comm: str
    exe: str = ""
    cmdline: str = ""
    cgroup: str = ""
    uid: int | None = None


@functools.lru_cache(maxsize=1024)
def _user_name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def _by_name(values: Sequence[str], of: Callable[[Facts], Sequence[str | None]]) -> Condition:
    wanted = frozenset(values)
    return lambda facts: any(name in wanted for name in of(facts))


def _by_pattern(values: Sequence[str], of: Callable[[Facts], str | None]) -> Condition:
    patterns = [re.compile(value) for value in values]

    def holds(facts: Facts) -> bool:
        text = of(facts) or ""
        return bool(text) and any(pattern.search(text) for pattern in patterns)

    return holds


Condition = Callable[[Facts], bool]
_TEXTS: dict[str, Callable[[Facts], str | None]] = {
    "exe": lambda facts: facts.exe,
    "cmdline": lambda facts: facts.cmdline,
    "cgroup": lambda facts: facts.cgroup,
    "unit": lambda facts: cgroups.unit(facts.cgroup),
    "container": lambda facts: cgroups.container(facts.cgroup),
}


def _users(facts: Facts) -> Sequence[str | None]:
    return () if facts.uid is None else (str(facts.uid), _user_name(facts.uid))


def _conditions(group: Group) -> list[Condition]:
    found = []
    if group.comm:
        found.append(_by_name(group.comm, lambda facts: (facts.comm,)))
    if group.user:
        found.append(_by_name(group.user, _users))
    for name, text in _TEXTS.items():
        if values := getattr(group, name):
            found.append(_by_pattern(values, text))
    return found


class Rules:
    """The declared groups in the file's order. A group is told by its place in it."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = tuple(groups)
        self._conditions = [_conditions(group) for group in groups]
        used = {name for group in groups for name in CONDITIONS if getattr(group, name)}
        # The members of Facts that matching looks at.
        self.needs = frozenset(
            {"unit": "cgroup", "container": "cgroup", "user": "uid"}.get(name, name)
            for name in used
        )
        # The first group that the kernel cannot tell; None when it tells all of them.
        self.refined_from = next(
            (place for place, group in enumerate(groups) if not group.is_by_comm), None
        )

    def place(self, facts: Facts, certain: Collection[int] = ()) -> int | None:
        """The first group that matches, or None. `certain` are such as do in any case:
        a process whose parent was in a group with `children` matches it, too.
        """
        for place, conditions in enumerate(self._conditions):
            if place in certain or all(holds(facts) for holds in conditions):
                return place
        return None
