# SPDX-License-Identifier: Apache-2.0
"""What the loader is asked for: sizes for any number of CPUs, and a text for all rules."""

import os

import pytest

from pidinfod.groups.rules import Group
from pidinfod.groups.table import key_of
from pidinfod.kernel.records import FREE, GROUP_ENTRY, GROUP_OTHER, NO_PRECEDENCE, comm_key
from pidinfod.metrics import program
from pidinfod.metrics.families import FAMILIES

CPUS = [1, 2, 64, 256, 512, 4096]
GROUPS = [16, 1024, 4096]
MIB = 1 << 20
FAMILY_NAMES = {family.name for family in FAMILIES}


@pytest.mark.parametrize("max_groups", GROUPS)
@pytest.mark.parametrize("cpus", CPUS)
def test_values_of_all_cpus_are_bounded(cpus, max_groups):
    sizes = program.percpu_sizes(max_groups, cpus)
    assert sizes.keys() == FAMILY_NAMES
    others = sum(family.other_entries for family in FAMILIES if family.other_map)
    # On thousands of CPUs even the least takes more.
    least = len(FAMILIES) * program.LEAST_ENTRIES
    most = max(program.PERCPU_BYTES, (least + others) * 8 * cpus)
    assert (sum(sizes.values()) + others) * 8 * cpus <= most
    assert min(sizes.values()) >= program.LEAST_ENTRIES


def test_on_few_cpus_there_is_room_for_what_was_asked():
    sizes = program.percpu_sizes(1024, 2)
    for family in FAMILIES:
        assert sizes[family.name] == max(family.entries(1024), program.LEAST_ENTRIES)


@pytest.mark.parametrize(("cpus", "most"), [(1, 64), (2, 64), (64, 160), (256, 160)])
def test_the_memory_of_the_default_configuration(cpus, most):
    assert program.memory_bytes(1024, cpus, {}) <= most * MIB


@pytest.mark.parametrize("cpus", CPUS)
def test_a_cpu_can_keep_entries_of_an_lru_map_to_itself(cpus):
    sizes = program.map_sizes(1024, cpus, {})
    for name, size in program.LRU_SIZES.items():
        assert sizes[name] == max(size, 256 * cpus)


@pytest.mark.parametrize("cpus", CPUS)
def test_given_sizes_win(cpus):
    given = {"forks": 211, "generated": 7, "processes": 1009, "events": 4096}
    sizes = program.map_sizes(1024, cpus, given)
    assert {name: sizes[name] for name in given} == given
    rest = program.map_sizes(1024, cpus, {})
    assert {name: size for name, size in sizes.items() if name not in given} == {
        name: size for name, size in rest.items() if name not in given
    }


def test_every_size_can_be_given():
    assert program.MAP_NAMES | {"groups"} == program.map_sizes(1024, 2, {}).keys()


def test_memory_grows_with_what_is_given():
    without = program.memory_bytes(1024, 3, {})
    assert program.memory_bytes(1024, 3, {"events": MIB + 4096}) == without + 4096
    # struct htab_elem, the key of 4 bytes, and the value: a pointer and 3 CPUs.
    size = program.map_sizes(1024, 3, {})["execs"]
    more = program.memory_bytes(1024, 3, {"execs": size + 7}) - without
    assert more == 7 * (48 + 8 + 8 + 3 * 8)


WEB = Group("web", comm=("nginx", "apache2"))
BACKUP = Group("backup", exe=("^/usr/bin/rsync$",))
DB = Group("db", comm=("postgres",), children=True)
CONFIGURATIONS = [
    [], [WEB], [WEB, DB], [DB, WEB], [BACKUP, WEB], [Group("x" * 63, user=("0",))],
    [Group(f"g{number}", comm=(f"c{number}",)) for number in range(211)],
]  # fmt: skip


@pytest.mark.parametrize("groups", CONFIGURATIONS, ids=len)
def test_rules_change_what_maps_hold_and_nothing_else(groups):
    none = program.request([], 1024, 2, {}, True)
    some = program.request(groups, 1024, 2, {}, True)
    for name in ("fill", "free_groups"):
        some.pop(name)
        none.pop(name)
    assert some == none


def test_max_groups_changes_sizes_and_nothing_else():
    few, many = (program.request([WEB], number, 2, {}, True) for number in (64, 4096))
    assert len(few.pop("free_groups")) == 64 - 3
    assert len(many.pop("free_groups")) == 4096 - 3
    assert few.pop("sizes") != many.pop("sizes")
    assert few == many


def test_what_maps_hold():
    fill = program.declare([WEB, BACKUP, DB])
    assert [key for key, _ in fill["group_table"]] == [
        key_of(number).hex() for number in (GROUP_OTHER, 2, 3, 4)
    ]
    other, *entries = (
        GROUP_ENTRY.unpack(bytes.fromhex(value)) for _, value in fill["group_table"]
    )
    # Every rule comes before it, or what has no id of its own would not be looked at.
    assert (other.kind, other.precedence) == (FREE, NO_PRECEDENCE)
    assert [(one.name.rstrip(b"\0"), one.precedence, one.keeps_children) for one in entries] == [
        (b"web", 0, 0), (b"backup", 1, 0), (b"db", 2, 1),
    ]  # fmt: skip
    assert dict(fill["comm_rules"]) == {
        comm_key(comm).hex(): key_of(number).hex()
        for comm, number in ((b"nginx", 2), (b"apache2", 2), (b"postgres", 4))
    }
    assert fill["settings"] == [(bytes(4).hex(), key_of(1).hex())]
    assert program.declare([WEB])["settings"] == [(bytes(4).hex(), key_of(NO_PRECEDENCE).hex())]


def test_ids_are_declared_or_free():
    request = program.request([WEB, DB], 64, 2, {}, True)
    assert request["free_groups"] == list(range(4, 64))
    assert request["sizes"]["groups"] == 64


@pytest.mark.parametrize(
    ("given", "pages"), [(0, 1), (1, 1), (4096, 1), (3 * 65536, 3 * 65536 // 4096)]
)
def test_the_ring_is_in_pages(given, pages):
    sizes = program.request([], 64, 2, {"events": given}, True)["sizes"]
    assert sizes["events"] == pages * 4096 // os.sysconf("SC_PAGE_SIZE") or sizes["events"] == 1


def test_kill_failures_are_asked_for():
    assert program.request([], 64, 2, {}, True)["kill_failures"] is True
    assert program.request([], 64, 2, {}, False)["kill_failures"] is False
