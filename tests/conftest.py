# SPDX-License-Identifier: Apache-2.0
"""Fixtures: the programs, a daemon on this machine, and the lab, which is booted once for all."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import REPO
from tests.support.daemon import SHARED, TESTED, Daemon
from tests.support.lab import Lab
from tests.support.machine import Guest, Host, Machine


def pytest_configure() -> None:
    """Whoever starts the tests in the background has them ignore signals that terminals send, and
    all that they start inherits that."""
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of the C programs for the guest, built."""
    folder = REPO / "tests/guest"
    subprocess.run(["make", "-s", "-C", folder], check=True)
    return folder


@pytest.fixture(scope="session")
def library() -> Path:
    """libftcalls.so, built."""
    folder = REPO / "kernel/preload"
    subprocess.run(["make", "-s", "-C", folder], check=True)
    return folder / "libftcalls.so"


@pytest.fixture(scope="session")
def preload_programs() -> Path:
    """The folder of those that it is preloaded into, built."""
    folder = REPO / "tests/lab/preload"
    subprocess.run(["make", "-s", "-C", folder], check=True)
    return folder


@pytest.fixture(scope="session")
def lab(programs: Path) -> Iterator[Lab]:
    """The patched host, with the tests' programs in /root/src."""
    guest = Lab("test")
    guest.run("down", check=False)
    guest.up()
    guest.configure(TESTED, SHARED)
    guest.copy_in(programs, "/root/src")
    yield guest
    # Fails when the kernel reported anything in all this time.
    guest.run("down")


@pytest.fixture(scope="session")
def root() -> None:
    """What the probes need of this machine."""
    assert os.geteuid() == 0, "the probes need root"


@pytest.fixture
def daemon(tmp_path: Path, root: None) -> Iterator[Daemon]:
    """Running on this machine's own kernel."""
    with Daemon(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def host(programs: Path, root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """This machine, with one daemon for all tests."""
    # Room for all names that come up here, on purpose or not, while the tests run.
    with Daemon(tmp_path_factory.mktemp("host"), f"max_groups: 4096\n{SHARED}") as running:
        yield Host(running, programs)


@pytest.fixture(scope="module", params=["host", "lab"])
def machine(request: pytest.FixtureRequest) -> Machine:
    """This machine on its stock kernel, then the lab's guest on the patched one."""
    found = request.getfixturevalue(request.param)
    return Guest(found) if request.param == "lab" else found
