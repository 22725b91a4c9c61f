# SPDX-License-Identifier: Apache-2.0
"""Ids of groups that nothing names go back, and what was counted for them is kept."""

import os

import pytest

from pidinfod.groups.rules import Group
from pidinfod.groups.table import GroupTable, key_of
from pidinfod.kernel import libbpf
from pidinfod.kernel.records import (
    DECLARED,
    FREE,
    GROUP_ENTRY,
    NO_PRECEDENCE,
    PLACEMENT,
    PROCESS,
    comm_key,
)  # fmt: skip
from pidinfod.metrics import recycling
from pidinfod.metrics.families import FAMILIES
from pidinfod.metrics.lives import EXECS, FORKS, LIFETIME
from pidinfod.metrics.past import Past
from pidinfod.metrics.recycling import Recycler
from pidinfod.metrics.schema import SUM_SLOT
from pidinfod.metrics.signals import GENERATED

TTL = 61.0
WEB = 2


class World:
    def __init__(self, kernel):
        self.kernel = kernel
        self.loaded = kernel.load([Group("web", comm=("nginx",))])
        self.maps = self.loaded.maps
        self.table = GroupTable(self.loaded)
        self.past = Past()
        self.drains, self.drains_all = 0, True
        self.given_back = []  # ids and names of what was used
        self.recycler = Recycler(
            self.loaded, self.table, FAMILIES, self.past, TTL, self._drain, self._give_back_use
        )

    def _drain(self):
        self.drains += 1
        return self.drains_all

    def _give_back_use(self, number, name):
        self.given_back.append((number, name))

    def count(self, family, *values, **fields):
        self.kernel.put(self.maps[family.name], family.key.pack(**fields), *values)

    def process(self, pid, **fields):
        self.kernel.put(self.maps["processes"], key_of(pid), PROCESS.pack(**fields))

    def free(self):
        return self.kernel.queue(self.loaded.free_groups_fd)

    def keys(self, family):
        return len(self.kernel.content(self.maps[family.name]))

    def rounds(self, *times):
        for now in times:
            self.recycler.round(now)


@pytest.fixture
def world(kernel):
    return World(kernel)


def test_two_rounds(world):
    bash = world.table.own_group(b"bash")
    world.count(FORKS, 3, 0, 4, kind=0, via=0, group=bash)
    world.count(FORKS, 11, kind=0, via=0, group=WEB)
    world.rounds(1000, 1000 + TTL - 1)
    assert libbpf.lookup(world.maps["groups"], comm_key(b"bash")) == key_of(bash)
    # The name is taken out, the id stands for it still.
    world.rounds(1000 + TTL)
    assert libbpf.lookup(world.maps["groups"], comm_key(b"bash")) is None
    assert world.table.name_of(bash) == "bash"
    assert bash not in world.free()
    assert world.drains == 0
    # All programs that held it have ended.
    world.rounds(1000 + TTL + 1)
    assert world.drains == 1
    assert world.table.name_of(bash) == "other"
    assert world.free()[-1] == bash
    assert world.recycler.recycled == 1
    assert world.past.counts() == {"forks": {("process", "native", "bash"): 7}}
    assert libbpf.read_counts(world.maps["forks"]) == {
        FORKS.key.pack(kind=0, via=0, group=WEB): 11
    }


@pytest.mark.parametrize("named_by", ["group", "parent_group", "placement"])
def test_what_is_named_stays(world, named_by):
    bash = world.table.own_group(b"bash")
    if named_by == "placement":
        world.process(11, group=WEB)
        placement = PLACEMENT.pack(exec_id=7, group=bash)
        world.kernel.put(world.maps["placements"], key_of(11), placement)
    else:
        world.process(11, **{"group": WEB, "end_ns": 7, named_by: bash})
    world.rounds(0, TTL, 2 * TTL)
    assert world.table.name_of(bash) == "bash"
    # From the last time that it was named.
    world.kernel.put(world.maps["placements"], key_of(11), PLACEMENT.pack())
    world.process(11, group=WEB)
    world.rounds(2 * TTL + 1, 3 * TTL)
    assert libbpf.lookup(world.maps["groups"], comm_key(b"bash")) == key_of(bash)
    world.rounds(3 * TTL + 1, 3 * TTL + 2)
    assert world.table.name_of(bash) == "other"


def test_a_process_at_the_last_moment(world):
    bash = world.table.own_group(b"bash")
    world.count(FORKS, 7, group=bash)
    world.rounds(0, TTL)
    world.process(11, group=bash)
    world.rounds(TTL + 1)
    assert world.table.name_of(bash) == "bash"
    assert libbpf.lookup(world.maps["groups"], comm_key(b"bash")) == key_of(bash)
    assert world.keys(FORKS) == 1
    assert world.recycler.recycled == 0
    assert bash not in world.free()


def test_the_name_comes_back_between_the_rounds(world):
    bash = world.table.own_group(b"bash")
    world.count(FORKS, 7, group=bash)
    world.rounds(0, TTL)
    again = world.table.own_group(b"bash")
    assert again != bash
    world.process(11, group=again)
    world.count(FORKS, 5, group=again)
    world.rounds(TTL + 1)
    assert world.table.name_of(again) == "bash"
    assert bash in world.free()
    assert libbpf.lookup(world.maps["groups"], comm_key(b"bash")) == key_of(again)
    # Its series goes on where it was.
    assert world.past.counts() == {"forks": {("process", "native", "bash"): 7}}


def test_both_ids_of_a_name_are_named(world):
    bash = world.table.own_group(b"bash")
    world.rounds(0, TTL)
    again = world.table.own_group(b"bash")
    for pid, group in ((11, bash), (13, again)):
        world.process(pid, group=group)
    world.rounds(TTL + 1)
    assert world.table.name_of(bash) == world.table.name_of(again) == "bash"
    assert libbpf.lookup(world.maps["groups"], comm_key(b"bash")) == key_of(again)


def test_every_kind_of_series(world):
    bash, cat = world.table.own_group(b"bash"), world.table.own_group(b"cat")
    world.process(11, group=cat)
    world.count(GENERATED, 3, signal=15, sender=bash, target=cat)
    world.count(GENERATED, 5, signal=15, sender=cat, target=bash)
    world.count(GENERATED, 11, signal=15, sender=cat, target=cat)
    world.count(LIFETIME, 2, group=bash, slot=4)
    world.count(LIFETIME, 10**9, group=bash, slot=SUM_SLOT)
    world.count(EXECS, 13, group=bash)
    world.kernel.put(world.maps["placed_execs"], key_of(bash), 17)
    world.rounds(0, TTL, TTL + 1)
    assert world.keys(GENERATED) == 1
    assert world.keys(LIFETIME) == world.keys(EXECS) == 0
    assert world.kernel.content(world.maps["placed_execs"]) == {}
    past = world.past.counts()
    assert past["signals_generated"] == {
        ("SIGTERM", "user", "delivered", "bash", "cat"): 3,
        ("SIGTERM", "user", "delivered", "cat", "bash"): 5,
    }
    assert past["process_lifetime_seconds"] == {("bash", 4): 2, ("bash", SUM_SLOT): 10**9}
    assert past["execs"] == {("bash",): 30}


def test_the_past_of_a_name_that_is_back_is_kept(world):
    """However much else is recycled."""
    world.past._capacity = 3
    bash = world.table.own_group(b"bash")
    world.count(FORKS, 7, group=bash)
    world.rounds(0, TTL, TTL + 1)
    world.process(11, group=world.table.own_group(b"bash"))
    for number in range(5):
        world.count(FORKS, 1, group=world.table.own_group(b"name%d" % number))
    world.rounds(2 * TTL, 3 * TTL, 3 * TTL + 1)
    forks = world.past.counts()["forks"]
    assert len(forks) == 3
    assert forks["process", "native", "bash"] == 7
    assert world.past.forgotten == {"forks": 3}


def test_what_was_used_is_given_back_last(world, monkeypatch):
    """When the other counts have been moved, and before the id can stand for another name."""
    bash, cat = world.table.own_group(b"bash"), world.table.own_group(b"kernel")
    for group in (bash, cat):
        world.count(FORKS, 7, group=group)
        world.kernel.put(world.maps["placed_execs"], key_of(group), 17)
    seen = []

    def give_back(number, name):
        moved = world.past.counts()["execs"][name,]
        seen.append((number, name, world.keys(FORKS), moved, number in world.free()))

    monkeypatch.setattr(world.recycler, "_give_back_use", give_back)
    world.rounds(0, TTL)
    assert seen == []
    world.rounds(TTL + 1, TTL + 2, 3 * TTL)
    assert sorted(seen) == [(bash, "bash", 0, 17, False), (cat, "comm:kernel", 0, 17, False)]
    assert {bash, cat} <= set(world.free())


def test_what_stays_gives_nothing_back(world):
    bash = world.table.own_group(b"bash")
    world.rounds(0, TTL)
    world.process(11, group=bash)
    world.rounds(TTL + 1)
    assert world.given_back == []


def test_use_that_cannot_be_given_back_costs_a_round(world, monkeypatch):
    bash = world.table.own_group(b"bash")
    world.count(EXECS, 13, group=bash)
    world.rounds(0, TTL)
    with monkeypatch.context() as patched:
        patched.setattr(world.recycler, "_give_back_use", lambda *_: os.stat("/nothing"))
        with pytest.raises(FileNotFoundError):
            world.recycler.round(TTL + 1)
    assert (world.free().count(bash), world.recycler.recycled) == (0, 0)
    world.rounds(TTL + 2)
    assert (world.free().count(bash), world.recycler.recycled) == (1, 1)
    assert world.given_back == [(bash, "bash")]
    assert world.past.counts() == {"execs": {("bash",): 13}}  # once


def test_declared_groups_and_fixed_ones_stay(world):
    world.rounds(0, TTL, 2 * TTL, 3 * TTL)
    assert [world.table.name_of(number) for number in range(3)] == ["kernel", "other", "web"]
    assert world.recycler.recycled == 0


def test_a_group_that_is_not_declared_any_more_goes(world):
    world.table.declare([])
    world.count(FORKS, 7, group=WEB)
    world.rounds(0, TTL, TTL + 1)
    assert world.table.name_of(WEB) == "other"
    assert world.free()[-1] == WEB
    assert world.past.counts() == {"forks": {("process", "native", "web"): 7}}


def test_a_group_that_is_declared_again_between_the_rounds_stays(world):
    world.table.declare([])
    world.rounds(0, TTL)
    world.table.declare([Group("web", comm=("nginx",))])
    world.rounds(TTL + 1, 2 * TTL + 1, 3 * TTL + 1)
    assert world.table.declared() == {"web": WEB}
    entry = GROUP_ENTRY.unpack(libbpf.lookup(world.maps["group_table"], key_of(WEB)))
    assert (entry.kind, entry.precedence) == (DECLARED, 0)
    assert WEB not in world.free()


def test_a_map_that_cannot_be_read_costs_a_round(world):
    bash = world.table.own_group(b"bash")
    world.rounds(0)
    world.kernel.broken.add(world.maps["processes"].fd)
    with pytest.raises(PermissionError, match="processes"):
        world.recycler.round(TTL)
    world.kernel.broken.clear()
    world.rounds(TTL)
    world.kernel.broken.add(world.maps["forks"].fd)
    with pytest.raises(PermissionError, match="forks"):
        world.recycler.round(TTL + 1)
    assert bash not in world.free()
    world.kernel.broken.clear()
    world.rounds(TTL + 2)
    assert world.free().count(bash) == 1


def test_ids_go_round(world):
    """More names than there are ids, one after the other."""
    for number in range(101):
        own = world.table.own_group(b"name%d" % number)
        assert own > WEB
        world.count(FORKS, 1, group=own)
        world.rounds(*(number * 1000 + late for late in (0, TTL, TTL + 1)))
    assert world.recycler.recycled == 101
    entries = map(GROUP_ENTRY.unpack, libbpf.read_array(world.maps["group_table"]))
    assert [entry.kind for entry in entries] == [FREE, FREE, DECLARED, *[FREE] * 13]
    assert sum(world.past.counts()["forks"].values()) == 101
    assert NO_PRECEDENCE == 2**32 - 1


def test_programs_can_be_waited_for():
    assert recycling.wait_for_programs()


def test_an_id_waits_for_the_ring(world):
    """In a storm it may hold records that name the id."""
    bash = world.table.own_group(b"bash")
    world.drains_all = False
    world.rounds(0, TTL, TTL + 1, TTL + 2)
    assert world.table.name_of(bash) == "bash"
    world.drains_all = True
    world.rounds(TTL + 3)
    assert world.table.name_of(bash) == "other"


def test_a_process_that_ends_while_the_ring_is_emptied(world):
    """What it told last is in the ring, so its record is looked at before."""
    bash = world.table.own_group(b"bash")
    world.rounds(0, TTL)
    world.process(11, group=bash)
    genuine = world.recycler._drain

    def drain():
        libbpf.delete(world.maps["processes"], key_of(11))
        return genuine()

    world.recycler._drain = drain
    world.rounds(TTL + 1)
    assert world.table.name_of(bash) == "bash"


def test_a_kernel_that_does_not_wait(world, monkeypatch):
    """membarrier(2) fails with nohz_full: then time has to do."""
    monkeypatch.setattr(recycling, "_MEMBARRIER_CMD_GLOBAL", 1 << 30)
    bash = world.table.own_group(b"bash")
    world.rounds(0, TTL, TTL + recycling.PROGRAMS_SECONDS - 1)
    assert world.table.name_of(bash) == "bash"
    world.rounds(TTL + recycling.PROGRAMS_SECONDS)
    assert world.table.name_of(bash) == "other"
