# SPDX-License-Identifier: Apache-2.0
"""What groups used never goes down, whatever is read of it; and what is told of it."""

import random

import pytest

from pidinfod.kernel import offsets, pid_info
from pidinfod.kernel.pid_info import Swept
from pidinfod.kernel.records import USE_FIELDS
from pidinfod.metrics import use
from pidinfod.metrics.processes import Figures
from pidinfod.metrics.shown import Shown
from pidinfod.metrics.use import NOTHING, Observed, Totals, add, families, split_cpu
from pidinfod.proc import procfs


def made(**fields):
    assert fields.keys() <= set(USE_FIELDS)
    return tuple(fields.get(name, 0) for name in USE_FIELDS)


def told(totals, name="web"):
    """What is not 0."""
    found = totals.split({name})[0].get(name)
    return found and {field: value for field, value in zip(USE_FIELDS, found, strict=True) if value}


@pytest.fixture
def totals():
    return Totals()


def test_add():
    assert add(made(cpu_ns=3, rchar=5), made(rchar=7, run_delay_ns=11)) == made(
        cpu_ns=3, rchar=12, run_delay_ns=11
    )


def test_the_highest_reading_counts(totals):
    totals.update({"web": made(min_flt=7, rchar=11)})
    totals.update({"web": made(min_flt=5, rchar=13)})
    assert told(totals) == {"min_flt": 7, "rchar": 13}
    totals.update({"web": made(min_flt=-3, rchar=-(2**62))})
    assert told(totals) == {"min_flt": 7, "rchar": 13}
    totals.update({"web": made(min_flt=8)})
    assert told(totals) == {"min_flt": 8, "rchar": 13}


def test_a_first_reading_below_0(totals):
    totals.update({"web": made(cpu_ns=-1, utime_ns=-7, stime_ns=5, nvcsw=-3)})
    assert told(totals) == {}
    totals.update({"web": made(cpu_ns=100, utime_ns=-7, stime_ns=5, nvcsw=2)})
    assert told(totals) == {"cpu_ns": 100, "stime_ns": 100, "nvcsw": 2}


def test_names_that_are_asked_for(totals):
    totals.update({"web": made(rchar=7), "db": made(rchar=11)})
    assert totals.split({"db", "never"})[0] == {"db": made(rchar=11)}
    # One that no sweep found this time is told as before.
    totals.update({"web": made(rchar=13)})
    assert totals.split(["web", "db"])[0] == {"web": made(rchar=13), "db": made(rchar=11)}


def test_user_and_system_time_make_the_cpu_time(totals):
    """The kernel's samples are of ticks; what is told of them is their proportion."""
    totals.update({"web": made(cpu_ns=1000, utime_ns=30, stime_ns=10)})
    assert told(totals) == {"cpu_ns": 1000, "utime_ns": 750, "stime_ns": 250}


@pytest.mark.parametrize(
    ("cpu_ns", "utime_ns", "stime_ns", "before", "after"),
    [
        (0, 0, 0, (0, 0), (0, 0)),
        (1009, 0, 0, (0, 0), (1009, 0)),  # no sample yet
        (1009, 0, 4, (0, 0), (0, 1009)),
        (1009, 4, 0, (0, 0), (1009, 0)),
        (10, 1, 2, (0, 0), (4, 6)),
        # Neither goes down: that it was more stays.
        (1010, 0, 4, (1009, 0), (1009, 1)),
        (1010, 4, 0, (0, 1009), (1, 1009)),
        (100, 1, 1, (70, 10), (70, 30)),
        (100, 1, 1, (10, 70), (30, 70)),
        (2**64, 2**63, 2**63, (0, 0), (2**63, 2**63)),
    ],
)
def test_split(cpu_ns, utime_ns, stime_ns, before, after):
    assert split_cpu(cpu_ns, utime_ns, stime_ns, before) == after


@pytest.mark.parametrize("seed", range(50))
def test_parts_of_the_cpu_time_rise_and_make_it(seed):
    """Whatever the samples are: also where they are of other moments than the sum."""
    chance = random.Random(seed)
    totals = Totals()
    last = (0, 0, 0)
    reading = [0, 0, 0]
    for _ in range(200):
        for place in range(3):
            reading[place] += chance.choice((-5, 0, 0, 1, 7, 1009, 10**6))
        cpu_ns, utime_ns, stime_ns = reading
        totals.update({"web": made(cpu_ns=cpu_ns, utime_ns=utime_ns, stime_ns=stime_ns)})
        now = totals.split({"web"})[0]["web"][:3]
        assert now[0] == now[1] + now[2] == max(last[0], cpu_ns)
        assert all(new >= old for new, old in zip(now, last, strict=True))
        last = now


def test_a_name_that_comes_back_goes_on(totals):
    totals.update({"web": made(rchar=7)})
    totals.give_back("web", made(rchar=9))
    assert told(totals) == {"rchar": 9}
    totals.update({})
    totals.update({"web": made(rchar=2)})
    assert told(totals) == {"rchar": 11}
    totals.update({"web": made(rchar=3)})
    assert told(totals) == {"rchar": 12}
    # Again, and with two ids at once.
    totals.give_back("web", made(rchar=3, wchar=1))
    totals.give_back("web", made(rchar=20))
    totals.update({"web": NOTHING})
    assert told(totals) == {"rchar": 32, "wchar": 1}
    totals.update({"db": made(rchar=5)})
    assert told(totals, "db") == {"rchar": 5}


def test_what_left_before_it_was_told_is_told(totals):
    """Of a group that came and went between two sweeps."""
    totals.give_back("web", made(rchar=9, cpu_ns=7, stime_ns=1))
    assert told(totals) == {"rchar": 9, "cpu_ns": 7, "stime_ns": 7}
    totals.give_back("web", made(rchar=2))
    assert told(totals) == {"rchar": 11, "cpu_ns": 7, "stime_ns": 7}


def test_parts_go_on_when_a_name_comes_back(totals):
    totals.update({"web": made(cpu_ns=1000, utime_ns=10)})
    totals.give_back("web", made(cpu_ns=1000, utime_ns=10))
    totals.update({"web": made(cpu_ns=10, stime_ns=90)})
    assert told(totals) == {"cpu_ns": 1010, "utime_ns": 1000, "stime_ns": 10}


@pytest.mark.parametrize("cpu_ns", [0, 10])
def test_names_beyond_those_remembered_start_anew(totals, monkeypatch, cpu_ns):
    monkeypatch.setattr(use, "REMEMBERED", 3)
    names = ("web", "db", "jobs", "web", "backup")  # the second makes it younger than the others
    for name in names:
        totals.update({name: made(rchar=7, cpu_ns=cpu_ns)})
        totals.give_back(name, made(rchar=7, cpu_ns=cpu_ns))
    assert totals.split(names)[0].keys() == {"web", "jobs", "backup"}
    assert len(totals._gone) == 3
    totals.update({"db": made(rchar=1, cpu_ns=1), "web": made(rchar=1), "jobs": NOTHING})
    assert told(totals, "db") == {"rchar": 1, "cpu_ns": 1, "utime_ns": 1}
    # In two stays: the first was remembered when the second came.
    assert told(totals, "web")["rchar"] == 15
    assert told(totals, "jobs")["rchar"] == 7
    for known in (totals._gone, totals._told, totals._split):
        assert len(known) <= 4


def test_a_name_that_is_back_is_remembered(totals, monkeypatch):
    """Others are forgotten before it, as nothing of them is in any sweep."""
    monkeypatch.setattr(use, "REMEMBERED", 3)
    totals.give_back("web", made(rchar=100))
    for number in range(20):
        totals.update({"web": made(rchar=number)})
        assert told(totals) == {"rchar": 100 + number}
        totals.give_back(f"name{number}", made(rchar=1))


def test_one_that_is_given_back_without_a_reading(totals, monkeypatch):
    monkeypatch.setattr(use, "REMEMBERED", 1)
    for name in ("web", "db", "jobs"):
        totals.give_back(name, made(rchar=7))
    totals.update({"jobs": made(rchar=1)})
    assert told(totals, "jobs") == {"rchar": 8}
    assert totals.split({"web", "db"})[0] == {}


def process(pid, start=7, **fields):
    return Swept(pid, 1, "S", "sh", 1, start, False, 0, 0, 0, 7919, made(**fields))


@pytest.fixture
def observed():
    return Observed()


def test_what_was_seen_of_a_process_that_ended_stays(observed):
    both = [(process(11, rchar=7, min_flt=1), "web"), (process(13, rchar=11), "web")]
    assert observed.update(both, True) == {"web": made(rchar=18, min_flt=1)}
    for found in ([(process(13, rchar=12), "web")], []):
        assert observed.update(found, True) == {"web": made(rchar=19, min_flt=1)}


def test_a_pid_that_is_used_anew(observed):
    for start, reading, expected in ((7, 100, 100), (8, 3, 103), (8, 5, 105)):
        assert observed.update([(process(11, start=start, rchar=reading), "web")], True) == {
            "web": made(rchar=expected)
        }


def test_a_process_that_changes_its_group(observed):
    """What it uses counts for the group that it is in by then."""
    observed.update([(process(11, rchar=100), "sh")], True)
    assert observed.update([(process(11, rchar=103), "web")], True) == {
        "sh": made(rchar=100), "web": made(rchar=3),
    }  # fmt: skip
    assert observed.update([(process(11, rchar=104), "sh")], True)["sh"] == made(rchar=101)


def test_a_reading_that_is_lower_counts_nothing_twice(observed):
    for reading, expected in ((100, 100), (90, 100), (100, 100), (101, 101)):
        assert observed.update([(process(11, rchar=reading), "web")], True) == {
            "web": made(rchar=expected)
        }


def test_groups_that_are_observed_are_not_without_number(observed, totals, monkeypatch):
    """Names are anybody's to make. Those that are here are forgotten last."""
    monkeypatch.setattr(use, "REMEMBERED", 7)
    for number in range(100):
        here = [(process(1, rchar=number), "web"), (process(number + 2, rchar=1), f"name{number}")]
        totals.update(observed.update(here, True))
        assert told(totals) == ({"rchar": number} if number else {})
        assert max(len(observed._used), len(totals._told), len(totals._split)) <= 7
    totals.update(observed.update([(process(200, rchar=3), "name1")], True))
    assert told(totals, "name1") == {"rchar": 3}
    assert told(totals, "name99") == {"rchar": 1}


def test_those_that_are_missing_are_bounded(observed, monkeypatch):
    """Where some process can never be read, no sweep is whole."""
    monkeypatch.setattr(use, "REMEMBERED", 3)
    for pid in range(1, 101):
        observed.update([(process(pid, rchar=1), "web")], is_whole=False)
    assert len(observed._seen) == 1 + 3
    assert observed.update([(process(98, rchar=1), "web")], is_whole=True)["web"][7] == 100


def test_nothing_is_remembered_of_a_process_that_ended(observed):
    for pid in range(1, 101):
        observed.update([(process(pid, rchar=1), "web")], True)
    assert len(observed._seen) == 1


def test_who_is_missing_where_some_were_left_out_is_not_counted_anew(observed):
    """It was perhaps one of them; nor is it forgotten in the next such sweep."""
    one, other = (process(11, rchar=100), "web"), (process(13, rchar=7), "web")
    observed.update([one, other], True)
    for reading in (8, 9):
        found = [(process(13, rchar=reading), "web")]
        assert observed.update(found, False) == {"web": made(rchar=100 + reading)}
    # Also one that is new to a sweep that is not whole is known to the next.
    observed.update([(process(17, rchar=1000), "db")], False)
    back = [(process(pid, rchar=101), "web") for pid in (11, 13)]
    assert observed.update([*back, (process(17, rchar=1001), "db")], True) == {
        "web": made(rchar=202), "db": made(rchar=1001),
    }  # fmt: skip
    # Who is missing in one that is whole has ended.
    observed.update([one], True)
    assert len(observed._seen) == 1


def test_those_that_are_not_asked_for_come_to_a_sum(totals, monkeypatch):
    monkeypatch.setattr(use, "REMEMBERED", 2)
    for number, name in enumerate(("web", "db", "jobs", "backup")):
        totals.update({name: made(rchar=10**number, cpu_ns=7)})
    found, others = totals.split({"backup"})
    # Also of names that are forgotten.
    assert found == {"backup": made(rchar=1000, cpu_ns=7, utime_ns=7)}
    assert others == made(rchar=111, cpu_ns=21, utime_ns=21)


def samples(used, absent=(), declared=(), shown=None, others=NOTHING):
    shown = shown or Shown({*used, *declared}, declared)
    return {
        family.name.removeprefix("pidinfod_"): {
            tuple(sample.labels.values()): sample.value for sample in family.samples
        }
        for family in families(used, others, declared, frozenset(absent), shown)
    }


WEB = tuple(range(1, 1 + len(USE_FIELDS)))
SECONDS = 10**9


def test_families():
    web = made(
        cpu_ns=3 * SECONDS, utime_ns=2 * SECONDS, stime_ns=SECONDS, run_delay_ns=5 * SECONDS,
        min_flt=7, maj_flt=11, nvcsw=13, nivcsw=17, rchar=19, wchar=23, read_bytes=29,
        write_bytes=31,
    )  # fmt: skip
    assert 0 not in web
    assert samples({"web": web}) == {
        "group_cpu_seconds": {("web", "user"): 2, ("web", "system"): 1},
        "group_run_queue_seconds": {("web",): 5},
        "group_page_faults": {("web", "minor"): 7, ("web", "major"): 11},
        "group_context_switches": {("web", "voluntary"): 13, ("web", "involuntary"): 17},
        "group_io_bytes": {("web", "read"): 19, ("web", "write"): 23},
        "group_storage_bytes": {("web", "read"): 29, ("web", "write"): 31},
    }
    assert all(not values for values in samples({}).values())


def test_zeros_are_of_declared_groups():
    used = {"web": made(rchar=3), "bash": made(wchar=5), "idle": NOTHING}
    told = samples(used, declared=["web", "never"])
    assert told["group_io_bytes"] == {
        ("web", "read"): 3, ("web", "write"): 0, ("bash", "write"): 5,
        ("never", "read"): 0, ("never", "write"): 0,
    }  # fmt: skip
    assert told["group_run_queue_seconds"] == {("web",): 0, ("never",): 0}


def test_what_is_hidden():
    shown = Shown({"web"}, [])
    used = {
        "web": made(rchar=3), "bash": made(rchar=5, wchar=7, run_delay_ns=SECONDS),
        "cat": made(rchar=11, run_delay_ns=SECONDS // 4), "idle": NOTHING,
    }  # fmt: skip
    others = made(rchar=100, wchar=200, read_bytes=300)
    told = samples(used, absent=("read_bytes", "write_bytes"), shown=shown, others=others)
    assert told["group_io_bytes"] == {("web", "read"): 3}
    assert shown.hidden == {
        "pidinfod_group_io_bytes_total": 323, "pidinfod_group_run_queue_seconds_total": 1.25,
        "pidinfod_group_cpu_seconds_total": 0, "pidinfod_group_page_faults_total": 0,
        "pidinfod_group_context_switches_total": 0,
    }  # fmt: skip
    assert shown.hidden_series["pidinfod_group_io_bytes_total"] == 3
    assert shown.hidden_series["pidinfod_group_run_queue_seconds_total"] == 2


@pytest.mark.parametrize(
    ("absent", "gone"),
    [
        ((), set()),
        (("swap_bytes", "threads", "descriptors", "queued"), set()),
        (("run_delay_ns",), {"group_run_queue_seconds"}),
        (("rchar", "wchar"), {"group_io_bytes"}),
        (("read_bytes", "write_bytes"), {"group_storage_bytes"}),
        (procfs.ABSENT, {
            "group_run_queue_seconds", "group_context_switches", "group_io_bytes",
            "group_storage_bytes",
        }),
        (pid_info.ABSENT, {"group_run_queue_seconds"}),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_not_told(absent, gone):
    assert samples({"web": WEB}).keys() - samples({"web": WEB}, absent).keys() == gone


@pytest.mark.parametrize("absent", [procfs.ABSENT, pid_info.ABSENT, *offsets.NEEDED_BY.values()])
def test_what_is_absent_is_something(absent):
    assert {*absent} <= {*USE_FIELDS, *vars(Figures())}
