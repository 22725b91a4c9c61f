# SPDX-License-Identifier: Apache-2.0
"""The application: /metrics, /api/v1/deaths, a page that points to them, /-/healthy.

The command asks the daemon the same way, over the daemon's Unix socket.
"""

from __future__ import annotations

import grp
import gzip
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import choose_encoder, gzip_accepted

from pidinfod.deaths.death import Death
from pidinfod.deaths.ledger import Filter, Ledger
from pidinfod.service.server import PEER, Body
from pidinfod.service.sockets import Peer

log = logging.getLogger("pidinfod")

Headers = list[tuple[str, str]]
StartResponse = Callable[[str, Headers], Any]

GROUP = "pidinfod"  # whose members see all deaths
METRICS, DEATHS = "/metrics", "/api/v1/deaths"
PAGE = b"""<!doctype html><html lang="en"><head><title>pidinfod</title></head><body>
<h1>pidinfod</h1><p>Processes, signals, forks and exits of this host.</p>
<ul><li><a href="/metrics">Metrics</a></li><li><a href="/api/v1/deaths">Deaths</a></li>
<li><a href="/-/healthy">Health</a></li></ul>
</body></html>
"""
TEXT, JSON, HTML = "text/plain; charset=utf-8", "application/json", "text/html; charset=utf-8"

OK, BAD_REQUEST, FORBIDDEN = "200 OK", "400 Bad Request", "403 Forbidden"
NOT_FOUND, NOT_ALLOWED = "404 Not Found", "405 Method Not Allowed"
FAILED, UNAVAILABLE = "500 Internal Server Error", "503 Service Unavailable"

# Workers by lane. A scrape waits for no question whose answer is not shared, and who sees all
# deaths for nobody else.
LANES = {
    "metrics": 2,
    "named metrics": 1,
    "deaths for who sees all": 1,
    "deaths for others": 1,
    "others": 1,
}


@dataclass(frozen=True)
class Answer:
    """A whole one."""

    status: str
    headers: Headers
    body: bytes


def text(status: str, body: str) -> Answer:
    return Answer(status, [("Content-Type", TEXT)], body.encode())


def json_error(status: str, message: str) -> Answer:
    return Answer(status, [("Content-Type", JSON)], json.dumps({"error": message}).encode())


class _Shared:
    """An answer that is being made, or was."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.answer = text(FAILED, "no answer could be made\n")
        self.finished = 0.0


class Shared:
    """Finished answers, each shared for a moment by all who ask the same.

    Who comes while an answer is being made waits for it instead of making another. Up to `fresh`
    answers in `keep_seconds` are made anew, so that who asks after having done something sees it;
    beyond that the finished ones serve, so that making them costs no more, however many ask.
    """

    def __init__(self, keep_seconds: float, wait_seconds: float, size: int, fresh: int) -> None:
        self._keep_seconds, self._wait_seconds, self._size = keep_seconds, wait_seconds, size
        self._fresh = fresh
        self._begun: deque[float] = deque(maxlen=max(1, fresh))
        self._entries: dict[object, _Shared] = {}  # oldest first
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: object, make: Callable[[], Answer]) -> Answer:
        """The answer for a key; 503 if it takes another request too long to make it."""
        with self._lock:
            self._forget_old()
            entry = self._entries.get(key)
            is_mine = entry is None
            if entry is None:
                entry = self._entries[key] = _Shared()
                self._begun.append(time.monotonic())
        if is_mine:
            try:
                entry.answer = make()
            finally:
                entry.finished = time.monotonic()
                entry.done.set()
        elif not entry.done.wait(self._wait_seconds):
            return text(UNAVAILABLE, "the answer takes too long to make\n")
        return entry.answer

    def _forget_old(self) -> None:
        """Leave those of the last moment, and room for one more; those in the making stay."""
        since = time.monotonic() - self._keep_seconds
        is_calm = sum(begun >= since for begun in self._begun) < self._fresh
        finished = [key for key, entry in self._entries.items() if entry.done.is_set()]
        surplus = len(self._entries) - self._size + 1
        for number, key in enumerate(finished):
            if is_calm or number < surplus or self._entries[key].finished < since:
                del self._entries[key]


# Of gzip. The highest one, which is prometheus_client's, takes three times as long for 4 % less.
COMPRESSION = 6


class Metrics:
    """/metrics by prometheus_client's own application, the finished answers shared."""

    def __init__(self, registry: CollectorRegistry, shared: Shared) -> None:
        self._app = make_wsgi_app(registry, disable_compression=True)
        self._shared = shared

    def answer(self, environ: dict[str, Any]) -> Answer:
        # What the answer depends on, as the application itself reads it.
        is_packed = gzip_accepted(environ.get("HTTP_ACCEPT_ENCODING", ""))
        key = (
            choose_encoder(environ.get("HTTP_ACCEPT", ""))[1],
            is_packed,
            frozenset(names) if (names := _names(environ["QUERY_STRING"])) else None,
        )
        return self._shared.get(key, lambda: self._make(environ, is_packed))

    def _make(self, environ: dict[str, Any], is_packed: bool) -> Answer:
        told: list[tuple[str, Headers]] = []
        get = {**environ, "REQUEST_METHOD": "GET"}
        try:
            body = b"".join(self._app(get, lambda status, headers: told.append((status, headers))))
        except Exception as error:  # whatever a collector raises
            log.error("the metrics cannot be told: %s: %s", type(error).__name__, error)
            return text(FAILED, "the metrics cannot be told; the daemon's log says why\n")
        ((status, headers),) = told
        if is_packed:
            body = gzip.compress(body, COMPRESSION)
            headers.append(("Content-Encoding", "gzip"))
        return Answer(status, headers, body)


def _names(query: str) -> list[str] | None:
    return parse_qs(query).get("name[]")


class Deaths:
    """/api/v1/deaths: who asks decides which are told.

    Root, the daemon's own user and the members of `group_id` see all; others those of their
    own uid. Over TCP nobody is known, so that all are told or none.
    """

    def __init__(
        self, ledger: Ledger | None, is_over_tcp: bool = False, group_id: int | None = None
    ) -> None:
        self._ledger = ledger
        self._is_over_tcp = is_over_tcp
        self._group_id = group_id

    def sees_all(self, peer: Peer) -> bool:
        return peer.uid in (0, os.geteuid()) or self._group_id in peer.groups

    def answer(self, environ: dict[str, Any]) -> Answer:
        """The JSON of deaths.ledger.Answer; a query has the keys of deaths.ledger.Filter."""
        peer: Peer | None = environ[PEER]
        if peer is None and not self._is_over_tcp:
            return json_error(
                FORBIDDEN,
                "deaths are told over the daemon's Unix socket only; "
                "the configuration can allow more: deaths_over_http",
            )
        if self._ledger is None:
            return json_error(UNAVAILABLE, "the probes are missing")
        query = environ["QUERY_STRING"]
        try:
            pairs = parse_qsl(
                query, keep_blank_values=True, strict_parsing=bool(query), errors="surrogateescape"
            )
            wanted = Filter.parse(dict(pairs))
        except ValueError as error:
            return json_error(BAD_REQUEST, str(error))
        if peer is not None and not self.sees_all(peer):
            if wanted.uid not in (None, peer.uid):
                return json_error(FORBIDDEN, "deaths of others are for root and the group pidinfod")
            # The limit counts what is told, not what is passed over.
            wanted = replace(wanted, uid=peer.uid)
        found = self._ledger.answer(wanted)
        if peer is not None and not self.sees_all(peer):
            found = replace(found, deaths=[_of_user(death, peer.uid) for death in found.deaths])
        return Answer(OK, [("Content-Type", JSON)], json.dumps(found.as_dict()).encode())


def _of_user(death: Death, uid: int) -> Death:
    """As its user may see it: of another who sent the signal, process and name, like ps(1)."""
    blame = death.blame
    if blame is None or blame.sender_uid == uid:
        return death
    return replace(death, blame=replace(blame, sender_uid=None))


def members() -> int | None:
    """The id of the group whose members see all deaths, if the host has it."""
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return None


class Application:
    """What the server serves (WSGI). `ailments` tells what is wrong with the daemon, if it is."""

    def __init__(
        self,
        registry: CollectorRegistry,
        deaths: Deaths,
        ailments: Callable[[], list[str]],
        keep_seconds: float = 1.0,
        fresh: int = 5,
        wait_seconds: float = 5.0,
    ) -> None:
        self._metrics = Metrics(registry, Shared(keep_seconds, wait_seconds, 16, fresh))
        self._deaths = deaths
        self._ailments = ailments

    def lane_of(self, path: str, query: str, peer: Peer | None) -> str:
        """Which of LANES a request belongs to."""
        if path == DEATHS:
            sees_all = peer is not None and self._deaths.sees_all(peer)
            return "deaths for who sees all" if sees_all else "deaths for others"
        if path == METRICS:
            return "named metrics" if _names(query) else "metrics"
        return "others"

    def __call__(
        self, environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        try:
            answer = self._answer(environ)
        except Exception as error:  # a fault of ours costs one answer
            log.error("%s: %s: %s", environ["PATH_INFO"], type(error).__name__, error)
            answer = text(FAILED, "this cannot be told; the daemon's log says why\n")
        is_head = environ["REQUEST_METHOD"] == "HEAD"
        length = ("Content-Length", str(len(answer.body)))
        start_response(answer.status, [*answer.headers, length])
        return [] if is_head else environ["wsgi.file_wrapper"](Body(answer.body))

    def _answer(self, environ: dict[str, Any]) -> Answer:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            headers = [("Content-Type", TEXT), ("Allow", "GET, HEAD")]
            return Answer(NOT_ALLOWED, headers, b"only GET and HEAD\n")
        match environ["PATH_INFO"]:
            case path if path == METRICS:
                return self._metrics.answer(environ)
            case path if path == DEATHS:
                return self._deaths.answer(environ)
            case "/":
                return Answer(OK, [("Content-Type", HTML)], PAGE)
            case "/-/healthy":
                reasons = self._ailments()
                if reasons:
                    return text(UNAVAILABLE, "".join(f"{reason}\n" for reason in reasons))
                return text(OK, "healthy\n")
        return text(NOT_FOUND, "not here; see /\n")
