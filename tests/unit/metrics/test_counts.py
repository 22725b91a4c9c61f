# SPDX-License-Identifier: Apache-2.0
"""The processes of a sweep by group, one by one or as the kernel summed them, and who is dead."""

import struct
from collections import Counter

import pytest

from pidinfod.kernel import pid_info
from pidinfod.kernel.pid_info import Swept
from pidinfod.kernel.records import SWEPT, USE, USE_FIELDS
from pidinfod.kernel.sweep import Found
from pidinfod.metrics.processes import (
    STATES,
    Figures,
    ProcessCounts,
    count_processes,
    families,
    of_kernel,
)  # fmt: skip
from pidinfod.metrics.shown import Shown
from pidinfod.metrics.use import NOTHING
from pidinfod.proc import procfs


def process(pid, state="S", ppid=1, threads=1, pending=0, blocked=0, queued=0, limit=7919,
            start=0, **rest):  # fmt: skip
    return Swept(
        pid, ppid, state, "sh", threads, start, False, pending, blocked, queued, limit, NOTHING,
        **rest,
    )  # fmt: skip


def by_state(counts):
    return {(name, state): number for name, group in counts.groups.items()
            for state, number in zip(STATES, group.processes, strict=True) if number}  # fmt: skip


def zombies(counts):
    return {name: group.unreaped for name, group in counts.groups.items() if group.unreaped}


def test_states():
    found = [process(pid, state) for pid, state in enumerate("SSSRRDZ", start=2)]
    counts = count_processes((one, "web" if one.pid % 2 else "db") for one in found)
    assert by_state(counts) == {
        ("db", "S"): 2, ("web", "S"): 1, ("db", "R"): 1, ("web", "R"): 1, ("web", "D"): 1,
        ("db", "Z"): 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("threads", "expected"), [(1, {"web": 1}), (2, {}), (3, {}), (0, {"web": 1})]
)
def test_one_whose_threads_live_is_not_dead(threads, expected):
    found = [(process(5), "web"), (process(7, "Z", ppid=5, threads=threads), "db")]
    counts = count_processes(found)
    assert zombies(counts) == expected
    assert by_state(counts)["db", "Z"] == 1  # as /proc shows it


def test_zombies_are_their_parents():
    found = [
        (process(7, "Z", ppid=11), "db"),  # before its parent
        (process(11), "web"),
        (process(13, "Z", ppid=11), "web"),
        (process(17, "Z", ppid=99), "web"),  # a parent that is not there
        (process(19, "Z", ppid=0), "db"),
        (process(23, "Z", ppid=7), "db"),  # of a parent that is dead itself
    ]
    assert zombies(count_processes(found)) == {"web": 2, "kernel": 2, "db": 1}


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
    groups = count_processes(found).groups
    assert {name: group.queued for name, group in groups.items()} == {
        "web": (3, 100), "db": (0, 31), "jobs": (0, 0),
    }  # fmt: skip


def test_what_a_dead_one_has_not():
    nothing = process(7, "Z", pending=None, blocked=None, queued=None, limit=None)
    counts = count_processes([(nothing, "web")])
    assert (counts.pending, counts.blocked) == (Counter(), Counter())
    assert counts.groups["web"].queued == (0, 0)
    assert zombies(counts) == {"kernel": 1}


def test_what_processes_are_and_use():
    found = [
        (process(2, start=13, resident_bytes=3, virtual_bytes=5, swap_bytes=7), "web"),
        (process(3, start=11, resident_bytes=11, virtual_bytes=13, swap_bytes=17), "web"),
        (process(5, start=17, resident_bytes=19), "db"),
    ]
    groups = count_processes(found).groups
    web, db = groups["web"], groups["db"]
    assert (web.resident_bytes, web.virtual_bytes, web.swap_bytes) == (14, 18, 24)
    assert (db.resident_bytes, db.virtual_bytes, db.swap_bytes) == (19, 0, 0)
    assert (web.oldest_start_ns, db.oldest_start_ns) == (11, 17)
    # Those that are read one by one do not tell of these.
    for name in ("threads", "descriptors"):
        assert name in pid_info.ABSENT & procfs.ABSENT
        assert getattr(web, name) == getattr(Figures(), name)


def test_what_is_absent_goes_with_it():
    assert count_processes([], frozenset({"threads"})).absent == {"threads"}


def test_groups_do_not_share_their_figures():
    first, second = Figures(), Figures()
    first.processes[0] = first.threads[0] = 7
    assert second == Figures()


def row(**counts):
    """Numbers by state as the kernel has them."""
    return struct.pack("=9I", *(counts.get(state, 0) for state in STATES))


NAMES = {0: "kernel", 2: "web", 5: "bash", 7: "bash"}


def swept(**fields):
    return SWEPT.unpack(SWEPT.pack(**fields))


def use_of(**fields):
    """With numbers below 0, as sums in the kernel may be for a moment."""
    return struct.pack(f"={len(USE_FIELDS)}q", *(fields.get(name, 0) for name in USE_FIELDS))


def test_of_kernel():
    one = swept(
        processes=row(R=1, S=2, I=3), threads=row(R=4, X=5), resident_bytes=7, virtual_bytes=11,
        swap_bytes=13, descriptors=17, descriptors_ratio=1 << 31, oldest_start_ns=19, queued=23,
        queued_limit=29, unreaped=31,
    )  # fmt: skip
    counts, used = of_kernel(Found(groups={2: one}), NAMES)
    assert counts.groups == {
        "web": Figures(
            processes=[1, 2, 0, 0, 0, 0, 0, 0, 3], threads=[4, 0, 0, 0, 0, 5, 0, 0, 0],
            resident_bytes=7, virtual_bytes=11, swap_bytes=13, descriptors=17,
            descriptors_ratio=0.5, oldest_start_ns=19, queued=(23, 29), unreaped=31,
        )
    }  # fmt: skip
    assert used == {"web": NOTHING}
    assert counts.absent == frozenset()


def test_two_ids_of_a_name():
    found = Found(
        past={5: USE.unpack(USE.pack(cpu_ns=3)), 7: USE.unpack(USE.pack(cpu_ns=5, rchar=7))},
        groups={
            5: swept(
                processes=row(R=1), threads=row(R=2), resident_bytes=11, descriptors=3,
                descriptors_ratio=1 << 30, oldest_start_ns=19, queued=5, queued_limit=1000,
                unreaped=1, use=use_of(cpu_ns=100),
            ),
            7: swept(
                processes=row(R=3, Z=1), threads=row(R=5), resident_bytes=13, descriptors=5,
                descriptors_ratio=3 << 30, oldest_start_ns=17, queued=3, queued_limit=100,
                unreaped=2, use=use_of(cpu_ns=1000, rchar=-9),
            ),
        },
        signals={(5, 15, "pending"): 1, (7, 15, "pending"): 2, (7, 34, "blocked"): 3},
    )  # fmt: skip
    counts, used = of_kernel(found, NAMES)
    assert counts.groups == {
        "bash": Figures(
            processes=[4, 0, 0, 0, 0, 0, 1, 0, 0], threads=[7, 0, 0, 0, 0, 0, 0, 0, 0],
            resident_bytes=24, descriptors=8, descriptors_ratio=0.75, oldest_start_ns=17,
            queued=(3, 100), unreaped=3,
        )
    }  # fmt: skip
    assert {name: value for name, value in zip(USE_FIELDS, used["bash"], strict=True) if value} == {
        "cpu_ns": 1108, "rchar": -2,
    }  # fmt: skip
    assert (counts.pending, counts.blocked) == (
        {("bash", "SIGTERM"): 3}, {("bash", "SIGRTMIN"): 3},
    )  # fmt: skip


def test_what_is_only_past():
    """A group without a process has used what it has used, and is not here."""
    counts, used = of_kernel(Found(past={2: USE.unpack(USE.pack(wchar=7))}), NAMES)
    assert counts == ProcessCounts()
    assert used["web"][USE_FIELDS.index("wchar")] == 7


@pytest.mark.parametrize("order", [1, -1])
def test_one_without_a_process_has_no_oldest(order):
    """Zombies of a parent whose group's other figures are 0."""
    found = {5: swept(unreaped=1), 7: swept(oldest_start_ns=11), 2: swept(unreaped=1)}
    counts, _ = of_kernel(Found(groups=dict(list(found.items())[::order])), NAMES)
    assert counts.groups["bash"].oldest_start_ns == 11
    assert counts.groups["web"].oldest_start_ns == 0


def test_what_the_kernel_does_not_keep_goes_with_it():
    assert of_kernel(Found(), NAMES, frozenset({"queued"}))[0].absent == {"queued"}


@pytest.mark.parametrize("order", [1, -1])
def test_the_nearest_to_its_limit_in_any_order(order):
    found = {
        5: swept(queued=2**40, queued_limit=2**41, descriptors_ratio=1 << 30),
        7: swept(queued=7, queued_limit=13, descriptors_ratio=3 << 30),
        # A limit of 0 does not keep the kernel from sending what it must.
        11: swept(queued=5, queued_limit=0, descriptors_ratio=2 << 30),
    }
    ordered = dict(list(found.items())[::order])
    counts, _ = of_kernel(Found(groups=ordered), dict.fromkeys(found, "x"))
    assert (counts.groups["x"].queued, counts.groups["x"].descriptors_ratio) == ((7, 13), 0.75)


@pytest.mark.parametrize("order", [1, -1])
def test_one_without_a_limit_is_not_near_it(order):
    found = [(process(2, queued=5, limit=0), "web"), (process(3, queued=1), "web")]
    assert count_processes(found[::order]).groups["web"].queued == (1, 7919)
    assert count_processes(found[:1]).groups["web"].queued == (0, 0)


def samples(metrics, name):
    (family,) = [one for one in metrics if one.name == name]
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def told(counts, declared=(), shown=None, boot_time=0):
    """What is told, and what is hidden; without `shown`, nothing is."""
    names = shown or {*counts.groups, *declared, *(name for name, _ in counts.pending)}
    account = Shown(names, declared)
    return list(families(counts, declared, account, boot_time)), account


FULL = Figures(
    processes=[1, *[0] * 8], threads=[3, *[0] * 8], resident_bytes=5, virtual_bytes=7,
    swap_bytes=11, descriptors=13, descriptors_ratio=0.25, oldest_start_ns=17 * 10**9,
    queued=(19, 23), unreaped=29,
)  # fmt: skip
GAUGES = {
    "resident_bytes": 5, "virtual_bytes": 7, "swap_bytes": 11, "descriptors": 13,
    "descriptors_limit_ratio": 0.25, "signals_queued": 19, "signals_queued_limit": 23,
    "oldest_start_time_seconds": 1017.0,
}  # fmt: skip
# Those of which a sum says something.
SUMS = {
    "group_processes": 1, "group_threads": 3, "zombies": 29, "group_resident_bytes": 5,
    "group_virtual_bytes": 7, "group_swap_bytes": 11, "group_descriptors": 13,
    "group_signals_pending": 31, "group_signals_blocked": 37,
}  # fmt: skip


def test_zeros_are_of_declared_groups():
    found = [(process(7, "R"), "web"), (process(11, "Z", ppid=7), "db"), (process(13), "cat")]
    metrics, account = told(count_processes(found), ["nobody"], {"web", "db", "nobody"})
    assert samples(metrics, "pidinfod_group_processes") == {
        ("web", "R"): 1, ("db", "Z"): 1, **{("nobody", state): 0 for state in STATES},
    }  # fmt: skip
    assert samples(metrics, "pidinfod_group_threads") == {
        ("nobody", state): 0 for state in STATES
    }  # fmt: skip
    assert samples(metrics, "pidinfod_zombies") == {("nobody",): 0, ("web",): 1}
    assert account.hidden.pop("pidinfod_group_processes") == 1
    assert set(account.hidden.values()) == {0}


def test_all_of_a_declared_group_is_told():
    """But when its oldest process started, while it has none."""
    metrics, _ = told(ProcessCounts(), ["nobody"])
    for name in GAUGES:
        expected = {} if name.startswith("oldest") else {("nobody",): 0}
        assert samples(metrics, f"pidinfod_group_{name}") == expected, name


def test_gauges():
    groups = {"web": FULL, "gone": Figures()}
    metrics, account = told(ProcessCounts(groups), boot_time=1000.0)
    for name, value in GAUGES.items():
        assert samples(metrics, f"pidinfod_group_{name}") == {("web",): value}, name
    assert samples(metrics, "pidinfod_group_threads") == {("web", "R"): 3}
    assert set(account.hidden.values()) == set(account.hidden_series.values()) == {0}


def test_what_is_hidden():
    counts = ProcessCounts(
        {"web": FULL, "cat": FULL, "ls": FULL, "gone": Figures()},
        pending=Counter({("cat", "SIGTERM"): 31}), blocked=Counter({("ls", "SIGHUP"): 37}),
    )  # fmt: skip
    metrics, account = told(counts, shown={"web"})
    both = {name: value * (1 if "signals" in name else 2) for name, value in SUMS.items()}
    # What is the most, the oldest or the nearest of one and of another does not add up.
    assert account.hidden == {f"pidinfod_{name}": value for name, value in both.items()}
    assert account.hidden_series == {
        metric.name: 1 if metric.name.endswith(("pending", "blocked")) else 2
        for metric in metrics
    }
    for metric in metrics:
        assert {next(iter(one.labels.values())) for one in metric.samples} <= {"web"}


def test_queues_are_told_where_something_is_queued():
    queues = {"web": (3, 100), "db": (0, 31), "nobody": (0, 37), "cat": (5, 41)}
    groups = {name: Figures(queued=queued) for name, queued in queues.items()}
    metrics, account = told(ProcessCounts(groups), ["nobody"], {"web", "db", "nobody"})
    assert samples(metrics, "pidinfod_group_signals_queued") == {("web",): 3, ("nobody",): 0}
    limits = {("web",): 100, ("nobody",): 37}
    assert samples(metrics, "pidinfod_group_signals_queued_limit") == limits
    # The queue of one and that of another do not add up to one.
    for name in ("queued", "queued_limit"):
        assert f"pidinfod_group_signals_{name}" not in account.hidden
        assert account.hidden_series[f"pidinfod_group_signals_{name}"] == 1


@pytest.mark.parametrize(
    ("absent", "gone"),
    [
        ((), set()),
        (USE_FIELDS, set()),  # of metrics/use.py
        (("threads",), {"threads"}),
        (("swap_bytes",), {"swap_bytes"}),
        (("descriptors",), {"descriptors", "descriptors_limit_ratio"}),
        (("queued",), {"signals_queued", "signals_queued_limit"}),
        (procfs.ABSENT, {"threads", "descriptors", "descriptors_limit_ratio"}),
        (pid_info.ABSENT, {"threads", "swap_bytes", "descriptors", "descriptors_limit_ratio"}),
    ],
)
def test_what_cannot_be_told_is_not_told(absent, gone):
    """Nor is it hidden."""

    def names(absent=()):
        metrics, account = told(ProcessCounts({"web": FULL}, absent=frozenset(absent)), ["web"])
        assert account.hidden_series.keys() == {one.name for one in metrics}
        return account.hidden_series.keys()

    assert names() - names(absent) == {f"pidinfod_group_{name}" for name in gone}
