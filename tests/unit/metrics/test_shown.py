# SPDX-License-Identifier: Apache-2.0
"""What is shown of a family, and the account of what is not: together they are the total."""

import random

import pytest

from pidinfod.metrics.ft_calls import FT_CALLS
from pidinfod.metrics.lives import FORKS, LIFETIME
from pidinfod.metrics.schema import SUM_SLOT
from pidinfod.metrics.shown import Shown
from pidinfod.metrics.signals import GENERATED

GROUPS = frozenset({"kernel", "other", "web", "bash"})


@pytest.fixture
def shown():
    return Shown(GROUPS, ["web"])


def samples(metric):
    return {tuple(one.labels.values()): one.value for one in metric.samples}


def test_a_counter(shown):
    counts = {("process", "native", name): n for name, n in
              (("web", 0), ("bash", 3), ("cat", 5), ("ls", 7), ("other", 11))}  # fmt: skip
    metric = shown.counter(FORKS, counts, 13)
    assert samples(metric) == {
        ("process", "native", name): n for name, n in (("web", 0), ("bash", 3), ("other", 11))
    }
    assert shown.hidden == {"pidinfod_forks_total": 5 + 7 + 13}
    assert shown.hidden_series == {"pidinfod_forks_total": 2}


def test_all_groups_of_a_series_must_be_shown(shown):
    pairs = [("bash", "cat"), ("cat", "bash"), ("cat", "ls"), ("bash", "web"), ("kernel", "bash")]
    counts = {("SIGTERM", "user", "delivered", *pair): 2**i for i, pair in enumerate(pairs)}
    metric = shown.counter(GENERATED, counts, 0)
    assert sorted(samples(metric).values()) == [8, 16]
    assert shown.hidden == {"pidinfod_signals_generated_total": 1 + 2 + 4}
    assert shown.hidden_series == {"pidinfod_signals_generated_total": 3}


def test_times_are_of_declared_groups(shown):
    """bash is shown, and was declared once: what it has grows no more."""
    counts = {}
    for name in ("web", "other", "bash"):
        counts |= {(name, 0): 3, (name, 13): 5, (name, SUM_SLOT): 10**12}
    metric = shown.counter(LIFETIME, counts, 7)
    assert {one.labels["group"] for one in metric.samples} == {"web", "other"}
    assert shown.hidden == {"pidinfod_process_lifetime_seconds_count": 8 + 7}
    assert shown.hidden_series == {"pidinfod_process_lifetime_seconds_count": 1}


def test_a_family_without_groups(shown):
    metric = shown.counter(FT_CALLS, {("ft_fork", "ok"): 3}, 0)
    assert samples(metric) == {("ft_fork", "ok"): 3}
    assert (shown.hidden, shown.hidden_series) == ({}, {})


VALUES = {
    ("web", "S"): 2, ("web", "R"): 0, ("bash", "S"): 3, ("bash", "R"): 0, ("cat", "S"): 5,
    ("cat", "R"): 0, ("ls", "Z"): 7,
}  # fmt: skip


def test_a_gauge(shown):
    metric = shown.gauge("x", "Help.", ("group", "state"), VALUES)
    assert metric.name == "pidinfod_x"
    assert samples(metric) == {("web", "S"): 2, ("web", "R"): 0, ("bash", "S"): 3}
    assert shown.hidden == {"pidinfod_x": 12}
    assert shown.hidden_series == {"pidinfod_x": 2}


def test_a_gauge_that_does_not_add_up(shown):
    shown.gauge("x", "Help.", ("group", "state"), VALUES, adds_up=False)
    assert shown.hidden == {}
    assert shown.hidden_series == {"pidinfod_x": 2}


def test_what_is_hidden_of_values_without_zeros_is_no_series(shown):
    shown.gauge("x", "Help.", ("group",), {("cat",): 0, ("ls",): 0.0, ("bash",): 0})
    assert (shown.hidden, shown.hidden_series) == ({"pidinfod_x": 0}, {"pidinfod_x": 0})


def test_a_counter_of_no_map(shown):
    values = {
        ("web", "read"): 0, ("web", "write"): 2.5, ("bash", "read"): 0.25, ("bash", "write"): 0,
        ("cat", "read"): 0.5, ("cat", "write"): 0, ("ls", "write"): 0.75,
    }  # fmt: skip
    metric = shown.used("x", "Help.", ("group", "direction"), values, others=7)
    assert (metric.name, metric.type) == ("pidinfod_x", "counter")
    assert {one.name for one in metric.samples} == {"pidinfod_x_total"}
    assert samples(metric) == {("web", "read"): 0, ("web", "write"): 2.5, ("bash", "read"): 0.25}
    # By the name of the series, as of all counters.
    assert shown.hidden == {"pidinfod_x_total": 8.25}
    assert shown.hidden_series == {"pidinfod_x_total": 2}


def test_what_is_shown_and_what_is_not_make_the_total():
    draw = random.Random(11)
    names = [f"g{i}" for i in range(23)]
    counts = {("SIGHUP", "user", "ignored", a, b): draw.randrange(1000)
              for a in names for b in names}  # fmt: skip
    for number in range(len(names) + 1):
        shown = Shown(set(draw.sample(names, number)), [])
        metric = shown.counter(GENERATED, counts, 17)
        told = sum(samples(metric).values())
        assert told + shown.hidden[GENERATED.metric] == sum(counts.values()) + 17
        assert len(metric.samples) + shown.hidden_series[GENERATED.metric] == len(counts)
        assert len(metric.samples) == number**2
