# SPDX-License-Identifier: Apache-2.0
import gzip
import json
import os
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from pidinfod.deaths.ledger import LIMIT_MAX, Filter, Ledger
from pidinfod.service.http import LANES, Application, Deaths, Metrics, Shared
from pidinfod.service.server import PEER
from pidinfod.service.sockets import Peer
from tests.support import records
from tests.support.serving import SECONDS, at_once, serving

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
NOBODY, MEMBERS = 65534, 4242


class Collector:
    """Two families; counts how often they are collected, and waits for `gate`."""

    def __init__(self):
        self.collected = 0
        self.fault = None
        self.has_left = False
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def describe(self):
        return [CounterMetricFamily("forks", "Forks."), GaugeMetricFamily("threads", "Threads.")]

    def collect(self):
        self.collected += 1
        self.entered.set()
        is_open = self.gate.wait(SECONDS)
        self.has_left = True
        assert is_open
        if self.fault:
            raise self.fault
        forks = CounterMetricFamily("forks", "Forks.", labels=["group"])
        for number in range(97):
            forks.add_metric([f"group {number} \n\"\\"], number)
        yield forks
        yield GaugeMetricFamily("threads", "Threads.", 13)


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.gate.set()


@pytest.fixture
def registry(collector):
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def remembered(*deaths):
    """A ledger of records, the oldest first."""
    ledger = Ledger(4099, lambda group: f"g{group}", {7: "/a\udce9"}.get, lambda: None)
    for raw in deaths:
        ledger.add(raw)
    return ledger


def application(registry, deaths=None, ailments=list, **options):
    # Every finished answer is shared, but in the tests that say otherwise.
    return Application(registry, deaths or Deaths(None), ailments, **{"fresh": 0, **options})


def serve(folder, app):
    return serving(folder, app, LANES, app.lane_of)


# /metrics

@pytest.mark.parametrize("query", ["", "name[]=threads", "name[]=forks_total&name[]=threads",
                                   "name[]=nothing", "x=1"])  # fmt: skip
@pytest.mark.parametrize("encoding", ["", "gzip", "br, gzip;q=0.5", "deflate"])
@pytest.mark.parametrize("accept", ["", OPENMETRICS, "text/plain", f"text/html, {OPENMETRICS}"])
def test_answers_are_those_of_prometheus_client(tmp_path, registry, accept, encoding, query):
    told = {}
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "QUERY_STRING": query,
        "HTTP_ACCEPT": accept, "HTTP_ACCEPT_ENCODING": encoding,
    }  # fmt: skip
    expected = b"".join(make_wsgi_app(registry)(environ, lambda _, headers: told.update(headers)))
    with serve(tmp_path, application(registry)) as found:
        got = found.ask(f"/metrics?{query}", Accept=accept, Accept_Encoding=encoding)
    assert got.status == 200
    is_packed = told.get("Content-Encoding") == "gzip"
    unpack = gzip.decompress if is_packed else bytes
    assert unpack(got.body) == unpack(expected)
    assert is_packed == ("gzip" in encoding)
    assert told.items() <= got.headers.items()
    assert got.headers["Content-Length"] == str(len(got.body))


def test_a_crowd_shares_one_answer(tmp_path, collector, registry):
    # All come while the first answer is being made, or within its second.
    app = application(registry, keep_seconds=SECONDS)
    with serve(tmp_path, app) as found:
        answers = at_once(200, lambda: found.ask("/metrics"))
    assert {answer.status for answer in answers} <= {200, 503}
    assert len({answer.body for answer in answers if answer.status == 200}) == 1
    assert collector.collected == 1


def test_an_answer_is_not_shared_for_longer(collector, registry):
    metrics = Metrics(registry, Shared(keep_seconds=0, wait_seconds=1, size=16, fresh=0))
    for _ in range(3):
        metrics.answer({"QUERY_STRING": "", "PATH_INFO": "/metrics"})
    assert collector.collected == 3


def test_who_asks_now_and_then_gets_what_is_new(collector, registry):
    """A person, a script: each sees what it has just done, up to five times a second."""
    metrics = Metrics(registry, Shared(keep_seconds=SECONDS, wait_seconds=1, size=16, fresh=5))
    for asked in range(1, 101):
        metrics.answer({"QUERY_STRING": "", "PATH_INFO": "/metrics"})
        assert collector.collected == min(asked, 5)


def test_a_crowd_that_comes_anew_costs_no_more(tmp_path, collector, registry):
    with serve(tmp_path, application(registry, keep_seconds=SECONDS, fresh=5)) as found:
        for _ in range(7):
            answers = at_once(31, lambda: found.ask("/metrics"))
            assert {answer.status for answer in answers} <= {200, 503}
    assert 1 <= collector.collected <= 5


def test_who_waits_too_long_is_told_so(tmp_path, collector, registry):
    app = application(registry, wait_seconds=0.1)
    with serve(tmp_path, app) as found:
        collector.gate.clear()
        first = threading.Thread(target=found.ask, args=("/metrics",))
        first.start()
        assert collector.entered.wait(SECONDS)
        late = found.ask("/metrics")
        assert (late.status, late.body) == (503, b"the answer takes too long to make\n")
        assert found.ask("/-/healthy").status == 200
        collector.gate.set()
        first.join()
        assert found.ask("/metrics").status == 200
    assert collector.collected == 1


@pytest.mark.parametrize("fault", [ValueError("map\nis gone"), OSError(24, "EMFILE"), KeyError(7)])
def test_a_collector_that_fails_is_one_line(tmp_path, collector, registry, fault, caplog, capfd):
    collector.fault = fault
    with serve(tmp_path, application(registry, keep_seconds=SECONDS)) as found:
        answers = at_once(31, lambda: found.ask("/metrics"))
    assert {answer.status for answer in answers} == {500}
    assert {answer.body for answer in answers} == {
        b"the metrics cannot be told; the daemon's log says why\n"
    }
    assert len(caplog.records) == 1
    assert type(fault).__name__ in caplog.text
    assert "Traceback" not in caplog.text + capfd.readouterr().err


def test_what_clients_choose_makes_no_more_answers(collector, registry):
    shared = Shared(keep_seconds=SECONDS, wait_seconds=1, size=16, fresh=0)
    metrics = Metrics(registry, shared)
    for number in range(1009):
        environ = {
            "QUERY_STRING": f"x={number}", "HTTP_ACCEPT": f"text/x{number}, text/*;q=0.{number}",
            "HTTP_ACCEPT_ENCODING": f"x{number}", "PATH_INFO": "/metrics",
        }  # fmt: skip
        metrics.answer(environ)
    assert (collector.collected, len(shared)) == (1, 1)
    for number in range(1009):
        metrics.answer({"QUERY_STRING": f"name[]=x{number}", "PATH_INFO": "/metrics"})
        assert len(shared) <= 16
    # In any order and number they are the same.
    before = collector.collected
    for query in ("name[]=threads&name[]=forks", "name[]=forks&name[]=threads&name[]=forks"):
        metrics.answer({"QUERY_STRING": query, "PATH_INFO": "/metrics"})
    assert collector.collected == before + 1


def test_head_is_the_answer_without_its_body(tmp_path, collector, registry):
    with serve(tmp_path, application(registry, keep_seconds=SECONDS)) as found:
        whole = found.ask("/metrics")
        head = found.ask("/metrics", "HEAD")
        for answer in (whole, head):
            answer.headers.pop("Date")
        assert (head.status, head.headers, head.body) == (200, whole.headers, b"")
    assert collector.collected == 1


# The rest

@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
@pytest.mark.parametrize("path", ["/metrics", "/api/v1/deaths", "/", "/nothing"])
def test_other_methods(tmp_path, registry, collector, method, path):
    with serve(tmp_path, application(registry)) as found:
        answer = found.ask(path, method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert answer.body == b"only GET and HEAD\n"
    assert collector.collected == 0


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/favicon.ico", "/-/", "/%ff", "*"])
def test_not_found(tmp_path, registry, path):
    with serve(tmp_path, application(registry)) as found:
        answer = found.ask(path)
        assert (answer.status, answer.body) == (404, b"not here; see /\n")
        assert found.ask(path, "HEAD").headers["Content-Length"] == "16"


def test_the_page(tmp_path, registry):
    with serve(tmp_path, application(registry)) as found:
        page = found.ask("/")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        for path in ("/metrics", "/api/v1/deaths", "/-/healthy"):
            assert f'href="{path}"'.encode() in page.body


def test_health(tmp_path, registry):
    reasons = []
    with serve(tmp_path, application(registry, ailments=lambda: reasons)) as found:
        answer = found.ask("/-/healthy")
        assert (answer.status, answer.body) == (200, b"healthy\n")
        reasons += ["the ring's reader has ended", "the last snapshot failed"]
        answer = found.ask("/-/healthy")
        assert (answer.status, answer.body) == (
            503, b"the ring's reader has ended\nthe last snapshot failed\n",
        )  # fmt: skip


def test_a_fault_of_ours_is_one_line(tmp_path, registry, caplog, capfd):
    def ailments():
        raise RuntimeError("why")

    with serve(tmp_path, application(registry, ailments=ailments)) as found:
        assert found.ask("/-/healthy").status == 500
    assert [record.getMessage() for record in caplog.records] == ["/-/healthy: RuntimeError: why"]
    assert capfd.readouterr().err == ""


# Deaths

def told(answer):
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    return json.loads(answer.body)["deaths"]


def asked(deaths, peer, query=""):
    """What a peer is told, by the application alone."""
    app = Application(CollectorRegistry(), deaths, list)
    status = []
    body = app(
        {
            "REQUEST_METHOD": "GET", "PATH_INFO": "/api/v1/deaths", "QUERY_STRING": query,
            PEER: peer, "wsgi.file_wrapper": lambda file: [file.read()],
        },
        lambda line, _: status.append(line[:3]),
    )  # fmt: skip
    return int(status[0]), json.loads(b"".join(body))


def test_over_tcp_nothing_is_told_unless_configured(tmp_path, registry):
    ledger = remembered(records.death())
    with serve(tmp_path, application(registry, Deaths(ledger))) as found:
        refused = found.ask("/api/v1/deaths")
        assert refused.status == 403
        assert "deaths_over_http" in json.loads(refused.body)["error"]
        assert found.ask("//api/v1/deaths?limit=0").status == 403
    (tmp_path / "more").mkdir()
    deaths = Deaths(ledger, is_over_tcp=True)
    with serve(tmp_path / "more", application(registry, deaths)) as found:
        assert len(told(found.ask("/api/v1/deaths"))) == 1


def test_json_is_exact(tmp_path, registry):
    ledger = remembered(records.death(cgroup_id=7, comm=b"a\n\xff", status=9, signal=9))
    with serve(tmp_path, application(registry, Deaths(ledger))) as found:
        answer = found.ask("/api/v1/deaths", where=found.unix)
        (got,) = told(answer)
        assert answer.headers["Content-Length"] == str(len(answer.body))
    assert json.loads(answer.body) == ledger.answer(Filter()).as_dict()
    assert (got["pid"], got["cgroup"], got["signal"]) == (4211, "/a\udce9", "SIGKILL")


OURS, THEIRS = 1001, 1009


@pytest.mark.parametrize(
    ("peer", "pids"),
    [
        (Peer(0, frozenset([0])), [1, 2, 3]),
        (Peer(os.geteuid(), frozenset()), [1, 2, 3]),
        (Peer(THEIRS, frozenset([MEMBERS])), [1, 2, 3]),
        (Peer(THEIRS, frozenset([5, MEMBERS, 7])), [1, 2, 3]),
        (Peer(OURS, frozenset([OURS, MEMBERS + 1])), [1, 3]),
        (Peer(THEIRS, frozenset([0])), [2]),
        (Peer(NOBODY, frozenset([NOBODY])), []),
        (None, [1, 2, 3]),
    ],
)
def test_who_sees_what(peer, pids):
    users = {3: OURS, 2: THEIRS, 1: OURS}
    ledger = remembered(*(records.death(pid=pid, uid=uid) for pid, uid in users.items()))
    deaths = Deaths(ledger, is_over_tcp=True, group_id=MEMBERS)
    status, body = asked(deaths, peer)
    assert (status, [found["pid"] for found in body["deaths"]]) == (200, pids)


def test_without_the_group_nobody_is_its_member():
    assert not Deaths(remembered()).sees_all(Peer(THEIRS, frozenset([THEIRS])))


def test_of_others_the_name_and_pid_are_told():
    sent = {"status": 9, "signal": 9, "sender": 202, "sender_comm": b"killer", "uid": OURS}
    ledger = remembered(
        records.death(uid=OURS),
        records.death(sender_uid=OURS, **sent),
        records.death(sender_uid=THEIRS, **sent),
    )
    for peer, uids in ((Peer(OURS, frozenset()), [None, OURS]),
                       (Peer(0, frozenset()), [THEIRS, OURS])):  # fmt: skip
        body = asked(Deaths(ledger), peer)[1]["deaths"]
        assert [found["blame"]["sender_uid"] for found in body[:2]] == uids
        assert {found["blame"]["sender_comm"] for found in body[:2]} == {"killer"}
        assert {found["blame"]["sender_pid"] for found in body[:2]} == {202}
        assert body[2]["blame"] is None
        assert (str(THEIRS) in json.dumps(body)) == (THEIRS in uids)


def test_the_limit_counts_what_is_told():
    many = [records.death(pid=pid, uid=(OURS, THEIRS)[pid % 2]) for pid in range(4001)]
    deaths = Deaths(remembered(*many))
    root, ours, theirs = (Peer(uid, frozenset()) for uid in (0, OURS, THEIRS))
    for peer, query, pids in (
        (root, "", range(4000, 3000, -1)),
        (root, "limit=0", ()),
        (root, "limit=7&after=3", range(3, 10)),
        (ours, "limit=7", range(4000, 3986, -2)),
        (ours, "", range(4000, 2000, -2)),
        (ours, "after=0", range(0, 2000, 2)),
        (ours, "limit=7&pid=11", ()),
        (theirs, "pid=11", (11,)),
        (theirs, f"uid={THEIRS}&limit=1", (3999,)),
    ):
        body = asked(deaths, peer, query)[1]["deaths"]
        assert [found["pid"] for found in body] == list(pids)


def test_of_another_user_nothing_is_told():
    deaths = Deaths(remembered(records.death(uid=THEIRS)), group_id=MEMBERS)
    for peer in (Peer(OURS, frozenset()), Peer(NOBODY, frozenset([0]))):
        assert asked(deaths, peer, f"uid={THEIRS}")[0] == 403
    assert asked(deaths, Peer(OURS, frozenset([MEMBERS])), f"uid={THEIRS}")[0] == 200


@pytest.mark.parametrize(
    "query", ["limit=many", "limit=-1", "limit=1001", "what=7", "pid=", "limit", "%00", "since=no"]
)
def test_a_bad_query(tmp_path, registry, query):
    with serve(tmp_path, application(registry, Deaths(remembered()))) as found:
        answer = found.ask(f"/api/v1/deaths?{query}", where=found.unix)
        assert answer.status == 400
        assert set(json.loads(answer.body)) == {"error"}
        head = found.ask(f"/api/v1/deaths?{query}", "HEAD", where=found.unix)
        assert head.headers["Content-Length"] == str(len(answer.body))


def test_without_probes(tmp_path, registry):
    with serve(tmp_path, application(registry)) as found:
        answer = found.ask("/api/v1/deaths", where=found.unix)
        assert answer.status == 503
        assert json.loads(answer.body) == {"error": "the probes are missing"}


def test_the_most_that_an_answer_tells_is_bounded(tmp_path, registry):
    sent = {"status": 9, "signal": 9, "sender": 202, "sender_comm": b"\xff" * 15}
    longest = records.death(comm=b"\xff" * 15, parent_comm=b"\xff" * 15, cgroup_id=7, **sent)
    ledger = remembered(*[longest] * (LIMIT_MAX + 1))
    with serve(tmp_path, application(registry, Deaths(ledger))) as found:
        answer = found.ask("/api/v1/deaths?after=0", where=found.unix)
        assert [one["seq"] for one in told(answer)] == list(range(1, LIMIT_MAX + 1))
        assert len(answer.body) < 1 << 20
        head = found.ask("/api/v1/deaths?after=0", "HEAD", where=found.unix)
        assert (head.headers["Content-Length"], head.body) == (str(len(answer.body)), b"")


def test_a_ledger_that_fails_is_one_line(tmp_path, registry, caplog, capfd):
    def fail():
        raise OSError(24, "EMFILE")

    broken = Ledger(16, str, {}.get, drain=fail)
    with serve(tmp_path, application(registry, Deaths(broken))) as found:
        assert found.ask("/api/v1/deaths", where=found.unix).status == 500
    assert len(caplog.records) == 1
    assert capfd.readouterr().err == ""


ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect(sys.argv[1])
    sock.sendall(b"GET /api/v1/deaths HTTP/1.0\\r\\n\\r\\n")
    text = b""
    while data := sock.recv(65536):
        text += data
print(text.partition(b"\\r\\n\\r\\n")[2].decode())
"""


def test_the_credentials_decide(registry):
    command = ["/usr/bin/python3", "-c", ASK]
    users = {13: OURS, 11: 0, 7: NOBODY}
    ledger = remembered(*(records.death(pid=pid, uid=uid) for pid, uid in users.items()))
    deaths = Deaths(ledger, group_id=MEMBERS)
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(Path(folder), application(registry, deaths)) as found,
    ):
        os.chmod(folder, 0o755)

        def pids(*prefix, **options):
            argv = [*prefix, *command, str(found.unix)]
            done = subprocess.run(argv, capture_output=True, check=True, **options)
            return [one["pid"] for one in json.loads(done.stdout)["deaths"]]

        assert pids() == [7, 11, 13]  # our own uid
        if os.geteuid() == 0:
            user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            assert pids(**user) == [7]
            assert pids(**user | {"group": MEMBERS}) == [7, 11, 13]
            assert pids(**user | {"extra_groups": [5, MEMBERS]}) == [7, 11, 13]
            assert pids(**user | {"extra_groups": [*range(1000, 2009), MEMBERS]}) == [7, 11, 13]
            assert pids(**user | {"extra_groups": [0]}) == [7]
            # Root of a user namespace is who made it.
            assert pids("unshare", "--user", "--map-root-user", **user) == [7]


def test_answers_that_nobody_reads_hold_no_scrape(tmp_path, registry):
    ledger = remembered(*(records.death(pid=pid) for pid in range(4099)))
    with serve(tmp_path, application(registry, Deaths(ledger, is_over_tcp=True))) as found:
        for where in (found.tcp, found.unix):
            for _ in range(7):
                found.send(b"GET /api/v1/deaths HTTP/1.1\r\n\r\n" * 3, where)
        assert found.ask("/metrics").status == 200
        assert found.ask("/-/healthy", where=found.unix).status == 200


class Slow:
    """A ledger that answers when `gate` is set."""

    def __init__(self, gate):
        self.gate = gate

    def answer(self, wanted):
        assert self.gate.wait(3 * SECONDS)
        return remembered().answer(wanted)


def test_no_other_question_holds_a_scrape(tmp_path, registry, monkeypatch):
    """Questions that last, more of each kind than may wait for a worker; names that change."""
    gate = threading.Event()
    app = application(registry, Deaths(Slow(gate), is_over_tcp=True))
    make = app._metrics._make

    def make_slowly(environ, is_packed):
        assert not environ["QUERY_STRING"] or gate.wait(3 * SECONDS)
        return make(environ, is_packed)

    monkeypatch.setattr(app._metrics, "_make", make_slowly)
    with serve(tmp_path, app) as found:
        # All of them fit: where room is made, it may be for one that has just connected.
        for number in range(71):
            for path, where in (
                ("/api/v1/deaths", found.tcp), ("/api/v1/deaths", found.unix),
                (f"/metrics?name[]=threads&name[]={number}", found.tcp),
            ):  # fmt: skip
                found.send(f"GET {path} HTTP/1.1\r\n\r\n".encode(), where)
        try:
            assert found.ask("/metrics").status == 200
            assert found.ask("/-/healthy").status == 200
        finally:
            gate.set()


def test_a_scrape_that_lasts_holds_no_health(tmp_path, collector, registry):
    with serve(tmp_path, application(registry, wait_seconds=3 * SECONDS)) as found:
        collector.gate.clear()
        for _ in range(7):
            found.send(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert collector.entered.wait(SECONDS)
        assert found.ask("/-/healthy").status == 200
        assert not collector.has_left
        collector.gate.set()


def test_lanes(registry):
    app = application(registry, Deaths(remembered(), group_id=MEMBERS))
    root, other = Peer(0, frozenset()), Peer(THEIRS, frozenset())
    for path, query, peer, lane in (
        ("/metrics", "", None, "metrics"), ("/metrics", "x=1", root, "metrics"),
        ("/metrics", "name[]=x", root, "named metrics"),
        ("/api/v1/deaths", "", root, "deaths for who sees all"),
        ("/api/v1/deaths", "pid=1", Peer(1, frozenset([MEMBERS])), "deaths for who sees all"),
        ("/api/v1/deaths", "", other, "deaths for others"),
        ("/api/v1/deaths", "", None, "deaths for others"),
        ("/-/healthy", "", other, "others"), ("/nothing", "name[]=x", None, "others"),
    ):  # fmt: skip
        assert app.lane_of(path, query, peer) == lane
        assert lane in LANES


def test_socket_and_tcp_tell_the_same(tmp_path, registry):
    with serve(tmp_path, application(registry, keep_seconds=SECONDS)) as found:
        assert found.ask("/metrics").body == found.ask("/metrics", where=found.unix).body


def test_ipv6(tmp_path, registry):
    from pidinfod.service.server import Server
    from pidinfod.service.sockets import tcp

    app = application(registry)
    sock = tcp("::1", 0)
    port = sock.getsockname()[1]
    server = Server([sock], app, LANES, app.lane_of)
    server.start()
    try:
        with socket.create_connection(("::1", port), SECONDS) as client:
            client.sendall(b"GET /-/healthy HTTP/1.0\r\n\r\n")
            assert client.recv(15) == b"HTTP/1.0 200 OK"
    finally:
        server.stop()
