# SPDX-License-Identifier: Apache-2.0
"""Other groups are declared while the probes count: at the level of the maps, as a reload will do.
Each count stays under its name."""

import os
import struct
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from pidinfod.groups.placement import Placer
from pidinfod.groups.rules import Group, Rules
from pidinfod.groups.table import GroupTable, TooManyGroups
from pidinfod.kernel import events, handoff, libbpf
from pidinfod.kernel.records import EVENT_CGROUP, EVENT_DEATH, EVENT_PLACEMENT, PLACEMENT_EVENT
from pidinfod.metrics.lives import EXECS, EXITS, LIFETIME
from pidinfod.service import daemon
from pidinfod.service.config import Config

pytestmark = pytest.mark.usefixtures("root")

ONE, TWO, THREE = (f"decl{n}-{os.getpid()}"[:15] for n in (1, 2, 3))
BY_NAME = [Group("first", comm=(ONE,)), Group("second", comm=(TWO,))]


class Probes:
    """The probes, and the part of user space that places processes; what it is asked, by name."""

    def __init__(self, groups):
        config = Config(groups=tuple(groups), max_groups=512)
        self.loaded = handoff.load(daemon.request(config), daemon.LOAD_SECONDS)
        self.table = GroupTable(self.loaded)
        self.told = Counter()
        self._place_by(groups)
        ignore = dict.fromkeys((EVENT_CGROUP, EVENT_DEATH), lambda raw: None)
        self._reader = events.Reader(
            self.loaded.ring_fd, ignore | {EVENT_PLACEMENT: self._on_event}
        )
        self._reader.start()
        self._placer.place_running()

    def _place_by(self, groups):
        self._placer = Placer(
            Rules(groups), self.loaded, Path("/proc"), Counter(), lambda seconds: None
        )

    def _on_event(self, raw):
        event = PLACEMENT_EVENT.unpack(raw)
        if event.is_exec:
            self.told[event.comm.rstrip(b"\0").decode()] += 1
        self._placer.on_event(raw)

    def declare(self, groups):
        self._reader.drain()
        self.table.declare(groups)
        self._place_by(groups)

    def counted(self, family):
        """By group."""
        self._reader.drain()
        names = self.table.names()
        found = Counter()
        for key, count in libbpf.read_counts(self.loaded.maps[family.name]).items():
            series = family.series(key, names)
            found[series[family.group_labels[0]]] += family.events(series, count)
        if family is EXECS:
            placed = self.loaded.maps["placed_execs"]
            for group, (count,) in libbpf.read_records(placed, struct.Struct("=Q")):
                found[names[group]] += count
        return {name: found[name] for name in ("first", "second", "new", THREE, "by-exe")}

    def close(self):
        self._reader.stop()
        self.loaded.close()


@pytest.fixture
def probes():
    found = Probes(BY_NAME)
    yield found
    found.close()


@pytest.fixture
def programs(tmp_path):
    for name in (ONE, TWO, THREE):
        (tmp_path / name).symlink_to("/bin/true")
    return tmp_path


def run(programs, **times):
    for name, count in times.items():
        for _ in range(count):
            subprocess.run([programs / {"one": ONE, "two": TWO, "three": THREE}[name]], check=True)


def test_each_count_stays_under_its_name(probes, programs):
    before = probes.table.declared()
    run(programs, one=7, two=11, three=13)
    expected = {"first": 7, "second": 11, "new": 0, THREE: 13, "by-exe": 0}
    assert probes.counted(EXECS) == expected
    # Times are told apart of declared groups alone.
    assert probes.counted(LIFETIME) == expected | {THREE: 0}

    # One before the others, one less, and the first rule that takes more than the name, last.
    by_exe = Group("by-exe", exe=("/true$",))
    probes.declare([Group("new", comm=(THREE,)), BY_NAME[1], by_exe])
    now = probes.table.declared()
    assert now["second"] == before["second"]
    assert set(now) == {"new", "second", "by-exe"}
    probes.told.clear()
    run(programs, one=17, two=19, three=23)
    exits = probes.counted(EXITS)
    assert (exits["second"], exits["new"]) == (11 + 19, 23)
    assert exits["first"] == 7  # its past stays, and grows no more
    assert exits[THREE] == 13
    times = probes.counted(LIFETIME)
    assert (times["first"], times["second"], times["new"], times[THREE]) == (7, 11 + 19, 23, 0)
    # What a rule on the name tells is not asked, as those rules come before the one on exe.
    execs = probes.counted(EXECS)
    assert probes.told[ONE] == 17
    assert probes.told[TWO] == probes.told[THREE] == 0
    assert (execs["first"], execs["second"], execs["new"]) == (7, 11 + 19, 23)

    # And back: the ids are those of the beginning.
    probes.declare(BY_NAME)
    assert probes.table.declared() == before
    run(programs, one=29)
    assert probes.counted(EXECS)["first"] == 7 + 29


def test_more_groups_than_there_is_room_for_change_nothing(probes):
    before = probes.table.declared()
    with pytest.raises(TooManyGroups):
        probes.declare([*BY_NAME, *(Group(f"more{i}", comm=(f"m{i}",)) for i in range(521))])
    assert probes.table.declared() == before
