# SPDX-License-Identifier: Apache-2.0
"""Placing what runs already, seen in the kernel's map itself."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pidinfod.groups.placement import Placer
from pidinfod.groups.rules import Rules
from pidinfod.kernel import handoff, libbpf
from pidinfod.metrics import decode
from pidinfod.service import daemon
from pidinfod.service.config import parse

pytestmark = pytest.mark.usefixtures("tracefs")

CONFIG = parse(f"groups:\n- name: us\n  cmdline: ['^sleep 10061.{os.getpid()}$']\n", "f")

# Its main thread has gone, another lives.
HEADLESS = (
    "import ctypes, threading, time\n"
    "threading.Thread(target=time.sleep, args=(99,)).start()\n"
    "print(flush=True)\n"
    "ctypes.CDLL(None).pthread_exit(None)\n"
)


@pytest.fixture
def loaded():
    loaded = handoff.load(daemon.settings(CONFIG), 60)
    yield loaded
    for handle in loaded.maps.values():
        os.close(handle.fd)
    for probe in loaded.probes:
        for fd in (probe.prog_fd, probe.link_fd):
            if fd is not None:
                os.close(fd)


def memberships(loaded):
    """Task to process and group."""
    found = libbpf.read_plain(loaded.maps["group_of"])
    return {
        int.from_bytes(tid, sys.byteorder): decode.MEMBERSHIP.unpack(value)[:2]
        for tid, value in found.items()
    }


def tasks_of(pid):
    return {int(name) for name in os.listdir(f"/proc/{pid}/task")}


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", f"10061.{os.getpid()}"]) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def headless():
    command = [sys.executable, "-c", HEADLESS]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        while "Z" not in Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2]:
            pass
        yield process.pid
        process.kill()


@pytest.fixture
def zombie():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    yield pid
    os.waitpid(pid, 0)


def test_every_task_is_placed_and_none_that_has_ended(sleeper, headless, zombie, loaded):
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(7)]
    for thread in threads:
        thread.start()
    try:
        Placer(Rules(CONFIG.groups), loaded, CONFIG.procfs).place_running()
        found = memberships(loaded)
        assert found[sleeper] == (decode.FIRST_GROUP, sleeper)
        # All threads of a process are in its group, and that of its name is no declared one.
        ours = {tid: member for tid, member in found.items() if member[1] == os.getpid()}
        assert set(ours) == tasks_of(os.getpid())
        assert len(set(ours.values())) == 1
        assert ours[os.getpid()][0] > decode.FIRST_GROUP
        assert {tid for tid, member in found.items() if member[1] == headless} == (
            tasks_of(headless) - {headless}
        )
        assert zombie not in found
        kernel = {tid for tid, member in found.items() if member[0] == decode.GROUP_KERNEL}
        assert 2 in kernel  # kthreadd
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_what_the_kernel_has_told_apart_stays(loaded):
    """A process that came after the probes is the kernel's; the start does not touch it."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(b"x\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"x\n"  # its exec is done
        key = process.pid.to_bytes(4, sys.byteorder)
        before = libbpf.lookup(loaded.maps["group_of"], key)
        Placer(Rules(CONFIG.groups), loaded, CONFIG.procfs).place_running()
        after = libbpf.lookup(loaded.maps["group_of"], key)
        process.communicate()
    assert before is not None
    assert after == before
