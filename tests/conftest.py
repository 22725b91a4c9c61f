# SPDX-License-Identifier: Apache-2.0
"""What tests share: reading a scrape, a daemon on this machine, and
the lab, which is booted once for all."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

REPO = Path(__file__).resolve().parents[1]
LAB = REPO / "deploy/lab/lab"


def pytest_configure() -> None:
    """Whoever starts the tests in the background has them ignore signals that terminals send, and
    all that they start inherits that."""
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Scrape(dict[tuple[str, frozenset[tuple[str, str]]], float]):
    """Samples of one scrape, by name and labels."""

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels; 0 when there is none."""
        wanted = set(labels.items())
        return sum(v for (n, found), v in self.items() if n == name and wanted <= found)

    def since(self, before: Scrape) -> Scrape:
        """What went up or down; samples that did not change are left out."""
        changes = {key: value - before.get(key, 0.0) for key, value in self.items()}
        return Scrape({key: change for key, change in changes.items() if change})

    def table(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The samples of one name, by the values of its labels."""
        return {
            tuple(dict(found)[label] for label in labels): value
            for (n, found), value in self.items()
            if n == name
        }


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
        self.kernel = Path()  # with the selftests built for it

    def run(
        self, *args: str, check: bool = True, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        command = [LAB, "--name", self.name, *args]
        result = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        if check and result.returncode:
            output = result.stdout + result.stderr
            pytest.fail(f"lab {' '.join(args)}: {result.returncode}\n{output}")
        return result

    def up(self, *args: str) -> None:
        """Boot, with the progress on the test run's own stderr."""
        command = [str(LAB), "--name", self.name, "up", *args]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=sys.__stderr__, text=True)
        assert result.returncode == 0, f"{command} failed"
        state = dict(line.split("=", 1) for line in result.stdout.splitlines())
        self.metrics_url, self.kernel = state["METRICS_URL"], Path(state["KERNEL"])

    def exec(
        self, *argv: str, check: bool = True, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        return self.run("exec", "--", *argv, check=check, timeout=timeout)

    def copy_in(self, source: Path, target: str) -> None:
        self.run("copy", str(source), f"lab:{target}")

    def scrape(self) -> Scrape:
        return scrape(self.metrics_url)

    def run_selftests(self) -> dict[str, str]:
        """Run every program; what each printed. Fails with that."""
        self.copy_in(self.kernel / "selftests", "/root/selftests")
        printed = {}
        for program in sorted((self.kernel / "selftests").glob("*/*_test")):
            name = f"{program.parent.name}/{program.name}"
            folder = f"/root/selftests/{program.parent.name}"
            result = self.exec("sh", "-c", f"cd {folder} && ./{program.name} 2>&1", check=False)
            assert result.returncode == 0, f"{name}:\n{result.stdout}"
            assert "# SKIP" not in result.stdout, f"{name}:\n{result.stdout}"
            planned = int(re.findall(r"^1\.\.(\d+)$", result.stdout, re.MULTILINE)[0])
            passed = len(re.findall(r"^ok \d+", result.stdout, re.MULTILINE))
            assert passed == planned > 0, f"{name}:\n{result.stdout}"
            printed[name] = result.stdout
        return printed


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of the C programs for the guest, built."""
    folder = REPO / "tests/guest"
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


@pytest.fixture(scope="session")
def tracefs() -> None:
    """What the probes need of this machine."""
    assert os.geteuid() == 0, "the probes need root"
    if not os.path.isdir("/sys/kernel/tracing/events"):
        subprocess.run(["mount", "-t", "tracefs", "tracefs", "/sys/kernel/tracing"], check=True)


class Daemon:
    """`python3 -m pidinfod` with a service manager's socket."""

    def __init__(self, tmp_path, *args):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{sock.getsockname()[1]}"
        self.url = f"http://{self.address}/metrics"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(tmp_path / "notify"))
        self.socket.settimeout(60)
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pidinfod", "--listen", self.address, *args],
            cwd=REPO, stderr=subprocess.PIPE, text=True,
            env=dict(os.environ, NOTIFY_SOCKET=str(tmp_path / "notify")),
        )  # fmt: skip

    def wait_until_ready(self):
        while "READY=1" not in self.socket.recv(4096).decode().splitlines():
            pass
        return time.monotonic() - self.started

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


@pytest.fixture
def daemon(tmp_path: Path, tracefs: None) -> Iterator[Daemon]:
    """Running on this machine's own kernel."""
    running = Daemon(tmp_path)
    running.ready_seconds = running.wait_until_ready()
    yield running
    running.process.kill()
    running.process.wait()


@pytest.fixture(scope="session")
def host(programs: Path, tracefs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """This machine, with one daemon for all tests."""
    import machine

    folder = tmp_path_factory.mktemp("host")
    # Room for all names that come up here, on purpose or not, while the tests run.
    with machine.started(folder, "max_groups: 4096\n") as daemon:
        yield machine.Host(daemon, programs, folder)


@pytest.fixture(scope="module", params=["host", "lab"])
def machine(request: pytest.FixtureRequest) -> Any:
    """This machine on its stock kernel, then the lab's guest on the patched one."""
    import machine

    found = request.getfixturevalue(request.param)
    return machine.Guest(found) if request.param == "lab" else found
