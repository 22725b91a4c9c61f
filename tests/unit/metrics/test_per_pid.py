# SPDX-License-Identifier: Apache-2.0
"""Which processes have series of their own: bounded, and those that were told of stay."""

import pytest

from pidinfod.metrics.per_pid import PerPid, Process, Shown, Wanted, families

BOOT_TIME = 1_700_000_000.25


def process(pid, group="web", start=10**9, cpu=0, memory=0, descriptors=0, signals=0):
    return Process(pid, start, group, cpu, memory, descriptors, signals)


def pids(shown):
    return [one.pid for one, _ in shown.processes]


@pytest.mark.parametrize("name", ["cpu", "memory", "descriptors", "signals"])
def test_the_first_by_a_measure(name):
    found = [process(pid, **{name: value}) for pid, value in ((3, 7), (5, 11), (7, 2), (11, 9))]
    assert pids(PerPid(Wanted(**{name: 2})).choose(found, BOOT_TIME)) == [5, 11]
    assert Wanted(**{name: 2}).any


def test_nobody_wants_any():
    assert not Wanted().any
    assert PerPid(Wanted()).choose([process(3, cpu=7)], BOOT_TIME) == Shown([])


def test_groups_that_ask_for_it():
    found = [process(3, "db"), process(5), process(7), process(11, "kernel")]
    wanted = Wanted(groups=frozenset({"web", "kernel"}))
    assert wanted.any
    # Threads of the kernel are no processes that anybody could look into.
    assert pids(PerPid(wanted).choose(found, BOOT_TIME)) == [5, 7]


def test_one_that_is_chosen_twice_is_told_once():
    wanted = Wanted(groups=frozenset({"web"}), cpu=1, memory=1, descriptors=1, signals=1)
    found = [process(3, cpu=7, memory=7, descriptors=7, signals=7), process(5, "db")]
    shown = PerPid(wanted).choose(found, BOOT_TIME)
    assert (pids(shown), shown.left_out) == ([3], 0)


@pytest.mark.parametrize("name", ["cpu", "signals"])
def test_what_grew_since_the_last_sweep(name):
    per_pid = PerPid(Wanted(**{name: 1, "most": 1}))
    assert pids(per_pid.choose([process(3, **{name: 100}), process(5)], BOOT_TIME)) == [3]
    later = [process(3, **{name: 103}), process(5, **{name: 5})]
    assert pids(per_pid.choose(later, BOOT_TIME)) == [5]
    # A PID that is used anew has been here for nothing of it.
    anew = [process(3, **{name: 104}), process(5, start=2 * 10**9, **{name: 4})]
    assert pids(per_pid.choose(anew, BOOT_TIME)) == [5]


def test_never_more_than_there_is_room_for():
    found = [process(pid, cpu=pid) for pid in range(1, 101)]
    wanted = Wanted(groups=frozenset({"web"}), most=7)
    shown = PerPid(wanted).choose(found, BOOT_TIME)
    assert (len(shown.processes), shown.left_out) == (7, 93)


def test_one_that_was_told_of_stays_while_there_is_room():
    per_pid = PerPid(Wanted(memory=1, most=2))
    sweeps = [({3: 9, 5: 1, 7: 0}, [3]), ({3: 2, 5: 9, 7: 0}, [5, 3]), ({3: 2, 5: 3, 7: 9}, [7, 5]),
              ({5: 3, 7: 2}, [5, 7]), ({5: 3}, [5])]  # fmt: skip
    for memory, expected in sweeps:
        found = [process(pid, memory=value) for pid, value in memory.items()]
        shown = per_pid.choose(found, BOOT_TIME)
        assert sorted(pids(shown)) == sorted(expected)
        # All that are wanted now have their series.
        assert shown.left_out == 0


def test_cpu_time_does_not_fall():
    per_pid = PerPid(Wanted(groups=frozenset({"web"})))
    for reading, told in ((100, 100), (90, 100), (103, 103)):
        ((one, _),) = per_pid.choose([process(3, cpu=reading)], BOOT_TIME).processes
        assert one.cpu_ns == told
    ((one, _),) = per_pid.choose([process(3, start=2, cpu=1)], BOOT_TIME).processes
    assert one.cpu_ns == 1


def test_a_start_stays_what_it_was_told_as():
    """Who sets the clock does not make another series of a process."""
    per_pid = PerPid(Wanted(groups=frozenset({"web"})))
    for boot_time in (BOOT_TIME, BOOT_TIME + 3600):
        ((_, start),) = per_pid.choose([process(3, start=1_500_000_000)], boot_time).processes
        assert start == "1700000001.75"


def samples(shown, absent=()):
    return {
        family.name: [(sample.labels, sample.value) for sample in family.samples]
        for family in families(shown, absent)
    }


def test_families():
    shown = Shown([(process(3, "db", 7, 2_500_000_000, 11, 13, 17), "1.50")], 19)
    labels = {"pid": "3", "start": "1.50", "group": "db"}
    told = {
        "pidinfod_process_cpu_seconds": [(labels, 2.5)],
        "pidinfod_process_resident_bytes": [(labels, 11)],
        "pidinfod_process_descriptors": [(labels, 13)],
        "pidinfod_process_signals": [(labels, 17)],
        "pidinfod_processes_left_out": [({}, 19)],
    }
    assert samples(shown) == told
    # Only the kernel's own sweep knows of them.
    without = samples(shown, {"descriptors"})
    assert told.keys() - without.keys() == {
        "pidinfod_process_descriptors", "pidinfod_process_signals",
    }  # fmt: skip
