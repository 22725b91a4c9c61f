# SPDX-License-Identifier: Apache-2.0
"""Sweeps of a recorded /proc, and by the call. Those by the kernel are in test_snapshot.py."""

import pytest

from pidinfod.groups.rules import Rules
from pidinfod.kernel import pid_info
from pidinfod.kernel.handoff import Loaded
from pidinfod.kernel.records import USE_FIELDS
from pidinfod.metrics.parts import Parts
from pidinfod.metrics.sweeping import Looked, Sweeper
from pidinfod.proc import procfs
from tests.support.recorded import GROUPS, add, remove

pytestmark = pytest.mark.usefixtures("stock")


class Without:
    """A sweeper without probes."""

    def __init__(self, proc, max_groups=64):
        self.sweeper = Sweeper(Loaded({}, ()), Rules(GROUPS), proc, max_groups)
        self.parts = Parts()

    def sweep(self):
        return self.sweeper.tell(self.parts, Looked(), None)

    def processes(self):
        groups = self.sweep().groups
        return {name: number for name in groups if (number := sum(groups[name].processes))}

    def used(self, field):
        """After another sweep, in the groups that it found."""
        place = USE_FIELDS.index(field)
        used, _ = self.sweeper.used(self.sweep().groups.keys() | {"web"})
        return {name: use[place] for name, use in used.items() if use[place]}


@pytest.fixture
def without(proc):
    return Without(proc)


def test_what_was_used_of_those_that_ended(without, proc):
    """It is not lost, and is told as long as the group is."""
    for faults, expected in ((7, 7), (11, 11), (9, 11)):
        add(proc, 5, "nginx", faults=faults)
        assert without.used("min_flt") == {"web": expected}
    remove(proc, 5)
    assert without.used("min_flt") == {"web": 11}
    add(proc, 29, "nginx", faults=13)
    assert without.used("min_flt") == {"web": 24}


def test_by_the_call(without, monkeypatch):
    without.sweeper._is_by_call = True
    one = pid_info.Swept(5, 1, "S", "nginx", 1, 0, False, 0, 0, 0, 7919, (3,) * len(USE_FIELDS))
    monkeypatch.setattr(pid_info, "sweep", lambda: iter([one]))
    assert without.processes() == {"web": 1}
    assert without.sweep().absent == pid_info.ABSENT
    assert without.used("rchar") == {"web": 3}
    assert without.sweeper.way == ("get_pid_info", "without probes")


def test_by_proc(without):
    assert without.sweep().absent == procfs.ABSENT
    assert without.sweeper.way == ("procfs", "without probes")
    assert without.sweeper.processes == []  # nobody wants them


def test_what_cannot_be_read_is_counted(without, proc):
    (proc / "5/stat").write_text("5 (nginx)\n")
    (proc / "7/stat").unlink()
    (proc / "7/stat").mkdir()
    for times in (1, 2):
        groups = without.processes()
        assert without.sweeper.errors == {"EBADMSG": times, "EISDIR": times}
        assert without.parts.failed == set()
        assert "web" not in groups
        assert groups["bash"] == 2


def test_a_state_that_no_kernel_has_is_counted(without, proc):
    add(proc, 5, "nginx", state="K")
    groups = without.processes()
    assert (without.sweeper.errors, without.parts.failed) == ({"EBADMSG": 1}, set())
    assert "web" not in groups
    assert groups["bash"] == 2


def test_one_that_could_not_be_read_is_not_counted_anew(without, proc):
    """Nor is another, which could be read all the time; what is not there any more is forgotten
    when all can be read again."""
    add(proc, 5, "nginx", faults=7)
    add(proc, 11, "bash", faults=100)
    assert without.used("min_flt") == {"web": 7, "bash": 100}
    for times in (1, 2):
        (proc / "5/stat").write_text("5 (nginx)\n")
        add(proc, 11, "bash", faults=100 + times)
        assert without.used("min_flt") == {"web": 7, "bash": 100 + times}
    remove(proc, 7)
    without.sweep()
    assert len(without.sweeper._observed._seen) == 9
    add(proc, 5, "nginx", faults=9)
    # Whether a sweep is whole is of itself: the errors of those before do not count.
    assert without.used("min_flt") == {"web": 9, "bash": 102}
    assert without.sweeper.errors == {"EBADMSG": 3}
    assert len(without.sweeper._observed._seen) == 8


def test_names_beyond_max_groups_are_other(proc):
    for pid in range(100, 173):
        add(proc, pid, f"name{pid}")
    for most in (5, 7, 16):
        groups = Without(proc, max_groups=most).processes()
        assert len(groups.keys() | {"kernel", "other", "web", "backup"}) == most
        assert groups["other"] > 0
        assert sum(groups.values()) == 9 + 73
        # Those that are declared are always told apart.
        assert (groups["kernel"], groups["web"], groups["backup"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("knows_pids", "is_first", "way"),
    [(True, True, "get_pid_info"), (True, False, "procfs"), (False, False, "get_pid_info")],
)
def test_rather_proc_than_a_call_that_knows_other_pids(without, knows_pids, is_first, way):
    without.sweeper._is_by_call = True
    without.sweeper.see(knows_pids, is_first)
    assert without.sweeper.way[0] == way
