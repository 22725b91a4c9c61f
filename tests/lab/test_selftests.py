# SPDX-License-Identifier: Apache-2.0
"""The series' own kselftests, on every kernel that has a series."""

import pytest
from conftest import Lab


@pytest.fixture(scope="module")
def lab_6_1(programs):
    guest = Lab("test-6-1")
    guest.run("down", check=False)
    guest.up("--kernel", "6.1")
    yield guest
    guest.run("down")


def test_selftests_on_6_12(lab):
    cases = lab.run_selftests()
    assert set(cases) >= {"pid_info/pid_info_test", "ft_calls/kill_test"}


def test_selftests_on_6_1(lab_6_1):
    assert lab_6_1.run_selftests()


def test_daemon_on_6_1(lab_6_1, programs):
    """The probes attach and count exactly on the older kernel, too."""
    lab_6_1.copy_in(programs / "ft_workload", "/root/ft_workload")
    before = lab_6_1.scrape()
    lab_6_1.exec("/root/ft_workload")
    after = lab_6_1.scrape()
    assert after.value("pidinfod_probe_attached") == 26
    for syscall, result, count in (
        ("ft_fork", "ok", 211),
        ("ft_wait", "ok", 211),
        ("ft_kill", "ok", 503),
        ("ft_kill", "ESRCH", 101),
        ("ft_kill", "EPERM", 53),
    ):
        labels = {"syscall": syscall, "result": result}
        found = [scrape.value("pidinfod_ft_calls_total", **labels) for scrape in (before, after)]
        assert found[1] - found[0] == count, labels
