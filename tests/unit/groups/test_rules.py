# SPDX-License-Identifier: Apache-2.0
"""Facts of a process to the group that it is in."""

import os
import pwd

import pytest

from pidinfod.groups import rules as module
from pidinfod.groups.rules import Facts, Group, Rules

ID = "0123456789abcdef" * 4
UNIT = Facts("sh", cgroup="/system.slice/cron.service")
ROOT = pwd.getpwuid(0).pw_name


@pytest.mark.parametrize(
    ("group", "facts", "matches"),
    [
        (Group("g", comm=("a", "b")), Facts("b"), True),
        (Group("g", comm=("a", "b")), Facts("ab"), False),
        (Group("g", exe=("^/opt/",)), Facts("x", exe="/opt/y/x"), True),
        (Group("g", exe=("^/opt/",)), Facts("x", exe="/usr/opt/x"), False),
        (Group("g", exe=(".*",)), Facts("x"), False),  # of nothing nothing is known
        (Group("g", cmdline=("-jar app", "nothing")), Facts("java", cmdline="java -jar app"), True),
        (Group("g", cgroup=(r"^/system\.slice/",)), UNIT, True),
        (Group("g", unit=(r"^cron\.service$",)), UNIT, True),
        (Group("g", unit=(r"^system",)), UNIT, False),
        (Group("g", container=("^0123",)), Facts("x", cgroup=f"/docker/{ID}"), True),
        (Group("g", container=("",)), UNIT, False),
        (Group("g", user=(ROOT,)), Facts("x", uid=0), True),
        (Group("g", user=("0",)), Facts("x", uid=0), True),
        (Group("g", user=(ROOT, "0")), Facts("x", uid=4_000_000_007), False),
        (Group("g", user=("4000000007",)), Facts("x", uid=4_000_000_007), True),
        (Group("g", user=("0",)), Facts("x"), False),
        # All conditions must hold.
        (Group("g", comm=("sh",), unit=("cron",)), UNIT, True),
        (Group("g", comm=("bash",), unit=("cron",)), UNIT, False),
        (Group("g", comm=("sh",), unit=("ssh",)), UNIT, False),
    ],
)
def test_match(group, facts, matches):
    assert Rules([group]).place(facts) == (0 if matches else None)


def test_first_in_the_files_order():
    rules = Rules([Group("a", exe=("x",)), Group("b", comm=("x",)), Group("c", exe=(".",))])
    assert rules.place(Facts("x", exe="/x")) == 0
    assert rules.place(Facts("x", exe="/y")) == 1
    assert rules.place(Facts("y", exe="/y")) == 2
    assert rules.place(Facts("y")) is None


def test_a_certain_group_still_yields_to_an_earlier_one():
    rules = Rules([Group("a", exe=("x",)), Group("b", exe=("y",), children=True), Group("c")])
    assert rules.place(Facts("p", exe="/z"), certain={1}) == 1
    assert rules.place(Facts("p", exe="/x"), certain={1}) == 0
    assert Rules([Group("a", comm=("p",)), Group("b")]).place(Facts("p"), certain={1}) == 0


def test_what_has_to_be_read():
    assert Rules([Group("a", comm=("x",))]).needs == {"comm"}
    groups = [Group("a", unit=("x",)), Group("b", container=("x",)), Group("c", user=("x",))]
    assert Rules(groups).needs == {"cgroup", "uid"}
    assert Rules([Group("a", exe=("x",), cmdline=("x",))]).needs == {"exe", "cmdline"}


def test_from_which_group_on_the_kernel_cannot_tell():
    by_comm, by_exe = Group("a", comm=("x",)), Group("b", comm=("x",), exe=("x",))
    assert Rules([by_comm]).refined_from is None
    assert Rules([by_comm, by_comm, by_exe, by_comm]).refined_from == 2


def test_user_without_a_name():
    unnamed = max(entry.pw_uid for entry in pwd.getpwall()) + 7
    assert Rules([Group("a", user=(str(unnamed),))]).place(Facts("x", uid=unnamed)) == 0
    assert Rules([Group("a", user=(str(os.getuid()),))]).place(Facts("x", uid=unnamed)) is None


def test_users_are_asked_for_by_name_now_and_then(monkeypatch):
    """However many users there are: a container's host has 65,536 for each."""
    asked = []

    def getpwnam(name):
        asked.append(name)
        if name == "broken":
            raise OSError(24, "Too many open files")
        if name == "gone":
            raise KeyError(name)
        return pwd.struct_passwd((name, "x", 7, 7, "", "/", "/bin/sh"))

    monkeypatch.setattr(pwd, "getpwnam", getpwnam)
    module._uid.cache_clear()
    rules = Rules([Group("a", user=("gone", "broken")), Group("b", user=("7", "seven"))])
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    for uid in range(1009):
        assert rules.place(Facts("x", uid=uid)) == (1 if uid == 7 else None)
    assert sorted(asked) == ["broken", "gone", "seven"]
    now[0] += 61
    rules.place(Facts("x", uid=8))
    assert len(asked) == 6
    module._uid.cache_clear()
