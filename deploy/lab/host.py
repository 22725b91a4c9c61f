# SPDX-License-Identifier: Apache-2.0
"""What the lab uses of the host: its commands, its cache, its ports."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
CACHE = Path(
    os.environ.get("PIDINFOD_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pidinfod"
)
EXIT_FAILED, EXIT_USAGE, EXIT_OOPS, EXIT_DOWN = 1, 2, 3, 4


class LabError(Exception):
    """Something that the user is told in one line; `status` is the exit status."""

    def __init__(self, message: str, status: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.status = status


def say(message: str) -> None:
    """One line of progress, on stderr."""
    print(f"lab: {message}", file=sys.stderr, flush=True)


def run(argv: list[str | Path], **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command of the host; a failure is a LabError with the command's last words."""
    result = subprocess.run(argv, capture_output=True, text=True, **options)  # type: ignore
    if result.returncode != 0:
        words = (result.stderr or result.stdout).strip().splitlines()[-8:]
        raise LabError("\n  ".join([f"{shlex.join(map(str, argv))} failed:", *words]))
    return result


def as_root() -> list[str | Path]:
    """The prefix that a command needs to run as root."""
    return [] if os.geteuid() == 0 else ["sudo", "-E"]


def content_key(*parts: str | Path) -> str:
    """A name for what is made from these texts and files."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


def built(script: str, *args: str) -> Path:
    """Run one of the project's cached builds; its last line of output is what it made."""
    command = [str(REPO / script), *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as build:
        try:
            output, _ = build.communicate()
        except KeyboardInterrupt:
            build.wait()  # it got Ctrl-C too, and cleans up
            raise
    if build.returncode != 0:
        raise LabError(f"{shlex.join(command)} failed")
    return Path(output.splitlines()[-1])


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        return [stack.enter_context(bound_socket()).getsockname()[1] for _ in range(count)]


@contextlib.contextmanager
def bound_socket() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock
