# SPDX-License-Identifier: Apache-2.0
"""A daemon beside 10,000 processes and 50,000 threads."""

import pytest

from tests.support.daemon import Daemon
from tests.support.machine import Host, running
from tests.support.room import room_for_tasks

PROCESSES, THREADS = 10_007, 50_035

pytestmark = pytest.mark.usefixtures("root")


def peak(daemon):
    """Of its resident memory, in MB."""
    return int(daemon.status("VmHWM").split()[0]) / 1024


def test_memory_and_start(programs, tmp_path):
    # The machine's own daemon is not there: nothing is asked of it.
    here = Host(None, programs)
    with (
        room_for_tasks(), running(here, "./many", PROCESSES, THREADS), Daemon(tmp_path) as daemon,
    ):  # fmt: skip
        print(f"READY after {daemon.ready_seconds:.2f} s, {peak(daemon):.1f} MB")
        for _ in range(3):
            found = daemon.scrape()
        labels = {"group": "many"}
        assert found.value("pidinfod_group_processes", **labels) == PROCESSES + 1
        entries = found.value("pidinfod_map_entries", map="processes")
        assert PROCESSES <= entries < PROCESSES + 1009
        print(f"peak in scrapes {peak(daemon):.1f} MB")
        assert peak(daemon) <= 45
        assert daemon.ready_seconds < 10  # what is promised is measured by tests/bench
