# SPDX-License-Identifier: Apache-2.0
"""How many series there are: on a host of many names, with many declared groups, and as names come
and go. What is not shown is counted: with what is shown it is the total, by each family."""

import re
import time
import urllib.request

import pytest

from tests.support.daemon import Daemon, pidinfod
from tests.support.machine import Host, program
from tests.support.names import Program, alive
from tests.support.prometheus import increase, scraping
from tests.support.scrape import COUNTED, parse

pytestmark = pytest.mark.usefixtures("root")

ALIVE = GONE = 250
MOST_SERIES, MOST_BYTES = 2500, 250_000
# As deploy/config/config.yml has it; "kernel" and "other" come on top.
SHOWN = 80
FORKS = 3
DEFAULTS = "share_seconds: 0\n"
DECLARED = "groups:\n" + "".join(f"- {{name: d-{i}, comm: [d-{i}]}}\n" for i in range(40))
BY_GROUP = ("group", "parent", "sender", "target")
EVENTS = {
    "fork": "forks", "exec": "execs", "exit": "exits", "signal_generated": "signals_generated",
    "signal_delivered": "signals_delivered",
}  # fmt: skip


def asked(daemon):
    """All series, and how many bytes they took."""
    with urllib.request.urlopen(daemon.url) as answer:
        text = answer.read()
    return parse(text.decode()), len(text)


def groups(scrape, *names):
    """All that any series, or one of those of these names, is about."""
    return {
        value for name, labels in scrape if not names or name in names
        for label, value in labels if label in BY_GROUP
    }  # fmt: skip


def of_groups(scrape):
    """The series that count for groups; gauges come and go with what they tell of."""
    return {key for key in scrape if {label for label, _ in key[1]} & set(BY_GROUP)
            and key[0].endswith(COUNTED)}  # fmt: skip


def unbalanced(scrape):
    """The families whose shown and hidden parts are not all that was seen."""
    return [
        event for event, family in EVENTS.items()
        if scrape.total(family) + scrape.value("pidinfod_dropped_total", event=event)
        != scrape.value("pidinfod_events_seen_total", event=event)
    ]  # fmt: skip


def balanced(daemon):
    """A scrape in which none is: its parts are read one after the other."""
    deadline = time.monotonic() + 60
    while told := unbalanced(scrape := daemon.scrape()):
        assert time.monotonic() < deadline, told
    return scrape


def processes(scrape):
    family = "pidinfod_group_processes"
    return scrape.value(family) + scrape.value("pidinfod_hidden", family=family)


@pytest.fixture(scope="module")
def busy(programs, tmp_path_factory, root):
    """A daemon as it is by default, and what it told before and after: 250 programs of as many
    names came and are there, 250 more were."""
    folder = tmp_path_factory.mktemp("busy")
    with (
        Daemon(folder, defaults=DEFAULTS) as daemon,
        Daemon(tmp_path_factory.mktemp("all")) as witness,
    ):
        before = asked(daemon)[0], witness.scrape()
        with alive(folder, [f"alive-{i}" for i in range(ALIVE)]) as running:
            for one in running:
                one.fork(FORKS)
            ran = program(Host(daemon, programs), "names", GONE)
            yield daemon, witness, before, running, ran


def test_a_default_scrape_is_small(busy):
    daemon, *_ = busy
    scrape, size = asked(daemon)
    print(f"{len(scrape)} series, {size} bytes")
    assert len(scrape) < MOST_SERIES
    assert size < MOST_BYTES
    assert len(groups(scrape) - {"kernel", "other"}) <= SHOWN
    assert scrape.value("pidinfod_hidden_groups") >= ALIVE + GONE - SHOWN


def test_shown_and_hidden_are_the_total(busy):
    daemon, _, (before, _), _, ran = busy
    after = balanced(daemon)

    def grown(family):
        return after.total(family) - before.total(family)

    # And what else happened on this machine.
    assert grown("forks") >= ALIVE * (1 + FORKS) + ran["forks"]
    assert grown("execs") >= ALIVE + ran["execs"]
    assert grown("exits") >= ALIVE * FORKS + ran["exits"]
    assert grown("signals_generated") >= ALIVE * FORKS + ran["ignored"]
    assert abs(processes(after) - processes(before) - ALIVE) < 53
    assert after.value("pidinfod_dropped_total") == before.value("pidinfod_dropped_total")


def test_what_is_hidden_is_what_another_daemon_shows(busy):
    """One that shows all, of the families in which nobody else counts."""
    daemon, witness, (before, _), running, _ = busy
    for one in running:
        one.process.terminate()  # which it ignores
        one.process.kill()
        one.process.wait()
    family = "shutdown_escalations"
    after, after_all = daemon.scrape(), witness.scrape()
    names = {one.name for one in running}
    escalations = after_all.table(f"pidinfod_{family}_total", "group")
    assert {group for (group,) in escalations} & names == names
    shown = names & groups(after, f"pidinfod_{family}_total")
    assert 0 < len(shown) <= SHOWN
    assert after.total(family) - before.total(family) == ALIVE
    assert after.value(f"pidinfod_{family}_total") - before.value(
        f"pidinfod_{family}_total"
    ) == len(shown)
    series = after.value("pidinfod_hidden_series", family=f"pidinfod_{family}_total")
    assert series == ALIVE - len(shown)


def test_series_stay_while_other_names_come_and_go(tmp_path):
    """A group keeps its place and a counter its series, whatever else is started, and however it
    is called; counters do not fall."""
    first = [f"first-{i}" for i in range(SHOWN)]
    with (
        Daemon(tmp_path, "group_ttl: 86400\n", defaults=DEFAULTS) as daemon,
        alive(tmp_path, first),
    ):
        before = daemon.scrape()
        assert len(groups(before) - {"kernel", "other"}) == SHOWN
        for turn in range(5):
            # "!" stands before all other names.
            with alive(tmp_path, [f"!{turn}-{i}" for i in range(31)]) as running:
                for one in running:
                    one.fork(FORKS)
                after = daemon.scrape()
            assert groups(after) <= groups(before) | {"kernel", "other"}
            assert of_groups(before) <= of_groups(after)
            for key in of_groups(before):
                assert after[key] >= before[key], key
            before = after


def test_places_are_given_by_name_at_the_start(tmp_path):
    names = [f"!start-{i:02}" for i in range(SHOWN + 13)]
    with alive(tmp_path, reversed(names)):
        for _ in range(2):
            with Daemon(tmp_path, defaults=DEFAULTS) as daemon:
                assert groups(daemon.scrape()) - {"kernel", "other"} == set(names[:SHOWN])


def test_forty_declared_groups(tmp_path):
    """They are there from the start, whoever else is; --check tells how many series that is."""
    with alive(tmp_path, [f"!mine-{i}" for i in range(ALIVE)]):
        with Daemon(tmp_path, DECLARED, defaults=DEFAULTS) as daemon:
            scrape, size = asked(daemon)
            told = pidinfod("--check", "--config", daemon.config).stdout
            (line,) = re.findall(r"^40 declared groups: (\d+) series from the start$", told, re.M)
        names = {f"d-{i}" for i in range(40)}
        declared = [key for key in scrape if {value for _, value in key[1]} & names]
        print(f"{len(scrape)} series, {size} bytes, {len(declared)} of 40 declared groups")
        assert len(declared) == int(line)
        assert sum(scrape[key] for key in declared) == 0
        assert len(groups(scrape) - names - {"kernel", "other"}) == SHOWN


PLACES, FIRST, ALL, TTL = 60, 30, 90, 2
BEFORE, AFTER, AGAIN = 7, 11, 13


def test_as_prometheus_sees_it(tmp_path):
    """Groups lose their places to others and get some again: what each series grew by is what was
    injected from its first sample on, and shown and hidden never come to less than before."""
    names = [f"!{i:02}" for i in range(ALL)]
    def wait_until(holds):
        deadline = time.monotonic() + 60
        while not holds(found := groups(daemon.scrape("pidinfod_forks_total"))):
            assert time.monotonic() < deadline, sorted(found)
            time.sleep(0.1)

    def fork(programs, count):
        for one in programs:
            one.fork(count)
        time.sleep(2.1)  # two scrapes, so one at least

    with alive(tmp_path, names) as running:
        config = f"{DEFAULTS}group_ttl: {TTL}\nshown_groups: {PLACES}\n"
        with (
            Daemon(tmp_path, defaults=config) as daemon,
            scraping(daemon.address, tmp_path / "prometheus") as server,
        ):
            start = time.monotonic()
            fork(running, BEFORE)
            fork(running, AFTER)
            first, second, third = (
                {one.name for one in running[at : at + 30]} for at in (0, FIRST, PLACES)
            )
            assert groups(daemon.scrape()) - {"kernel", "other"} == first | second
            # The first thirty go, the last ones were next.
            for one in running[:FIRST]:
                one.end()
            wait_until(lambda found: third <= found and not first & found)
            fork(running[FIRST:], AGAIN)
            # The first come again, and have to wait until the others go.
            back = [Program(tmp_path / name) for name in sorted(first)]
            fork(back, AGAIN)
            assert not first & groups(daemon.scrape())
            for one in running[FIRST:]:
                one.end()
            wait_until(lambda found: first <= found)
            time.sleep(1.1)
            fork(back, AGAIN)
            seconds = int(time.monotonic() - start) + 3
            family = "pidinfod_forks_total"
            forks = server.samples(family, seconds)
            total = server.samples(
                f'sum({family} or pidinfod_hidden{{family="{family}"}})', seconds, ":1s"
            )
            for one in back:
                one.end()

    injected = {
        **dict.fromkeys(first, BEFORE + AFTER + 2 * AGAIN),
        **dict.fromkeys(second | third, BEFORE + AFTER + AGAIN),
    }
    seen = {dict(labels)["group"]: samples for labels, samples in forks.items()}
    assert injected.keys() <= seen.keys()
    for name, count in injected.items():
        assert seen[name] == sorted(seen[name]), name
        assert increase(seen[name]) == count - seen[name][0], name
    for name in third:
        assert seen[name][0] >= BEFORE + AFTER, name
    [totals] = total.values()
    assert totals == sorted(totals)
    assert totals[-1] - totals[0] >= sum(injected.values()) - ALL * BEFORE
