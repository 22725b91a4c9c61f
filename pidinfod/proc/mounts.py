# SPDX-License-Identifier: Apache-2.0
"""Where the unified hierarchy of cgroups is mounted."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class CgroupMount:
    """A mount of cgroup2.

    `root` is the cgroup that is seen at `folder`, as /proc/PID/cgroup names it: "/" on a host.
    It begins with "/.." where the mount shows more than the reader's cgroup namespace.
    """

    folder: str
    root: str = "/"

    def path(self, inside: str) -> str:
        """The cgroup, as /proc/PID/cgroup names it, of a folder `inside` the mount."""
        return self.root.rstrip("/") + inside or "/"

    def folder_of(self, path: str) -> str | None:
        """The folder of a cgroup by its path; None when the mount does not show it."""
        prefix = self.root.rstrip("/")
        inside = path.removeprefix(prefix)
        if path != prefix + inside or inside[:1] not in ("", "/") or ".." in inside.split("/"):
            return None
        return self.folder + inside.rstrip("/")


def _unescape(field: bytes) -> str:
    """A path as mountinfo writes it, where a byte may be a \\ and three octal digits."""
    return os.fsdecode(
        re.sub(rb"\\([0-3][0-7]{2})", lambda found: bytes([int(found[1], 8)]), field)
    )


def cgroup_mount(mountinfo: Path = MOUNTINFO) -> CgroupMount | None:
    """The mount of cgroup2 that shows the whole hierarchy, else the first that there is, or
    None."""
    try:
        lines = mountinfo.read_bytes().split(b"\n")
    except OSError:
        return None
    found = []
    for line in lines:
        fields, _, source = line.partition(b" - ")
        words = fields.split(b" ")
        if source.startswith(b"cgroup2 ") and len(words) > 4:
            found.append(CgroupMount(_unescape(words[4]), _unescape(words[3])))
    return min(found, key=lambda mount: mount.root != "/", default=None)
