# SPDX-License-Identifier: Apache-2.0
"""Many names, one after another, and few ids: a group that has had no process for a while gives
its id back and its series go; no count is lost by that, and none is seen twice. Also as a
Prometheus sees it that scrapes all the time."""

import time

import pytest

from tests.support.daemon import Daemon
from tests.support.names import Program
from tests.support.prometheus import increase, scraping

pytestmark = pytest.mark.usefixtures("root")

NAMES = 300
FORKS = 7
MAX_GROUPS, TTL = 128, 2
EVENTS = ("fork", "exec", "exit")
QUICK = (
    "pidinfod_forks_total", "pidinfod_execs_total", "pidinfod_exits_total",
    "pidinfod_group_processes",
)  # fmt: skip


@pytest.fixture
def daemon(tmp_path):
    with Daemon(tmp_path, f"max_groups: {MAX_GROUPS}\ngroup_ttl: {TTL}\n") as running:
        yield running


def groups(scrape):
    """All that any series is about."""
    by = ("group", "parent", "sender", "target")
    return {value for _, labels in scrape for label, value in labels if label in by}


def wait_until(daemon, holds, *names):
    """A scrape in which it holds."""
    deadline = time.monotonic() + 60
    while not holds(scrape := daemon.scrape(*names)):
        assert time.monotonic() < deadline, sorted(groups(scrape))
        time.sleep(0.1)
    return scrape


def total(scrape, event):
    return scrape.total(f"{event}s")


def is_balanced(scrape):
    """What is shown and what is not is what was seen, by each event."""
    return all(
        total(scrape, event) + scrape.value("pidinfod_dropped_total", event=event)
        == scrape.value("pidinfod_events_seen_total", event=event)
        for event in EVENTS
    )


def test_each_is_told_apart_while_it_lives(daemon, tmp_path):
    before = daemon.scrape()
    for number in range(NAMES):
        # As fast as names of others on this machine leave room.
        wait_until(daemon, lambda scrape: len(groups(scrape)) < MAX_GROUPS - 31, *QUICK)
        program = Program(tmp_path / f"one-{number}")
        program.fork(FORKS)
        found = daemon.scrape(*QUICK)
        labels = {"group": program.name}
        assert found.value("pidinfod_execs_total", **labels) == 1, program.name
        assert found.value("pidinfod_forks_total", **labels) == FORKS
        assert found.value("pidinfod_exits_total", **labels) == FORKS
        assert found.value("pidinfod_group_processes", **labels) == 1
        program.end()
    names = {f"one-{number}" for number in range(NAMES)}
    gone = wait_until(daemon, lambda scrape: not names & groups(scrape))
    assert gone.value("pidinfod_groups_recycled_total") >= NAMES

    balanced = wait_until(daemon, is_balanced)
    grown = {event: total(balanced, event) - total(before, event) for event in EVENTS}
    assert grown["fork"] >= NAMES * FORKS
    assert grown["exec"] >= NAMES
    assert grown["exit"] >= NAMES * (FORKS + 1)
    assert balanced.since(before).value("pidinfod_dropped_total") == 0
    assert balanced.value("pidinfod_hidden", family="pidinfod_forks_total") >= NAMES * FORKS

    # A name that returns goes on where it was, and what it had is hidden no longer.
    program = Program(tmp_path / "one-0")
    program.fork(3)
    found = daemon.scrape()
    assert found.value("pidinfod_execs_total", group="one-0") == 2
    assert found.value("pidinfod_forks_total", group="one-0") == FORKS + 3
    assert found.value("pidinfod_exits_total", group="one-0") == FORKS + 1 + 3
    program.end()
    wait_until(daemon, is_balanced)


def test_a_live_group_is_not_recycled(daemon, tmp_path):
    """Nor is one that only a dead process is left of, which its parent has not reaped."""
    idle, dead = Program(tmp_path / "idle"), Program(tmp_path / "dead")
    idle.fork(FORKS)
    dead.fork(FORKS)
    dead.process.kill()
    time.sleep(TTL * 2 + 1)
    found = daemon.scrape()
    for name in ("idle", "dead"):
        assert found.value("pidinfod_forks_total", group=name) == FORKS
    assert found.value("pidinfod_group_processes", group="dead", state="Z") == 1
    idle.end()
    dead.process.communicate()
    wait_until(daemon, lambda scrape: not {"idle", "dead"} & groups(scrape))


BATCH, BATCHES = 43, 3  # together more than there are ids
BEFORE, AFTER = 23, 53  # forks, before Prometheus has seen a series and after it


def test_as_prometheus_sees_it(daemon, tmp_path):
    """The increases of all series, counted from the first scrape of each, are what was injected
    from then on; no other series grows when a group goes."""
    with scraping(daemon.address, tmp_path / "prometheus") as server:
        start = time.monotonic()
        # The first batch returns at the end.
        for batch in [*range(BATCHES), 0]:
            programs = [Program(tmp_path / f"two-{batch}-{i}") for i in range(BATCH)]
            for program in programs:
                program.fork(BEFORE)
            time.sleep(2.1)  # two scrapes, so one at least
            for program in programs:
                program.fork(AFTER)
            time.sleep(2.1)
            for program in programs:
                program.end()
            names = {program.name for program in programs}
            wait_until(daemon, lambda scrape, names=names: not names & groups(scrape), *QUICK)
            time.sleep(1.1)
        seconds = int(time.monotonic() - start) + 3
        forks = server.samples("pidinfod_forks_total", seconds)
        seen = server.samples('pidinfod_events_seen_total{event="fork"}', seconds)
        hidden = server.samples(
            'pidinfod_hidden{family="pidinfod_forks_total"}', seconds
        )

    each = BEFORE + AFTER
    others = 0
    for labels, samples in forks.items():
        group = dict(labels)["group"]
        if group.startswith("two-"):
            # Those of the first batch went on where Prometheus had left them.
            injected = 2 * each if group.startswith("two-0-") else each
            assert samples[0] <= BEFORE, group
            assert increase(samples) == injected - samples[0], group
        else:
            others += increase(samples)  # "other" among them
    [all_seen], [past] = seen.values(), hidden.values()
    # Parts of one scrape are read one after the other.
    assert others <= increase(all_seen) - BATCH * (BATCHES + 1) * each + 53
    # It did happen under its eyes.
    assert max(past) >= BATCH * BATCHES * each
