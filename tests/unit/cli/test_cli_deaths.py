# SPDX-License-Identifier: Apache-2.0
"""`pidinfod deaths` asks a real ledger behind a real server: its filters, its output, --follow."""

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from pidinfod.cli import deaths as client
from pidinfod.cli import main as command
from pidinfod.cli import status
from tests.support import records
from tests.support.asked import Daemon

SECOND = records.SECOND


@pytest.fixture
def daemon(tmp_path):
    with Daemon(tmp_path) as running:
        yield running


def run(daemon, *args):
    out, err = io.StringIO(), io.StringIO()
    done = client.main(["--socket", str(daemon.path), *args], out, err)
    assert all(line.isprintable() for line in (out.getvalue() + err.getvalue()).split("\n"))
    return done, out.getvalue().splitlines(), err.getvalue()


def pids(daemon, *args):
    done, lines, err = run(daemon, "--format", "json", *args)
    assert (done, err) == (status.OK, "")
    return [json.loads(line)["pid"] for line in lines]


def add(daemon, *numbers, **fields):
    for number in numbers:
        daemon.ledger.add(records.death(pid=number, **fields))


def test_a_line(daemon, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(daemon.ledger, "_path_of", lambda cgroup: "/x\x1b[1A\u202e.service")
    monkeypatch.setattr(daemon.ledger._boot_time, "now", lambda: 1_795_000_000.0)
    sender = {"sender": 4217, "sender_comm": "\x9b同".encode(), "sender_uid": 33}
    add(daemon, 4211, comm=b"a\n2026-01-01", parent_comm=b"\x1b[2J", status=15, signal=15, **sender)
    assert run(daemon)[1] == [
        "2026-11-18 11:09:31  a\\x0a2026-01-01 (PID 4211, uid 1009, x\\x1b[1A\\u202e.service, "
        "child of \\x1b[2J (PID 4201), aged 71.000 s) killed by SIGTERM: SIGTERM sent by "
        "\\u009b同 (PID 4217, uid 33)"
    ]


def test_json_is_exact_and_ascii(daemon):
    add(daemon, 4211, comm=b"a\n\x1b\xff")
    (line,) = run(daemon, "--format", "json")[1]
    assert line.isascii()
    assert json.loads(line) == daemon.ledger.answer(client_filter()).deaths[0].as_dict()


def client_filter():
    from pidinfod.deaths.ledger import Filter

    return Filter()


def test_all_are_told_oldest_first_in_bounded_answers(daemon):
    add(daemon, *range(1, 2 * client.PAGE + 8))
    assert pids(daemon) == list(range(1, 2 * client.PAGE + 8))
    assert len(daemon.asked) == 3
    assert all(f"limit={client.PAGE}" in query for query in daemon.asked)


@pytest.mark.parametrize("way", ["35", "RTMIN+1", "SIGRTMIN+1", "sigrtmin+1", "RTMAX-29"])
def test_a_signal(daemon, way):
    for number in (0, 9, 34, 35, 36):
        add(daemon, number + 1, status=number)
    assert pids(daemon, "--signal", way) == [36]


@pytest.mark.parametrize(
    "args",
    [
        *(("--signal", text) for text in ("NOSUCH", "0", "65", "-9", "", "\x1b[31m\n", "\udcff")),
        *(("--since", text) for text in ("yesterday", "-1", "nan", "1e9", "5 m", "", "\u0663s")),
    ],
)
def test_nonsense_is_refused(daemon, args):
    done, lines, err = run(daemon, *args)
    assert (done, lines, daemon.asked) == (status.USAGE, [], [])
    assert "expected" in err


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("none", "none"), ("caf\u00e9 \u540c", "caf\u00e9 \u540c"), ("a\\x1b", "a\\x1b"),
        # Quoted, and escaped once.
        ("a\x1b[2J", "'/a\\x1b[2J'"), ("a\n", "'/a\\n'"), ("\udcff", "'/\\udcff'"),
    ],
)  # fmt: skip
def test_a_configuration_that_is_not_there(name, shown):
    out, err = io.StringIO(), io.StringIO()
    assert client.main(["--config", f"/{name}"], out, err) == status.USAGE
    path = shown if shown.startswith("'") else f"/{shown}"
    assert err.getvalue() == f"{path}: No such file or directory\n"


def test_group(daemon):
    add(daemon, 5, group=3)
    add(daemon, 7, group=11)
    assert pids(daemon, "--group", "g11") == [7]
    for odd in ("nobody", "\udcff", "a&b=c", "+\n", ""):
        assert pids(daemon, "--group", odd) == []


def test_since(daemon):
    booted = time.clock_gettime(time.CLOCK_BOOTTIME)
    for age in (1000, 100, 10):
        add(daemon, age, end_ns=int((booted - age) * SECOND))
    assert pids(daemon, "--since", "57s") == [10]
    assert pids(daemon, "--since", "3m") == [100, 10]
    assert pids(daemon, "--since", str(int(time.time() - 57))) == [10]
    assert pids(daemon, "--since", "0") == [1000, 100, 10]


@pytest.mark.parametrize(
    ("refusal", "ends_with", "says"),
    [
        ((403, {"error": "root and the group pidinfod\x1b may\nask"}), 4, "\\x1b may\\x0aask"),
        ((400, {"error": "limit: \u202e"}), 2, "limit: \\u202e"),
        ((503, {"error": "the probes are missing"}), 1, "the probes are missing"),
        ((404, b"not here; see /\n"), 1, "is no pidinfod"),
        ((200, b"[]"), 1, "is no pidinfod"),
        ((200, b"{}"), 1, "is no pidinfod"),
        ((500, b"null"), 1, "is no pidinfod"),
        ((200, b"\xff"), 1, "is no pidinfod"),
    ],
)
def test_refusals(daemon, refusal, ends_with, says):
    daemon.refusal = refusal
    for args in ((), ("--follow",)):
        done, lines, err = run(daemon, *args)
        assert (done, lines, len(err.splitlines())) == (ends_with, [], 1)
        assert says in err
        assert str(daemon.path) in err


def test_no_daemon(tmp_path):
    plain = tmp_path / "plain\x1b"
    plain.touch()
    for path in (tmp_path / "none\n", tmp_path / ("x" * 200), plain):
        for args in ((), ("--follow",)):
            done, lines, err = run(SimpleNamespace(path=path), *args)
            assert (done, lines) == (status.FAILED, [])
            assert "no daemon answers at " in err


def test_a_socket_that_may_not_be_used(daemon, monkeypatch):
    def connect(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(client._Connection, "connect", connect)
    done, _, err = run(daemon)
    assert (done, str(daemon.path) in err) == (status.DENIED, True)


def test_an_end_in_the_middle_of_an_answer(tmp_path):
    """The daemon stops while it answers."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()

        def serve():
            for start in (b"", b"HTT", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"):
                peer, _ = listening.accept()
                peer.sendall(start)
                peer.close()

        thread = threading.Thread(target=serve)
        thread.start()
        for _ in range(3):
            done, _, err = run(SimpleNamespace(path=tmp_path / "s"))
            assert (done, "no daemon answers at " in err) == (status.FAILED, True)
        thread.join()


@pytest.fixture
def follow(daemon, monkeypatch):
    """Runs --follow; each time that it waits, the next of the steps is done."""

    def follow(steps, *args):
        left = iter(steps)

        def sleep(seconds):
            assert seconds == client.FOLLOW_SECONDS
            try:
                next(left)()
            except StopIteration:
                raise KeyboardInterrupt from None

        monkeypatch.setattr(client.time, "sleep", sleep)
        done, lines, err = run(daemon, "--follow", "--format", "json", *args)
        assert done == status.OK
        return [json.loads(line)["pid"] for line in lines], err

    return follow


def test_follow(daemon, follow):
    add(daemon, 5, 7)
    more = [lambda: add(daemon, 11), lambda: None, lambda: add(daemon, 11, 11, 13), lambda: None]
    assert follow(more) == ([5, 7, 11, 11, 11, 13], "")


def test_follow_from_now_on_with_a_filter(daemon, follow):
    add(daemon, 5, 7, status=9)
    steps = [
        lambda: add(daemon, 11, status=9),
        lambda: add(daemon, 13, status=15),
        lambda: add(daemon, *range(17, 17 + 2003), status=15),
        lambda: add(daemon, 19, status=9),
    ]
    assert follow(steps, "--since", "0s", "--signal", "9") == ([11, 19], "")


@pytest.mark.parametrize("step", [3600, -3600, 0.7, -0.7, 10**8, -(10**8)])
@pytest.mark.parametrize("since", [(), ("--since", "1h"), ("--since", "0s")])
def test_follow_over_a_step_of_the_clock(daemon, follow, monkeypatch, step, since):
    """Many die at the same time, before and after it."""
    real = time.time

    def die(first):
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        add(daemon, *range(first, first + 101), end_ns=now)

    def set_clock():
        monkeypatch.setattr(time, "time", lambda: real() + step)

    def both():
        die(2001)
        set_clock()
        die(3001)

    steps = [lambda: die(1001), both, lambda: None, lambda: die(4001), lambda: None]
    told, err = follow(steps, *since)
    first = (1001, 2001, 3001, 4001)
    assert (told, err) == ([pid for start in first for pid in range(start, start + 101)], "")


def test_follow_more_than_an_answer_holds(daemon, follow):
    count = 3 * client.PAGE + 7
    told, err = follow([lambda: add(daemon, *range(1, count + 1))])
    assert (told, err) == (list(range(1, count + 1)), "")


def test_follow_says_what_was_forgotten(daemon, follow):
    told, err = follow([lambda: add(daemon, *range(1, 4099 + 38))])
    assert told == list(range(38, 4099 + 38))
    assert err == "pidinfod: 37 deaths were forgotten before they could be asked for\n"


@pytest.mark.parametrize("pause", [0, 1, 7])
@pytest.mark.parametrize("before", [0, 3, 101])
def test_follow_over_a_restart(daemon, follow, pause, before):
    """The new daemon's deaths have the numbers of the old one's."""
    add(daemon, *range(1, before + 1))

    def restart():
        daemon.start()
        add(daemon, *range(501, 514))

    steps = [
        lambda: add(daemon, 401),
        *([daemon.stop, *[lambda: None] * (pause - 1), restart] if pause else []),
        *([] if pause else [lambda: (daemon.stop(), restart())]),
        lambda: None,
        lambda: add(daemon, 601),
    ]
    told, err = follow(steps)
    assert told == [*range(1, before + 1), 401, *range(501, 514), 601]
    waits = f"pidinfod: no daemon answers at {daemon.path}: "
    assert len(err.splitlines()) == (1 if pause else 0)
    assert err.startswith(waits if pause else "")


def test_follow_ends_when_it_is_refused(daemon, monkeypatch):
    refused = (403, {"error": "not any more"})
    monkeypatch.setattr(client.time, "sleep", lambda _: setattr(daemon, "refusal", refused))
    done, _, err = run(daemon, "--follow")
    assert (done, "not any more" in err) == (status.DENIED, True)


def test_interrupted(daemon, monkeypatch, capsys):
    def ask(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "ask", ask)
    args = ["deaths", "--socket", str(daemon.path)]
    assert command.main(args) == status.INTERRUPTED
    assert command.main([*args, "--follow"]) == status.OK
    assert capsys.readouterr().err == ""


def command_of(daemon, *args):
    return [sys.executable, "-m", "pidinfod", "deaths", "--socket", str(daemon.path), *args]


@pytest.mark.parametrize("encoding", ["ascii:strict", "iso-8859-1:strict", "utf-8:strict"])
def test_in_every_locale(daemon, monkeypatch, encoding):
    monkeypatch.setattr(daemon.ledger, "_path_of", lambda cgroup: "/caf\udce9.service")
    add(daemon, 4211, comm="同é".encode())
    for form in ("text", "json"):
        env = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run(command_of(daemon, "--format", form), env=env, capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")
        assert (b"caf\\xe9.service" if form == "text" else b"caf\\udce9.service") in done.stdout


def test_a_reader_that_leaves(daemon):
    add(daemon, *range(1, 3001))
    with subprocess.Popen(
        command_of(daemon, "--follow"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        running.stdout.readline()
        running.stdout.close()
        assert (running.wait(20), running.stderr.read()) == (0, b"")
