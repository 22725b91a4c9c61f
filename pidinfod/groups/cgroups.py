# SPDX-License-Identifier: Apache-2.0
"""Paths of cgroups: by id, and which systemd unit or container they name."""

from __future__ import annotations

import functools
import os
import re
import struct
import time
from collections import OrderedDict
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")
CAPACITY = 16384
WALK_SECONDS = 60.0

# The units of systemd that have processes: systemd.unit(5). A name that the kernel would
# take for a file of its own has a _ in front.
_UNIT = re.compile(r"_?([^/]+\.(?:service|scope|slice|socket|mount|swap))")
# docker-ID.scope, cri-containerd-ID.scope, crio-ID, libpod-ID.scope/container, /docker/ID,
# /kubepods/…/ID, …:cri-containerd:ID; the monitor of podman and CRI-O is not in the container.
_CONTAINER = re.compile(r"(?!.*conmon-)(?:.*[-:])?([0-9a-f]{64})(?:\.scope)?")


def of_process(text: str) -> str:
    """The path in a text like /proc/PID/cgroup: in the unified hierarchy, else systemd's own."""
    paths = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        paths[controllers] = path
    unified = paths.get("", "/")
    return unified if unified != "/" else paths.get("name=systemd", "/")


@functools.lru_cache(maxsize=4096)
def unit(path: str) -> str | None:
    """The innermost systemd unit of a path: the last part that is named like one."""
    for part in reversed(path.split("/")):
        if found := _UNIT.fullmatch(part):
            return found[1]
    return None


@functools.lru_cache(maxsize=4096)
def container(path: str) -> str | None:
    """The innermost container's id, 64 hexadecimal digits, as runtimes write it in paths."""
    for part in reversed(path.split("/")):
        if found := _CONTAINER.fullmatch(part):
            return found[1]
    return None


def mount_point(mountinfo: Path = MOUNTINFO) -> Path | None:
    """Where the unified hierarchy is mounted, from its root on."""
    try:
        lines = mountinfo.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines:
        fields, _, source = line.partition(" - ")
        if source.startswith("cgroup2 "):
            escaped = fields.split()[4]
            return Path(re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), escaped))
    return None


# struct cgroup_made, bpf/cgroups.bpf.c
_MADE = struct.Struct("=IIQ")


class Paths:
    """Path by id. A cgroup goes right after its last process, so they are learnt when made.

    Not safe for two threads at once.
    """

    def __init__(self, mount: Path | None, capacity: int = CAPACITY) -> None:
        self._mount = mount
        self._capacity = capacity
        self._paths: OrderedDict[int, str] = OrderedDict()
        self._walked = -WALK_SECONDS

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, raw: bytes) -> None:
        """Take a record of the ring."""
        cgroup_id = _MADE.unpack_from(raw)[2]
        path = raw[_MADE.size :].partition(b"\0")[0]
        self._learn(cgroup_id, os.fsdecode(path))

    def _learn(self, cgroup_id: int, path: str) -> None:
        self._paths[cgroup_id] = path
        self._paths.move_to_end(cgroup_id)
        if len(self._paths) > self._capacity:
            self._paths.popitem(last=False)

    def walk(self) -> None:
        """Learn all that there are: the id is the folder's inode."""
        self._walked = time.monotonic()
        if self._mount is None:
            return
        root = str(self._mount)
        for folder, _, _ in os.walk(root):
            try:
                cgroup_id = os.stat(folder).st_ino
            except OSError:
                continue  # removed meanwhile
            self._learn(cgroup_id, folder[len(root) :] or "/")

    def get(self, cgroup_id: int) -> str | None:
        """The path, or None. One that is used is kept the longest."""
        if cgroup_id not in self._paths and time.monotonic() - self._walked >= WALK_SECONDS:
            self.walk()  # made unseen, or pushed out by newer ones
        if cgroup_id not in self._paths:
            return None
        self._paths.move_to_end(cgroup_id)
        return self._paths[cgroup_id]
