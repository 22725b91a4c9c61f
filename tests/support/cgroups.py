# SPDX-License-Identifier: Apache-2.0
"""Cgroups of version 2 for tests, wherever they are mounted."""

from __future__ import annotations

import time
from pathlib import Path

UNIFIED = Path(
    next(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()
         if line.split()[2] == "cgroup2")
)  # fmt: skip


def remove(folder: Path) -> None:
    """As soon as the kernel has let the last process go."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return folder.rmdir()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.01)
