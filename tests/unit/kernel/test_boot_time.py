# SPDX-License-Identifier: Apache-2.0
"""The boot clock's zero, when time goes by and when the wall clock is set."""

import time

import pytest

from pidinfod.kernel.boot_time import BootTime


def test_it_moves_only_when_the_clock_is_set(monkeypatch):
    """It stays what it was until then: two clocks are not read at one moment."""
    wall, boot = [1_700_000_000.0], [1000.0]
    monkeypatch.setattr("pidinfod.kernel.boot_time.time.time", lambda: wall[0])
    monkeypatch.setattr(
        "pidinfod.kernel.boot_time.time.clock_gettime",
        lambda clock: {time.CLOCK_BOOTTIME: boot}[clock][0],
    )
    boot_time = BootTime()
    assert boot_time.now() == 1_699_999_000
    wall[0], boot[0] = wall[0] + 61.3, boot[0] + 61
    assert boot_time.now() == 1_699_999_000
    wall[0] -= 3600
    assert boot_time.now() == pytest.approx(1_699_995_400.3)
