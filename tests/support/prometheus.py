# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus, as Debian has it."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.daemon import free_address


class Prometheus:
    """One that runs, asked over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url

    def _result(self, expression: str) -> list[dict[str, Any]]:
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{query}", timeout=30) as answer:
            return list(json.load(answer)["data"]["result"])

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The samples of an instant query: labels and value."""
        return [(found["metric"], float(found["value"][1])) for found in self._result(expression)]

    def samples(
        self, selector: str, seconds: int, step: str = ""
    ) -> dict[frozenset[tuple[str, str]], list[float]]:
        """What was stored of each series in so many seconds up to now, oldest first; with a step
        such as `:1s`, what an expression came to."""
        return {
            frozenset(found["metric"].items()): [float(value) for _, value in found["values"]]
            for found in self._result(f"{selector}[{seconds}s{step}]")
        }

    def wait_for(self, expression: str, seconds: float = 60) -> list[tuple[dict[str, str], float]]:
        deadline = time.monotonic() + seconds
        while not (found := self.query(expression)):
            assert time.monotonic() < deadline, f"nothing for {expression} in {seconds} s"
            time.sleep(0.5)
        return found


def increase(samples: list[float]) -> float:
    """As Prometheus counts it, without its extrapolation: a fall is a reset to 0."""
    return sum(new - old if new >= old else new for old, new in itertools.pairwise(samples))


@contextlib.contextmanager
def prometheus(folder: Path, config: dict[str, Any]) -> Iterator[Prometheus]:
    """With this configuration, its data in a folder; ready when its first target is up."""
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = free_address()
    command = [
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--web.listen-address={address}",
        f"--storage.tsdb.path={folder}/data", "--log.level=warn",
    ]  # fmt: skip
    with subprocess.Popen(command) as process:
        try:
            server = Prometheus(f"http://{address}")
            deadline = time.monotonic() + 60
            while True:
                try:
                    urllib.request.urlopen(f"{server.url}/-/ready", timeout=5).close()
                    break
                except OSError:
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
            server.wait_for("up == 1")
            yield server
        finally:
            process.terminate()


@contextlib.contextmanager
def scraping(address: str, folder: Path) -> Iterator[Prometheus]:
    """One that scrapes a daemon each second, its files in a new folder."""
    folder.mkdir()
    target = {"job_name": "pidinfod", "static_configs": [{"targets": [address]}]}
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [target]}
    with prometheus(folder, config) as server:
        yield server
