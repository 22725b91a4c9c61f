# SPDX-License-Identifier: Apache-2.0
"""The kernels, and kernel/verified.md, which is written when all of these tests have passed."""

import hashlib
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.lab.host import CACHE
from tests.support import REPO
from tests.support.lab import Lab
from tests.support.selftests import LACKS, MACHINES, OFF, PROGRAMS, SERIES, passed

VERIFIED = REPO / "kernel/verified.md"
HEAD = """\
# Kernels that the series was verified on
`make kernels` writes this file when all has passed, and nothing else does. The logs are those of
the selftests, one after the other; QEMU emulated the machines.

Series: `{series}`

"""


def series_hash() -> str:
    command = [REPO / "kernel/series", "hash"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@dataclass
class Verified:
    """What passed: by series and machine the tests of each program, and what they printed."""

    counts: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    logs: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, series: str, machine: str, printed: dict[str, str]) -> None:
        """Of every program what it printed. Fails with that unless all passed."""
        assert set(printed) == PROGRAMS | {OFF}
        lacks = LACKS.get((series, machine), ())
        row = Counter({name: passed(name, text, lacks) for name, text in printed.items()})
        self.counts[series, machine] = row
        self.logs[series, machine] = "".join(printed[name] for name in sorted(printed))

    def is_whole(self) -> bool:
        return set(self.counts) == {(series, machine) for series in SERIES for machine in MACHINES}

    def text(self) -> str:
        columns = [(series, machine) for series in SERIES for machine in MACHINES]
        rows = [
            [name, *(str(self.counts[column][name]) for column in columns)]
            for name in sorted(PROGRAMS | {OFF})
        ]
        rows.append(["all", *(str(self.counts[column].total()) for column in columns)])
        table = [["tests passed", *(" ".join(column) for column in columns)], ["---"] * 7, *rows]
        lines = [f"| {' | '.join(row)} |" for row in table]
        digests = [["log", "Debian's source", "SHA-256"], ["---"] * 3]
        for series, machine in columns:
            digest = hashlib.sha256(self.logs[series, machine].encode()).hexdigest()
            digests.append([f"{series} {machine}", source_version(series), digest])
        lines += ["", *(f"| {' | '.join(row)} |" for row in digests)]
        return HEAD.format(series=series_hash()) + "\n".join(lines) + "\n"


def source_version(series: str) -> str:
    command = [REPO / "kernel/source", series, "--version"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


_verified = Verified()


@pytest.fixture(scope="session")
def verified() -> Verified:
    return _verified


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus or not _verified.is_whole():
        print(f"\n{VERIFIED.relative_to(REPO)} is left as it was: not everything ran and passed")
        return
    folder = CACHE / "verified" / series_hash()
    folder.mkdir(parents=True, exist_ok=True)
    for (series, machine), log in _verified.logs.items():
        (folder / f"{series}-{machine}.log").write_text(log)
    VERIFIED.write_text(_verified.text())
    print(f"\nwritten: {VERIFIED.relative_to(REPO)}; the logs are in {folder}")


@pytest.fixture(scope="session", params=SERIES)
def series(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def kernel(series: str, programs: Path) -> Iterator[Lab]:
    """One guest after another, with the tests' programs in /root/src."""
    guest = Lab(f"test-{series.replace('.', '-')}")
    guest.run("down", check=False)
    guest.up("--kernel", series)
    guest.copy_in(programs, "/root/src")
    yield guest
    # Fails when the kernel reported anything in all this time.
    guest.run("down")
