# SPDX-License-Identifier: Apache-2.0
"""Where a test runs that holds on a stock and on a patched kernel alike: this machine, or the
lab's guest. Both run the same programs and have the daemon running."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import conftest
from conftest import LAB, REPO, Daemon, Lab, Scrape


class Host:
    """This machine, with a daemon of the tests."""

    name = "host"

    def __init__(self, daemon: Daemon, programs: Path, folder: Path) -> None:
        self._daemon, self._programs, self._folder = daemon, programs, folder

    def command(self, *argv: str) -> list[str]:
        """A command of this machine, run as root in the folder of the tests' programs."""
        return ["env", "-C", str(self._programs), *argv]

    def scrape(self) -> Scrape:
        return conftest.scrape(self._daemon.url)

    def deaths(self) -> list[dict[str, Any]]:
        socket = str(self._folder / "socket")
        command = [sys.executable, "-m", "pidinfod", "deaths", "--format", "json"]
        told = subprocess.check_output([*command, "--socket", socket], text=True, cwd=REPO)
        return [json.loads(line) for line in told.splitlines()]

    def daemon_pid(self) -> int:
        return int(self._daemon.process.pid)

    @contextlib.contextmanager
    def configured(self, text: str) -> Iterator[Host]:
        """The same with a daemon of another configuration."""
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        with started(folder, text) as daemon:
            yield Host(daemon, self._programs, folder)


class Guest:
    """The patched host in the lab, with the daemon as its service."""

    name = "lab"

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

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
        """The same with the service's configuration changed."""
        change = 'cd /etc/pidinfod; cp config.yml kept; printf %s "$1" >> config.yml'
        self._lab.exec("sh", "-c", f"{change}; systemctl restart pidinfod", "sh", text)
        try:
            yield self
        finally:
            back = "cd /etc/pidinfod; mv kept config.yml; systemctl restart pidinfod"
            self._lab.exec("sh", "-c", back)


Machine = Host | Guest


@contextlib.contextmanager
def started(folder: Path, text: str = "") -> Iterator[Daemon]:
    """A daemon on this machine with its socket in a folder."""
    config = folder / "config.yml"
    config.write_text(f"socket: {folder}/socket\n{text}")
    daemon = Daemon(folder, "--config", str(config))
    try:
        daemon.wait_until_ready()
        yield daemon
    finally:
        daemon.process.kill()
        daemon.process.communicate()


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
def crowd(machine: Machine, what: str, count: int) -> Iterator[None]:
    """While this lasts, there are as many processes in that state."""
    command = machine.command("./crowd", what, str(count))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        yield
        running.communicate("")
    assert running.returncode == 0


def settled(machine: Machine, holds: Callable[[Scrape], bool]) -> Scrape:
    """A scrape in which it holds: the parts of one scrape are read one after the other, and on
    a machine that is not ours alone something may come between."""
    for _ in range(30):
        scrape = machine.scrape()
        if holds(scrape):
            break
    return scrape
