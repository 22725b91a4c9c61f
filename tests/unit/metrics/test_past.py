# SPDX-License-Identifier: Apache-2.0
"""Counts of groups that are gone: there when they come back, and never lost from the total."""

from pidinfod.metrics.lives import EXECS, FORKS, LIFETIME
from pidinfod.metrics.past import CAPACITY, Past
from pidinfod.metrics.schema import SUM_SLOT
from pidinfod.metrics.signals import GENERATED


def fork(group):
    return ("process", "native", group)


def test_nothing():
    assert (Past().counts(), Past().forgotten) == ({}, {})


def test_what_is_added_adds_up():
    past = Past()
    for count in (3, 5):
        past.add(FORKS, fork("bash"), count)
    past.add(EXECS, ("bash",), 7)
    past.add(FORKS, fork("cat"), 11)
    assert past.counts() == {
        "forks": {fork("bash"): 8, fork("cat"): 11}, "execs": {("bash",): 7},
    }  # fmt: skip
    assert past.forgotten == {}


def test_the_oldest_are_forgotten_and_stay_in_the_total():
    past = Past(capacity=3)
    for number in range(7):
        past.add(FORKS, fork(f"g{number}"), number + 1)
    past.add(FORKS, fork("g4"), 100)  # the newest now
    past.add(FORKS, fork("g7"), 8)
    past.trim(())
    assert past.counts() == {"forks": {fork("g6"): 7, fork("g4"): 105, fork("g7"): 8}}
    assert past.forgotten == {"forks": 1 + 2 + 3 + 4 + 6}
    # A sum of seconds is no event.
    past.add(LIFETIME, ("bash", SUM_SLOT), 10**12)
    past.add(LIFETIME, ("bash", 13), 5)
    for number in range(3):
        past.add(EXECS, (f"g{number}",), 1)
    past.trim(())
    assert past.forgotten["process_lifetime_seconds"] == 5


def test_what_is_back_is_not_forgotten():
    """It is told with what was counted since: that may not fall."""
    past = Past(capacity=3)
    for number in range(7):
        past.add(EXECS, (f"g{number}",), number + 1)
    past.add(GENERATED, ("SIGHUP", "user", "ignored", "g0", "g2"), 11)
    past.trim({"g0", "g1"})
    assert past.counts() == {
        "execs": {("g0",): 1, ("g1",): 2},
        "signals_generated": {("SIGHUP", "user", "ignored", "g0", "g2"): 11},
    }
    assert past.forgotten == {"execs": 3 + 4 + 5 + 6 + 7}
    past.trim({"g0", "g1"})
    assert past.forgotten == {"execs": 3 + 4 + 5 + 6 + 7}


def test_the_memory_is_bounded():
    past = Past()
    for number in range(CAPACITY + 1009):
        past.add(EXECS, (f"g{number}",), 1)
    past.trim(())
    assert len(past.counts()["execs"]) == CAPACITY
    assert past.forgotten == {"execs": 1009}
