# SPDX-License-Identifier: Apache-2.0
"""Which declared group a process belongs to: a pure function of what is known of it."""

from __future__ import annotations

import functools
import pwd
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pidinfod.groups import cgroups

# Patterns look at so much of a text, bytes or characters: who chooses a command line or a path
# chooses its length. procps, too, cuts command lines there.
TEXT_MAX = 4096
# A search may take so long, in seconds of the processor: the longest and the shortest limit.
# After a search that reached its limit the next limit grows with the time since, so that
# texts made to be slow get at most this share of the time, however many there are.
SEARCH_LONGEST, SEARCH_SHORTEST, SEARCH_SHARE = 0.05, 0.001, 0.05
USERS_SECONDS = 60  # how long the id of a user's name is believed

# What a group may ask of a process; the first and the last by name, the others by pattern.
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
    per_pid: bool = False  # each of its processes is told of, too

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


Condition = Callable[[Facts], bool]
Fact = Callable[[Facts], str | None]
_FACTS: dict[str, Fact] = {
    "exe": lambda facts: facts.exe,
    "cmdline": lambda facts: facts.cmdline,
    "cgroup": lambda facts: facts.cgroup,
    "unit": lambda facts: cgroups.unit(facts.cgroup),
    "container": lambda facts: cgroups.container(facts.cgroup),
}


def compile_pattern(text: str) -> Any:
    """A pattern of the module `regex`, which can end a search by time and lets other threads
    run meanwhile. Raises ValueError.

    The module costs some megabytes and is imported for the first pattern.
    """
    try:
        import regex

        return regex.compile(text, regex.VERSION0)
    except ImportError:
        raise ValueError("regular expressions need the Python module regex") from None
    except (regex.error, OverflowError, RecursionError, MemoryError) as error:
        reason = str(error) if str(error).isprintable() else ascii(str(error))
        shown = text if len(text) <= 80 else text[:79] + "…"
        raise ValueError(f"{shown!r} is no regular expression: {reason}") from None


class _Search:
    """Holds where any of some patterns is found in one of the facts."""

    def __init__(
        self, fact: Fact, patterns: Sequence[str], on_slow: Callable[[], None]
    ) -> None:
        self._fact = fact
        self._patterns = [compile_pattern(pattern) for pattern in patterns]
        self._on_slow = on_slow
        self._slow_at = -SEARCH_LONGEST / SEARCH_SHARE

    def __call__(self, facts: Facts) -> bool:
        text = self._fact(facts)
        return bool(text) and any(self._finds(pattern, text) for pattern in self._patterns)

    def _finds(self, pattern: Any, text: str | None) -> bool:
        allowed = SEARCH_SHARE * (time.monotonic() - self._slow_at)
        limit = min(max(allowed, SEARCH_SHORTEST), SEARCH_LONGEST)
        try:
            return bool(pattern.search(text, 0, TEXT_MAX, timeout=limit, concurrent=True))
        except (TimeoutError, MemoryError):
            self._slow_at = time.monotonic()
            self._on_slow()
            return False


@functools.lru_cache(maxsize=1024)
def _uid(name: str, period: int) -> int | None:
    """The id of a user, asked for once a period: a service's user may come and go."""
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, OSError, ValueError):
        return None


def _is_user(user: str, uid: int) -> bool:
    if user.isdecimal():
        return int(user) == uid
    return _uid(user, int(time.monotonic() / USERS_SECONDS)) == uid


def _conditions(group: Group, on_slow: Callable[[], None]) -> list[Condition]:
    """What must hold of a process, what is cheap to find out first."""
    found: list[Condition] = []
    if group.comm:
        found.append(lambda facts: facts.comm in group.comm)
    if group.user:
        found.append(
            lambda facts: facts.uid is not None
            and any(_is_user(user, facts.uid) for user in group.user)
        )
    for name, fact in _FACTS.items():
        if patterns := getattr(group, name):
            found.append(_Search(fact, patterns, on_slow))
    return found


class Rules:
    """The declared groups in the file's order. A group is told by its place in it.

    A search that takes too long finds nothing, and `on_slow` is called. Raises ValueError for
    what is no regular expression.
    """

    def __init__(
        self, groups: Sequence[Group], on_slow: Callable[[], None] = lambda: None
    ) -> None:
        self.groups = tuple(groups)
        self.names = tuple(group.name for group in groups)
        self._conditions = [_conditions(group, on_slow) for group in groups]
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
