# SPDX-License-Identifier: Apache-2.0
"""Programs of names that a test chooses."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path


class Program:
    """One that forks as often as it is told, ignores SIGTERM, and ends when it is let go."""

    SCRIPT = (
        "trap '' TERM; while read n; do while [ $n -gt 0 ]; do (:); n=$((n-1)); done; echo; done"
    )

    def __init__(self, path: Path) -> None:
        if not path.is_symlink():
            path.symlink_to("/bin/dash")
        pipe = subprocess.PIPE
        self.name = path.name
        self.process = subprocess.Popen(
            [path, "-c", self.SCRIPT], stdin=pipe, stdout=pipe, text=True
        )

    def fork(self, count: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "\n"

    def end(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0


@contextlib.contextmanager
def alive(folder: Path, names: Iterable[str]) -> Iterator[list[Program]]:
    """While this lasts there is a program of each name; none outlives it."""
    programs: list[Program] = []
    try:
        programs += (Program(folder / name) for name in names)
        yield programs
    finally:
        for program in programs:
            program.process.kill()
            program.process.communicate()
