# SPDX-License-Identifier: Apache-2.0
"""A snapshot of a recorded /proc and of maps without a kernel, whole and with any part failing."""

import struct
from collections import Counter
from dataclasses import replace

import pytest

from pidinfod.groups.placement import MISSES, Placer
from pidinfod.groups.rules import Rules
from pidinfod.groups.table import GroupTable, key_of
from pidinfod.kernel import libbpf
from pidinfod.kernel.events import Reader
from pidinfod.kernel.handoff import Loaded, Probe
from pidinfod.kernel.libbpf import RunStats
from pidinfod.kernel.records import (
    GROUP_OTHER,
    PLACEMENT,
    PROCESS,
    SETTING,
    SWEPT,
    SWEPT_SIGNAL,
    SWEPT_SIGNAL_KEY,
    USE,
    USE_FIELDS,
    USER,
)  # fmt: skip
from pidinfod.metrics.families import DETAILS, DROPS, FAMILIES
from pidinfod.metrics.ft_calls import FT_CALLS
from pidinfod.metrics.lives import EXECS, FORKS
from pidinfod.metrics.per_pid import Shown, Wanted
from pidinfod.metrics.processes import STATES
from pidinfod.metrics.program import family_maps
from pidinfod.metrics.schema import EVENTS
from pidinfod.metrics.snapshot import COUNTED_MAPS, Source
from pidinfod.metrics.sweeping import NO_WISH
from pidinfod.proc import procfs
from tests.support.recorded import GROUPS, add, remove

pytestmark = pytest.mark.usefixtures("stock")

WEB, BACKUP = 2, 3


def by_group(snapshot):
    sums = {name: sum(group.processes) for name, group in snapshot.processes.groups.items()}
    return Counter({name: number for name, number in sums.items() if number})


def in_state(snapshot, group, state):
    return snapshot.processes.groups[group].processes[STATES.index(state)]


def used(snapshot, field):
    place = USE_FIELDS.index(field)
    return {name: use[place] for name, use in snapshot.used.items() if use[place]}


ALWAYS = {"kernel", "other", "web", "backup"}


def source_of(
    proc, groups=GROUPS, max_groups=64, loaded=None, ttl=61, shown_groups=64, wanted=NO_WISH
):  # fmt: skip
    loaded = loaded or Loaded({}, ())
    return Source(loaded, Rules(groups), proc, ttl, max_groups, shown_groups, wanted)


def test_without_probes(proc):
    snapshot = source_of(proc).take()
    assert by_group(snapshot) == {
        "kernel": 2, "init": 1, "web": 1, "backup": 1, "bash": 2,
        # Nobody gets into another group by a name.
        "comm:web": 1, "comm:kernel": 1,
    }  # fmt: skip
    assert in_state(snapshot, "kernel", "I") == 1
    assert in_state(snapshot, "backup", "R") == 1
    assert {name: group.unreaped for name, group in snapshot.processes.groups.items()} == {
        **dict.fromkeys(by_group(snapshot), 0), "bash": 1,
    }  # fmt: skip
    assert snapshot.processes.absent == procfs.ABSENT
    assert snapshot.used.keys() == by_group(snapshot).keys()
    assert snapshot.boot_time > 1_600_000_000
    assert snapshot.shown == by_group(snapshot).keys() | ALWAYS
    assert snapshot.waiting == 0
    assert (snapshot.failures, snapshot.failed) == ({"sweep": 0}, frozenset())
    assert snapshot.seconds.keys() == {"sweep"}
    assert (snapshot.counts, snapshot.deaths, snapshot.misses) == ({}, None, None)


def test_the_memory_of_groups_that_were_here_is_bounded_in_time(proc, monkeypatch):
    clock = 1000.0
    monkeypatch.setattr("pidinfod.metrics.snapshot.time.monotonic", lambda: clock)
    source = source_of(proc)
    assert "init" in source.take().shown
    remove(proc, 1)
    clock += 61
    assert "init" in source.take().shown
    clock += 1
    assert "init" not in source.take().shown


def test_places(proc):
    source = source_of(proc, shown_groups=2)
    snapshot = source.take()
    assert snapshot.shown == ALWAYS | {"bash", "comm:kernel"}
    assert snapshot.waiting == len({"comm:web", "init"})
    add(proc, 100, "abc")
    assert source.take().shown == snapshot.shown
    # It is about what is shown: all are counted.
    assert by_group(source.take())["abc"] == 1


def test_a_sweep_that_fails_costs_itself_and_is_counted(proc, tmp_path):
    source = source_of(proc)
    proc.rename(tmp_path / "away")
    for times in (1, 2, 3):
        snapshot = source.take()
        assert (snapshot.failures, snapshot.failed) == ({"sweep": times}, {"sweep"})
        assert snapshot.processes is None
        assert (snapshot.shown, snapshot.waiting) == (ALWAYS, 0)
    (tmp_path / "away").rename(proc)
    snapshot = source.take()
    assert (snapshot.failures, snapshot.failed) == ({"sweep": 3}, frozenset())
    assert by_group(snapshot)["web"] == 1


def test_a_sweep_that_fails_costs_no_place_and_nothing_that_was_used(proc, tmp_path):
    add(proc, 11, "bash", faults=7)
    source = source_of(proc, wanted=Wanted(memory=1))
    before = source.take()
    assert len(before.per_pid.processes) == 1
    proc.rename(tmp_path / "away")
    snapshot = source.take()
    assert (snapshot.processes, snapshot.per_pid) == (None, Shown())
    assert snapshot.shown == before.shown
    (tmp_path / "away").rename(proc)
    add(proc, 11, "bash", faults=5)
    assert used(source.take(), "min_flt") == {"bash": 7}


class Followed:
    """A source with probes. `swept` and `users` are what the iterator finds: fields by group, and
    by process."""

    def __init__(self, kernel, proc, with_sweep=False, **rest):
        self.kernel = kernel
        program, self.link = kernel.fd(), kernel.fd()
        kernel.stats[program] = RunStats(7, 11, 13)
        probes = (
            Probe("raw_tracepoint:a", True, "", "a", program, self.link),
            Probe("kprobe:b", False, "none", "b"),
        )
        if with_sweep:
            probes = (*probes, Probe("iterator:task", True, "", "sweep", program, self.link))
        self.loaded = kernel.load(GROUPS, probes=probes)
        self.swept, self.users = {}, {}
        self.maps = self.loaded.maps
        self.table = GroupTable(self.loaded)
        self.source = source_of(proc, loaded=self.loaded, **rest)
        misses = Counter(dict.fromkeys(MISSES, 0))
        placer = Placer(self.source.rules, self.loaded, proc, misses, self.source.sweeper.note_use)
        self.records = []
        reader = Reader(self.loaded.ring_fd, {1: self.records.append})
        self.ledger = Ledger()
        self.source.follow(self.table, self.ledger, placer, reader)

    def count(self, family, *values, **fields):
        self.kernel.put(self.maps[family.name], family.key.pack(**fields), *values)

    def past(self, group, **fields):
        self.kernel.put(self.maps["past_use"], key_of(group), USE.pack(**fields))

    def iterate(self, link):
        assert link == self.link
        place = key_of(SETTING.number("sweep"))
        sweep = int.from_bytes(self.kernel.content(self.maps["settings"])[place], "little")
        for pid, fields in self.users.items():
            raw = USER.pack(visit=sweep, **fields)
            self.kernel.put(self.maps["users"], key_of(pid), raw)
        for group, fields in self.swept.items():
            raw = SWEPT.pack(sweep=sweep, **fields)
            self.kernel.put(self.maps["swept"], key_of(group), raw)
        key = SWEPT_SIGNAL_KEY.pack(group=WEB, signal=15)
        self.kernel.put(
            self.maps["swept_signals"], key, SWEPT_SIGNAL.pack(sweep=sweep, processes=7)
        )


class Ledger:
    """Of what a snapshot asks of it."""

    recorded = 1013

    def __len__(self):
        return 101


@pytest.fixture
def followed(kernel, proc):
    return Followed(kernel, proc)


@pytest.fixture
def sweeping(kernel, proc, monkeypatch):
    """The kernel sweeps, and has other processes than /proc."""
    followed = Followed(kernel, proc, with_sweep=True)
    monkeypatch.setattr(libbpf, "iterate", followed.iterate)
    return followed


def running(number, **fields):
    return {"processes": struct.pack("=9I", number, *[0] * 8)} | fields


def test_a_sweep_in_the_kernel(sweeping):
    bash = sweeping.table.own_group(b"bash")
    sweeping.swept = {WEB: running(3, resident_bytes=1009, use=USE.pack(rchar=5)),
                      bash: running(1, unreaped=2)}  # fmt: skip
    sweeping.past(WEB, rchar=7)
    sweeping.past(BACKUP, rchar=11)
    sweeping.past(3 + bash, rchar=13)  # stands for no name
    assert sweeping.source.sweeper.way == ("bpf_iter", "")
    snapshot = sweeping.source.take()
    assert (snapshot.failed, snapshot.sweep_errors) == (frozenset(), {})
    assert by_group(snapshot) == {"web": 3, "bash": 1}
    assert snapshot.processes.groups["web"].resident_bytes == 1009
    assert snapshot.processes.groups["bash"].unreaped == 2
    assert snapshot.processes.pending == {("web", "SIGTERM"): 7}
    assert snapshot.processes.absent == frozenset()
    # All that have an id are told of, also those that only were here.
    assert used(snapshot, "rchar") == {"web": 12, "backup": 11, "other": 13}
    assert snapshot.shown == ALWAYS | {"bash"}
    assert snapshot.entries["swept_signals"] == 1
    # The kernel looks at them itself.
    assert "processes" not in snapshot.failures


def test_places_where_the_kernel_sweeps(kernel, proc, monkeypatch):
    """Of groups that have ids, whether or not they have processes."""
    followed = Followed(kernel, proc, with_sweep=True, shown_groups=2)
    monkeypatch.setattr(libbpf, "iterate", followed.iterate)
    first, _, third = (followed.table.own_group(name) for name in (b"c", b"b", b"a"))
    followed.swept = {first: running(1, use=USE.pack(rchar=5))}
    followed.past(third, rchar=7)
    snapshot = followed.source.take()
    assert (snapshot.shown, snapshot.waiting) == (ALWAYS | {"a", "b"}, 1)
    # All are counted.
    assert by_group(snapshot) == {"c": 1}
    assert used(snapshot, "rchar") == {"c": 5, "a": 7}


def test_a_name_that_comes_while_the_kernel_sweeps_is_no_other(sweeping, monkeypatch):
    """What "other" used never goes down: it would be too much for good."""

    def iterate(link):
        new = sweeping.table.own_group(b"new")
        sweeping.swept = {new: running(1, use=USE.pack(rchar=5))}
        sweeping.users = {101: dict(visit_group=new)}
        sweeping.iterate(link)

    sweeping.source.sweeper.wanted = Wanted(memory=1)
    monkeypatch.setattr(libbpf, "iterate", iterate)
    snapshot = sweeping.source.take()
    assert by_group(snapshot) == {"new": 1}
    assert used(snapshot, "rchar") == {"new": 5}
    assert [one.group for one in sweeping.source.sweeper.processes] == ["new"]


def test_what_the_kernel_does_not_keep_is_absent(sweeping):
    sweeping.source.sweeper._loaded = replace(sweeping.loaded, absent=frozenset({"rchar", "wchar"}))
    assert sweeping.source.take().processes.absent == {"rchar", "wchar"}


@pytest.mark.parametrize("name", ["past_use", "swept", "swept_signals"])
def test_a_sweep_in_the_kernel_that_fails_costs_itself(sweeping, name):
    sweeping.swept = {WEB: running(3, use=USE.pack(rchar=5))}
    assert used(sweeping.source.take(), "rchar") == {"web": 5}
    sweeping.kernel.broken.add(sweeping.maps[name].fd)
    snapshot = sweeping.source.take()
    assert snapshot.failed - {"entries of swept_signals"} == {"sweep"}
    assert snapshot.processes is None
    assert snapshot.shown == ALWAYS
    assert snapshot.counts.keys() == {family.name for family in FAMILIES}
    sweeping.kernel.broken.clear()
    snapshot = sweeping.source.take()
    assert (snapshot.failed, used(snapshot, "rchar")) == (frozenset(), {"web": 5})


def test_without_the_names_of_groups_nothing_was_used_by_a_wrong_one(sweeping, monkeypatch):
    """As it never goes down, it would be too much for good. The sweep itself went well."""
    clock = 1000.0
    monkeypatch.setattr("pidinfod.metrics.snapshot.time.monotonic", lambda: clock)
    sweeping.swept = {WEB: running(3, use=USE.pack(rchar=5))}
    idle = sweeping.table.own_group(b"idle")
    before = sweeping.source.take().shown
    sweeping.swept = {WEB: running(3, use=USE.pack(rchar=7)),
                      idle: running(1, use=USE.pack(rchar=11))}  # fmt: skip
    sweeping.kernel.broken.add(sweeping.maps["group_table"].fd)
    clock += 62
    snapshot = sweeping.source.take()
    assert snapshot.failed == {"groups"}
    assert snapshot.processes is None
    # Who has a place keeps it.
    assert snapshot.shown == before == ALWAYS | {"idle"}
    assert used(snapshot, "rchar") == {"web": 5}
    sweeping.kernel.broken.clear()
    assert used(sweeping.source.take(), "rchar") == {"web": 7, "idle": 11}


def test_what_a_group_used_goes_on_when_it_comes_back(sweeping, monkeypatch):
    clock = 1000.0
    monkeypatch.setattr("pidinfod.metrics.snapshot.time.monotonic", lambda: clock)
    gone = sweeping.table.own_group(b"gone")
    sweeping.swept = {gone: running(1, use=USE.pack(rchar=100))}
    assert used(sweeping.source.take(), "rchar") == {"gone": 100}
    sweeping.swept = {}
    sweeping.past(gone, rchar=103)
    for late in (0, 61, 1):
        clock += late
        sweeping.source.tidy()
    assert not any(sweeping.kernel.content(sweeping.maps["past_use"])[key_of(gone)])
    assert sweeping.kernel.content(sweeping.maps["swept"]) == {}
    snapshot = sweeping.source.take()
    assert (snapshot.groups_recycled, used(snapshot, "rchar")) == (1, {})
    assert snapshot.used_by_others[USE_FIELDS.index("rchar")] == 103
    # With another id; that which it had is another's.
    other, again = (sweeping.table.own_group(name) for name in (b"other", b"gone"))
    sweeping.swept = {again: running(1, use=USE.pack(rchar=5)), other: running(1)}
    assert used(sweeping.source.take(), "rchar") == {"gone": 108}


def test_single_processes(kernel, proc, monkeypatch):
    followed = Followed(kernel, proc, with_sweep=True, wanted=Wanted(memory=1))
    monkeypatch.setattr(libbpf, "iterate", followed.iterate)
    followed.users = {
        101: dict(start_ns=3, visit_group=BACKUP, cpu_ns=5, resident_bytes=7, descriptors=11,
                  signals=13),
        103: dict(visit_group=WEB, resident_bytes=5),
    }  # fmt: skip
    ((found, _),) = followed.source.take().per_pid.processes
    assert found == (101, 3, "backup", 5, 7, 11, 13)
    # When the sweep fails, or what the groups are called is not known, none is told of.
    for name in ("swept", "group_table"):
        followed.kernel.broken = {followed.maps[name].fd}
        assert followed.source.take().per_pid == Shown()


def test_single_processes_of_a_group_without_probes(proc):
    source = source_of(proc, wanted=Wanted(groups=frozenset({"web"})))
    assert [one[:3] for one, _ in source.take().per_pid.processes] == [(5, 0, "web")]


def test_nobody_wants_single_processes(sweeping):
    sweeping.users = {101: dict(visit_group=WEB, resident_bytes=5)}
    assert sweeping.source.take().per_pid.processes == []
    assert sweeping.source.sweeper.processes == []  # as to read them takes time


def test_what_was_used_is_noted_where_the_kernel_sweeps(sweeping, followed, monkeypatch):
    walks = []
    monkeypatch.setattr(libbpf, "iterate", walks.append)
    for seconds in (5, 3600, -1):  # there was none, it was just now, it is at once
        sweeping.source.sweeper.note_use(seconds)
    assert walks == [sweeping.link] * 2
    followed.source.sweeper.note_use(-1)
    assert len(walks) == 2


def test_outside_of_the_first_namespace_the_kernel_is_not_asked(sweeping, monkeypatch):
    """The iterator sees the processes of this namespace alone."""
    source = sweeping.source
    monkeypatch.setattr(libbpf, "iterate", lambda _: 1 // 0)
    source.follow(
        sweeping.table, sweeping.ledger, source._followed.placer, source._followed.reader,
        is_in_first_namespace=False,
    )  # fmt: skip
    assert source.sweeper.way == ("procfs", "not in the first PID namespace")
    snapshot = source.take()
    assert (snapshot.failed, by_group(snapshot)["init"]) == (frozenset(), 1)
    source.sweeper.note_use(-1)
    gone = sweeping.table.own_group(b"gone")
    sweeping.past(gone, rchar=7)
    source.sweeper.give_back(gone, "gone")
    assert sweeping.kernel.content(sweeping.maps["past_use"])[key_of(gone)] == USE.pack(rchar=7)


def test_why_not_by_the_kernel(followed):
    assert followed.source.sweeper.way == ("procfs", "without probes")


def test_with_probes(followed):
    bash = followed.table.own_group(b"bash")
    followed.count(FORKS, 3, 0, 4, kind=0, via=0, group=bash)
    others = FORKS.key.pack(kind=0, via=0, group=GROUP_OTHER)
    followed.kernel.put(followed.maps["forks_other"], others, 0, 19)  # there was no room
    followed.kernel.put(followed.maps["forks"], others, 2)  # there was no id
    followed.count(EXECS, 11, group=BACKUP)
    followed.kernel.put(followed.maps["placed_execs"], key_of(BACKUP), 13)
    followed.kernel.put(followed.maps["placed_execs"], key_of(bash), 17)
    followed.kernel.put(followed.maps["seen"], key_of(0), 5, 0, 7)
    followed.kernel.put(followed.maps["drops"], key_of(1), 3)
    followed.kernel.put(followed.maps["degraded"], key_of(2), 0, 2)
    followed.kernel.records = iter([struct.pack("=I", 1)])
    snapshot = followed.source.take()
    assert snapshot.failed == frozenset()
    assert len(followed.records) == 1
    assert snapshot.counts["forks"] == {
        ("process", "native", "web"): 0, ("process", "native", "backup"): 0,
        ("process", "native", "bash"): 7, ("process", "native", "other"): 21,
    }  # fmt: skip
    # What the kernel counted, and what user space did.
    assert snapshot.counts["execs"] == {("web",): 0, ("backup",): 24, ("bash",): 17}
    assert snapshot.counts.keys() == {family.name for family in FAMILIES}
    assert snapshot.counts["ft_calls"] == FT_CALLS.first(())
    assert snapshot.seen == dict.fromkeys(EVENTS.names, 0) | {EVENTS.names[0]: 12}
    assert snapshot.dropped == dict.fromkeys(DROPS, 0) | {DROPS[1]: 3}
    nothing = dict.fromkeys((*DETAILS, "exits_unseen", "reapings_unseen"), 0)
    assert snapshot.degraded == nothing | {DETAILS[2]: 2}
    assert snapshot.entries == {
        **dict.fromkeys(family_maps(), 0), "forks": 2, "forks_other": 1, "execs": 1,
        **dict.fromkeys(COUNTED_MAPS, 0), "groups": 1,
    }  # fmt: skip
    assert snapshot.run_stats == {"raw_tracepoint:a": RunStats(7, 11, 13)}
    assert snapshot.deaths == (1013, 101)
    assert snapshot.misses == dict.fromkeys(MISSES, 0)


def test_processes_are_in_the_groups_that_the_kernel_says(followed):
    kernel, maps = followed.kernel, followed.maps

    def process(pid, **fields):
        kernel.put(maps["processes"], key_of(pid), PROCESS.pack(**fields))

    def placed(pid, **fields):
        kernel.put(maps["placements"], key_of(pid), PLACEMENT.pack(**fields))

    process(1, group=WEB)  # final
    process(11, group=WEB, exec_id=7)  # placed, for the program that it runs
    placed(11, group=BACKUP, exec_id=7)
    process(17, group=WEB, exec_id=7)  # placed for one before
    placed(17, group=BACKUP, exec_id=5)
    process(19, group=WEB)  # final: no placement counts
    placed(19, group=BACKUP, exec_id=0)
    assert by_group(followed.source.take()) == {
        "kernel": 2, "backup": 2, "web": 4, "bash": 1,
    }  # fmt: skip


PARTS = {
    "seen": "seen", "drops": "dropped", "degraded": "degraded",
}  # fmt: skip


@pytest.mark.parametrize("name", [*PARTS, *family_maps()])
def test_a_map_that_fails_costs_itself(followed, name):
    whole = vars(followed.source.take())
    followed.kernel.broken.add(followed.maps[name].fd)
    snapshot = followed.source.take()
    assert snapshot.failed == {name}
    assert snapshot.failures[name] == 1
    if name in PARTS:
        assert getattr(snapshot, PARTS[name]) == {}
        assert snapshot.counts == whole["counts"]
        assert snapshot.entries == whole["entries"]
    else:
        # Part of a family is less than was told before: it is missing, too.
        assert snapshot.counts.keys() == whole["counts"].keys() - {name.removesuffix("_other")}
        assert snapshot.entries.keys() == whole["entries"].keys() - {name}
    assert snapshot.processes == whole["processes"]
    followed.kernel.broken.clear()
    assert vars(followed.source.take())["failed"] == frozenset()


def test_without_the_names_of_groups_nothing_is_counted_for_a_wrong_one(followed):
    followed.count(FORKS, 7, kind=0, via=0, group=WEB)
    followed.kernel.put(followed.maps["processes"], key_of(5), PROCESS.pack(group=BACKUP))
    followed.table.own_group(b"idle")
    before = followed.source.take().shown
    followed.kernel.broken.add(followed.maps["group_table"].fd)
    snapshot = followed.source.take()
    assert snapshot.failed == {"groups"}
    assert snapshot.counts.keys() == {
        family.name for family in FAMILIES if not family.group_labels
    }
    # Who has a place keeps it.
    own = {"bash", "idle", "init", "comm:web", "comm:kernel"}
    assert snapshot.shown == before == ALWAYS | own
    # Processes are placed by their names and the rules.
    assert by_group(snapshot)["web"] == 1
    assert by_group(snapshot)["other"] == 0


def test_a_name_that_comes_meanwhile_is_no_other(followed, monkeypatch):
    """In the next snapshot its counts would be gone from "other"."""
    read_counts = libbpf.read_counts

    def read(handle):
        if handle.name == "forks":
            new = followed.table.own_group(b"new")
            followed.count(FORKS, 7, kind=0, via=0, group=new)
            followed.kernel.put(followed.maps["placed_execs"], key_of(new), 11)
        return read_counts(handle)

    monkeypatch.setattr(libbpf, "read_counts", read)
    snapshot = followed.source.take()
    assert snapshot.counts["forks"]["process", "native", "new"] == 7
    assert snapshot.counts["execs"]["new",] == 11
    assert not [series for series in snapshot.counts["forks"] if "other" in series]


def test_without_what_user_space_counted_execs_do_not_fall(followed):
    followed.count(EXECS, 7, group=WEB)
    followed.kernel.broken.add(followed.maps["placed_execs"].fd)
    snapshot = followed.source.take()
    assert snapshot.failed == {"placed_execs"}
    assert "execs" not in snapshot.counts
    assert snapshot.entries["execs"] == 1


@pytest.mark.parametrize("name", COUNTED_MAPS)
def test_entries_that_cannot_be_counted_are_not_0(followed, name):
    followed.kernel.broken.add(followed.maps[name].fd)
    snapshot = followed.source.take()
    assert f"entries of {name}" in snapshot.failed
    assert name not in snapshot.entries
    assert len(snapshot.entries) == len(family_maps()) + len(COUNTED_MAPS) - 1


def test_what_processes_used_is_not_read_to_be_counted(sweeping):
    """There are as many as in `processes`, and each is some hundred bytes."""
    sweeping.kernel.broken.add(sweeping.maps["users"].fd)
    snapshot = sweeping.source.take()
    assert snapshot.failed == frozenset()
    assert "users" not in snapshot.entries


def test_a_program_that_cannot_be_asked(followed):
    followed.kernel.stats.clear()
    snapshot = followed.source.take()
    assert (snapshot.failed, snapshot.run_stats) == ({"run_stats"}, {})


def test_recycling(followed, monkeypatch):
    clock = 1000.0
    monkeypatch.setattr("pidinfod.metrics.snapshot.time.monotonic", lambda: clock)
    gone = followed.table.own_group(b"gone")
    followed.count(FORKS, 7, kind=0, via=0, group=gone)
    for late in (0, 61, 1):
        clock += late
        followed.source.tidy()
    snapshot = followed.source.take()
    assert snapshot.groups_recycled == 1
    # It is counted still, and shown no more.
    assert snapshot.counts["forks"]["process", "native", "gone"] == 7
    assert "gone" not in snapshot.shown
    # It comes back with another id, and its series goes on.
    again = followed.table.own_group(b"gone")
    followed.count(FORKS, 11, kind=0, via=0, group=again)
    snapshot = followed.source.take()
    assert "gone" in snapshot.shown
    assert snapshot.counts["forks"]["process", "native", "gone"] == 18


def test_a_round_that_fails_is_counted(followed):
    followed.kernel.broken.add(followed.maps["processes"].fd)
    followed.source.tidy()
    followed.kernel.broken.clear()
    assert followed.source.take().failures["recycling"] == 1


def test_without_probes_there_is_nothing_to_recycle(proc):
    source_of(proc).tidy()


def test_pids_that_mean_others(followed):
    """PID 1 of this /proc is not the 1 of the probes."""
    source = followed.source
    before = by_group(source.take())
    source.follow(
        followed.table, followed.ledger, source._followed.placer, source._followed.reader,
        knows_pids=False, is_in_first_namespace=False,
    )  # fmt: skip
    followed.kernel.put(followed.maps["processes"], key_of(1), PROCESS.pack(group=BACKUP))
    assert by_group(source.take()) == before


@pytest.mark.parametrize(
    ("knows_pids", "is_first", "by_call"),
    [(True, True, True), (True, False, False), (False, False, True), (False, True, True)],
)
def test_whom_a_namespace_of_its_own_asks(followed, knows_pids, is_first, by_call):
    """With the host's /proc, that one; what system calls say of PIDs is of other processes."""
    source = followed.source
    source.sweeper._is_by_call = True
    source.follow(
        followed.table, followed.ledger, source._followed.placer, source._followed.reader,
        knows_pids, is_first,
    )  # fmt: skip
    assert source.sweeper._is_by_call == by_call
    assert (source._followed.unseen is not None) == is_first


def test_an_exec_that_comes_meanwhile_is_not_seen_before_it_is_counted(followed):
    def come():
        followed.kernel.put(followed.maps["seen"], key_of(EVENTS.number("exec")), 1)
        yield struct.pack("=I", 1)

    followed.kernel.records = come()
    snapshot = followed.source.take()
    assert (len(followed.records), snapshot.seen["exec"]) == (1, 0)
