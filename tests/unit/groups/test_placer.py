# SPDX-License-Identifier: Apache-2.0
"""Processes are placed by what /proc says of the program that the kernel told of, or not at all."""

from collections import Counter

import pytest

from pidinfod.groups import placement
from pidinfod.groups.placement import MISSES, Placer
from pidinfod.groups.rules import Group, Rules
from pidinfod.groups.table import GroupTable, key_of
from pidinfod.kernel import libbpf
from pidinfod.kernel.records import (
    EVENT_PLACEMENT,
    GROUP_KERNEL,
    PLACEMENT,
    PLACEMENT_EVENT,
    PROCESS,
)  # fmt: skip

WEB, BACKUP, JOBS = 2, 3, 4  # their ids
GROUPS = (
    Group("web", comm=("nginx",)),
    Group("backup", exe=("^/usr/bin/rsync$",)),
    Group("jobs", exe=("^/usr/sbin/cron$",), children=True),
)
PROVISIONAL = 9
PF_KTHREAD = 0x00200000


class World:
    def __init__(self, kernel, proc, groups):
        self.kernel, self.proc = kernel, proc
        self.loaded = kernel.load(groups)
        self.misses = Counter(dict.fromkeys(MISSES, 0))
        self.noted = []  # how old what was noted may be, and what had been placed by then
        self.placer = Placer(Rules(groups), self.loaded, proc, self.misses, self._note_use)

    def _note_use(self, seconds):
        self.noted.append((seconds, self.placed()))

    def process(self, pid, exe, comm=b"sh", ppid=1, flags=0, start=7):
        """In /proc."""
        folder = self.proc / str(pid)
        folder.mkdir(exist_ok=True)
        (folder / "exe").unlink(missing_ok=True)
        (folder / "exe").symlink_to(exe)
        fields = ["S", ppid, *[0] * 4, flags, *[0] * 12, start, *[0] * 30]
        (folder / "stat").write_bytes(
            b"%d (%s) %s\n" % (pid, comm, " ".join(map(str, fields)).encode())
        )

    def runs(self, pid, exec_id, group=PROVISIONAL):
        """The kernel's record."""
        record = PROCESS.pack(exec_id=exec_id, group=group, start_ns=211)
        self.kernel.put(self.loaded.maps["processes"], key_of(pid), record)

    def event(self, pid, exec_id, before=0, is_exec=1, group=PROVISIONAL):
        self.placer.on_event(PLACEMENT_EVENT.pack(
            type=EVENT_PLACEMENT, tgid=pid, exec_id=exec_id, before=before, group=group,
            is_exec=is_exec, comm=b"sh".ljust(16, b"\0"),
        ))  # fmt: skip

    def placed(self):
        return {int.from_bytes(key, "little"): tuple(PLACEMENT.unpack(value))
                for key, value in self.kernel.content(self.loaded.maps["placements"]).items()
               }  # fmt: skip

    def execs(self):
        return {int.from_bytes(key, "little"): int.from_bytes(value, "little")
                for key, value in self.kernel.content(self.loaded.maps["placed_execs"]).items()
               }  # fmt: skip

    def missed(self):
        return {reason: count for reason, count in self.misses.items() if count}


@pytest.fixture
def world(kernel, tmp_path):
    return World(kernel, tmp_path, GROUPS)


@pytest.mark.parametrize(
    ("exe", "group"),
    [("/usr/bin/rsync", BACKUP), ("/usr/sbin/cron", JOBS), ("/usr/bin/true", PROVISIONAL)],
)
def test_an_exec(world, exe, group):
    world.process(11, exe)
    world.runs(11, 1009)
    world.event(11, 1009)
    assert world.placed() == {11: (1009, group)}
    assert world.execs() == {group: 1}
    assert world.missed() == {}


def test_an_exec_of_a_process_that_is_gone(world):
    world.process(11, "/usr/bin/rsync")
    world.event(11, 1009)
    assert world.placed() == {}
    assert world.execs() == {PROVISIONAL: 1}  # the exec was, all the same
    assert world.missed() == {"gone": 1}


@pytest.mark.parametrize("now", [1013, 0])
def test_a_process_that_has_gone_on(world, now):
    world.process(11, "/usr/bin/rsync")
    world.runs(11, now)
    world.event(11, 1009)
    assert world.placed() == {}
    assert world.execs() == {PROVISIONAL: 1}
    # One whose exec_id is 0 was placed otherwise.
    assert world.missed() == ({"exec": 1} if now else {})


def test_a_process_that_goes_on_while_it_is_looked_at(world, monkeypatch):
    world.process(11, "/usr/bin/rsync")
    world.runs(11, 1009)
    genuine = world.placer._write

    def write(*args):
        written = genuine(*args)
        world.runs(11, 1013)
        return written

    monkeypatch.setattr(world.placer, "_write", write)
    world.event(11, 1009)
    assert world.placed() == {}
    assert world.missed() == {"exec": 1}


def test_one_look_does_for_all_that_run_a_program(world):
    world.process(11, "/usr/bin/rsync")
    world.runs(11, 1009)
    world.event(11, 1009)
    # A child that was forked before its parent was placed; it cannot be seen any more.
    world.runs(13, 1009)
    world.event(13, 1009, is_exec=0)
    assert world.placed() == {11: (1009, BACKUP), 13: (1009, BACKUP)}
    assert world.execs() == {BACKUP: 1}


@pytest.mark.parametrize(("exe", "group"), [("/usr/bin/true", JOBS), ("/usr/bin/rsync", BACKUP)])
def test_children_stay_unless_a_rule_before_says_otherwise(world, exe, group):
    world.process(11, "/usr/sbin/cron")
    world.runs(11, 1009)
    world.event(11, 1009)
    world.process(13, exe)
    world.runs(13, 1013)
    world.event(13, 1013, before=1009)
    assert world.placed()[13] == (1013, group)


# The time in an exec_id, in nanoseconds, and what stands above it.
TIME_BITS = 42
NOW = 3 << TIME_BITS | 1009
LATE = 1013  # of a program that has run for almost all of that time


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(placement.time, "clock_gettime_ns", lambda _: NOW)


@pytest.mark.parametrize("above", [0, 1, 5, (1 << 22) - 1])
@pytest.mark.parametrize(
    ("age_ns", "is_late"),
    [(0, False), (1009, False), (placement.LATE_NS - 1, False), (placement.LATE_NS, True),
     (10**11, True)],
)  # fmt: skip
def test_what_a_program_used_is_noted_if_it_is_placed_late(world, clock, age_ns, is_late, above):
    """The time of an exec_id may have begun anew since: ages count, not times."""
    exec_id = (NOW - age_ns) % (1 << TIME_BITS) | above << TIME_BITS
    world.process(11, "/usr/bin/rsync")
    world.runs(11, exec_id)
    world.event(11, exec_id)
    assert world.placed() == {11: (exec_id, BACKUP)}
    assert world.noted == ([(placement.LATE_NS / 1e9, {})] if is_late else [])


def test_what_stays_in_its_group_is_not_noted(world, clock):
    world.process(11, "/usr/bin/true")
    world.runs(11, LATE)
    world.event(11, LATE)
    assert world.placed() == {11: (LATE, PROVISIONAL)}
    world.event(13, LATE)  # and is gone
    world.event(17, LATE + 1)  # of which nothing is known
    assert world.noted == []


def test_what_a_child_used_is_noted_too(world, clock):
    """Its parent's program was placed, and it was forked before."""
    world.process(11, "/usr/bin/rsync")
    world.runs(11, LATE)
    world.event(11, LATE)
    world.runs(13, LATE)
    world.event(13, LATE, is_exec=0)
    assert [placed.keys() for _, placed in world.noted] == [set(), {11}]


def test_what_cannot_be_noted_costs_no_placement(world, clock, monkeypatch):
    def note(seconds):
        raise PermissionError("made up")

    monkeypatch.setattr(world.placer, "_note_use", note)
    world.process(11, "/usr/bin/rsync")
    world.runs(11, LATE)
    world.event(11, LATE)
    assert world.placed() == {11: (LATE, BACKUP)}
    assert world.execs() == {BACKUP: 1}
    assert world.missed() == {}


def test_a_full_map(world):
    for pid in range(64):
        world.kernel.put(world.loaded.maps["placements"], key_of(1000 + pid), PLACEMENT.pack())
    world.process(11, "/usr/bin/rsync")
    world.runs(11, 1009)
    world.event(11, 1009)
    assert 11 not in world.placed()
    assert world.execs() == {PROVISIONAL: 1}
    assert world.missed() == {"full": 1}


def test_an_executable_that_cannot_be_seen(world):
    world.process(11, "/usr/bin/rsync")
    (world.proc / "11/exe").unlink()
    (world.proc / "11/exe").mkdir()  # EINVAL
    world.runs(11, 1009)
    world.event(11, 1009)
    assert world.placed() == {11: (1009, PROVISIONAL)}
    assert world.missed() == {"unreadable": 1}


def test_a_process_that_is_hidden(world):
    """hidepid: the kernel says that it runs, and /proc does not have it."""
    world.runs(11, 1009)
    world.event(11, 1009)
    assert world.placed() == {11: (1009, PROVISIONAL)}
    assert world.missed() == {"unreadable": 1}


@pytest.mark.parametrize("has_proc", [True, False])
def test_names_do_for_all_rules(kernel, tmp_path, has_proc):
    world = World(kernel, tmp_path, GROUPS[:1])
    world.placer._proc = tmp_path if has_proc else None
    world.runs(11, 1009)
    world.event(11, 1009)
    assert world.placed() == {11: (1009, PROVISIONAL)}
    assert world.missed() == {}


def test_a_map_that_fails_costs_a_placement_and_no_exec(world):
    world.process(11, "/usr/bin/rsync")
    world.runs(11, 1009)
    world.kernel.broken.add(world.loaded.maps["placements"].fd)
    world.event(11, 1009)
    assert world.execs() == {PROVISIONAL: 1}
    assert world.missed() == {"unreadable": 1}


def records(world):
    return {
        int.from_bytes(key, "little"): PROCESS.unpack(value)
        for key, value in world.kernel.content(world.loaded.maps["processes"]).items()
    }


def test_those_that_run_already(world):
    world.process(2, "/gone", b"kthreadd", ppid=0, flags=PF_KTHREAD)
    world.process(23, "/gone", b"kworker/0:1", ppid=2, flags=PF_KTHREAD)
    world.process(1, "/sbin/init", b"init", ppid=0)
    world.process(7, "/usr/sbin/cron", b"cron")
    world.process(5, "/usr/bin/true", b"true", ppid=7)  # a child with a lower number
    world.process(3, "/usr/bin/rsync", b"rsync", ppid=5)
    world.process(11, "/usr/sbin/nginx", b"nginx", start=997)
    world.process(13, "/bin/sh", b"init", ppid=1)
    (world.proc / "17").mkdir()  # hidden
    (world.proc / "sys").mkdir()
    world.placer.place_running()
    found = records(world)
    init = found[1].group
    assert {pid: one.group for pid, one in found.items()} == {
        2: GROUP_KERNEL, 23: GROUP_KERNEL, 1: init, 7: JOBS, 5: JOBS, 3: BACKUP, 11: WEB,
        13: init,
    }  # fmt: skip
    assert init not in (GROUP_KERNEL, WEB, BACKUP, JOBS)
    assert libbpf.lookup(world.loaded.maps["groups"], b"init".ljust(16, b"\0")) == key_of(init)
    assert found[11].start_ns == 997 * 10_000_000
    assert all(one.is_start_rounded and not one.exec_id for one in found.values())


def test_without_rules_those_that_run_already_are_in_the_groups_of_their_names(kernel, tmp_path):
    world = World(kernel, tmp_path, ())
    world.process(2, "/gone", b"kthreadd", ppid=0, flags=PF_KTHREAD)
    world.process(1, "/sbin/init", b"init", ppid=0)
    for pid in (7, 11, 13):
        world.process(pid, "/bin/sh", b"sh) R (")
    world.runs(13, 1009)
    world.placer.place_running()
    found = records(world)
    init, shell = found[1].group, found[7].group
    assert len({init, shell, GROUP_KERNEL}) == 3
    assert {pid: one.group for pid, one in found.items()} == {
        1: init, 2: GROUP_KERNEL, 7: shell, 11: shell, 13: PROVISIONAL,
    }  # fmt: skip
    names = GroupTable(world.loaded).names()
    assert [names[group] for group in (init, shell)] == ["init", "sh) R ("]
    assert world.placed() == {}


def test_what_the_kernel_placed_meanwhile_stays_unless_the_rules_know_more(world):
    world.process(11, "/usr/bin/rsync", b"rsync")
    world.process(13, "/usr/bin/true", b"true")
    for pid in (11, 13):
        world.runs(pid, 1009)
    world.placer.place_running()
    # The records are the kernel's to write: one that came from here could be of a moment ago.
    for one in records(world).values():
        assert (one.group, one.exec_id, one.start_ns) == (PROVISIONAL, 1009, 211)
    assert world.placed() == {11: (1009, BACKUP)}
    # A child that was forked before: there is nothing of it in /proc.
    world.runs(17, 1009)
    world.event(17, 1009, is_exec=0)
    assert world.placed()[17] == (1009, BACKUP)


def test_a_program_that_changes_while_it_is_looked_at(world, monkeypatch):
    world.process(11, "/usr/bin/rsync", b"rsync")
    world.runs(11, 1009)
    genuine = world.placer._rules.place

    def place(*args):
        world.runs(11, 1013)
        return genuine(*args)

    monkeypatch.setattr(world.placer._rules, "place", place)
    world.placer.place_running()
    assert world.placed() == {}


def test_a_process_that_ends_while_others_are_entered(world, monkeypatch):
    for pid in (11, 13):
        world.process(pid, "/usr/bin/true")
    genuine = world.placer._place_running

    def place(process, *args):
        group = genuine(process, *args)
        for name in ("exe", "stat"):
            (world.proc / str(process.pid) / name).unlink()
        (world.proc / str(process.pid)).rmdir()
        if process.pid == 13:
            world.runs(13, 0)  # the next one with that PID
        return group

    monkeypatch.setattr(world.placer, "_place_running", place)
    world.placer.place_running()
    assert list(records(world)) == [13]


def test_pids_that_mean_others(world):
    """In a PID namespace of its own, PID 11 is another process than the kernel's 11."""
    world.placer = Placer(Rules(GROUPS), world.loaded, None, world.misses, world._note_use)
    world.process(11, "/usr/bin/rsync")
    world.runs(11, 1009)
    world.event(11, 1009)
    assert world.placed() == {11: (1009, PROVISIONAL)}
    assert world.execs() == {PROVISIONAL: 1}
    assert world.missed() == {"unreadable": 1}


def test_parents_in_a_circle(world):
    world.process(11, "/usr/bin/rsync", ppid=13)
    world.process(13, "/usr/bin/true", ppid=11)
    world.placer.place_running()
    assert records(world)[11].group == BACKUP
