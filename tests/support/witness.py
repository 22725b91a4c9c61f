# SPDX-License-Identifier: Apache-2.0
"""The witness of a guest's forks, kills and waits, and what comes of its counts."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.support import REPO
from tests.support.lab import Lab

FILES = REPO / "tests/lab/witness"
PROGRAM = "usr/local/lib/witness"
UNITS = "etc/systemd/system"

# What a call is for; all but the ft_* one are native.
CALLS = {
    "fork": ("ft_fork", "fork", "vfork", "clone", "clone3"),
    "kill": ("ft_kill", "kill"),
    "wait": ("ft_wait", "wait4", "waitid", "waitpid"),
}
# By an ft_* call, and natively though that would have done the same.
FT, NATIVE = "ft", "native"
STATIC = "static"


class Key(NamedTuple):
    """`way` is FT, NATIVE, or why no ft_* call could have done it (witness.bpf.c)."""

    call: str
    way: str
    static: bool
    comm: str


def lay(root: Path) -> Path:
    """The witness as a service that starts with the boot: its files, from a guest's root."""
    program, units = root / PROGRAM, root / UNITS
    program.mkdir(parents=True)
    for name in ("witness.py", "witness.bpf.c"):
        shutil.copy(FILES / name, program)
    (units / "sysinit.target.wants").mkdir(parents=True)
    shutil.copy(FILES / "witness.service", units)
    (units / "sysinit.target.wants/witness.service").symlink_to("../witness.service")
    return root


class Counts(Counter[Key]):
    """How often each call was seen."""

    @classmethod
    def of(cls, lab: Lab) -> Counts:
        """Since the guest's boot."""
        counts = cls()
        for one in json.loads(lab.exec(f"/{PROGRAM}/witness.py").stdout):
            count = one.pop("count")
            counts[Key(**one)] = count
        return counts

    def since(self, before: Counts) -> Counts:
        return Counts({key: n - before[key] for key, n in self.items() if n != before[key]})

    def ways(self, kind: str) -> Counter[str]:
        """Of dynamically linked programs, and the calls of all static ones as one."""
        found: Counter[str] = Counter()
        for key, count in self.items():
            if key.call in CALLS[kind]:
                found[STATIC if key.static else key.way] += count
        return found

    def share(self) -> float:
        """Of what ft_* calls can express, in dynamically linked programs, what went by them."""
        ways = [self.ways(kind) for kind in CALLS]
        by_ft, natively = (sum(found[way] for found in ways) for way in (FT, NATIVE))
        return by_ft / (by_ft + natively)

    def table(self) -> str:
        """A line for each kind of call."""
        lines = []
        for kind in CALLS:
            ways = self.ways(kind)
            by_ft, natively = ways.pop(FT, 0), ways.pop(NATIVE, 0)
            others = ", ".join(f"{way} {count}" for way, count in ways.most_common())
            lines.append(f"{kind}: ft_{kind} {by_ft}, natively {natively}; {others}")
        return "\n".join([*lines, f"of what ft_* can express: {self.share():.2%}"])

    def natively(self) -> dict[str, int]:
        """Who made native calls that an ft_* call could have done."""
        found: Counter[str] = Counter()
        for key, count in self.items():
            if key.way == NATIVE and not key.static:
                found[key.comm] += count
        return dict(found)
