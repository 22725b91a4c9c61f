# SPDX-License-Identifier: Apache-2.0
"""Groups keep their ids while rules come, go and change places."""

import pytest

from pidinfod.groups.rules import Group
from pidinfod.groups.table import FIRST_GROUP, GroupTable, TooManyGroups, key_of
from pidinfod.kernel import libbpf
from pidinfod.kernel.records import (
    BY_COMM,
    DECLARED,
    FREE,
    GROUP_ENTRY,
    GROUP_OTHER,
    NO_PRECEDENCE,
    SETTING,
    comm_key,
)  # fmt: skip

WEB = Group("web", comm=("nginx", "apache2"))
DB = Group("db", comm=("postgres",), children=True)
JOBS = Group("jobs", comm=("cron",))
BACKUP = Group("backup", exe=("^/usr/bin/rsync$",))
MIXED = Group("mixed", comm=("java",), user=("1009",))


@pytest.fixture
def running(kernel):
    """The probes with these groups, and their table."""

    def load(*groups, max_groups=16):
        loaded = kernel.load(groups, max_groups)
        return loaded, GroupTable(loaded)

    return load


def entry(loaded, number):
    return GROUP_ENTRY.unpack(libbpf.lookup(loaded.maps["group_table"], key_of(number)))


def rules(kernel, loaded):
    return {key.rstrip(b"\0").decode(): int.from_bytes(value, "little")
            for key, value in kernel.content(loaded.maps["comm_rules"]).items()}  # fmt: skip


def refined(loaded):
    place = SETTING.number("refined_precedence")
    return int.from_bytes(libbpf.lookup(loaded.maps["settings"], key_of(place)), "little")


def test_what_is_declared_at_the_start(kernel, running):
    loaded, table = running(WEB, DB, BACKUP)
    assert table.declared() == {"web": 2, "db": 3, "backup": 4}
    assert rules(kernel, loaded) == {"nginx": 2, "apache2": 2, "postgres": 3}
    assert refined(loaded) == 2
    assert [entry(loaded, number).precedence for number in (2, 3, 4)] == [0, 1, 2]
    assert [entry(loaded, number).keeps_children for number in (2, 3, 4)] == [0, 1, 0]
    assert kernel.queue(loaded.free_groups_fd) == list(range(5, 16))
    assert [table.name_of(number) for number in range(6)] == [
        "kernel", "other", "web", "db", "backup", "other",
    ]  # fmt: skip
    assert table.name_of(99) == "other"


def test_the_same_again_changes_nothing(kernel, running):
    loaded, table = running(WEB, DB, BACKUP)
    before = {name: kernel.content(one) for name, one in loaded.maps.items()}
    table.declare([WEB, DB, BACKUP])
    assert {name: kernel.content(one) for name, one in loaded.maps.items()} == before


def test_one_is_put_in_front(kernel, running):
    loaded, table = running(WEB, DB)
    table.declare([JOBS, WEB, DB])
    assert table.declared() == {"web": 2, "db": 3, "jobs": 4}
    assert [entry(loaded, number).precedence for number in (4, 2, 3)] == [0, 1, 2]
    assert rules(kernel, loaded) == {"nginx": 2, "apache2": 2, "postgres": 3, "cron": 4}
    assert refined(loaded) == NO_PRECEDENCE


def test_they_change_places(running):
    loaded, table = running(WEB, DB, BACKUP)
    table.declare([BACKUP, DB, WEB])
    assert table.declared() == {"web": 2, "db": 3, "backup": 4}
    assert [entry(loaded, number).precedence for number in (4, 3, 2)] == [0, 1, 2]
    assert refined(loaded) == 0


def test_one_is_not_declared_any_more(kernel, running):
    loaded, table = running(WEB, DB, JOBS)
    table.declare([WEB, JOBS])
    assert table.declared() == {"web": 2, "jobs": 4}
    # Its processes are in it still, and children do not enter it any more.
    gone = entry(loaded, 3)
    assert (gone.kind, gone.precedence, gone.keeps_children) == (DECLARED, NO_PRECEDENCE, 0)
    assert table.name_of(3) == table.names()[3] == "db"
    assert rules(kernel, loaded) == {"nginx": 2, "apache2": 2, "cron": 4}
    assert kernel.queue(loaded.free_groups_fd) == list(range(5, 16))
    # It is declared again before its id was given back.
    table.declare([DB, WEB, JOBS])
    assert table.declared() == {"web": 2, "db": 3, "jobs": 4}
    assert entry(loaded, 3).keeps_children == 1
    assert rules(kernel, loaded)["postgres"] == 3


def test_the_first_rule_that_takes_more_than_the_name(running):
    loaded, table = running(WEB, DB)
    assert refined(loaded) == NO_PRECEDENCE
    table.declare([WEB, BACKUP, DB])
    assert refined(loaded) == 1
    table.declare([WEB, DB, MIXED])
    assert refined(loaded) == 2
    table.declare([WEB, DB])
    assert refined(loaded) == NO_PRECEDENCE


def test_a_rule_that_takes_more_than_the_name_is_none_for_the_kernel(kernel, running):
    loaded, table = running(MIXED)
    assert rules(kernel, loaded) == {}
    table.declare([Group("mixed", comm=("java",))])
    assert rules(kernel, loaded) == {"java": 2}
    table.declare([MIXED])
    assert rules(kernel, loaded) == {}


def test_a_name_goes_from_one_group_to_another(kernel, running):
    loaded, table = running(WEB, DB)
    table.declare([Group("web", comm=("apache2",)), Group("db", comm=("nginx",))])
    assert rules(kernel, loaded) == {"apache2": 2, "nginx": 3}


def test_too_many(kernel, running):
    loaded, table = running(WEB, max_groups=5)
    before = {name: kernel.content(one) for name, one in loaded.maps.items()}
    many = [Group(f"group{number}", comm=(f"c{number}",)) for number in range(3)]
    with pytest.raises(TooManyGroups, match="3 more"):
        table.declare([*many, WEB])
    assert {name: kernel.content(one) for name, one in loaded.maps.items()} == before
    assert sorted(kernel.queue(loaded.free_groups_fd)) == [3, 4]
    table.declare([*many[:2], WEB])
    assert table.declared().keys() == {"group0", "group1", "web"}
    assert table.declared()["web"] == 2
    assert kernel.queue(loaded.free_groups_fd) == []


def test_own_groups(kernel, running):
    loaded, table = running(WEB, max_groups=5)
    assert table.own_group(b"bash") == 3
    assert table.own_group(b"bash") == 3
    found = entry(loaded, 3)
    assert (found.kind, found.precedence, found.name[:16]) == (
        BY_COMM, NO_PRECEDENCE, comm_key(b"bash"),
    )  # fmt: skip
    assert table.own_group(b"web") == 4
    assert (table.name_of(3), table.name_of(4)) == ("bash", "comm:web")
    # Nobody is left out: more of them are in one group.
    assert table.own_group(b"one more") == GROUP_OTHER
    assert table.own_group(b"bash") == 3


def test_the_kernel_was_faster(kernel, running, monkeypatch):
    loaded, table = running()
    genuine = libbpf.update

    def update(handle, key, value, flags=libbpf.ANY):
        if handle.name == "groups":
            kernel.put(handle, key, key_of(11))
        return genuine(handle, key, value, flags)

    monkeypatch.setattr(libbpf, "update", update)
    assert table.own_group(b"bash") == 11
    assert entry(loaded, FIRST_GROUP).kind == FREE
    assert sorted(kernel.queue(loaded.free_groups_fd)) == list(range(2, 16))


def test_giving_back(kernel, running):
    loaded, table = running()
    number = table.own_group(b"bash")
    table.give_back(number)
    assert table.name_of(number) == "other"
    assert kernel.queue(loaded.free_groups_fd)[-1] == number


def test_a_declared_name_takes_the_label_of_a_program(running):
    _, table = running()
    number = table.own_group(b"web")
    assert table.name_of(number) == "web"
    table.declare([WEB])
    assert table.name_of(number) == table.names()[number] == "comm:web"
    assert table.name_of(table.declared()["web"]) == "web"
