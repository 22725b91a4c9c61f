# SPDX-License-Identifier: Apache-2.0
"""How the loader's descriptors reach the daemon: one message each over a Unix socket.

The loader is a process of its own: the compiler's memory and the rights that loading
takes go with it.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pidinfod.kernel.libbpf import MapHandle

MESSAGE_BYTES = 65536


class LoadError(Exception):
    """No probe could be loaded; the message says why."""


@dataclass(frozen=True)
class Probe:
    """One hook: attached, or why not, and the metrics that it feeds."""

    name: str
    attached: bool
    reason: str
    metrics: tuple[str, ...]
    prog_fd: int | None = None
    link_fd: int | None = None


@dataclass(frozen=True)
class Loaded:
    """What the loader left behind. The probes count as long as these are open."""

    maps: dict[str, MapHandle]
    probes: tuple[Probe, ...]
    ring_fd: int | None = None
    free_groups_fd: int | None = None  # a queue of ids

    def close(self) -> None:
        """Detach the probes and let go of the maps."""
        for probe in self.probes:
            for fd in (probe.link_fd, probe.prog_fd):
                if fd is not None:
                    os.close(fd)
        for handle in self.maps.values():
            os.close(handle.fd)
        if self.ring_fd is not None:
            os.close(self.ring_fd)


def send(sock: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
    """One message with its descriptors; the loader's side."""
    socket.send_fds(sock, [json.dumps(message).encode()], fds)


def load(settings: dict[str, Any], timeout: float) -> Loaded:
    """Run the loader and take over what it attached.

    Raises LoadError when it fails, or does not end in `timeout` seconds.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            command = [
                sys.executable, "-P", "-m", "pidinfod.kernel.loader",
                "--socket", str(theirs.fileno()), "--settings", json.dumps(settings),
            ]  # fmt: skip
            package = str(Path(__file__).resolve().parents[2])
            path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
            child = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=dict(os.environ, PYTHONPATH=path),
            )
        try:
            return _receive(ours, timeout)
        except BaseException:
            child.kill()
            raise
        finally:
            child.wait()


def _receive(sock: socket.socket, timeout: float) -> Loaded:
    """Collect the loader's messages up to its "done"."""
    maps: dict[str, MapHandle] = {}
    probes: list[Probe] = []
    ring_fd: int | None = None
    free_groups_fd: int | None = None
    deadline = time.monotonic() + timeout
    while True:
        ready, _, _ = select.select([sock], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise LoadError(f"the loader took more than {timeout:g} s")
        data, fds, _, _ = socket.recv_fds(sock, MESSAGE_BYTES, 2)
        if not data:
            raise LoadError("the loader ended without a word (see its messages above)")
        message = json.loads(data)
        match message.pop("kind"):
            case "map":
                maps[message["name"]] = MapHandle(fd=fds[0], **message)
            case "ring":
                ring_fd = fds[0]
            case "free_groups":
                free_groups_fd = fds[0]
            case "probe":
                message["metrics"] = tuple(message["metrics"])
                prog_fd, link_fd = fds if fds else (None, None)
                probes.append(Probe(**message, prog_fd=prog_fd, link_fd=link_fd))
            case "error":
                raise LoadError(message["reason"])
            case "done":
                return Loaded(maps, tuple(probes), ring_fd, free_groups_fd)
