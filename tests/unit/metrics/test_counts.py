# SPDX-License-Identifier: Apache-2.0
"""The processes of a sweep by group, and who is dead."""

from collections import Counter

import pytest

from pidinfod.kernel.pid_info import Swept
from pidinfod.metrics.processes import STATES, ProcessCounts, count_processes, families
from pidinfod.metrics.shown import Shown


def process(pid, state="S", ppid=1, threads=1, pending=0, blocked=0, queued=0, limit=7919):
    return Swept(pid, ppid, state, "sh", threads, 0, False, pending, blocked, queued, limit)


def test_states():
    found = [process(pid, state) for pid, state in enumerate("SSSRRDZ", start=2)]
    counts = count_processes((one, "web" if one.pid % 2 else "db") for one in found)
    assert counts.states == {
        ("db", "S"): 2, ("web", "S"): 1, ("db", "R"): 1, ("web", "R"): 1, ("web", "D"): 1,
        ("db", "Z"): 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("threads", "zombies"), [(1, {"web": 1}), (2, {}), (3, {}), (0, {"web": 1})]
)
def test_one_whose_threads_live_is_not_dead(threads, zombies):
    found = [(process(5), "web"), (process(7, "Z", ppid=5, threads=threads), "db")]
    counts = count_processes(found)
    assert counts.zombies == zombies
    assert counts.states[("db", "Z")] == 1  # as /proc shows it


def test_zombies_are_their_parents():
    found = [
        (process(7, "Z", ppid=11), "db"),  # before its parent
        (process(11), "web"),
        (process(13, "Z", ppid=11), "web"),
        (process(17, "Z", ppid=99), "web"),  # a parent that is not there
        (process(19, "Z", ppid=0), "db"),
        (process(23, "Z", ppid=7), "db"),  # of a parent that is dead itself
    ]
    assert count_processes(found).zombies == {"web": 2, "kernel": 2, "db": 1}


def test_signals():
    found = [
        (process(2, pending=1 << 14 | 1 << 8, blocked=1 << 14), "web"),
        (process(3, pending=1 << 14, blocked=1 << 9 | 1 << 33), "web"),
        (process(5, blocked=1 << 14), "db"),
    ]
    counts = count_processes(found)
    assert counts.pending == {("web", "SIGTERM"): 2, ("web", "SIGKILL"): 1}
    assert counts.blocked == {
        ("web", "SIGTERM"): 1, ("web", "SIGUSR1"): 1, ("db", "SIGTERM"): 1,
        ("web", "SIGRTMIN"): 1,
    }  # fmt: skip


def test_the_queue_that_is_nearest_to_its_limit():
    found = [
        (process(2, queued=5, limit=1000), "web"),
        (process(3, queued=3, limit=100), "web"),
        (process(5, queued=4, limit=1000), "web"),
        (process(7, queued=0, limit=31), "db"),
        (process(11, queued=0, limit=0), "jobs"),
    ]
    assert count_processes(found).queues == {"web": (3, 100), "db": (0, 31)}


def test_what_a_dead_one_has_not():
    nothing = Swept(7, 1, "Z", "sh", 1, 0, False, None, None, None, None)
    counts = count_processes([(nothing, "web")])
    assert (counts.pending, counts.blocked, counts.queues) == (Counter(), Counter(), {})
    assert counts.zombies == {"kernel": 1}


def samples(metrics, name):
    (family,) = [one for one in metrics if one.name == name]
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def test_zeros_are_of_declared_groups():
    found = [(process(7, "R"), "web"), (process(11, "Z", ppid=7), "db"), (process(13), "cat")]
    shown = Shown({"web", "db", "nobody"}, ["nobody"])
    metrics = list(families(count_processes(found), ["nobody"], shown))
    assert samples(metrics, "pidinfod_group_processes") == {
        ("web", "R"): 1, ("db", "Z"): 1, **{("nobody", state): 0 for state in STATES},
    }  # fmt: skip
    assert samples(metrics, "pidinfod_zombies") == {("nobody",): 0, ("web",): 1}
    assert shown.hidden == {
        "pidinfod_group_processes": 1, "pidinfod_zombies": 0, "pidinfod_group_signals_pending": 0,
        "pidinfod_group_signals_blocked": 0,
    }  # fmt: skip


def test_queues_are_told_where_something_is_queued():
    queues = {"web": (3, 100), "db": (0, 31), "nobody": (0, 37), "cat": (5, 41)}
    shown = Shown({"web", "db", "nobody"}, ["nobody"])
    metrics = list(families(ProcessCounts(queues=queues), ["nobody"], shown))
    assert samples(metrics, "pidinfod_group_signals_queued") == {("web",): 3, ("nobody",): 0}
    limits = {("web",): 100, ("nobody",): 37}
    assert samples(metrics, "pidinfod_group_signals_queued_limit") == limits
    # The queue of one and that of another do not add up to one.
    for name in ("queued", "queued_limit"):
        assert f"pidinfod_group_signals_{name}" not in shown.hidden
        assert shown.hidden_series[f"pidinfod_group_signals_{name}"] == 1
