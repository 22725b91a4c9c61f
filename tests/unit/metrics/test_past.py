# SPDX-License-Identifier: Apache-2.0
"""Counts of groups that are gone: shown when they come back, and never lost from the total."""

from pidinfod.metrics.ft_calls import FT_CALLS
from pidinfod.metrics.lives import EXECS, FORKS, LIFETIME
from pidinfod.metrics.past import CAPACITY, Past
from pidinfod.metrics.schema import SUM_SLOT
from pidinfod.metrics.signals import GENERATED


def fork(group):
    return ("process", "native", group)


def test_nothing():
    assert Past().split({"bash"}) == ({}, {})


def test_what_is_added_adds_up():
    past = Past()
    for count in (3, 5):
        past.add(FORKS, fork("bash"), count)
    past.add(EXECS, ("bash",), 7)
    past.add(FORKS, fork("cat"), 11)
    assert past.split({"bash"}) == (
        {"forks": {fork("bash"): 8}, "execs": {("bash",): 7}}, {"forks": 11},
    )  # fmt: skip
    assert past.split({"bash", "cat"})[1] == {}
    assert past.split(()) == ({}, {"forks": 19, "execs": 7})


def test_all_groups_of_a_series_must_be_there():
    past = Past()
    series = ("SIGTERM", "user", "delivered", "bash", "cat")
    past.add(GENERATED, series, 3)
    for live in ({"bash"}, {"cat"}, {"user"}, set()):
        assert past.split(live) == ({}, {"signals_generated": 3})
    assert past.split({"bash", "cat"}) == ({"signals_generated": {series: 3}}, {})


def test_a_sum_of_seconds_is_no_event():
    past = Past()
    past.add(LIFETIME, ("bash", 0), 3)
    past.add(LIFETIME, ("bash", 13), 5)
    past.add(LIFETIME, ("bash", SUM_SLOT), 10**12)
    assert past.split(()) == ({}, {"process_lifetime_seconds": 8})
    assert past.split({"bash"})[0]["process_lifetime_seconds"][("bash", SUM_SLOT)] == 10**12


def test_a_family_without_groups_is_always_shown():
    past = Past()
    past.add(FT_CALLS, ("ft_fork", "ok"), 3)
    assert past.split(()) == ({"ft_calls": {("ft_fork", "ok"): 3}}, {})


def test_the_oldest_are_forgotten_and_stay_in_the_total():
    past = Past(capacity=3)
    for number in range(7):
        past.add(FORKS, fork(f"g{number}"), number + 1)
    past.add(FORKS, fork("g4"), 100)  # the newest now
    past.add(FORKS, fork("g7"), 8)
    shown, hidden = past.split({f"g{number}" for number in range(8)})
    assert shown == {"forks": {fork("g6"): 7, fork("g4"): 105, fork("g7"): 8}}
    assert hidden == {"forks": 1 + 2 + 3 + 4 + 6}
    # A forgotten sum is no event either.
    past.add(LIFETIME, ("bash", SUM_SLOT), 10**12)
    for number in range(3):
        past.add(EXECS, (f"g{number}",), 1)
    assert "process_lifetime_seconds" not in {
        name for name, count in past.split(())[1].items() if count
    }


def test_the_memory_is_bounded():
    past = Past()
    for number in range(CAPACITY + 1009):
        past.add(EXECS, (f"g{number}",), 1)
    assert len(past._series) == CAPACITY
    assert past.split(())[1] == {"execs": CAPACITY + 1009}
