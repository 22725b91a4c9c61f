# SPDX-License-Identifier: Apache-2.0
"""What finds no room is told: for each event seen = counted + dropped, and what lost only a detail
is degraded. With maps and a ring so small that they overflow. How much was seen the kernel says,
which counts the runs of each program, and the workload, which counts itself."""

import time

import pytest

from tests.support.machine import crowd, output, program, settled

SIZES = {
    "signals_generated": 61, "signals_delivered": 13, "forks": 7, "execs": 5, "exits": 11,
    "process_lifetime_seconds": 2, "reap_delay_seconds": 2, "kill_failures": 5,
    "liveness_probes": 3, "events": 4096, "ft_calls": 3, "ft_inflight": 7,
}  # fmt: skip
FAMILIES = {
    "fork": "forks", "exec": "execs", "exit": "exits", "ft_call": "ft_calls",
    "signal_generated": "signals_generated", "signal_delivered": "signals_delivered",
}  # fmt: skip
HOOKS = {
    "fork": "task_newtask", "exec": "sched_process_exec", "signal_generated": "signal_generate",
    "signal_delivered": "signal_deliver",
}  # fmt: skip


@pytest.fixture(scope="module")
def counting(machine):
    """While this lasts the kernel counts the runs of BPF programs."""
    switch = "/proc/sys/kernel/bpf_stats_enabled"
    output(machine, "sh", "-c", f"echo 1 > {switch}")
    yield machine
    output(machine, "sh", "-c", f"echo 0 > {switch}")


def runs(scrape, *hooks):
    return sum(
        scrape.value("pidinfod_probe_runs_total", probe=probe)
        for probe in {dict(labels).get("probe", "") for _, labels in scrape}
        if probe.endswith(hooks)
    )


def seen(scrape, event):
    return scrape.value("pidinfod_events_seen_total", event=event)


def dropped(scrape, event):
    return scrape.value("pidinfod_dropped_total", event=event)


def degraded(scrape, what):
    return scrape.value("pidinfod_degraded_total", what=what)


def accounts(scrape, event):
    """What has to be the same, at rest."""
    told = scrape.total(FAMILIES[event]) + dropped(scrape, event)
    witness = [runs(scrape, HOOKS[event])] if event in HOOKS else []
    return [told, seen(scrape, event), *witness]


def lost_only_groups(machine, event):
    """A scrape in which the accounts of an event are right, and which shows that what found no
    room is counted for all groups together."""
    family = FAMILIES[event]
    groups = {"signals_generated": ("sender", "target"), "signals_delivered": ("target",)}
    others = dict.fromkeys(groups.get(family, ("group",)), "other")

    def told(scrape):
        counted = scrape.value(f"pidinfod_{family}_total", **others)
        return [counted, degraded(scrape, f"{family}_groups")]

    balanced(machine, event)
    scrape = settled(machine, lambda scrape: len(set(told(scrape))) == 1)
    assert len(set(told(scrape))) == 1, told(scrape)
    assert told(scrape)[0] > 0
    assert dropped(scrape, event) == 0
    return scrape


def balanced(machine, *events):
    """A scrape in which the accounts of these events are right."""
    scrape = settled(
        machine, lambda scrape: all(len(set(accounts(scrape, event))) == 1 for event in events)
    )
    for event in events:
        found = accounts(scrape, event)
        assert len(set(found)) == 1, (event, found)
    return scrape


def test_more_names_than_groups(counting):
    """Each exec without a group of its own is counted as "other", and as degraded."""
    with counting.configured("max_groups: 16\n") as machine:
        before = machine.scrape()
        execs = program(machine, "names", 101)["execs"]

        def told(scrape):
            changes = scrape.since(before)
            other = changes.value("pidinfod_execs_total", group="other")
            return other, degraded(changes, "groups")

        after = settled(machine, lambda scrape: len(set(told(scrape))) == 1)
        other, without = told(after)
        assert other == without > 101 - 16
        assert len(after.table("pidinfod_execs_total", "group")) <= 16
        changes = balanced(machine, *HOOKS).since(before)
        assert changes.value("pidinfod_execs_total") >= execs
        assert [dropped(changes, event) for event in FAMILIES] == [0] * len(FAMILIES)


def test_more_names_than_groups_that_come_back(counting):
    """Ids are given back and series go; counts do not, and none is seen twice."""
    with counting.configured("max_groups: 64\ngroup_ttl: 1\n") as machine:
        before = machine.scrape()
        done = program(machine, "names", 1009)
        after = balanced(machine, *HOOKS)
        changes = after.since(before)
        for family in ("execs", "forks", "exits"):
            assert after.total(family) - before.total(family) >= done[family], family
        assert [dropped(changes, event) for event in FAMILIES] == [0] * len(FAMILIES)
        time.sleep(3)
        at_rest = balanced(machine, *HOOKS)
        assert at_rest.value("pidinfod_groups_recycled_total") >= 64 - 53
        shown = {group for (group,) in at_rest.table("pidinfod_execs_total", "group")}
        assert not [group for group in shown if group.startswith("name-")]
        # What had no group of its own stays there; the past of those that had does not join it.
        others = [s.value("pidinfod_exits_total", group="other") for s in (after, at_rest)]
        assert others[1] - others[0] < 53


def test_processes_without_room(counting):
    """With room for few records all other processes are told by their names, and counted."""
    with counting.configured("map_sizes: {processes: 13}\n") as machine:
        before = machine.scrape()
        lives = program(machine, "names", 101)
        after = balanced(machine, *HOOKS)
        changes = after.since(before)
        assert after.value("pidinfod_map_entries", map="processes") <= 13
        assert degraded(changes, "processes") >= lives["forks"]
        forks = changes.table("pidinfod_forks_total", "group")
        assert sum(n for (name,), n in forks.items() if name.startswith("name")) == lives["forks"]
        for i in range(101):
            assert changes.value("pidinfod_execs_total", group=f"name-{i}") == 1
            assert changes.value("pidinfod_exits_total", group=f"name-{i}") == 2


def test_when_only_the_groups_are_lost(counting):
    """More senders and targets than room, of few kinds of signals: those stay exact."""
    with counting.configured("map_sizes: {signals_generated: 61}\n") as machine:
        before = machine.scrape()
        ignored = program(machine, "names", 503)["ignored"]
        changes = balanced(machine, "signal_generated").since(before)
        kind = {"signal": "SIGUSR1", "origin": "user", "result": "ignored"}
        assert changes.value("pidinfod_signals_generated_total", **kind) == ignored == 503
        assert dropped(changes, "signal_generated") == 0
        assert degraded(changes, "signals_generated_groups") >= 2 * 503 - 61


@pytest.fixture(scope="module")
def small(counting):
    """A daemon with little room, and how much of everything it has seen from programs."""
    sizes = ", ".join(f"{name}: {size}" for name, size in SIZES.items())
    with counting.configured(f"map_sizes: {{{sizes}}}\n") as machine:
        yield machine


@pytest.fixture(scope="module")
def named(small):
    """Programs of 101 names; before anything else has filled the maps."""
    return program(small, "names", 101)


@pytest.fixture(scope="module")
def provoked(small, named):
    return sum(count for *_, count in program(small, "provoke"))


def test_lives(small, named):
    """A time of life for each death, and one of waiting for its parent."""
    time.sleep(1)  # until the kernel has freed those that were reaped before
    before = small.scrape()
    exits = program(small, "names", 53)["exits"]

    def accounts(scrape):
        changes = scrape.since(before)
        times = ("process_lifetime_seconds", "reap_delay_seconds")
        told = sum(changes.value(f"pidinfod_{name}_count") for name in times)
        told += sum(degraded(changes, name) for name in times)
        told += degraded(changes, "reapings_unseen")
        waiting = changes.value("pidinfod_group_processes", state="Z")
        return [told, seen(changes, "exit") * 2 - waiting]

    scrape = settled(small, lambda scrape: len(set(accounts(scrape))) == 1)
    assert len(set(accounts(scrape))) == 1, accounts(scrape)
    assert accounts(scrape)[0] >= 2 * exits
    assert degraded(scrape, "process_lifetime_seconds") > 0


@pytest.mark.parametrize("event", ["fork", "exec"])
def test_lifecycle(small, named, event):
    scrape = lost_only_groups(small, event)
    assert seen(scrape, event) >= named[FAMILIES[event]]


def test_exits_and_the_ring(small, named):
    """The map's account of exits and the ring's of deaths are the same; the ring overflows
    while the daemon may not read it."""

    def deaths(scrape):
        return [
            scrape.value("pidinfod_deaths_recorded_total") + degraded(scrape, "deaths"),
            seen(scrape, "exit"),
        ]

    before = small.scrape()
    pid = str(small.daemon_pid())
    output(small, "kill", "-STOP", pid)
    exits = program(small, "names", 101)["exits"]
    output(small, "kill", "-CONT", pid)
    after = settled(small, lambda scrape: len(set(deaths(scrape))) == 1)
    assert len(set(deaths(after))) == 1, deaths(after)
    changes = after.since(before)
    assert seen(changes, "exit") >= exits
    # The ring's one page has room for some thirty.
    assert changes.value("pidinfod_deaths_recorded_total") < exits / 2
    assert degraded(changes, "deaths") > exits / 2
    lost_only_groups(small, "exit")


@pytest.mark.parametrize("event", ["signal_generated", "signal_delivered"])
def test_signals(small, provoked, event):
    """More kinds of signals than both maps have room for."""
    scrape = lost_only_groups(small, event)
    assert event == "signal_delivered" or seen(scrape, event) >= provoked


def undisturbed(attempt, expected):
    """The last of some attempts: on a machine that is not ours alone others may join in."""
    for _ in range(5):
        found = attempt()
        if found == expected:
            break
    return found


def test_kill_calls(small):
    """Each attempt is counted, by its sender or without."""
    attempts = program(small, "attempts")

    def attempt():
        before = small.scrape()
        program(small, "attempts")
        changes = small.scrape().since(before)
        families = "kill_failures", "liveness_probes"
        return sum(changes.value(f"pidinfod_{name}_total") for name in families)

    made = sum(count for *_, count in attempts)
    assert undisturbed(attempt, made) == made
    scrape = small.scrape()
    for family in ("kill_failures", "liveness_probes"):
        assert degraded(scrape, f"{family}_groups") > 0
        assert degraded(scrape, family) == 0


def test_calls_of_the_patched_kernel(small):
    """31 processes in ft_wait at once. Elsewhere there is nothing to lose."""
    calls = ("ft_fork", "ft_kill", "ft_wait", "get_pid_info")
    if small.name == "host":
        assert runs(small.scrape(), *calls) == 0
        return
    with crowd(small, "waiting", 31):
        pass

    def told(scrape):
        return (
            scrape.value("pidinfod_ft_calls_total")
            + scrape.value("pidinfod_map_entries", map="ft_inflight")
            + dropped(scrape, "ft_call")
        )

    def entered(scrape):
        return sum(
            scrape.value("pidinfod_probe_runs_total", probe=f"kprobe:__x64_sys_{call}")
            for call in calls
        )

    # A scrape calls get_pid_info itself, after it has read the maps and before the runs.
    before, after = small.scrape(), small.scrape()
    for _ in range(30):
        if told(after) == entered(before):
            break
        before, after = after, small.scrape()
    assert told(after) == entered(before) == seen(after, "ft_call")
    assert after.value("pidinfod_probe_runs_total", probe="kprobe:__x64_sys_ft_wait") == 31
    assert dropped(after, "ft_call") >= 31 - SIZES["ft_inflight"]
