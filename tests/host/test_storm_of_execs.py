# SPDX-License-Identifier: Apache-2.0
"""More execs than user space can look at: no scrape and no stop waits for their end."""

import subprocess
import time

import pytest

from tests.support.daemon import Daemon

# A pattern that takes milliseconds for the command line that comes with each exec.
CONFIG = """
groups:
- name: never
  cmdline: ['a.*a.*b']
"""
SLOW = "a" * 211

pytestmark = pytest.mark.usefixtures("root")


def test_scrapes_and_the_stop_do_not_wait_for_a_storm(programs, tmp_path):
    with Daemon(tmp_path, CONFIG) as daemon:
        # Minutes, if nobody ends them.
        command = ["./storm", "execs", "1000003", SLOW]
        storms = [subprocess.Popen(command, cwd=programs) for _ in range(2)]
        try:
            before = daemon.scrape()
            for _ in range(5):
                time.sleep(0.5)
                start = time.monotonic()
                found = daemon.scrape()
                assert time.monotonic() - start < 3
            assert found.since(before).value("pidinfod_events_seen_total", event="exec") > 503
            subprocess.run(["true"], check=True)
            start = time.monotonic()
            assert len(daemon.deaths(limit=1)) == 1
            assert time.monotonic() - start < 3
            start = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - start < 5
            assert all(storm.poll() is None for storm in storms)
        finally:
            for storm in storms:
                storm.terminate()
                storm.wait()


def test_execs_of_a_storm_are_exact(programs, tmp_path):
    with Daemon(tmp_path, CONFIG) as daemon:
        before = daemon.scrape()
        subprocess.run(["./storm", "execs", "5003"], cwd=programs, check=True, capture_output=True)
        deadline = time.monotonic() + 20
        while True:
            changes = daemon.scrape().since(before)
            if (execs := changes.value("pidinfod_execs_total", group="storm-exec")) == 5003:
                break
            assert time.monotonic() < deadline, execs
            time.sleep(0.2)
        ended = {"group": "storm-exec", "reason": "exited", "status": "0"}
        assert changes.value("pidinfod_exits_total", **ended) == 2
        assert changes.value("pidinfod_dropped_total") == 0
