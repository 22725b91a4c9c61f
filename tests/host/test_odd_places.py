# SPDX-License-Identifier: Apache-2.0
"""Where a process runs never stops the daemon from starting, nor loses a count: a program in a
folder deeper than the kernel tells a path, and a cgroup with any byte in its name."""

import contextlib
import os
import shutil
import subprocess

import pytest

from tests.support.cgroups import UNIFIED, remove
from tests.support.daemon import Daemon

ME = os.getpid()
DEEP, ODD = f"deep{ME}", f"odd{ME}"
CONFIG = f"""
groups:
- name: in-opt
  exe: ['^/opt/nowhere']
- name: by-unit
  unit: ['^odd-{ME}']
- name: by-cgroup
  cgroup: ['/odder-{ME}']
"""
# What is not UTF-8, what a terminal or an exposition would obey, and what ends a line for Python;
# the kernel refuses the newline alone.
UNIT = b"odd-%d \xff\"\\\x1b[2J\r\x0b\x1c\xc2\x85\xe2\x80\xa8x.service" % ME
CGROUP = b"odder-%d \xe9}\x85\x0c\x1d\x1e\r0::" % ME
RUNS = 53

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture
def deep(tmp_path):
    """A program 5,000 bytes down, and the folder's descriptor, as no path leads there."""
    folder = os.open(tmp_path, os.O_PATH)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=folder)
        below = os.open("d" * 250, os.O_PATH, dir_fd=folder)
        os.close(folder)
        folder = below
    shutil.copy("/bin/dash", f"/proc/self/fd/{folder}/{DEEP}")
    yield folder
    os.close(folder)
    shutil.rmtree(tmp_path / ("d" * 250))


@pytest.fixture
def cgroups():
    """Two with odd names, and of each the function by which a new process enters it."""
    folders = [UNIFIED / os.fsdecode(name) for name in (UNIT, CGROUP)]
    for folder in folders:
        folder.mkdir()
    yield [lambda path=folder / "cgroup.procs": path.write_text("0") for folder in folders]
    for folder in folders:
        remove(folder)


@contextlib.contextmanager
def running(argv, **options):
    """One that waits; ended at the end."""
    with subprocess.Popen(argv, stdin=subprocess.PIPE, **options) as process:
        yield process
        process.communicate()
        assert process.returncode == 0


def in_deep(folder, script):
    return {"args": [f"./{DEEP}", "-c", script], "cwd": f"/proc/{ME}/fd/{folder}"}


def test_deep_folder(deep, tmp_path):
    waiting = in_deep(deep, "read _; :")
    with running(waiting.pop("args"), **waiting), Daemon(tmp_path, CONFIG) as daemon:
        before = daemon.scrape()
        assert before.value("pidinfod_group_processes", group=DEEP) == 1
        for _ in range(RUNS):
            subprocess.run(**in_deep(deep, ":"), check=True)
        changes = daemon.scrape().since(before)
        assert changes.value("pidinfod_execs_total", group=DEEP) == RUNS
        assert changes.value("pidinfod_exits_total", group=DEEP) == RUNS
        assert changes.value("pidinfod_dropped_total") == 0
        # What could not be told of them is counted as that.
        assert daemon.scrape().value("pidinfod_group_misses_total") >= 1


def test_cgroups_with_odd_names(cgroups, tmp_path):
    program = tmp_path / ODD
    program.symlink_to("/bin/dash")
    enter_unit, enter_cgroup = cgroups
    with (
        running([program, "-c", "read _; :"], preexec_fn=enter_unit),
        Daemon(tmp_path, CONFIG) as daemon,
    ):
        before = daemon.scrape()
        assert before.value("pidinfod_group_processes", group="by-unit") == 1
        for _ in range(RUNS):
            subprocess.run([program, "-c", ":"], check=True)
        with (
            running([program, "-c", "read _; :"], preexec_fn=enter_unit) as by_unit,
            running([program, "-c", "read _; :"], preexec_fn=enter_cgroup) as by_cgroup,
        ):
            pass
        changes = daemon.scrape().since(before)
        execs = sum(changes.value("pidinfod_execs_total", group=group)
                    for group in (ODD, "by-unit", "by-cgroup"))  # fmt: skip
        assert execs == RUNS + 2
        assert changes.value("pidinfod_dropped_total") == 0
        for process, name in ((by_unit, UNIT), (by_cgroup, CGROUP)):
            death = daemon.death(process.pid)
            assert death["cgroup"] == f"/{os.fsdecode(name)}"
        assert daemon.death(by_unit.pid)["unit"] == os.fsdecode(UNIT)
