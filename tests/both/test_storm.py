# SPDX-License-Identifier: Apache-2.0
"""Storms, counted exactly: the witness is what the senders' own calls returned."""

import pytest

from tests.support.machine import declaring, program, resident_bytes, settled

SIGNALS = {"host": 1_000_003, "lab": 200_003}
LIVES = {"host": 100_003, "lab": 10_007}
MAPS = ("processes", "ft_inflight")  # the last where there are kprobes
GENERATED = "pidinfod_signals_generated_total"


@pytest.fixture(scope="module")
def machine(machine):
    """With a group whose times are told apart."""
    with machine.configured(declaring("storm")) as configured:
        yield configured


def test_signals(machine):
    """From 2 senders to 3 targets: signal, origin, result, sender and target."""
    before = machine.scrape()
    storm = program(machine, "storm", "signals", SIGNALS[machine.name])
    changes = machine.scrape().since(before)
    assert sum(count for _, _, count in storm["sent"]) == SIGNALS[machine.name]

    table = changes.table(GENERATED, "signal", "origin", "result", "sender", "target")
    found = {labels: n for labels, n in table.items() if labels[4].startswith("storm")}
    expected = {("SIGCHLD", "child", "ignored", "kernel", "storm"): 5}
    split = {}  # what became of the signals that found one pending or not
    for sender, target, count in storm["sent"]:
        if target == "storm-ignores":
            expected["SIGUSR1", "user", "ignored", sender, target] = count
            continue
        results = {
            result: found.pop(("SIGUSR1", "user", result, sender, target), 0)
            for result in ("delivered", "already_pending")
        }
        assert sum(results.values()) == count, (sender, target)
        split[target] = split.get(target, 0) + results["delivered"]
        expected["SIGTERM", "user", "delivered", "storm", target] = 1
    expected["SIGTERM", "user", "delivered", "storm", "storm-ignores"] = 1
    assert found == expected
    assert split == {"storm-handles": storm["handled"], "storm-blocks": 1}
    taken = {"signal": "SIGUSR1", "target": "storm-handles", "disposition": "handled"}
    assert changes.value("pidinfod_signals_delivered_total", **taken) == storm["handled"]
    assert changes.value("pidinfod_dropped_total") == 0


@pytest.fixture(scope="module")
def lives(machine):
    """What processes that live for under two milliseconds were, and what changed."""
    program(machine, "storm", "lives", 1009)  # the memory of a daemon that has seen deaths
    memory, before = resident_bytes(machine), machine.scrape()
    ended = program(machine, "storm", "lives", LIVES[machine.name])
    after = settled(machine, deaths_are_accounted_for)
    return ended, before, after, resident_bytes(machine) - memory


def deaths_are_accounted_for(scrape):
    told = scrape.value("pidinfod_deaths_recorded_total")
    lost = scrape.value("pidinfod_degraded_total", what="deaths")
    return told + lost == scrape.total("exits")


def test_short_lives(machine, lives):
    ended, before, after, _ = lives
    total = LIVES[machine.name]
    signaled = total // 3 + 1
    assert ended == {"exited": total - signaled, "signaled": signaled}
    changes = after.since(before)
    of_storm = {
        name: {labels[:-1]: n for labels, n in table.items() if labels[-1] == "storm"}
        for name, *labels in (
            ("forks", "kind", "via", "group"),
            ("exits", "reason", "status", "group"),
            ("execs", "group"),
        )
        for table in [changes.table(f"pidinfod_{name}_total", *labels)]
    }
    assert of_storm == {
        "forks": {("vfork", "native"): total},
        # The storm itself ends with 0, too.
        "exits": {
            ("exited", "0"): total - signaled + 1,
            ("signaled", "SIGKILL"): signaled,
        },
        "execs": {(): 1},
    }
    lifetimes = "pidinfod_process_lifetime_seconds_count"
    assert changes.value(lifetimes, group="storm") == total + 1


def test_every_death_is_told_or_counted_as_lost(lives):
    _, _, after, _ = lives
    assert deaths_are_accounted_for(after)


def test_storm_leaves_nothing(machine, lives):
    """In the daemon's memory and in the maps, where the kernel frees the dead a bit later."""
    _, before, _, grown = lives
    assert grown < 5 << 20

    def left(scrape):
        change = scrape.since(before)
        entries = {name: change.value("pidinfod_map_entries", map=name) for name in MAPS}
        entries["processes"] -= change.value("pidinfod_group_processes")
        return entries

    # What else came up on this machine meanwhile. A kernel with RCU_LAZY frees the last of the
    # dead only after ten seconds when little else is going on.
    after = settled(machine, lambda scrape: max(left(scrape).values()) < 53, seconds=20)
    assert max(left(after).values()) < 53, left(after)
