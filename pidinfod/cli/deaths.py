# SPDX-License-Identifier: Apache-2.0
"""`pidinfod deaths`, and what `--once` asks of the dead: questions to the running daemon."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlencode

from pidinfod import DEFAULT_CONFIG
from pidinfod.cli import status, text
from pidinfod.kernel.names import parse_signal, signal_name

ASK_SECONDS = 30.0
FOLLOW_SECONDS = 0.5
# Deaths of one answer. What is more is asked for in the next question.
PAGE = 1000
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def daemon_socket(given: Path | None) -> Path:
    """Where the daemon of this configuration, or of the usual one, can be asked.

    Raises ConfigError.
    """
    from pidinfod.service import config

    return config.load(given).socket


class DaemonError(Exception):
    """The daemon refused; the message says why, `exit_status` what the command ends with."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class NoDaemonError(DaemonError):
    """No daemon answers."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ASK_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Answer:
    """What deaths.ledger.Answer is, by way of JSON."""

    instance: str
    newest: int
    last: int
    forgotten: int
    deaths: list[dict[str, Any]]


def ask(path: Path, **wanted: object) -> Answer:
    """Ask the daemon; the keys are those of deaths.ledger.Filter, None is not asked for.

    Raises DaemonError.
    """
    given = {key: value for key, value in wanted.items() if value is not None}
    query = urlencode(given, errors="surrogateescape")
    connection = _Connection(path)
    try:
        connection.request("GET", f"/api/v1/deaths?{query}")
        answer = connection.getresponse()
        body = json.loads(answer.read())
        if answer.status == 200:
            return Answer(**{name: body[name] for name in Answer.__dataclass_fields__})
        reason = str(body["error"])
    except PermissionError as error:
        message = f"the daemon at {path} may not be asked: {error.strerror}"
        raise DaemonError(message, status.DENIED) from None
    except (OSError, http.client.HTTPException) as error:
        raise NoDaemonError(f"no daemon answers at {path}: {error}", status.FAILED) from None
    except (ValueError, KeyError, TypeError):
        raise DaemonError(f"what answers at {path} is no pidinfod", status.FAILED) from None
    finally:
        connection.close()
    ends_with = {400: status.USAGE, 403: status.DENIED}.get(answer.status, status.FAILED)
    raise DaemonError(f"the daemon at {path}: {reason}", ends_with)


def told(
    path: Path, since: float | None, follow: bool, err: TextIO, **wanted: object
) -> Iterator[Answer]:
    """The deaths that are wanted, oldest first and each once, a page at a time: those until now
    and, with `follow`, those to come. Raises DaemonError.

    A daemon that is started anew while it is followed is waited for. `since` is asked for once:
    where the wall clock is set meanwhile, later deaths have other times, but the same numbers.
    """
    answer = ask(path, since=since, after=0, limit=PAGE, **wanted)
    yield answer
    instance, until = answer.instance, answer.newest
    while follow or (answer.instance == instance and answer.last < until):
        if answer.last >= answer.newest:
            time.sleep(FOLLOW_SECONDS)
        try:
            following = ask(path, after=answer.last, limit=PAGE, **wanted)
            if following.instance != answer.instance:
                # Another ledger counts from 1 again, and none of its deaths has been told.
                following = ask(path, after=0, limit=PAGE, **wanted)
        except NoDaemonError as error:
            if not follow:
                raise
            text.complain(err, f"pidinfod: {error}; waiting for it")
            wait_for(path)
            continue
        if following.forgotten:
            lost = f"{following.forgotten} deaths were forgotten before they could be asked for"
            text.complain(err, f"pidinfod: {lost}")
        answer = following
        yield answer


def wait_for(path: Path) -> None:
    """Until a daemon answers. Raises DaemonError when it refuses."""
    while True:
        time.sleep(FOLLOW_SECONDS)
        with contextlib.suppress(NoDaemonError):
            ask(path, limit=0)
            return


def as_line(death: dict[str, Any]) -> str:
    """One death for a person, escaped."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(death["died"]))
    age = death["age_ns"] / 1e9
    unit = f", {death['unit']}" if death["unit"] else ""
    return text.printable(
        f"{moment}  {death['comm']} (PID {death['pid']}, uid {death['uid']}{unit}, child of "
        f"{death['parent_comm']} (PID {death['ppid']}), aged {age:.3f} s) {death['why']}"
    )


def parse_since(given: str, now: float) -> float:
    """A wall clock time in seconds: "90s", "15m", "2h", "1d" ago, or seconds since 1970."""
    found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)([smhd]?)", given)
    if not found:
        raise ValueError(f"expected a time like 15m, 2h, 1d or seconds since 1970, got '{given}'")
    number, unit = float(found[1]), found[2]
    return now - number * _UNITS[unit] if unit else number


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="pidinfod deaths",
        description="Who died on this host, and why, oldest first, as the running daemon saw it. "
        "PIDs are those of the host, also where this is asked in a PID namespace.",
        epilog="Exit status: 0 done (--follow: ended by Ctrl-C), 1 the daemon cannot be asked, "
        "2 wrong usage or configuration, 4 not permitted, 130 interrupted (SIGINT).",
    )
    parser.add_argument("--follow", action="store_true", help="go on with those to come")
    parser.add_argument("--group", metavar="G", help="of this group")
    parser.add_argument(
        "--signal", metavar="S", help="killed by this signal: 9, KILL, SIGKILL, RTMIN+1"
    )
    parser.add_argument("--since", metavar="T", help="15m, 2h, 1d ago, or seconds since 1970")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="one a line")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"of the daemon; default: {DEFAULT_CONFIG}"
    )
    parser.add_argument("--socket", type=Path, metavar="PATH", help="in place of its own")
    return parser.parse_args(argv)


def main(argv: list[str], out: TextIO, err: TextIO) -> int:
    """The command `pidinfod deaths`; returns the exit status. Raises BrokenPipeError when the
    reader of `out` has left."""
    args = parse_args(argv)
    wanted: dict[str, object] = {"group": args.group}
    option, since = "--signal", None
    try:
        if args.signal is not None:
            wanted["signal"] = signal_name(parse_signal(args.signal))
        option = "--since"
        if args.since is not None:
            since = parse_since(args.since, time.time())
    except ValueError as error:
        text.complain(err, f"pidinfod: {option}: {error}")
        return status.USAGE
    try:
        path = args.socket or daemon_socket(args.config)
    except ValueError as error:
        text.complain_of_each(err, error)
        return status.USAGE

    answers = told(path, since, args.follow, err, **wanted)
    try:
        for answer in answers:
            for death in answer.deaths:
                print(json.dumps(death) if args.format == "json" else as_line(death), file=out)
            out.flush()
    except DaemonError as error:
        text.complain(err, f"pidinfod: {error}")
        return error.exit_status
    except KeyboardInterrupt:
        if not args.follow:
            raise
    return status.OK
