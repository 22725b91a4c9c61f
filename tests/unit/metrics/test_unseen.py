# SPDX-License-Identifier: Apache-2.0
"""Records of processes that ended unseen go; those of processes that there are stay."""

import os
import subprocess

from pidinfod.groups.table import key_of
from pidinfod.kernel import libbpf
from pidinfod.kernel.records import PLACEMENT, PROCESS, PROVISIONAL_USE, USER
from pidinfod.metrics.unseen import Unseen, exists


def enter(loaded, pid, **values):
    libbpf.update(loaded.maps["processes"], key_of(pid), PROCESS.pack(**values))


def there(loaded, name="processes"):
    keys = libbpf.read_keys(loaded.maps[name])
    return {int.from_bytes(key, "little") for key in keys}


def test_what_is_gone_in_two_rounds_goes(kernel):
    loaded = kernel.load()
    enter(loaded, 11, start_ns=1)
    enter(loaded, 13, start_ns=1, end_ns=2, is_dead=1)
    enter(loaded, 17, start_ns=1)
    unseen = Unseen(loaded, exists=lambda pid: pid == 17)
    unseen.round()
    assert there(loaded) == {11, 13, 17}
    unseen.round()
    assert there(loaded) == {17}
    assert unseen.counts == {"exits_unseen": 1, "reapings_unseen": 1}


def test_all_that_is_known_of_it_goes(kernel):
    loaded = kernel.load()
    for pid in (11, 13, 17):
        enter(loaded, pid, start_ns=1)
        libbpf.update(loaded.maps["users"], key_of(pid), USER.pack(start_ns=1))
        libbpf.update(loaded.maps["placements"], key_of(pid), PLACEMENT.pack(group=2))
        libbpf.update(loaded.maps["provisional_use"], key_of(pid), PROVISIONAL_USE.pack(exec_id=5))
    libbpf.delete(loaded.maps["users"], key_of(13))  # there was nothing to say of it
    unseen = Unseen(loaded, exists=lambda pid: pid == 17)
    for _ in range(2):
        unseen.round()
    for name in ("processes", "users", "placements", "provisional_use"):
        assert there(loaded, name) == {17}
    assert unseen.counts == {"exits_unseen": 2, "reapings_unseen": 0}


def test_another_life_of_the_pid_stays(kernel):
    loaded = kernel.load()
    enter(loaded, 11, start_ns=1)
    unseen = Unseen(loaded, exists=lambda _: False)
    unseen.round()
    enter(loaded, 11, start_ns=3)
    libbpf.update(loaded.maps["users"], key_of(11), USER.pack(start_ns=3))
    unseen.round()
    assert there(loaded) == there(loaded, "users") == {11}


def test_what_has_just_begun_or_ended_is_the_probes(kernel):
    loaded = kernel.load()
    now = 1 << 62
    enter(loaded, 11, start_ns=now)
    enter(loaded, 13, start_ns=1, end_ns=now, is_dead=1)
    unseen = Unseen(loaded, exists=lambda _: False)
    for _ in range(3):
        unseen.round()
    assert there(loaded) == {11, 13}


def test_exists():
    assert exists(os.getpid())
    assert exists(1)
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert exists(child.pid)  # a zombie
    assert not exists(child.pid)
