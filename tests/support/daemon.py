# SPDX-License-Identifier: Apache-2.0
"""The command, and a daemon on this machine's own kernel."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support import REPO
from tests.support.scrape import Scrape, scrape

# What a test has just done is in the next answer, and not one that others asked for before, and
# each group has series of its own.
TESTED = "share_seconds: 0\nshown_groups: 4096\n"
# For a daemon that many tests share: none finds the counts of an earlier one come back with a name.
SHARED = "group_ttl: 86400\n"
COMMAND = (sys.executable, "-m", "pidinfod")


def pidinfod(*args: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    options = {"cwd": REPO, "capture_output": True, "text": True, "timeout": 120, **options}
    return subprocess.run([*COMMAND, *args], check=False, **options)


def free_address() -> str:
    """HOST:PORT that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{sock.getsockname()[1]}"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Daemon:
    """`pidinfod` with a service manager's socket; its files are in one folder of its own.

    As a context: ready at the start; at the end it has to stop well.
    """

    def __init__(
        self, folder: Path, config: str = "", *args: str, defaults: str = TESTED
    ) -> None:
        self.address = free_address()
        self.url = f"http://{self.address}/metrics"
        self.config, self.socket, self._log = (folder / n for n in ("config.yml", "socket", "log"))
        self.config.write_text(
            f"listen: {self.address}\nsocket: {self.socket}\n{defaults}{config}"
        )
        notify = folder / "notify"
        notify.unlink(missing_ok=True)
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(notify))
        self._notify.settimeout(0.5)
        self._started = time.monotonic()
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "--config", self.config, *args],
                cwd=REPO, stderr=log, env=dict(os.environ, NOTIFY_SOCKET=str(notify)),
            )  # fmt: skip

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text()

    def wait_until_ready(self) -> float:
        """Seconds from its start until it said so."""
        told = ""
        while "READY=1" not in told.splitlines():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < self._started + 60, self.log
            with contextlib.suppress(TimeoutError):
                told = self._notify.recv(4096).decode()
        return time.monotonic() - self._started

    def __enter__(self) -> Daemon:
        try:
            self.ready_seconds = self.wait_until_ready()
        except AssertionError:
            self.kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.kill()
        elif self.process.returncode is None:
            assert self.stop() == 0, self.log
            assert "Traceback" not in self.log, self.log

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def scrape(self, *names: str) -> Scrape:
        """All that it tells, or the series of these names: what is read quickly."""
        query = "&".join(f"name[]={name}" for name in names)
        return scrape(f"{self.url}?{query}" if names else self.url)

    def status(self, field: str) -> str:
        """A line of its /proc/PID/status; VmRSS and VmHWM are in kB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return text.partition(f"\n{field}:")[2].splitlines()[0].strip()

    def deaths(self, **wanted: object) -> list[dict[str, Any]]:
        """What its socket tells: the newest first, as many as one answer has."""
        query = "&".join(f"{key}={value}" for key, value in wanted.items())
        connection = _UnixConnection(self.socket)
        connection.request("GET", f"/api/v1/deaths?{query}")
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return list(answer["deaths"])

    def all_deaths(self) -> list[dict[str, Any]]:
        """All that are remembered, the oldest first."""
        found: list[dict[str, Any]] = []
        while answer := self.deaths(after=found[-1]["seq"] if found else 0):
            found += answer
        return found

    def death(self, pid: int) -> dict[str, Any]:
        """The last death of a PID; it is told within a moment."""
        deadline = time.monotonic() + 10
        while not (found := self.deaths(pid=pid, limit=1)):
            assert time.monotonic() < deadline, f"the death of {pid} was not told"
            time.sleep(0.05)
        return found[0]
