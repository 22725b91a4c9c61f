# SPDX-License-Identifier: Apache-2.0
"""The cgroup and the unit in a certificate of death, though the cgroup itself is gone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import REPO, Daemon

from pidinfod.cli import deaths as client

UNIFIED = Path(
    next(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()
         if line.split()[2] == "cgroup2")
)  # fmt: skip
SLICE = UNIFIED / f"pidinfod-{os.getpid()}.slice"
OLD = SLICE / "old.service/worker"


def remove(folder):
    """As soon as the kernel has let the last process go."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return folder.rmdir()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory, tracefs):
    folder = tmp_path_factory.mktemp("cgroups")
    config = folder / "config.yml"
    config.write_text(f"socket: {folder}/socket\n")
    OLD.mkdir(parents=True)
    running = Daemon(folder, "--config", str(config))
    running.wait_until_ready()
    running.path = folder / "socket"
    yield running
    remove(SLICE)
    status, errors = running.stop()
    assert status == 0, errors
    assert "Traceback" not in errors


def die_in(folder):
    """A process enters a cgroup and dies there, and the cgroup goes with it."""
    script = 'echo $$ >"$0"/cgroup.procs && exec sh -c "exit 37"'
    with subprocess.Popen(["sh", "-c", script, str(folder)]) as child:
        assert child.wait() == 37
    remove(folder)
    return child.pid


def death_of(daemon, pid):
    deadline = time.monotonic() + 10
    while not (found := client.ask(daemon.path, pid=pid, limit=1)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found[0]


def test_a_cgroup_from_before_the_daemon(daemon):
    inode = OLD.stat().st_ino
    death = death_of(daemon, die_in(OLD))
    remove(OLD.parent)
    assert death["cgroup_id"] == inode
    assert death["cgroup"] == f"/{SLICE.name}/old.service/worker"
    assert death["unit"] == "old.service"


def test_cgroups_that_live_as_long_as_their_process(daemon):
    pids = {}
    for number in range(53):
        folder = SLICE / f"brief@{number}.service"
        folder.mkdir()
        pids[die_in(folder)] = folder.name
    for pid, name in pids.items():
        death = death_of(daemon, pid)
        assert (death["cgroup"], death["unit"]) == (f"/{SLICE.name}/{name}", name)


def test_in_no_unit(daemon):
    folder = UNIFIED / f"pidinfod-{os.getpid()}"
    folder.mkdir()
    death = death_of(daemon, die_in(folder))
    assert (death["cgroup"], death["unit"]) == (f"/{folder.name}", None)


def test_a_long_path_is_whole(daemon):
    folders = [SLICE / "/".join(["x" * 200] * depth) for depth in (1, 2, 3)]
    for folder in folders:
        folder.mkdir()
    pid = die_in(folders[-1])
    for folder in reversed(folders[:-1]):
        remove(folder)
    assert death_of(daemon, pid)["cgroup"] == f"/{SLICE.name}/" + "/".join(["x" * 200] * 3)


def test_the_command_names_the_unit(daemon):
    folder = SLICE / "told.service"
    folder.mkdir()
    pid = die_in(folder)
    death_of(daemon, pid)
    command = [sys.executable, "-m", "pidinfod", "deaths", "--socket", str(daemon.path)]
    told = subprocess.run(command, cwd=REPO, capture_output=True, text=True).stdout
    line = next(line for line in told.splitlines() if f"(PID {pid}," in line)
    assert f"(PID {pid}, uid 0, told.service, child of " in line
