# SPDX-License-Identifier: Apache-2.0
"""The daemon on every kernel with the series, in short: its probes attach and count exactly."""

import pytest

from tests.support.daemon import TESTED
from tests.support.machine import Guest
from tests.support.sweeping import check_figures, check_use


@pytest.fixture(scope="module")
def machine(kernel):
    kernel.configure(TESTED)
    return Guest(kernel)


def test_calls(kernel, machine):
    before = machine.scrape()
    kernel.exec("/root/src/ft_workload")
    changes = machine.scrape().since(before)
    probes = machine.scrape().table("pidinfod_probe_attached", "probe")
    assert set(probes.values()) == {1}
    assert ("kprobe:__x64_sys_ft_fork",) in probes
    for syscall, result, count in (
        ("ft_fork", "ok", 211),
        ("ft_wait", "ok", 211),
        ("ft_kill", "ok", 503),
        ("ft_kill", "ESRCH", 101),
        ("ft_kill", "EPERM", 53),
    ):
        labels = {"syscall": syscall, "result": result}
        assert changes.value("pidinfod_ft_calls_total", **labels) == count, labels


def test_sweep(machine):
    check_figures(machine, "procfs", "get_pid_info")
    check_use(machine, 211)
