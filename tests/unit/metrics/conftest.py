# SPDX-License-Identifier: Apache-2.0
"""What tests of snapshots and of sweeps share."""

import pytest

from pidinfod.kernel import pid_info
from tests.support.recorded import a_host


@pytest.fixture
def stock(monkeypatch):
    """A kernel without get_pid_info."""
    monkeypatch.setattr(pid_info, "is_supported", lambda: False)


@pytest.fixture
def proc(tmp_path):
    return a_host(tmp_path / "proc")
