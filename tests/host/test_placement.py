# SPDX-License-Identifier: Apache-2.0
"""Those that ran before the daemon: each process is placed once, its threads are none."""

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.support.daemon import Daemon

ME = os.getpid()
CONFIG = f"""
groups:
- name: sleeper
  cmdline: ['^sleep 10061.{ME}$']
- name: headless
  comm: [headless{ME}]
- name: zombie
  comm: [zombie{ME}]
"""
# Its main thread has gone, another lives.
HEADLESS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(99,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""

pytestmark = pytest.mark.usefixtures("root")


def wait_for_state(process, state):
    stat = Path(f"/proc/{process.pid}/stat")
    deadline = time.monotonic() + 10
    while stat.read_text().rpartition(") ")[2][0] != state:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", f"10061.{ME}"]) as process:
        yield process
        process.kill()


@pytest.fixture
def headless(tmp_path):
    program = tmp_path / f"headless{ME}"
    program.symlink_to("/usr/bin/python3")
    with subprocess.Popen([program, "-c", HEADLESS]) as process:
        wait_for_state(process, "Z")
        yield process
        process.kill()


@pytest.fixture
def zombie(tmp_path):
    program = tmp_path / f"zombie{ME}"
    program.symlink_to("/bin/true")
    with subprocess.Popen([program]) as process:
        wait_for_state(process, "Z")
        yield process


@pytest.fixture
def threads():
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(211)]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join()


def test_every_process_is_placed(sleeper, headless, zombie, threads, tmp_path):
    with Daemon(tmp_path, CONFIG) as daemon:
        found = daemon.scrape()
        shown = len([name for name in os.listdir("/proc") if name.isdigit()])
        processes = found.table("pidinfod_group_processes", "group", "state")
        assert processes["sleeper", "S"] == 1
        assert processes["headless", "Z"] == 1  # as /proc has it
        assert processes["zombie", "Z"] == 1
        assert processes["kernel", "S"] + processes["kernel", "I"] > 0
        # None for each of 211 threads.
        assert abs(found.value("pidinfod_map_entries", map="processes") - shown) < 53

        for process, group in ((sleeper, "sleeper"), (headless, "headless")):
            process.kill()
            process.wait()
            death = daemon.death(process.pid)
            assert (death["group"], death["blame"]["sender_pid"]) == (group, ME)
        after = daemon.scrape().since(found)
        for group in ("sleeper", "headless"):
            killed = {"signal": "SIGKILL", "target": group, "origin": "user"}
            assert after.value("pidinfod_signals_generated_total", **killed) == 1
            ended = {"group": group, "reason": "signaled", "status": "SIGKILL"}
            assert after.value("pidinfod_exits_total", **ended) == 1


def test_what_ended_meanwhile_leaves_nothing(zombie, tmp_path):
    """A zombie that was there is forgotten when it is reaped."""
    with Daemon(tmp_path, CONFIG) as daemon:
        assert daemon.scrape().value("pidinfod_group_processes", group="zombie") == 1
        zombie.wait()
        deadline = time.monotonic() + 10
        while daemon.scrape().value("pidinfod_group_processes", group="zombie"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
