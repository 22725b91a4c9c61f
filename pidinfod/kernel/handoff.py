# SPDX-License-Identifier: Apache-2.0
"""How the loader's descriptors reach the daemon: one message each over a Unix socket.

The loader is a process of its own: the compiler's memory and the rights that loading
takes go with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pidinfod.kernel.libbpf import MapHandle

MESSAGE_BYTES = 65536
# What the iterator feeds. It is named here, as the daemon need not know of hooks to look for it.
SWEEP = "sweep"


class LoadError(Exception):
    """No probe could be loaded; the message says why."""


@dataclass(frozen=True)
class Probe:
    """One hook: attached, or why not. `feeds` is what families of metrics name as their source."""

    name: str
    attached: bool
    reason: str
    feeds: str
    prog_fd: int | None = None
    link_fd: int | None = None


@dataclass(frozen=True)
class Loaded:
    """What the loader left behind. The probes count as long as these are open."""

    maps: dict[str, MapHandle]
    probes: tuple[Probe, ...]
    ring_fd: int | None = None
    free_groups_fd: int | None = None  # a queue of ids
    remarks: tuple[str, ...] = ()  # what the probes alone do not say
    # What this kernel does not keep, of what the sweep tells.
    absent: frozenset[str] = frozenset()
    owned: contextlib.ExitStack | None = None

    def close(self) -> None:
        """Detach the probes and let go of the maps."""
        if self.owned:
            self.owned.close()


def send(sock: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
    """One message with its descriptors; the loader's side."""
    socket.send_fds(sock, [json.dumps(message).encode()], fds)


def load(request: dict[str, Any], timeout: float) -> Loaded:
    """Run the loader with a request (see kernel/loader.py) and take over what it attached.

    Raises LoadError when it fails, or does not end in `timeout` seconds. Then nothing of what it
    attached stays.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            # -P: no module comes from the current folder, which may be anybody's.
            command = [
                sys.executable, "-P", "-m", "pidinfod.kernel.loader",
                "--socket", str(theirs.fileno()),
            ]  # fmt: skip
            package = str(Path(__file__).resolve().parents[2])
            path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
            # A file and no pipe: a loader that reads nothing would let a pipe run full.
            with open(os.memfd_create("request"), "w+") as asked:
                json.dump(request, asked)
                asked.seek(0)
                child = subprocess.Popen(
                    command,
                    pass_fds=[theirs.fileno()],
                    stdin=asked,
                    stdout=subprocess.DEVNULL,
                    process_group=0,  # Ctrl-C is for us: we end the loader, or let it end
                    env=dict(os.environ, PYTHONPATH=path),
                )
        try:
            return _receive(ours, timeout)
        except BaseException:
            child.kill()
            raise
        finally:
            child.wait()


def _messages(
    sock: socket.socket, timeout: float, owned: contextlib.ExitStack
) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """Each message of the loader and its descriptors, which `owned` closes. Raises LoadError."""
    deadline = time.monotonic() + timeout
    while True:
        ready, _, _ = select.select([sock], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise LoadError(f"the loader took more than {timeout:g} s")
        data, fds, _, _ = socket.recv_fds(sock, MESSAGE_BYTES, 2)
        for fd in fds:
            owned.callback(os.close, fd)
        if not data:
            raise LoadError("the loader ended without a word (see its messages above)")
        yield json.loads(data), fds


def _receive(sock: socket.socket, timeout: float) -> Loaded:
    """Collect the loader's messages up to its "done". Raises LoadError; then nothing is kept."""
    maps: dict[str, MapHandle] = {}
    probes: list[Probe] = []
    remarks: list[str] = []
    absent: list[str] = []
    queues: dict[str, int] = {}
    with contextlib.ExitStack() as owned:
        try:
            for message, fds in _messages(sock, timeout, owned):
                match message.pop("kind"):
                    case "map":
                        maps[message["name"]] = MapHandle(fd=fds[0], **message)
                    case "events" | "free_groups" as kind:
                        queues[kind] = fds[0]
                    case "probe":
                        prog_fd, link_fd = fds if message["attached"] else (None, None)
                        probes.append(Probe(**message, prog_fd=prog_fd, link_fd=link_fd))
                    case "remark":
                        remarks.append(message["text"])
                    case "absent":
                        absent += message["names"]
                    case "error":
                        raise LoadError(message["reason"])
                    case "done":
                        break
            return Loaded(
                maps, tuple(probes), queues["events"], queues["free_groups"], tuple(remarks),
                frozenset(absent), owned.pop_all(),
            )  # fmt: skip
        except (ValueError, LookupError) as error:
            # Cut off, or without its descriptors: we may have too many open files.
            raise LoadError(f"a message of the loader is not whole: {error!r}") from error
