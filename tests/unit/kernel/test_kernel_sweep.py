# SPDX-License-Identifier: Apache-2.0
"""The sweep in the kernel, of maps without a kernel: what it takes of them, and when it walks."""

import errno
import threading

import pytest

from pidinfod.groups.table import key_of
from pidinfod.kernel import libbpf, sweep
from pidinfod.kernel.handoff import SWEEP, Loaded, Probe
from pidinfod.kernel.records import (
    SETTING,
    SIGNAL_SET,
    SWEPT,
    SWEPT_SIGNAL,
    SWEPT_SIGNAL_KEY,
    USE,
    USER,
)  # fmt: skip
from pidinfod.kernel.sweep import Found, Sweep

LINK = 211
PROBES = (
    Probe("raw_tracepoint:a", True, "", "a", 3, 5),
    Probe("iterator:task", True, "", SWEEP, 7, LINK),
)
PENDING, BLOCKED = map(SIGNAL_SET.number, ("pending", "blocked"))


class World:
    """What the iterator does is in `walk`, as a function of the number of the sweep."""

    def __init__(self, kernel, monkeypatch):
        self.kernel = kernel
        self.loaded = kernel.load(probes=PROBES)
        self.maps = self.loaded.maps
        self.sweep = Sweep(self.loaded)
        self.walks, self.walk = [], lambda number: None
        self.clock = 1000.0
        monkeypatch.setattr(libbpf, "iterate", self._iterate)
        monkeypatch.setattr(sweep.time, "monotonic", lambda: self.clock)

    def number(self):
        place = SETTING.number("sweep")
        return int.from_bytes(self.kernel.content(self.maps["settings"])[key_of(place)], "little")

    def _iterate(self, link):
        assert link == LINK
        self.walks.append(self.number())
        self.walk(self.number())

    def past(self, group, **use):
        self.kernel.put(self.maps["past_use"], key_of(group), USE.pack(**use))

    def swept(self, group, **fields):
        self.kernel.put(self.maps["swept"], key_of(group), SWEPT.pack(**fields))

    def signal(self, which, processes, number, **of):
        key = SWEPT_SIGNAL_KEY.pack(set=which, **of)
        value = SWEPT_SIGNAL.pack(sweep=number, processes=processes)
        self.kernel.put(self.maps["swept_signals"], key, value)


@pytest.fixture
def world(kernel, monkeypatch):
    return World(kernel, monkeypatch)


def test_a_sweep(world):
    refined = world.kernel.content(world.maps["settings"])[key_of(0)]
    world.past(3, cpu_ns=7, run_delay_ns=2**63 + 1)

    def walk(number):
        world.swept(3, sweep=number, resident_bytes=1009, use=USE.pack(cpu_ns=11))
        world.swept(5, sweep=number, threads=bytes(range(64)))
        world.signal(PENDING, 13, number, group=3, signal=15)
        world.signal(BLOCKED, 17, number, group=3, signal=15)
        world.signal(BLOCKED, 19, number, group=5, signal=64)
        world.past(5, cpu_ns=1)  # of a process that leaves meanwhile

    world.walk = walk
    found = world.sweep.run()
    assert found.past == {3: USE.unpack(USE.pack(cpu_ns=7, run_delay_ns=2**63 + 1))}
    assert found.groups.keys() == {3, 5}
    assert (found.groups[3].resident_bytes, found.groups[5].resident_bytes) == (1009, 0)
    assert USE.unpack(found.groups[3].use).cpu_ns == 11
    assert found.groups[5].threads == bytes(range(64))
    assert found.signals == {
        (3, 15, "pending"): 13, (3, 15, "blocked"): 17, (5, 64, "blocked"): 19,
    }  # fmt: skip
    # What else is set is not touched.
    assert world.kernel.content(world.maps["settings"])[key_of(0)] == refined


def test_what_is_of_another_sweep_is_left_out(world):
    def walk(number):
        world.swept(number, sweep=number, unreaped=1)
        world.signal(PENDING, 1, number, group=number, signal=15)

    world.walk = walk
    # Of a daemon that was here before, and of one that counted further than this one has.
    world.swept(11, sweep=0)
    world.swept(13, sweep=99)
    world.signal(BLOCKED, 7, 0, group=11, signal=15)
    world.signal(BLOCKED, 7, 99, group=11, signal=15)
    for number in (1, 2, 3):
        found = world.sweep.run()
        assert found.groups.keys() == {number}
        assert found.signals == {(number, 15, "pending"): 1}
    assert world.walks == [1, 2, 3]


def test_signals_that_none_has_any_more_make_room(world):
    """Else the map would fill with all that any process ever had."""

    def there():
        keys = world.kernel.content(world.maps["swept_signals"])
        return {SWEPT_SIGNAL_KEY.unpack(key).signal for key in keys}

    def walk(number):
        world.signal(PENDING, 1, number, group=3, signal=number)
        world.signal(BLOCKED, 1, number, group=3, signal=64)

    world.walk = walk
    world.signal(BLOCKED, 7, 99, group=11, signal=15)  # of a daemon that was here before
    for number in (1, 2, 3):
        world.sweep.refresh(-1)  # reads nothing, and leaves it to the next that does
        found = world.sweep.run()
        assert there() == {2 * number, 64}
        assert {signal for _, signal, _ in found.signals} == there()


def test_the_number_of_a_sweep_is_never_0(world):
    """That is what records have that no sweep has written."""
    world.sweep._number = 2**32 - 2
    for _ in range(3):
        world.sweep.run()
    assert world.walks == [2**32 - 1, 1, 2]


def test_past_is_read_before_the_others(world):
    """A process that leaves its group meanwhile is missed once, and never counted twice."""
    world.walk = lambda number: world.past(3, cpu_ns=7)
    assert world.sweep.run().past == {}
    assert world.sweep.run().past[3].cpu_ns == 7


def test_refresh(world):
    world.sweep.refresh(5)
    assert world.walks == [1]  # there was none before
    world.clock += 5
    world.sweep.refresh(5)
    assert world.walks == [1]
    world.clock += 0.01
    world.sweep.refresh(5)
    assert world.walks == [1, 2]
    world.clock += 3
    world.sweep.refresh(5)
    world.sweep.refresh(3.5)
    assert world.walks == [1, 2]
    world.sweep.refresh(2.5)
    assert world.walks == [1, 2, 3]


def test_a_sweep_refreshes(world):
    world.sweep.run()
    world.clock += 1
    world.sweep.refresh(5)
    assert world.walks == [1]
    world.sweep.run()  # whatever there was
    assert world.walks == [1, 2]


def test_a_sweep_that_fails_refreshes_nothing(world):
    def fail(number):
        raise OSError(errno.EAGAIN, "iterator")

    good, world.walk = world.walk, fail
    with pytest.raises(OSError, match="iterator"):
        world.sweep.refresh(5)
    world.walk = good
    world.sweep.refresh(5)
    assert world.walks == [1, 2]


def test_take_past(world):
    world.past(3, cpu_ns=7, nvcsw=11)
    world.past(5, cpu_ns=13)
    world.walk = lambda number: [world.swept(group, sweep=number) for group in (3, 5)]
    world.sweep.run()
    world.walk = lambda number: None
    taken = world.sweep.take_past(3)
    assert type(taken) is tuple
    assert taken == USE.unpack(USE.pack(cpu_ns=7, nvcsw=11))
    assert world.kernel.content(world.maps["past_use"])[key_of(3)] == bytes(USE.size)
    assert world.kernel.content(world.maps["past_use"])[key_of(5)] == USE.pack(cpu_ns=13)
    assert world.kernel.content(world.maps["swept"]).keys() == {key_of(5)}
    # Once, and of one in which nothing ever was.
    assert not any(world.sweep.take_past(3))
    assert not any(world.sweep.take_past(7))


@pytest.mark.parametrize("name", ["swept", "past_use"])
def test_past_that_cannot_be_taken_is_there_the_next_time(world, name):
    world.past(3, cpu_ns=7)
    world.swept(3, sweep=1)
    world.kernel.broken.add(world.maps[name].fd)
    with pytest.raises(PermissionError, match=name):
        world.sweep.take_past(3)
    world.kernel.broken.clear()
    assert world.sweep.take_past(3) == USE.unpack(USE.pack(cpu_ns=7))
    assert world.kernel.content(world.maps["swept"]) == {}


@pytest.mark.parametrize("name", ["settings", "past_use", "swept", "swept_signals"])
def test_a_map_that_fails_is_told(world, name):
    world.kernel.broken.add(world.maps[name].fd)
    with pytest.raises(PermissionError, match=name):
        world.sweep.run()
    world.kernel.broken.clear()
    assert world.sweep.run() == Found()


def test_a_walk_that_fails_is_told_and_the_next_goes_on(world):
    def walk(number):
        raise OSError("made up")

    world.walk = walk
    for call in (world.sweep.run, lambda: world.sweep.refresh(0)):
        world.clock += 1
        with pytest.raises(OSError, match="made up"):
            call()
    world.walk = lambda number: world.swept(3, sweep=number)
    assert world.sweep.run().groups.keys() == {3}


def test_one_at_a_time(world):
    """A sweep in the middle of another would take its records from it."""
    started, on = threading.Event(), threading.Event()

    def walk(number):
        started.set()
        assert on.wait(10)
        world.swept(3, sweep=number)

    world.walk = walk
    found = []
    first = threading.Thread(target=lambda: found.append(world.sweep.run()))
    first.start()
    assert started.wait(10)
    others = [
        threading.Thread(target=call)
        for call in (lambda: world.sweep.refresh(-1), lambda: world.sweep.take_past(3))
    ]
    for other in others:
        other.start()
        other.join(0.1)
        assert other.is_alive()
    assert world.walks == [1]
    on.set()
    for thread in (first, *others):
        thread.join(10)
    assert found[0].groups.keys() == {3}
    assert world.walks == [1, 2]


@pytest.mark.parametrize(
    ("probes", "reason"),
    [
        ((), "without probes"),
        (PROBES[:1], "without probes"),
        ((*PROBES[:1], Probe("iterator:task", False, "no BTF", SWEEP)), "no BTF"),
    ],
)
def test_without_the_iterator(monkeypatch, probes, reason):
    swept = Sweep(Loaded({}, probes))
    assert (swept.is_there, swept.reason) == (False, reason)
    swept.refresh(0)  # is nothing


def test_with_the_iterator(world):
    assert (world.sweep.is_there, world.sweep.reason) == (True, "")


def test_single_processes(world):
    def user(pid, **fields):
        world.kernel.put(world.maps["users"], key_of(pid), USER.pack(**fields))

    def walk(number):
        user(11, start_ns=3, visit=number, visit_group=5, cpu_ns=7, resident_bytes=11,
             descriptors=13, signals=17, base=USE.pack(cpu_ns=1), joined=19)  # fmt: skip
        user(13, visit=number - 1)  # that this sweep could not look at
        user(17)

    world.walk = walk
    assert world.sweep.run().processes == {}
    assert world.sweep.run(with_processes=True).processes == {11: (3, 2, 5, 7, 11, 13, 17)}
