# SPDX-License-Identifier: Apache-2.0
"""What a ledger remembers, and the answers to questions."""

import random
import time

import pytest

from pidinfod.deaths.ledger import LIMIT_MAX, Filter, Ledger
from tests.support import records

SECOND = records.SECOND


def make(count=0, capacity=101, drain=lambda: None, **fields):
    ledger = Ledger(capacity, lambda group: f"g{group}", lambda cgroup: f"/{cgroup}", drain)
    for number in range(count):
        ledger.add(records.death(pid=number + 1, **fields))
    return ledger


def pids(ledger, **wanted):
    query = {name: str(value) for name, value in wanted.items()}
    return [death.pid for death in ledger.answer(Filter.parse(query)).deaths]


def test_the_newest_are_remembered_and_numbered():
    ledger = make(101 + 37)
    assert (len(ledger), ledger.recorded) == (101, 138)
    deaths = ledger.answer(Filter()).deaths
    assert [death.seq for death in deaths] == list(range(138, 37, -1))
    assert all(death.seq == death.pid for death in deaths)


def test_names_are_those_of_the_time_of_the_death():
    names = {7: "first"}
    paths = {11: "/first"}
    ledger = Ledger(17, lambda group: names[group], paths.get, lambda: None)
    ledger.add(records.death(group=7, cgroup_id=11))
    names[7] = paths[11] = "next"
    (death,) = ledger.answer(Filter()).deaths
    assert (death.group, death.cgroup) == ("first", "/first")


def test_a_question_first_takes_what_is_in_the_ring():
    waiting = [records.death(pid=5), records.death(pid=7)]
    ledger = make(drain=lambda: [ledger.add(waiting.pop(0)) for _ in list(waiting)])
    assert pids(ledger) == [7, 5]


def test_who_is_wanted():
    ledger = make()
    for pid, uid, group, status in ((5, 1, 2, 9), (7, 3, 2, 6), (11, 3, 4, 9), (5, 3, 4, 0)):
        ledger.add(records.death(pid=pid, uid=uid, group=group, status=status))
    assert pids(ledger, pid=5) == [5, 5]
    assert pids(ledger, pid=5, limit=1) == [5]
    assert pids(ledger, uid=3) == [5, 11, 7]
    assert pids(ledger, group="g2") == [7, 5]
    assert pids(ledger, uid=3, group="g4", signal=9) == [11]
    assert pids(ledger, group="nobody") == []


@pytest.mark.parametrize(
    ("number", "ways"),
    [
        (9, ("9", "KILL", "SIGKILL", "kill", "sigkill")),
        (6, ("6", "ABRT", "SIGABRT", "IOT", "SIGIOT")),
        (29, ("29", "IO", "POLL", "SIGPOLL")),
        (35, ("35", "RTMIN+1", "SIGRTMIN+1", "RTMIN 1", "RTMAX-29")),
        (32, ("32",)),
    ],
)
def test_each_way_of_writing_a_signal_gives_the_same(number, ways):
    ledger = make()
    for status in (0, 9, 6, 29, 32, 35, 15):
        ledger.add(records.death(pid=status + 1, status=status))
    for way in ways:
        assert pids(ledger, signal=way) == [number + 1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("signal", text) for text in ("NOSUCH", "0", "65", "-9", "")),
        *(
            (name, text)
            for name in ("pid", "uid", "after", "limit")
            for text in ("-1", "x", "1_0", "")
        ),
        *(("since", text) for text in ("nan", "inf", "-inf", "yesterday", "")),
        ("limit", str(LIMIT_MAX + 1)),
        ("nosuch", "1"),
    ],
)
def test_nonsense_is_refused_by_name(name, text):
    with pytest.raises(ValueError, match=f"^'?{name}'?: expected "):
        Filter.parse({name: text})


def test_since_is_of_the_wall_clock_as_it_is_set_now(monkeypatch):
    ledger = make()
    ages = (1000, 100, 10, 1)
    booted = time.clock_gettime(time.CLOCK_BOOTTIME)
    for age in ages:
        ledger.add(records.death(pid=age, end_ns=int((booted - age) * SECOND)))
    real = time.time
    for step in (0, 3600, -3600, 10**8):
        monkeypatch.setattr(time, "time", lambda step=step: real() + step)
        assert pids(ledger, since=time.time() - 57) == [1, 10]
        (newest, *_) = ledger.answer(Filter()).deaths
        assert abs(newest.died - (time.time() - 1)) < 1


def test_answers_are_bounded():
    ledger = make(LIMIT_MAX + 7, capacity=5003)
    assert len(ledger.answer(Filter()).deaths) == LIMIT_MAX
    assert len(ledger.answer(Filter(after=0)).deaths) == LIMIT_MAX


@pytest.mark.parametrize("limit", [1, 2, 7, 137, 138, 139])
@pytest.mark.parametrize("wanted", [{}, {"signal": "SIGKILL"}, {"pid": 11}])
def test_asking_after_the_last_tells_each_once(limit, wanted):
    """Whatever the pages, the filter and the deaths that come in between."""
    ledger = make(capacity=997)
    made, told, after = [], [], 0
    chance = random.Random(limit)
    while len(made) < 499 or after < ledger.recorded:
        for _ in range(chance.randrange(5) if len(made) < 499 else 0):
            pid, status = chance.randrange(1, 17), chance.choice((0, 9, 15))
            ledger.add(records.death(pid=pid, status=status))
            made.append((ledger.recorded, pid, status))
        answer = ledger.answer(Filter(**wanted, after=after, limit=limit))
        assert answer.forgotten == 0
        told += [death.seq for death in answer.deaths]
        after = answer.last
    assert told == [
        seq for seq, pid, status in made
        if ("signal" not in wanted or status == 9) and wanted.get("pid") in (None, pid)
    ]  # fmt: skip


def test_what_was_forgotten_is_said():
    ledger = make(101 + 37)
    assert ledger.answer(Filter(after=7)).forgotten == 30
    assert ledger.answer(Filter(after=7)).deaths[0].seq == 38
    for after in (37, 90, 138, 500):
        assert ledger.answer(Filter(after=after)).forgotten == 0
    assert ledger.answer(Filter()).forgotten == 0


def test_nothing_is_left_out_by_a_limit_of_none():
    ledger = make(5)
    answer = ledger.answer(Filter(after=3, limit=0))
    assert (answer.deaths, answer.last, answer.newest) == ([], 3, 5)


def test_each_ledger_has_a_name_of_its_own():
    assert len({make().instance for _ in range(101)}) == 101


def test_json_of_an_answer():
    told = make(3).answer(Filter(after=1)).as_dict()
    assert {name: value for name, value in told.items() if name not in ("instance", "deaths")} == {
        "newest": 3, "last": 3, "forgotten": 0,
    }  # fmt: skip
    assert [death["why"] for death in told["deaths"]] == ["exited with 0"] * 2
