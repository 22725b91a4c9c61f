# SPDX-License-Identifier: Apache-2.0
"""The server under clients that do not behave. Nothing may be said of them anywhere."""

import contextlib
import os
import re
import resource
import select
import socket
import struct
import threading
import time

import pytest
from waitress.channel import HTTPChannel

from pidinfod.service.server import PEER, Body, Limits
from tests.support.serving import SECONDS, at_once, is_closed, read, serving, until

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")

SOON = Limits(request_seconds=0.3, answer_seconds=0.3)
BIG = b"0123456789abcdef" * (1 << 20)  # more than any socket buffer takes
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(autouse=True)
def _silence(capfd, caplog):
    caplog.set_level(0)
    yield
    assert capfd.readouterr().err == ""
    assert [record.getMessage() for record in caplog.records] == []


class App:
    """Answers by path: /big, /new (as big, but not the same bytes), /wait (until `gate` is set),
    else the path itself."""

    def __init__(self):
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/wait":
            self.entered.release()
            assert self.gate.wait(SECONDS)
        bodies = {"/big": lambda: BIG, "/new": lambda: BIG[:-1] + b"!"}
        body = bodies.get(path, lambda: f"{environ['REQUEST_METHOD']} {path}".encode())()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        if environ["REQUEST_METHOD"] == "HEAD":
            return []
        return environ["wsgi.file_wrapper"](Body(body))


LANES = {"cheap": 2, "dear": 1}


def lane_of(path, query, peer):
    return "dear" if path == "/wait" else "cheap"


@pytest.fixture
def app():
    app = App()
    yield app
    app.gate.set()


@pytest.fixture(params=["tcp", "unix"])
def way(request):
    return request.param


def test_a_request_beside_silent_clients(tmp_path, app):
    with serving(tmp_path, app) as found:
        for number in range(200):
            found.connect(found.unix if number % 2 else found.tcp)
        for where in (found.tcp, found.unix):
            assert found.ask("/7", where=where).body == b"GET /7"


def test_silent_clients_are_gone_in_time(tmp_path, app):
    with serving(tmp_path, app, limits=SOON) as found:
        silent = [found.connect(found.unix if number % 2 else found.tcp) for number in range(31)]
        keeps = [found.send(GET, where) for where in (found.tcp, found.unix)]
        assert [read(sock).status for sock in keeps] == [200, 200]
        assert [sock.recv(1) for sock in silent + keeps] == [b""] * 33


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"GET /metrics HTTP/1.1\r\nX-Filler: ",
        b"POST / HTTP/1.1\r\nContent-Length: 16000\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n",
        GET + b"GET / HTTP/1.1\r\nX-Filler: ",
    ],
    ids=["line", "header", "body", "chunks", "second request"],
)
def test_who_dribbles_is_gone_in_time(tmp_path, app, way, start):
    with serving(tmp_path, app, limits=SOON) as found:
        slow = found.send(start, getattr(found, way))
        with contextlib.suppress(ConnectionError):
            for _ in range(int(SECONDS / 0.05)):
                slow.send(b"a")
                if select.select([slow], [], [], 0.05)[0] and not slow.recv(4096):
                    break
            else:
                raise AssertionError("it is still there")


def test_a_slow_whole_request_is_answered(tmp_path, app):
    with serving(tmp_path, app) as found:
        slow = found.connect()
        for number in range(len(GET)):
            slow.sendall(GET[number : number + 1])
        assert read(slow).body == b"GET /"


def test_half_closed(tmp_path, app, way):
    with serving(tmp_path, app) as found:
        whole = found.send(GET, getattr(found, way))
        whole.shutdown(socket.SHUT_WR)
        assert read(whole).body == b"GET /"
        assert whole.recv(1) == b""
        half = found.send(GET[:-1], getattr(found, way))
        half.shutdown(socket.SHUT_WR)
        assert half.recv(1) == b""


def received(sock, most=1 << 30):
    """How many bytes come until the end of a connection, or until there are more than so many."""
    count = 0
    with contextlib.suppress(ConnectionError):
        while count <= most and (data := sock.recv(1 << 20)):
            count += len(data)
    return count


@pytest.mark.parametrize("first", [b"", GET, b"GET /big HTTP/1.1\r\n\r\n"])
def test_who_reads_no_answer_holds_nobody(tmp_path, app, way, first):
    with serving(tmp_path, app, limits=SOON) as found:
        where = getattr(found, way)
        deaf = [found.send(first + b"GET /big HTTP/1.1\r\n\r\n" * 2, where) for _ in range(7)]
        assert found.ask("/5").body == b"GET /5"
        until(lambda: not served(found))
        assert all(received(sock) < 2 * len(BIG) for sock in deaf)


def served(found):
    """The connections that the server has."""
    polled = list(found.server.sockets.values())
    return [entry for entry in polled if isinstance(entry, HTTPChannel)]


@pytest.mark.parametrize("together", [1, 2, 3])
def test_when_too_much_is_not_read_the_slowest_reader_is_closed(tmp_path, app, way, together):
    limits = Limits(unread_bytes=together * len(BIG) + 1)
    with serving(tmp_path, app, limits=limits) as found:
        deaf = []
        for number in range(1, 6):
            deaf.append(found.send(b"GET /new HTTP/1.1\r\n\r\n", getattr(found, way)))
            assert deaf[-1].recv(5) == b"HTTP/"
            until(lambda number=number: len(served(found)) == min(number, together))
        assert found.ask("/5").body == b"GET /5"
        until(lambda: len(served(found)) == together)
        assert received(deaf.pop(), len(BIG)) > len(BIG)
        assert all(received(sock) < len(BIG) for sock in deaf[: 5 - together])


def test_one_that_reads_is_served_beside_any_number_that_do_not(tmp_path, app, way):
    with serving(tmp_path, app, limits=Limits(unread_bytes=2 * len(BIG))) as found:
        for _ in range(5):
            found.send(b"GET /new HTTP/1.1\r\n\r\n" * 3, getattr(found, way))
            assert len(found.ask("/new", where=getattr(found, way)).body) == len(BIG)


def test_no_worker_waits_for_who_does_not_read(tmp_path, app, way):
    limits = Limits(answer_seconds=3 * SECONDS, unread_bytes=1 << 30)
    with serving(tmp_path, app, {"all": 1}, limits=limits) as found:
        found.send(b"GET /big HTTP/1.1\r\n\r\n" * 5, getattr(found, way))
        until(lambda: [len(channel.unread()) for channel in served(found)] == [5])
        assert found.ask("/5").body == b"GET /5"


def test_a_single_answer_may_be_larger(tmp_path, app, way):
    with serving(tmp_path, app, limits=Limits(unread_bytes=len(BIG) - 1)) as found:
        slow = found.send(b"GET /big HTTP/1.1\r\n\r\n", getattr(found, way))
        assert slow.recv(5) == b"HTTP/"
        assert received(slow, len(BIG)) > len(BIG)


def test_what_many_read_is_counted_once(tmp_path, app, way):
    # With room for the small answer that is asked for beside it.
    with serving(tmp_path, app, limits=Limits(unread_bytes=len(BIG) + 64)) as found:
        slow = [found.send(b"GET /big HTTP/1.1\r\n\r\n", getattr(found, way)) for _ in range(5)]
        assert all(sock.recv(5) == b"HTTP/" for sock in slow)
        assert found.ask("/5").body == b"GET /5"
        until(lambda: len(served(found)) == 5)
        assert all(received(sock, len(BIG)) > len(BIG) for sock in slow)


def test_of_requests_that_are_sent_ahead_few_are_kept(tmp_path, app, way):
    with serving(tmp_path, app, LANES, lane_of) as found:
        found.send(b"GET /wait HTTP/1.1\r\n\r\n", found.unix)
        assert app.entered.acquire(timeout=SECONDS)
        last = b"GET /wait HTTP/1.1\r\nConnection: close\r\n\r\n"
        ahead = found.send(b"GET /wait HTTP/1.1\r\n\r\n" * 307 + last, getattr(found, way))
        until(lambda: sum(bool(channel.requests) for channel in served(found)) == 2)
        assert max(len(channel.requests) for channel in served(found)) < 64
        app.gate.set()
        assert whole(ahead).count(b"HTTP/1.1 200 OK") == 308


def test_who_goes_away(tmp_path, app, way):
    reset = struct.pack("ii", 1, 0)
    with serving(tmp_path, app, LANES, lane_of) as found:
        where = getattr(found, way)
        whole = [b"GET /%b HTTP/1.1\r\n\r\n" % path for path in (b"big", b"wait", b"new")]
        for request in (b"", GET[:7], GET, GET * 5, *whole):
            for is_reset in (False, True):
                sock = found.send(request, where)
                if is_reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                sock.close()
        app.gate.set()
        assert found.ask("/5").body == b"GET /5"
        until(lambda: not served(found))


def test_who_goes_away_in_the_middle_of_an_answer(tmp_path, app, way):
    with serving(tmp_path, app) as found:
        sock = found.send(b"GET /big HTTP/1.1\r\n\r\n", getattr(found, way))
        assert sock.recv(13)
        sock.close()
        until(lambda: not served(found))


def test_one_more_than_the_most_closes_the_oldest(tmp_path, app):
    with serving(tmp_path, app, limits=Limits(connections=17)) as found:
        silent = []
        for number in range(1, 24):
            silent.append(found.connect(found.unix if number % 2 else found.tcp))
            until(lambda number=number: len(served(found)) == min(number, 17))
        until(lambda: sum(map(is_closed, silent)) == 6)
        assert [is_closed(sock) for sock in silent] == [True] * 6 + [False] * 17
        assert found.ask("/5").body == b"GET /5"
        assert is_closed(silent[6])
        assert not is_closed(silent[-1])


def test_who_is_being_served_is_not_closed(tmp_path, app):
    with serving(tmp_path, app, LANES, lane_of, Limits(connections=5)) as found:
        served_now = found.send(b"GET /wait HTTP/1.1\r\n\r\n")
        assert app.entered.acquire(timeout=SECONDS)
        for _ in range(13):
            found.connect()
        assert found.ask("/5").body == b"GET /5"
        app.gate.set()
        assert read(served_now).body == b"GET /wait"


def test_a_lane_that_is_full_says_so_at_once(tmp_path, app, way):
    with serving(tmp_path, app, LANES, lane_of, Limits(waiting=3)) as found:
        where = getattr(found, way)
        first = found.send(b"GET /wait HTTP/1.1\r\n\r\n", where)
        assert app.entered.acquire(timeout=SECONDS)
        more = [found.send(b"GET /wait HTTP/1.1\r\n\r\n", where) for _ in range(3)]
        until(lambda: len(found.server.pools["dear"].queue) == 3)
        for method in ("GET", "POST"):
            refused = found.ask("/wait", method, where=where)
            assert (refused.status, refused.headers["Connection"]) == (503, "close")
        assert found.ask("/5").body == b"GET /5"  # another lane
        assert found.ask("//wait").status == 503  # the same, however it is written
        app.gate.set()
        assert [read(sock).status for sock in [first, *more]] == [200] * 4


def test_a_crowd(tmp_path, app):
    with serving(tmp_path, app) as found:
        answers = at_once(200, lambda: found.ask("/5"))
        assert {answer.status for answer in answers} <= {200, 503}
        assert any(answer.status == 200 for answer in answers)


def test_kept_alive_and_pipelined(tmp_path, app, way):
    with serving(tmp_path, app) as found:
        sock = found.connect(getattr(found, way))
        for number in range(7):
            sock.sendall(b"GET /%d HTTP/1.1\r\n\r\n" % number)
            assert read(sock).body == b"GET /%d" % number
        sock.sendall(b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(97)))
        sock.sendall(b"GET /97 HTTP/1.1\r\nConnection: close\r\n\r\n")
        told = re.findall(rb"\r\n\r\nGET /(\d+)", whole(sock))
        assert [int(number) for number in told] == list(range(98))


def test_http_1_0(tmp_path, app):
    with serving(tmp_path, app) as found:
        sock = found.send(b"GET /7 HTTP/1.0\r\n\r\n")
        assert read(sock).body == b"GET /7"
        assert sock.recv(1) == b""
        sock = found.send(b"GET /7 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert read(sock).body == b"GET /7"
        sock.sendall(GET)
        assert read(sock).body == b"GET /"


def test_head(tmp_path, app, way):
    with serving(tmp_path, app) as found:
        for path, length in (("/7", len("HEAD /7")), ("/big", len(BIG))):
            raw = f"HEAD {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode()
            head = whole(found.send(raw, getattr(found, way)))
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert head.endswith(b"\r\n\r\n")
            assert f"Content-Length: {length}\r\n".encode() in head


def whole(sock):
    """All that comes until the end of a connection."""
    text = b""
    while data := sock.recv(4096):
        text += data
    return text


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"a" * (16 << 10) + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * (64 << 10), 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 16385\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\n\r\n", 400),
    ],
)
def test_what_is_no_request(tmp_path, app, way, raw, status):
    with serving(tmp_path, app) as found:
        sock = found.connect(getattr(found, way))
        with contextlib.suppress(ConnectionError):  # the server may have seen enough
            sock.sendall(raw)
        answer = read(sock)
        assert answer.status == status
        assert b"Traceback" not in answer.body
        assert found.ask("/5").body == b"GET /5"


def test_a_body_that_waits_to_be_asked_for(tmp_path, app):
    with serving(tmp_path, app) as found:
        sock = found.send(b"POST /7 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert sock.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"12345")
        assert read(sock).body == b"POST /7"


def test_urgent_data(tmp_path, app):
    with serving(tmp_path, app) as found:
        sock = found.connect()
        sock.send(b"!", socket.MSG_OOB)
        until(lambda: is_closed(sock))
        assert found.ask("/5").body == b"GET /5"


def test_without_descriptors_the_oldest_is_closed(tmp_path, app):
    with serving(tmp_path, app) as found, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket()) for _ in range(23)]
        for client in clients:
            client.settimeout(SECONDS)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(map(int, os.listdir("/proc/self/fd")))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + 7, limits[1]))
        try:
            for client in clients:
                client.connect(found.tcp)
            clients[-1].sendall(GET)
            assert read(clients[-1]).body == b"GET /"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_stop_waits_for_nobody(tmp_path, app):
    with serving(tmp_path, app, LANES, lane_of) as found:
        silent = [found.connect(where) for where in (found.tcp, found.unix) for _ in range(13)]
        found.send(b"GET /big HTTP/1.1\r\n\r\n" * 3)
        found.send(b"GET /wait HTTP/1.1\r\n\r\n")
        found.send(b"GET /wait HTTP/1.1\r\n\r\n")
        assert app.entered.acquire(timeout=SECONDS)
        before = time.monotonic()
        found.server.stop()
        assert time.monotonic() - before < 5
        assert [sock.recv(1) for sock in silent] == [b""] * 26
        assert not found.unix.exists()
        with pytest.raises(ConnectionRefusedError):
            found.connect()


def test_the_peer_is_in_the_environment(tmp_path):
    def app(environ, start_response):
        peer = environ[PEER]
        body = str(peer.uid if peer else None).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    with serving(tmp_path, app) as found:
        assert found.ask("/", where=found.unix).body == str(os.geteuid()).encode()
        assert found.ask("/", pidinfod_peer="0", PIDINFOD_PEER="0").body == b"None"
