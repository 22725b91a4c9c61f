# SPDX-License-Identifier: Apache-2.0
"""Paths of cgroups: by id, and which systemd unit or container they name."""

from __future__ import annotations

import functools
import itertools
import os
import re
import time
from collections import OrderedDict, deque

from pidinfod.kernel.records import CGROUP_MADE
from pidinfod.proc.mounts import CgroupMount

CAPACITY = 16384
WALK_SECONDS = 60.0

# The units of systemd that have processes: systemd.unit(5). A name that the kernel would
# take for a file of its own has a _ in front.
_UNIT = re.compile(r"_?([^/]+\.(?:service|scope|slice|socket|mount|swap))")
# docker-ID.scope, cri-containerd-ID.scope, crio-ID, libpod-ID.scope/container, /docker/ID,
# /kubepods/…/ID, …:cri-containerd:ID; the monitor of podman and CRI-O is not in the container.
_CONTAINER = re.compile(r"(?!.*conmon-)(?:.*[-:])?([0-9a-f]{64})(?:\.scope)?")


def of_process(text: str) -> str:
    """The path in a text like /proc/PID/cgroup: in the unified hierarchy, else systemd's own.

    A cgroup outside the reader's cgroup namespace has a path that begins with "/..": what is
    below is told as anywhere, so its unit and its container are found. A name may have every
    byte but / and the end of a line in it.
    """
    paths = {}
    for line in text.split("\n"):
        fields = line.split(":", 2)
        if len(fields) == 3:
            paths[fields[1]] = fields[2].removesuffix(" (deleted)")
    unified = paths.get("", "/")
    return unified if unified != "/" else paths.get("name=systemd", "/")


@functools.lru_cache(maxsize=1024)
def unit(path: str) -> str | None:
    """The innermost systemd unit of a path: the last part that is named like one."""
    for part in reversed(path.split("/")):
        if found := _UNIT.fullmatch(part):
            return found[1]
    return None


@functools.lru_cache(maxsize=1024)
def container(path: str) -> str | None:
    """The innermost container's id, 64 hexadecimal digits, as runtimes write it in paths."""
    for part in reversed(path.split("/")):
        if found := _CONTAINER.fullmatch(part):
            return found[1]
    return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


class Paths:
    """Path by id. A cgroup goes right after its last process, so they are learnt when made.

    Not safe for two threads at once.
    """

    def __init__(self, mount: CgroupMount | None, capacity: int = CAPACITY) -> None:
        self._mount = mount
        self._capacity = capacity
        self._paths: OrderedDict[int, str] = OrderedDict()
        self._walked = -WALK_SECONDS

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, raw: bytes) -> None:
        """Take a record of the ring."""
        made = CGROUP_MADE.unpack(raw)
        self._learn(made.id, os.fsdecode(made.path.partition(b"\0")[0]))

    def _learn(self, cgroup_id: int, path: str) -> None:
        self._paths[cgroup_id] = path
        self._paths.move_to_end(cgroup_id)
        if len(self._paths) > self._capacity:
            self._paths.popitem(last=False)

    def walk(self) -> None:
        """Learn those that there are, the upper ones first, as many as there is room for.

        The id is the folder's inode. A folder that cannot be read costs what is below it.
        """
        self._walked = time.monotonic()
        if self._mount is None:
            return
        try:
            self._learn(os.stat(self._mount.folder).st_ino, self._mount.path(""))
        except OSError:
            return
        pending, left = deque([""]), self._capacity - 1
        while pending and left > 0:
            above = pending.popleft()
            try:
                with os.scandir(self._mount.folder + above) as entries:
                    for entry in itertools.islice(filter(_is_folder, entries), left):
                        inside = f"{above}/{entry.name}"
                        self._learn(entry.inode(), self._mount.path(inside))
                        pending.append(inside)
                        left -= 1
            except OSError:
                continue

    def get(self, cgroup_id: int) -> str | None:
        """The path, or None. One that is used is kept the longest."""
        if cgroup_id not in self._paths and time.monotonic() - self._walked >= WALK_SECONDS:
            self.walk()  # made unseen, or pushed out by newer ones
        if cgroup_id not in self._paths:
            return None
        self._paths.move_to_end(cgroup_id)
        return self._paths[cgroup_id]
