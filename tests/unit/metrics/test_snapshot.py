# SPDX-License-Identifier: Apache-2.0
from pidinfod.metrics.snapshot import Recent


def test_a_group_without_processes_stays_for_a_while():
    recent = Recent(300)
    assert recent.update({"a", "b"}, 1000) == {"a", "b"}
    assert recent.update({"b"}, 1300) == {"a", "b"}
    assert recent.update({"b"}, 1301) == {"b"}
    assert recent.update({"a"}, 1302) == {"a", "b"}
    assert recent.update(set(), 1603) == set()


def test_no_time_at_all():
    recent = Recent(0)
    recent.update({"a"}, 7)
    assert recent.update({"b"}, 8) == {"b"}
