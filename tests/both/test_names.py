# SPDX-License-Identifier: Apache-2.0
"""Names that a process chose: none is taken for ours or for a declared group, none breaks the
exposition, and each is counted."""

import pytest

from tests.guest.oddly import NOT_UTF8, ODD, OURS, TIMES
from tests.support.machine import output

CONFIG = """
groups:
- name: declared
  comm: [nobody-has-this]
"""


@pytest.fixture(scope="module")
def told(machine):
    """What changed by the programs of tests/guest/oddly.py, and their deaths."""
    with machine.configured(CONFIG) as configured:
        before = configured.scrape()
        output(configured, "python3", "oddly.py")
        # Read with Prometheus's own parser, which takes each series once.
        return configured.scrape().since(before), configured.deaths()


def counts(changes, group):
    """Execs and exits."""
    return [changes.value(f"pidinfod_{name}_total", group=group) for name in ("execs", "exits")]


@pytest.mark.parametrize("name", OURS)
def test_ours_are_not_theirs(told, name):
    changes, _ = told
    assert counts(changes, f"comm:{name.decode()}") == [TIMES] * 2


@pytest.mark.parametrize("group", ["kernel", "other", "declared"])
def test_nothing_is_added_to_ours(told, group):
    changes, _ = told
    assert changes.value("pidinfod_execs_total", group=group) == 0


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_exact(told, name):
    changes, _ = told
    assert counts(changes, name.decode()) == [TIMES] * 2


def test_times_are_of_all_together(told):
    """Only declared groups have some of their own."""
    changes, _ = told
    lifetimes = changes.table("pidinfod_process_lifetime_seconds_count", "group")
    assert lifetimes.keys() == {("other",)}
    exits = changes.value("pidinfod_exits_total")
    assert lifetimes["other",] == exits >= TIMES * len(OURS + ODD + NOT_UTF8)


def test_names_that_are_no_text(told):
    """Whether two share the text of their label is not said, but all are counted."""
    changes, _ = told
    execs = changes.table("pidinfod_execs_total", "group")
    assert all(name.startswith(b"caf") for name in NOT_UTF8)
    found = {name: n for (name,), n in execs.items() if name.startswith("caf")}
    assert sum(found.values()) == TIMES * len(NOT_UTF8)


def test_deaths_are_exact(told):
    """In JSON nothing is escaped twice."""
    _, deaths = told
    for name in OURS + ODD:
        found = [death for death in deaths if death["comm"] == name.decode()]
        assert len(found) == TIMES, name
