# SPDX-License-Identifier: Apache-2.0
"""One bounded server for all listening sockets, on waitress.

A single thread does all input and output; a few workers get complete requests only. What a
client can hold, and for how long, is bounded here:

- connections: one more than the most closes the one whose client has kept us waiting longest;
- a whole request, and the reading of an answer, have a deadline each;
- requests that wait for a worker: one more than the most is answered 503 at once;
- answers that are not read yet: when they take too much memory, the slowest reader is closed.

Requests are divided into lanes with workers of their own, so that costly questions of one
client do not delay the cheap ones of others. No worker waits for a client: an answer is handed
over whole, as a Body, and with its length.
"""

from __future__ import annotations

import errno
import io
import logging
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask
from waitress.utilities import Error

from pidinfod.service.sockets import Peer, peer_of

PEER = "pidinfod.peer"  # the key of a WSGI environment: Peer, or None for TCP
# What is said of clients that went away or of a long queue is no news; errors are.
logging.getLogger("waitress").setLevel(logging.ERROR)

App = Callable[..., Iterable[bytes]]


class Body(io.BytesIO):
    """What an application gives to wsgi.file_wrapper: bytes that many answers may share."""

    def __init__(self, shared: bytes) -> None:
        super().__init__(shared)  # which copies nothing
        self.shared = shared


@dataclass(frozen=True)
class Limits:
    """What clients may take."""

    request_seconds: float = 10.0  # from the connection, or the last answer, to a whole request
    answer_seconds: float = 10.0  # without having read all that was sent so far
    connections: int = 256
    waiting: int = 64  # complete requests in each lane
    header_bytes: int = 16 << 10
    body_bytes: int = 16 << 10  # nothing here takes a body
    unread_bytes: int = 16 << 20  # of all answers; a single one may have more


class Server:
    """Serves an application on listening sockets, which it closes when it stops.

    `lanes` has the number of workers by a lane's name. `lane_of` gets path, query and peer of a
    request, and answers with one of these names.
    """

    def __init__(
        self,
        listening: Iterable[socket.socket],
        app: App,
        lanes: Mapping[str, int],
        lane_of: Callable[[str, str, Peer | None], str],
        limits: Limits | None = None,
    ) -> None:
        limits = limits or Limits()
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if descriptors != resource.RLIM_INFINITY:  # they are needed for other things, too
            limits = replace(limits, connections=min(limits.connections, descriptors // 4))
        self.limits = limits
        self.app, self.lanes, self.lane_of = app, lanes, lane_of
        self.sockets: dict[int, Any] = {}  # all that is polled, by descriptor
        self.pools = {name: ThreadedTaskDispatcher() for name in lanes}
        self.settings = Adjustments(
            outbuf_high_watermark=sys.maxsize,  # at which a worker would wait for its client
            # Of requests that are sent ahead, those in one piece are parsed, and kept, at once.
            recv_bytes=1 << 10,
            max_request_header_size=limits.header_bytes,
            max_request_body_size=limits.body_bytes,
            log_socket_errors=False,
            clear_untrusted_proxy_headers=False,
            ident="pidinfod",
        )
        self._listeners = [_Listener(self, sock) for sock in listening]
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Start the threads. They keep the rights that the calling thread has now."""
        for name, pool in self.pools.items():
            pool.set_thread_count(self.lanes[name])
        self._thread.start()

    def stop(self) -> None:
        """Close everything; returns after a second at most, whatever clients do."""
        self._stopping = True
        if self._thread.is_alive():
            self._listeners[0].pull_trigger()
            self._thread.join(1)

    def make_room(self, is_needed: bool = False) -> None:
        """Close the connection whose client has kept us waiting longest, if there are as many
        as may be, or if room is needed for another reason."""
        channels = self._channels()
        waiting = [channel for channel in channels if channel.owes_us]
        if waiting and (is_needed or len(channels) >= self.limits.connections):
            min(waiting, key=lambda channel: channel.since).handle_close()

    def _close_slowest(self) -> None:
        """Bound the memory of what is not read yet: close those who ask on without reading, then
        those who have read nothing for the longest time. Bytes that many read count once."""
        readers = [channel for channel in self._channels() if channel.total_outbufs_len]
        readers.sort(key=lambda channel: (-len(channel.unread()), channel.read_at))
        while readers:
            bodies = {id(body): body for channel in readers for body in channel.unread()}
            if len(bodies) < 2 or sum(map(len, bodies.values())) <= self.limits.unread_bytes:
                return
            readers.pop(0).handle_close()

    def _channels(self) -> list[_Channel]:
        return [entry for entry in self.sockets.values() if isinstance(entry, _Channel)]

    def _run(self) -> None:
        tick = min(self.limits.request_seconds, self.limits.answer_seconds) / 10
        checked = 0.0
        while not self._stopping:
            wasyncore.poll2(tick if self._channels() else None, self.sockets)
            # Not within the round: a new connection may get the descriptor of one that was
            # closed in it, and with it what the round had found there.
            for listener in self._listeners:
                listener.accept_all()
            self._close_slowest()
            now = time.monotonic()
            if now - checked >= tick:
                checked = now
                for channel in self._channels():
                    if channel.is_late(now):
                        channel.handle_close()
        self._close()

    def _close(self) -> None:
        for listener in self._listeners:
            wasyncore.dispatcher.close(listener)
        for channel in self._channels():
            channel.handle_close()
        for pool in self.pools.values():
            pool.set_thread_count(0)
        until = time.monotonic() + 0.5
        for pool in self.pools.values():
            pool.shutdown(timeout=max(0.0, until - time.monotonic()))
        # A worker that is not done yet still writes to the trigger's pipe.
        if not any(pool.threads for pool in self.pools.values()):
            for listener in self._listeners:
                listener.trigger.close()


class _Busy(Error):
    code, reason = 503, "Service Unavailable"


class _Listener(BaseWSGIServer):
    """Accepts connections of one socket."""

    channel_class: type[_Channel]
    has_callers = False

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self.server = server
        super().__init__(
            server.app, server.sockets, _sock=sock, dispatcher=object(), adj=server.settings,
            sockinfo=(sock.family, sock.type, sock.proto, None), bind_socket=False,
        )  # fmt: skip
        self.channel_class = _Channel

    def getsockname(self) -> tuple[str, object]:
        if self.family == socket.AF_UNIX:
            return "localhost", None
        name = self.socket.getsockname()
        return name[0], name[1]

    def fix_addr(self, addr: Any) -> Any:
        return ("localhost", None) if self.family == socket.AF_UNIX else addr

    def set_socket_options(self, conn: socket.socket) -> None:
        if self.family != socket.AF_UNIX:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def readable(self) -> bool:
        return bool(self.accepting)

    def handle_accept(self) -> None:
        self.has_callers = True

    def accept_all(self) -> None:
        """Take all who wait, so that a crowd is not taken one a round.

        TLS belongs here: SSLContext.wrap_socket(do_handshake_on_connect=False) of the accepted
        socket; the channel's recv and send then take SSLWantReadError for "nothing yet".
        """
        while self.has_callers:
            try:
                accepted = self.accept()
                if accepted is None:
                    self.has_callers = False
                    return
                conn, address = accepted
                self.server.make_room()
                self.set_socket_options(conn)
                self.channel_class(self, conn, self.fix_addr(address), self.adj, map=self._map)
            except OSError as error:
                # Without a descriptor the socket stays readable, and this thread would spin.
                self.server.make_room(error.errno in (errno.EMFILE, errno.ENFILE))
                return

    def add_task(self, channel: _Channel) -> None:
        """Hand the channel's first request to the workers of its lane; what cannot be done is
        answered at once by the thread that reads."""
        request = channel.requests[0]
        if not request.error:
            # As waitress gives it to the application.
            path = "/" + request.path.lstrip("/")
            name = self.server.lane_of(path, request.query, channel.peer)
            pool = self.server.pools[name]
            if len(pool.queue) < self.server.limits.waiting:
                pool.add_task(channel)
                return
            request.error = _Busy("too many requests wait already")
        self.trigger.pull_trigger(channel.service)


class _Task(WSGITask):
    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ[PEER] = self.channel.peer
        return environ


class _Channel(HTTPChannel):
    """One connection. `since` is when its client began to keep us waiting, if it does; `read_at`
    is when it last read some of an answer, or could begin to."""

    task_class = _Task

    def __init__(self, *args: Any, **options: Any) -> None:
        self.since = self.read_at = time.monotonic()
        self.peer = peer_of(args[1])
        super().__init__(*args, **options)

    @property
    def owes_us(self) -> bool:
        """Whether the client has to do something: to ask, or to read."""
        return not self.requests or self.total_outbufs_len > 0

    def is_late(self, now: float) -> bool:
        """Whether the client has had its time; only for the thread that reads."""
        limits = self.server.server.limits
        if self.total_outbufs_len > 0:
            return bool(now - self.since > limits.answer_seconds)
        return not self.requests and bool(now - self.since > limits.request_seconds)

    def unread(self) -> list[bytes]:
        """The bodies of answers that wait to be sent."""
        # A copy, as a worker may add to it meanwhile.
        files = [getattr(buffer, "file", None) for buffer in self.outbufs.copy()]
        return [file.shared for file in files if isinstance(file, Body)]

    def write_soon(self, data: Any) -> int:
        if not self.total_outbufs_len:
            self.since = self.read_at = time.monotonic()
        return int(super().write_soon(data))

    def handle_write(self) -> None:
        unread = self.total_outbufs_len
        super().handle_write()
        if self.total_outbufs_len < unread:
            self.read_at = time.monotonic()
        if not self.total_outbufs_len:
            self.since = time.monotonic()

    def handle_expt(self) -> None:
        """Urgent data, which nobody needs to send; it would be reported without end."""
        self.handle_close()
