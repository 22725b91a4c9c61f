# SPDX-License-Identifier: Apache-2.0
"""`pidinfod deaths`, and what `--once` asks of the dead: questions to the running daemon."""

from __future__ import annotations

import argparse
import http.client
import json
import re
import socket
import sys
import time
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlencode

from pidinfod import DEFAULT_CONFIG

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2
FOLLOW_SECONDS = 0.5
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def daemon_socket(given: Path | None) -> Path:
    """Where the daemon of this configuration, or of the usual one, can be asked.

    Raises ConfigError.
    """
    from pidinfod.service import config

    return config.load(given).socket


class DaemonError(Exception):
    """The daemon cannot be asked, or refused; the message says why."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, **wanted: object) -> list[dict[str, Any]]:
    """Deaths from the daemon, newest first; the keys are those of deaths.Filter.

    Raises DaemonError.
    """
    query = urlencode({key: value for key, value in wanted.items() if value is not None})
    connection = _Connection(path)
    try:
        connection.request("GET", f"/api/v1/deaths?{query}")
        answer = connection.getresponse()
        body = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DaemonError(f"no daemon answers at {path}: {error}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise DaemonError(body.get("error", answer.reason))
    deaths: list[dict[str, Any]] = body["deaths"]
    return deaths


def as_line(death: dict[str, Any]) -> str:
    """One death for a person."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(death["died"]))
    age = death["age_ns"] / 1e9
    unit = f", {death['unit']}" if death["unit"] else ""
    return (
        f"{moment}  {death['comm']} (PID {death['pid']}, uid {death['uid']}{unit}, child of "
        f"{death['parent_comm']} (PID {death['ppid']}), aged {age:.3f} s) {death['why']}"
    )


def parse_since(text: str, now: float) -> float:
    """A wall clock time in seconds: "90s", "15m", "2h", "1d" ago, or seconds since 1970."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if not found:
        raise ValueError(f"expected a time like 15m, 2h, 1d or seconds since 1970, got {text!r}")
    number, unit = float(found[1]), found[2]
    return now - number * _UNITS[unit] if unit else number


def main(argv: list[str], out: TextIO, err: TextIO) -> int:
    """The command `pidinfod deaths`; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="pidinfod deaths",
        description="Who died on this host, and why, oldest first, as the running daemon saw it.",
        epilog="Exit status: 0 done, 1 the daemon cannot be asked, 2 wrong usage.",
    )
    parser.add_argument("--follow", action="store_true", help="go on with those to come")
    parser.add_argument("--group", metavar="G", help="of this group")
    parser.add_argument("--signal", metavar="S", help="killed by this signal, like SIGKILL")
    parser.add_argument("--since", metavar="T", help="15m, 2h, 1d ago, or seconds since 1970")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="one a line")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"of the daemon; default: {DEFAULT_CONFIG}"
    )
    parser.add_argument("--socket", type=Path, metavar="PATH", help="in place of its own")
    args = parser.parse_args(argv)
    try:
        socket_path = args.socket or daemon_socket(args.config)
    except ValueError as error:
        print(error, file=err)
        return EXIT_USAGE
    since = None
    if args.since is not None:
        try:
            since = parse_since(args.since, time.time())
        except ValueError as error:
            print(f"pidinfod: --since: {error}", file=err)
            return EXIT_USAGE
    name = args.signal
    if name is not None:
        name = name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}"
    told: set[tuple[int, float]] = set()
    try:
        while True:
            deaths = ask(socket_path, group=args.group, signal=name, since=since)
            for death in reversed(deaths):
                if (death["pid"], death["started"]) in told:
                    continue
                print(json.dumps(death) if args.format == "json" else as_line(death), file=out)
            out.flush()
            if not args.follow:
                return EXIT_OK
            # Those of the last moment come once more: deaths of one time are not lost.
            told = {(death["pid"], death["started"]) for death in deaths}
            since = deaths[0]["died"] - 1 if deaths else since
            time.sleep(FOLLOW_SECONDS)
    except DaemonError as error:
        print(f"pidinfod: {error}", file=err)
        return EXIT_FAILED
    except (KeyboardInterrupt, BrokenPipeError):
        sys.stderr.close()  # no complaint of Python's about the pipe
        return EXIT_OK
