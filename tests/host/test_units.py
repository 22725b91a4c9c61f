# SPDX-License-Identifier: Apache-2.0
"""The cgroup and the unit in a certificate of death, though the cgroup itself is gone."""

import os
import subprocess

import pytest

from tests.support.cgroups import UNIFIED, remove
from tests.support.daemon import Daemon, pidinfod

SLICE = UNIFIED / f"pidinfod-{os.getpid()}.slice"
OLD = SLICE / "old.service/worker"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory, root):
    OLD.mkdir(parents=True)
    with Daemon(tmp_path_factory.mktemp("cgroups")) as running:
        yield running
    remove(SLICE)


def die_in(folder):
    """A process enters a cgroup and dies there, and the cgroup goes with it."""
    script = 'echo $$ >"$0"/cgroup.procs && exec sh -c "exit 37"'
    with subprocess.Popen(["sh", "-c", script, str(folder)]) as child:
        assert child.wait() == 37
    remove(folder)
    return child.pid


def test_a_cgroup_from_before_the_daemon(daemon):
    inode = OLD.stat().st_ino
    death = daemon.death(die_in(OLD))
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
        death = daemon.death(pid)
        assert (death["cgroup"], death["unit"]) == (f"/{SLICE.name}/{name}", name)


def test_in_no_unit(daemon):
    folder = UNIFIED / f"pidinfod-{os.getpid()}"
    folder.mkdir()
    death = daemon.death(die_in(folder))
    assert (death["cgroup"], death["unit"]) == (f"/{folder.name}", None)


def test_a_long_path_is_whole(daemon):
    folders = [SLICE / "/".join(["x" * 200] * depth) for depth in (1, 2, 3)]
    for folder in folders:
        folder.mkdir()
    pid = die_in(folders[-1])
    for folder in reversed(folders[:-1]):
        remove(folder)
    assert daemon.death(pid)["cgroup"] == f"/{SLICE.name}/" + "/".join(["x" * 200] * 3)


def test_the_command_names_the_unit(daemon):
    folder = SLICE / "told.service"
    folder.mkdir()
    pid = die_in(folder)
    daemon.death(pid)
    told = pidinfod("deaths", "--socket", daemon.socket)
    assert told.returncode == 0, told.stderr
    line = next(line for line in told.stdout.splitlines() if f"(PID {pid}," in line)
    assert f"(PID {pid}, uid 0, told.service, child of " in line
