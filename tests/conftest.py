# SPDX-License-Identifier: Apache-2.0
"""What tests share: reading a scrape, and the lab, which is booted once for all."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

REPO = Path(__file__).resolve().parents[1]
LAB = REPO / "deploy/lab/lab"


class Scrape(dict[tuple[str, frozenset[tuple[str, str]]], float]):
    """Samples of one scrape, by name and labels."""

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels; 0 when there is none."""
        wanted = set(labels.items())
        return sum(v for (n, found), v in self.items() if n == name and wanted <= found)


def scrape(url: str) -> Scrape:
    """Fetch and parse /metrics."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return Scrape(
            ((sample.name, frozenset(sample.labels.items())), sample.value)
            for family in families
            for sample in family.samples
        )


class Lab:
    """A running guest, by the lab's own command."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.metrics_url = ""

    def run(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [LAB, "--name", self.name, *args], capture_output=True, text=True, timeout=600
        )
        if check and result.returncode:
            output = result.stdout + result.stderr
            pytest.fail(f"lab {' '.join(args)}: {result.returncode}\n{output}")
        return result

    def up(self, *args: str) -> None:
        """Boot, with the progress on the test run's own stderr."""
        command = [str(LAB), "--name", self.name, "up", *args]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=sys.__stderr__, text=True)
        assert result.returncode == 0, f"{command} failed"
        self.metrics_url = result.stdout.split("METRICS_URL=")[1].strip()

    def exec(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("exec", "--", *argv, check=check)

    def copy_in(self, source: Path, target: str) -> None:
        self.run("copy", str(source), f"lab:{target}")

    def scrape(self) -> Scrape:
        return scrape(self.metrics_url)


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of the C programs for the guest, built."""
    folder = REPO / "tests/lab/src"
    subprocess.run(["make", "-s", "-C", folder], check=True)
    return folder


@pytest.fixture(scope="session")
def lab(programs: Path) -> Iterator[Lab]:
    """The patched host, with the tests' programs in /root/src."""
    guest = Lab("test")
    guest.run("down", check=False)
    guest.up()
    guest.copy_in(programs, "/root/src")
    yield guest
    # Fails when the kernel reported anything in all this time.
    guest.run("down")
