# SPDX-License-Identifier: Apache-2.0
"""Where a test runs that holds on a stock and on a patched kernel alike: this machine, or the
lab's guest. Both run the same programs and have the daemon running."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.daemon import SHARED, TESTED, Daemon
from tests.support.lab import LAB, Lab
from tests.support.scrape import Scrape


class Host:
    """This machine, with a daemon of the tests."""

    name = "host"

    def __init__(self, daemon: Daemon, programs: Path) -> None:
        self._daemon, self._programs = daemon, programs

    def command(self, *argv: str) -> list[str]:
        """A command of this machine, run as root in the folder of the tests' programs."""
        return ["env", "-C", str(self._programs), *argv]

    def scrape(self) -> Scrape:
        return self._daemon.scrape()

    def deaths(self) -> list[dict[str, Any]]:
        return self._daemon.all_deaths()

    def daemon_pid(self) -> int:
        return self._daemon.process.pid

    @contextlib.contextmanager
    def configured(self, text: str) -> Iterator[Host]:
        """The same with a daemon of another configuration."""
        with tempfile.TemporaryDirectory() as folder, Daemon(Path(folder), text) as daemon:
            yield Host(daemon, self._programs)


class Guest:
    """The patched host in the lab, with the daemon as its service."""

    name = "lab"

    def __init__(self, lab: Lab, text: str = SHARED) -> None:
        self._lab, self._text = lab, text

    def command(self, *argv: str) -> list[str]:
        """A command of this machine that runs one in the guest, as above."""
        inside = ("env", "-C", "/root/src", *argv)
        return [str(LAB), "--name", self._lab.name, "exec", "--", *inside]

    def scrape(self) -> Scrape:
        return self._lab.scrape()

    def deaths(self) -> list[dict[str, Any]]:
        told = self._lab.exec("pidinfod", "deaths", "--format", "json").stdout
        return [json.loads(line) for line in told.splitlines()]

    def daemon_pid(self) -> int:
        shown = self._lab.exec("systemctl", "show", "-P", "MainPID", "pidinfod").stdout
        return int(shown)

    @contextlib.contextmanager
    def configured(self, text: str) -> Iterator[Guest]:
        """The same with the service configured anew."""
        self._lab.configure(TESTED, text)
        try:
            yield Guest(self._lab, text)
        finally:
            self._lab.configure(TESTED, self._text)


Machine = Host | Guest


def declaring(*names: str) -> str:
    """The configuration in which these programs are declared groups of their own names: times are
    told apart by those."""
    return "groups:\n" + "".join(f"- {{name: {name}, comm: [{name}]}}\n" for name in names)


def output(machine: Machine, *argv: str) -> str:
    """What a command printed; fails when it does."""
    done = subprocess.run(machine.command(*argv), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def program(machine: Machine, name: str, *args: object) -> Any:
    """Run one of the programs of tests/guest; what it printed, read as JSON."""
    return json.loads(output(machine, f"./{name}", *map(str, args)))


def resident_bytes(machine: Machine) -> int:
    """Of the daemon."""
    status = output(machine, "cat", f"/proc/{machine.daemon_pid()}/status")
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


@contextlib.contextmanager
def running(machine: Machine, *argv: object) -> Iterator[None]:
    """A command that says when it is ready, and ends when its input does."""
    command, pipe = machine.command(*map(str, argv)), subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
        process.communicate("")
    assert process.returncode == 0


def crowd(machine: Machine, what: str, count: int) -> contextlib.AbstractContextManager[None]:
    """While this lasts, there are as many processes in that state."""
    return running(machine, "./crowd", what, count)


def settled(machine: Machine, holds: Callable[[Scrape], bool], seconds: float = 3) -> Scrape:
    """A scrape in which it holds: the parts of one scrape are read one after the other, and on
    a machine that is not ours alone something may come between. The last one, if it never does."""
    deadline = time.monotonic() + seconds
    while True:
        scrape = machine.scrape()
        if holds(scrape) or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return scrape
