# SPDX-License-Identifier: Apache-2.0
"""Room for more tasks than a machine allows by default."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

TASKS = 131072


@contextlib.contextmanager
def room_for_tasks() -> Iterator[None]:
    """For TASKS of them while this lasts; afterwards as before."""
    limits = {Path("/proc/sys/kernel") / name: str(TASKS) for name in ("pid_max", "threads-max")}
    own = {controller: path for _, controller, path in (
        line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines())}
    mount = "/sys/fs/cgroup/pids" if "pids" in own else "/sys/fs/cgroup"
    most = Path(mount + own.get("pids", own.get("", "/")), "pids.max")
    if most.exists():  # there is none in the root
        limits[most] = "max"
    kept = {path: path.read_text() for path in limits}
    with contextlib.ExitStack() as stack:
        for path, limit in limits.items():
            if limit == "max" or int(kept[path]) < TASKS:
                path.write_text(limit)
                stack.callback(path.write_text, kept[path])
        yield
