# SPDX-License-Identifier: Apache-2.0
"""What an unprivileged user chooses makes no keys in the maps, and no series."""

from tests.guest.signal_numbers import NUMBERS


def test_numbers_that_no_signal_has(lab):
    before = lab.scrape()
    lab.exec("python3", "/root/src/signal_numbers.py")
    after = lab.scrape()
    changes = after.since(before)
    assert len(NUMBERS) == 5003
    kills = changes.table("pidinfod_ft_kill_signals_total", "signal", "result")
    assert kills == {("invalid", "EINVAL"): 5003}
    calls = {"syscall": "ft_kill", "result": "EINVAL"}
    assert changes.value("pidinfod_ft_calls_total", **calls) == 5003
    failures = {"call": "ft_kill", "errno": "EINVAL"}
    assert changes.value("pidinfod_kill_failures_total", **failures) == 5003
    assert changes.value("pidinfod_dropped_total") == 0
    assert changes.value("pidinfod_degraded_total") == 0
    entries = changes.table("pidinfod_map_entries", "map")
    assert all(entries.get((name,), 0) <= 7 for name in ("ft_calls", "ft_kill_signals"))
    assert len(after) - len(before) < 211  # what else came up, of groups that are new
