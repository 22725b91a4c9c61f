# SPDX-License-Identifier: Apache-2.0
"""Declared groups: the real daemon, with real processes of each kind that a rule can ask for."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.cgroups import UNIFIED, remove
from tests.support.daemon import Daemon

ID = "0123456789abcdef" * 4
ME = os.getpid()
NOBODY = 65534
MAPS = ("processes", "placements")

CONFIG = r"""
groups:
  - name: early-comm
    comm: [quick{me}]
  - name: by-exe
    exe: ['^{folder}/opt/']
  - name: by-cmdline
    cmdline: ['^sleep 10037\.{me}( |$)', '^sleep 10039\.{me}$']
  - name: by-cgroup
    cgroup: ['^/pidinfod-{me}/plain$']
  - name: by-unit
    unit: ['^job-{me}\.service$']
  - name: by-container
    container: ['^{id}$']
    cgroup: ['^/pidinfod-{me}/']
  - name: by-user
    user: [{nobody}]
    comm: [sleep]
  - name: family
    exe: ['^{folder}/launch']
    children: true
  - name: late-comm
    comm: [late{me}]
  - name: never
    unit: ['^never-{me}\.service$']
    cmdline: [never]
  - name: shadowed
    comm: [shadow{me}]
    exe: ['^/nowhere']
"""

PARAMETERS = {"me": ME, "id": ID, "nobody": NOBODY}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Programs by the names and in the places that the rules ask for."""
    folder = tmp_path_factory.mktemp("groups")
    (folder / "opt").mkdir()
    for target in ("opt/sleep", "opt/sh", "launch", f"late{ME}", f"quick{ME}", f"shadow{ME}"):
        name = "sleep" if target == "opt/sleep" else "dash"
        shutil.copy(f"/usr/bin/{name}", folder / target)
    return folder


@pytest.fixture(scope="module")
def daemon(folder, root):
    with Daemon(folder, CONFIG.format(folder=folder, **PARAMETERS)) as running:
        yield running


@pytest.fixture(scope="module")
def cgroup():
    """Makes a cgroup and gives the function by which a new process enters it."""
    made = []

    def make(path):
        folder = UNIFIED
        for part in Path(f"pidinfod-{ME}", path).parts:
            folder /= part
            if not folder.exists():
                folder.mkdir()
                made.append(folder)
        return lambda: (folder / "cgroup.procs").write_text("0")

    yield make
    for folder in reversed(made):
        remove(folder)


@contextlib.contextmanager
def started(count, *argv, **options):
    """So many of a program; each is ended with all that it started."""
    options["start_new_session"] = True
    processes = [subprocess.Popen(argv, **options) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(daemon, expected, **labels):
    """Until so many processes are in a group: user space places them in its own time. Events are
    read before processes, so that of what has just come or gone the next scrape tells."""
    deadline = time.monotonic() + 20
    while True:
        found = daemon.scrape()
        if (count := found.value("pidinfod_group_processes", **labels)) == expected:
            return found
        assert time.monotonic() < deadline, (labels, count)
        time.sleep(0.05)


def delta(before, after, name, **labels):
    return after.value(name, **labels) - before.value(name, **labels)


def wait_for_execs(daemon, before, expected):
    """Until user space has counted those that it was told of."""
    deadline = time.monotonic() + 20
    while True:
        after = daemon.scrape()
        execs = {
            group: delta(before, after, "pidinfod_execs_total", group=group) for group in expected
        }
        if execs == expected:
            return after
        assert time.monotonic() < deadline, execs
        time.sleep(0.05)


def dropped(before, after):
    """By event and cause, what was not counted."""
    return after.since(before).table("pidinfod_dropped_total", "event", "cause")


def test_declared_groups_are_zero_from_the_start(daemon):
    found = daemon.scrape()
    names = {name for name, labels in found if ("group", "never") in labels}
    take_a_process = {
        f"pidinfod_group_{name}" for name in
        ("signals_pending", "signals_blocked", "oldest_start_time_seconds")
    }  # fmt: skip
    with_groups = {name for name, labels in found if "group" in dict(labels)}
    assert names == with_groups - take_a_process
    assert {found[key] for key in found if ("group", "never") in key[1]} == {0}
    for reason in ("gone", "exec", "unreadable", "full", "slow"):
        labels = frozenset({("reason", reason)})
        assert ("pidinfod_group_misses_total", labels) in found


KINDS = {
    "by-exe": (["{folder}/opt/sleep", "10007"], None),
    "by-cmdline": (["sleep", f"10037.{ME}"], None),
    "by-cgroup": (["sleep", "10007"], "plain"),
    "by-unit": (["sleep", "10007"], f"a.slice/job-{ME}.service/below"),
    "by-container": (["sleep", "10007"], f"docker-{ID}.scope"),
    "by-user": (["setpriv", "--reuid", str(NOBODY), "--clear-groups", "sleep", "10007"], None),
}


@pytest.mark.parametrize("group", KINDS)
def test_each_kind_of_rule(daemon, folder, cgroup, group):
    argv, path = KINDS[group]
    argv = [part.format(folder=folder) for part in argv]
    before = daemon.scrape()
    with started(7, *argv, preexec_fn=cgroup(path) if path else None):
        wait_for(daemon, 7, group=group)
        wait_for_execs(daemon, before, {group: 7})
    wait_for(daemon, 0, group=group)
    after = daemon.scrape()
    killed = {"group": group, "reason": "signaled", "status": "SIGKILL"}
    assert delta(before, after, "pidinfod_exits_total", **killed) == 7


def test_zombies_of_a_unit(daemon, cgroup):
    """What they died as they stay, though they have no command line any more."""
    enter = cgroup(f"a.slice/job-{ME}.service/below")
    with started(7, "sleep", "10007", preexec_fn=enter) as processes:
        wait_for(daemon, 7, group="by-unit", state="S")
        for process in processes:
            process.kill()
        found = wait_for(daemon, 7, group="by-unit", state="Z")
        assert found.value("pidinfod_group_processes", group="sleep", state="Z") == 0
    wait_for(daemon, 0, group="by-unit")


def test_name_alone_is_exact_for_the_briefest(daemon, folder):
    """Whether user space is asked (declared after a rule on more) or not (before)."""
    before = daemon.scrape()
    for name, count in ((f"quick{ME}", 1009), (f"late{ME}", 503), (f"shadow{ME}", 11)):
        for _ in range(count):
            subprocess.run([folder / name, "-c", ":"], check=True)
    expected = {"early-comm": 1009, "late-comm": 503, f"shadow{ME}": 11, "shadowed": 0}
    after = wait_for_execs(daemon, before, expected)
    for group, count in (("early-comm", 1009), ("late-comm", 503), (f"shadow{ME}", 11)):
        exits = {"group": group, "reason": "exited", "status": "0"}
        assert delta(before, after, "pidinfod_exits_total", **exits) == count
    assert dropped(before, after) == {}


def test_children_stay_but_for_an_earlier_group(daemon, folder):
    """Through forks and execs, from the first on, which come before the parent is placed;
    a group that is declared later does not get them.
    """
    shell = f"{folder}/late{ME} -c 'sleep 10009.{ME}; :'"
    script = f"sleep 10009.{ME} & sleep 10039.{ME} & {shell} & wait"
    before = daemon.scrape()
    with started(1, folder / "launch", "-c", script):
        # The launcher, of three sleeps the two that no earlier group takes, and a shell.
        wait_for(daemon, 4, group="family")
        wait_for(daemon, 1, group="by-cmdline")
        wait_for_execs(daemon, before, {"family": 4, "by-cmdline": 1, "late-comm": 0})
    wait_for(daemon, 0, group="by-cmdline")
    wait_for(daemon, 0, group="family")
    after = daemon.scrape()
    assert delta(before, after, "pidinfod_exits_total", group="family", status="SIGKILL") == 4


def test_brief_children_of_one_that_was_placed(daemon, folder):
    """The kernel alone keeps them in the group: exact, however short their lives."""
    script = f"read _; i=0; while [ $i -lt 211 ]; do {folder}/late{ME} -c :; i=$((i+1)); done"
    before = daemon.scrape()
    with started(1, folder / "launch", "-c", script, stdin=subprocess.PIPE) as [launcher]:
        wait_for(daemon, 1, group="family")
        launcher.communicate(b"\n")
        assert launcher.returncode == 0
    after = wait_for_execs(daemon, before, {"family": 1 + 211, "late-comm": 0})
    assert delta(before, after, "pidinfod_exits_total", group="family", status="0") == 1 + 211


def test_regrouped_at_exec(daemon, folder):
    script = f"read line; exec sleep 10037.{ME}"
    with started(5, folder / "opt/sh", "-c", script, stdin=subprocess.PIPE) as processes:
        wait_for(daemon, 5, group="by-exe")
        for process in processes:
            process.stdin.write(b"\n")
            process.stdin.flush()
        wait_for(daemon, 5, group="by-cmdline")
        wait_for(daemon, 0, group="by-exe")


def test_one_that_daemonizes_at_once(daemon, folder):
    """The child of a process that was gone before it was looked at is still placed."""
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    for _ in range(53):
        subprocess.run([folder / "opt/sh", "-c", f"(read _) <{fifo} & exit"], check=True)
    try:
        wait_for(daemon, 53, group="by-exe")
    finally:
        with open(fifo, "w"):
            pass
    wait_for(daemon, 0, group="by-exe")


def test_exec_by_a_thread_that_is_not_the_main_one(daemon, folder):
    script = (
        "import os, threading, time\n"
        "def go():\n"
        f"    os.execv('{folder}/opt/sleep', ['sleep', '{{}}'])\n"
        "threading.Thread(target=go).start()\n"
        "time.sleep(9)\n"
    )
    before = daemon.scrape()
    for _ in range(101):
        subprocess.run([sys.executable, "-c", script.format(0)], check=True)
    after = daemon.scrape()
    for name in MAPS:
        grown = delta(before, after, "pidinfod_map_entries", map=name)
        assert grown < 50, name  # what else came up on this machine
    before = after
    with started(7, sys.executable, "-c", script.format(10007)):
        wait_for(daemon, 7, group="by-exe")
    wait_for(daemon, 0, group="by-exe")
    after = daemon.scrape()
    assert delta(before, after, "pidinfod_exits_total", group="by-exe", status="SIGKILL") == 7


def test_threads_of_a_placed_process(daemon, folder, tmp_path):
    """Their signals count for its group: those made before it was placed, and those after."""
    shutil.copy(sys.executable, folder / "opt/threads")
    script = (
        "import os, signal, threading, time\n"
        "signal.signal(signal.SIGUSR1, signal.SIG_IGN)\n"
        "ready = threading.Barrier(4)\n"
        "def run():\n"
        "    ready.wait(); time.sleep(1)\n"
        "    for _ in range(211): os.kill(os.getpid(), signal.SIGUSR1)\n"
        "for _ in range(3): threading.Thread(target=run).start()\n"
        "ready.wait()\n"
    )
    before = daemon.scrape()
    subprocess.run(
        [folder / "opt/threads", "-c", script], check=True, env=dict(os.environ, PYTHONHOME="/usr")
    )
    after = daemon.scrape()
    ours = {"sender": "by-exe", "target": "by-exe", "signal": "SIGUSR1", "result": "ignored"}
    assert delta(before, after, "pidinfod_signals_generated_total", **ours) == 3 * 211


def test_storm_leaves_nothing(daemon, folder):
    """Execs that user space is told of, in a row; most are gone when it looks."""
    before = daemon.scrape()
    script = f"i=0; while [ $i -lt 2003 ]; do {folder}/shadow{ME} -c :; i=$((i+1)); done"
    subprocess.run(["sh", "-c", script], check=True)
    after = wait_for_execs(daemon, before, {f"shadow{ME}": 2003})
    for name in MAPS:
        grown = delta(before, after, "pidinfod_map_entries", map=name)
        assert grown < 50, name
    assert dropped(before, after) == {}


def test_those_that_run_already(folder, tmp_path, root):
    """Placed at the start by the same rules, children of a group that keeps them too."""
    config = CONFIG.format(folder=folder, **PARAMETERS)
    script = f"sleep 10009.{ME} & sleep 10039.{ME} & sleep 10009.{ME} & wait"
    with started(5, folder / "opt/sleep", "10007"), started(3, folder / "launch", "-c", script):
        time.sleep(0.5)
        with Daemon(tmp_path, config) as running:
            found = running.scrape()
    processes = "pidinfod_group_processes"
    assert found.value(processes, group="by-exe") == 5
    assert found.value(processes, group="family") == 3 + 6
    assert found.value(processes, group="by-cmdline") == 3


def test_series_of_a_name_stay_for_a_while_and_those_of_declared_groups(tmp_path, root):
    declared = "groups:\n- name: never\n  comm: [never]\n"
    shutil.copy("/usr/bin/sleep", tmp_path / f"ttl{ME}")

    def groups(running):
        return dict(running.scrape().table("pidinfod_execs_total", "group"))

    with Daemon(tmp_path, f"group_ttl: 2\n{declared}") as running:
        assert (f"ttl{ME}",) not in groups(running)
        with started(3, tmp_path / f"ttl{ME}", "10007"):
            wait_for(running, 3, group=f"ttl{ME}")
        wait_for(running, 0, group=f"ttl{ME}")
        assert (f"ttl{ME}",) in groups(running)
        deadline = time.monotonic() + 20
        while (f"ttl{ME}",) in (found := groups(running)):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert found["never",] == 0
