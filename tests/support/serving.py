# SPDX-License-Identifier: Apache-2.0
"""A real server in this process, and clients that are as odd as they like."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pidinfod.service.server import Limits, Server
from pidinfod.service.sockets import UnixSocket, tcp

Where = tuple[str, int] | Path
SECONDS = 20  # after which something hangs


@dataclass
class Serving:
    """A running server, where it listens, and the sockets that a test leaves open."""

    server: Server
    tcp: tuple[str, int]
    unix: Path
    opened: list[socket.socket] = field(default_factory=list)

    def connect(self, where: Where | None = None) -> socket.socket:
        where = where or self.tcp
        sock = socket.socket(socket.AF_UNIX if isinstance(where, Path) else socket.AF_INET)
        self.opened.append(sock)
        sock.settimeout(SECONDS)
        sock.connect(str(where) if isinstance(where, Path) else where)
        return sock

    def send(self, raw: bytes, where: Where | None = None) -> socket.socket:
        sock = self.connect(where)
        sock.sendall(raw)
        return sock

    def ask(
        self, target: str, method: str = "GET", where: Where | None = None, **headers: str
    ) -> Answer:
        """One request on a connection of its own."""
        fields = {"Host": "x", **{name.replace("_", "-"): text for name, text in headers.items()}}
        lines = [f"{method} {target} HTTP/1.1", *(f"{n}: {text}" for n, text in fields.items())]
        with self.send("\r\n".join([*lines, "", ""]).encode(), where) as sock:
            return read(sock, method)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def read(sock: socket.socket, method: str = "GET") -> Answer:
    """The next answer of a connection."""
    answer = http.client.HTTPResponse(sock, method=method)
    answer.begin()
    return Answer(answer.status, dict(answer.headers), answer.read())


@contextlib.contextmanager
def serving(
    folder: Path,
    app: Callable[..., object],
    lanes: Mapping[str, int] | None = None,
    lane_of: Callable[..., str] | None = None,
    limits: Limits | None = None,
) -> Iterator[Serving]:
    lanes = lanes or {"all": 3}
    first = next(iter(lanes))
    listening = [tcp("127.0.0.1", 0), UnixSocket(folder / "s")]
    address = listening[0].getsockname()
    server = Server(listening, app, lanes, lane_of or (lambda *_: first), limits)
    server.start()
    found = Serving(server, address, folder / "s")
    try:
        yield found
    finally:
        server.stop()
        for sock in found.opened:
            sock.close()


def is_closed(sock: socket.socket) -> bool:
    """Whether the server has closed this connection; waits for nothing."""
    if not select.select([sock], [], [], 0)[0]:
        return False
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except ConnectionError:
        return True


def until(condition: Callable[[], bool]) -> None:
    """Wait for what must come soon."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def at_once(count: int, call: Callable[[], object]) -> list[object]:
    """The results of calls that start together, each in a thread of its own."""
    results: list[object] = []
    barrier = threading.Barrier(count)

    def run() -> None:
        barrier.wait()
        results.append(call())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert len(results) == count
    return results
