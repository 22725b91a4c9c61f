# SPDX-License-Identifier: Apache-2.0
"""What groups are and use, as the sweep in the kernel finds it."""

from tests.support.sweeping import check_figures, check_use


def test_what_groups_are(machine):
    check_figures(machine, *(["procfs"] if machine.name == "host" else ["procfs", "get_pid_info"]))


def test_what_groups_use(machine):
    """On this machine with more deaths, half of them after an exec into another group."""
    check_use(machine, 10_007 if machine.name == "host" else 503)
