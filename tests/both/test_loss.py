# SPDX-License-Identifier: Apache-2.0
"""What finds no room is counted as lost: seen = counted + dropped, with maps and ring so small
that they overflow. How much was seen the kernel says, which counts the runs of each program,
and the workload, which counts itself."""

import pytest
from machine import crowd, output, program, settled

DROPPED = "pidinfod_dropped_total"
SIZES = {
    "signals_generated": 61, "signals_delivered": 13, "forks": 7, "execs": 5, "exits": 11,
    "lives": 17, "kill_calls": 19, "blames": 3, "events": 1, "ft_calls": 3, "ft_inflight": 7,
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


def dropped(scrape, *causes):
    return sum(scrape.value(DROPPED, cause=cause) for cause in causes)


def test_groups(counting):
    """More names than groups: each exec without one is counted as "other", and as dropped."""
    with counting.configured("max_groups: 16\n") as machine:
        before = machine.scrape()
        execs = program(machine, "names", 101)["execs"]

        def told(scrape):
            changes = scrape.since(before)
            other = changes.value("pidinfod_execs_total", group="other")
            return other, dropped(changes, "groups_full")

        after = settled(machine, lambda scrape: len(set(told(scrape))) == 1)
        other, without = told(after)
        assert other == without > 0
        assert len(after.table("pidinfod_execs_total", "group")) <= 16
        assert after.since(before).value("pidinfod_execs_total") >= execs


def test_tasks_without_room(counting):
    """With room for few tasks all others are told by their names, and counted as well."""
    with counting.configured("map_sizes: {group_of: 13}\n") as machine:
        before = machine.scrape()
        lives = program(machine, "names", 101)
        after = machine.scrape()
        changes = after.since(before)
        assert after.value("pidinfod_map_entries", map="group_of") <= 13
        assert dropped(changes, "group_of_full") >= lives["forks"]
        forks = changes.table("pidinfod_forks_total", "group")
        assert sum(n for (name,), n in forks.items() if name.startswith("name")) == lives["forks"]
        for i in range(101):
            assert changes.value("pidinfod_execs_total", group=f"name-{i}") == 1
            assert changes.value("pidinfod_exits_total", group=f"name-{i}") == 2


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

    def deaths(scrape):
        return scrape.value("pidinfod_deaths_recorded_total") + dropped(scrape, "deaths_full")

    def seen(scrape):
        waiting = scrape.value("pidinfod_map_entries", map="zombies")
        return deaths(scrape) * 2 - waiting

    def told(scrape):
        counts = ("process_lifetime_seconds", "reap_delay_seconds", "shutdown_seconds")
        counted = sum(scrape.value(f"pidinfod_{name}_count") for name in counts)
        counted += scrape.value("pidinfod_reapings_unseen_total")
        return counted + dropped(scrape, "lives_full")

    scrape = settled(small, lambda scrape: told(scrape) == seen(scrape))
    assert told(scrape) == seen(scrape)
    assert deaths(scrape) >= named["exits"]
    assert dropped(scrape, "lives_full") > 0


@pytest.mark.parametrize(
    ("name", "hook"), [("forks", "task_newtask"), ("execs", "sched_process_exec")]
)
def test_lifecycle(small, named, name, hook):
    def accounts(scrape):
        told = scrape.value(f"pidinfod_{name}_total") + dropped(scrape, f"{name}_full")
        return [told, seen(scrape, name[:-1]), runs(scrape, hook)]

    scrape = settled(small, lambda scrape: len(set(accounts(scrape))) == 1)
    assert len(set(accounts(scrape))) == 1, accounts(scrape)
    assert runs(scrape, hook) >= named[name]
    assert dropped(scrape, f"{name}_full") > 0


def test_exits_and_the_ring(small, named):
    """The map's account of exits and the ring's of deaths are the same; the ring overflows
    while the daemon may not read it."""

    def accounts(scrape):
        told = scrape.value("pidinfod_deaths_recorded_total") + dropped(scrape, "deaths_full")
        exits = scrape.value("pidinfod_exits_total") + dropped(scrape, "exits_full")
        return [told, exits, seen(scrape, "exit")]

    before = small.scrape()
    pid = str(small.daemon_pid())
    output(small, "kill", "-STOP", pid)
    exits = program(small, "names", 101)["exits"]
    output(small, "kill", "-CONT", pid)
    after = settled(small, lambda scrape: len(set(accounts(scrape))) == 1)
    assert len(set(accounts(after))) == 1, accounts(after)
    changes = after.since(before)
    assert seen(changes, "exit") >= exits
    # The ring's one page has room for some thirty.
    assert changes.value("pidinfod_deaths_recorded_total") < exits / 2
    assert dropped(changes, "deaths_full") > exits / 2
    assert dropped(after, "exits_full") > 0


@pytest.mark.parametrize(
    ("name", "hook"), [("generated", "signal_generate"), ("delivered", "signal_deliver")]
)
def test_signals(small, provoked, name, hook):
    """More kinds of signals than both maps have room for."""
    cause = f"signals_{name}_full"

    def accounts(scrape):
        told = scrape.value(f"pidinfod_signals_{name}_total") + dropped(scrape, cause)
        return [told, seen(scrape, f"signal_{name}"), runs(scrape, hook)]

    scrape = settled(small, lambda scrape: len(set(accounts(scrape))) == 1)
    assert len(set(accounts(scrape))) == 1, accounts(scrape)
    assert dropped(scrape, cause) > 0
    assert name == "delivered" or runs(scrape, hook) >= provoked


def undisturbed(attempt, expected):
    """The last of some attempts: on a machine that is not ours alone others may join in."""
    for _ in range(5):
        found = attempt()
        if found == expected:
            break
    return found


def test_kill_calls(small):
    attempts = program(small, "attempts")

    def attempt():
        before = small.scrape()
        program(small, "attempts")
        changes = small.scrape().since(before)
        counted = sum(
            changes.value(f"pidinfod_{name}_total") for name in ("kill_failures", "liveness_probes")
        )
        return counted + dropped(changes, "kill_calls_full")

    made = sum(count for *_, count in attempts)
    assert undisturbed(attempt, made) == made
    assert dropped(small.scrape(), "kill_calls_full") > 0


def test_blames(small):
    def attempt():
        before = small.scrape()
        with crowd(small, "terminated", 31):
            changes = small.scrape().since(before)
        entries = changes.value("pidinfod_map_entries", map="blames")
        assert entries <= SIZES["blames"]
        return entries + dropped(changes, "blames_full")

    assert undisturbed(attempt, 31) == 31


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
            + dropped(scrape, "ft_calls_full", "ft_inflight_full", "ft_return_missed")
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
    assert told(after) == entered(before)
    assert after.value("pidinfod_probe_runs_total", probe="kprobe:__x64_sys_ft_wait") == 31
    assert dropped(after, "ft_inflight_full") >= 31 - SIZES["ft_inflight"]
