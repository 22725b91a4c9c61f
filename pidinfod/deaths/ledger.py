# SPDX-License-Identifier: Apache-2.0
"""The last deaths, and questions to them."""

from __future__ import annotations

import itertools
import math
import re
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pidinfod.deaths.death import Death, decode, outline
from pidinfod.kernel.boot_time import BootTime
from pidinfod.kernel.names import parse_signal, signal_name

# The most deaths of one answer: some 700 KB of JSON. Who wants more asks again, with `after`.
LIMIT_MAX = 1000


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(f"expected a number from 0, got '{text}'")
    return int(text)


def _limit(text: str) -> int:
    if (limit := _number(text)) > LIMIT_MAX:
        raise ValueError(f"expected at most {LIMIT_MAX}, got '{text}'; ask on with after=")
    return limit


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError(f"expected seconds since 1970, got '{text}'")
    return seconds


def _signal(text: str) -> str:
    # The + of RTMIN+1 is a space in a query that was typed as it is.
    return signal_name(parse_signal(text.replace(" ", "+")))


@dataclass(frozen=True)
class Filter:
    """Which deaths are wanted: all that match what is given, `limit` of them at most."""

    pid: int | None = None
    uid: int | None = None
    group: str | None = None
    signal: str | None = None  # as signal_name() writes it
    since: float | None = None  # of the wall clock as it is set now, seconds since 1970
    after: int | None = None  # only with a seq greater than this
    limit: int = LIMIT_MAX

    @staticmethod
    def parse(values: Mapping[str, str]) -> Filter:
        """From texts by name. Raises ValueError that names what is wrong."""
        readers: dict[str, Callable[[str], Any]] = {
            "pid": _number,
            "uid": _number,
            "group": str,
            "signal": _signal,
            "since": _seconds,
            "after": _number,
            "limit": _limit,
        }
        found: dict[str, Any] = {}
        for name, text in values.items():
            if name not in readers:
                raise ValueError(f"'{name}': expected one of {', '.join(readers)}")
            try:
                found[name] = readers[name](text)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return Filter(**found)

    def matches(self, death: Death) -> bool:
        """Whether a death is one of those; `since`, `after` and `limit` are the ledger's."""
        return (
            self.pid in (None, death.pid)
            and self.uid in (None, death.uid)
            and self.group in (None, death.group)
            and self.signal in (None, death.signal)
        )


@dataclass(frozen=True)
class Answer:
    """What a ledger says to a Filter.

    Deaths come newest first, so that a limit keeps the last ones; with `after` they come oldest
    first, so that nothing is skipped by asking again after `last`.
    """

    instance: str  # of the ledger: another one has begun to count anew
    newest: int  # the seq of the last death that is recorded, 0 without any
    last: int  # the seq up to which the answer to `after` is complete
    forgotten: int  # of those after `after`, whether wanted or not, by now without a record
    deaths: list[Death]

    def as_dict(self) -> dict[str, Any]:
        """What JSON tells."""
        return {**vars(self), "deaths": [death.as_dict() for death in self.deaths]}


class _Record(NamedTuple):
    raw: bytes
    seq: int
    group: str
    cgroup: str | None


class Ledger:
    """The last deaths. Records stay as the kernel wrote them until someone asks.

    `group_name` and `path_of` give the names of a group's number and of a cgroup's id; `drain`
    has the records that are still in the ring added.
    """

    def __init__(
        self,
        capacity: int,
        group_name: Callable[[int], str],
        path_of: Callable[[int], str | None],
        drain: Callable[[], object],
    ) -> None:
        self._records: deque[_Record] = deque(maxlen=capacity)
        self._group_name = group_name
        self._path_of = path_of
        self._drain = drain
        self._lock = threading.Lock()
        self._boot_time = BootTime()
        self.instance = secrets.token_hex(8)
        self.recorded = 0

    def add(self, raw: bytes) -> None:
        """Take a record of the ring; the oldest goes when there is no room."""
        # Names are asked for now: the cgroup may be gone, or the group's number given to another
        # group, when someone wants to know.
        _, _, cgroup_id, number = outline(raw)
        group, path = self._group_name(number), self._path_of(cgroup_id)
        with self._lock:
            self.recorded += 1
            self._records.append(_Record(raw, self.recorded, group, path))

    def __len__(self) -> int:
        return len(self._records)

    def answer(self, wanted: Filter) -> Answer:
        """The deaths that are wanted."""
        self._drain()
        with self._lock:
            records, newest = list(self._records), self.recorded
        if wanted.after is None:
            records.reverse()
            found = list(itertools.islice(self._matching(records, wanted), wanted.limit))
            return Answer(self.instance, newest, newest, 0, found)
        oldest = newest - len(records) + 1
        del records[: max(0, wanted.after + 1 - oldest)]
        found = list(itertools.islice(self._matching(records, wanted), wanted.limit))
        last = newest
        if len(found) == wanted.limit:
            last = found[-1].seq if found else wanted.after
        return Answer(self.instance, newest, last, max(0, oldest - 1 - wanted.after), found)

    def _matching(self, records: Iterable[_Record], wanted: Filter) -> Iterator[Death]:
        """Decoded one by one, and only what may match: who wants one pays for one."""
        boot = self._boot_time.now()
        since_ns = 0.0 if wanted.since is None else (wanted.since - boot) * 1e9
        for record in records:
            pid, end_ns, _, _ = outline(record.raw)
            if end_ns < since_ns or wanted.pid not in (None, pid):
                continue
            death = decode(record.raw, record.seq, record.group, record.cgroup, boot)
            if wanted.matches(death):
                yield death
