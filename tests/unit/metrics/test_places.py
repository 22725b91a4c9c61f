# SPDX-License-Identifier: Apache-2.0
"""Which groups are shown: in a fixed order, and for as long as something is in them."""

import itertools
import random

import pytest

from pidinfod.metrics.places import Places

TTL = 61
ALWAYS = frozenset({"kernel", "other", "web"})


class World:
    """Groups by whether they have processes; names keep their ids for as long as `live` says."""

    def __init__(self, number):
        self.places = Places(number, TTL)

    def at(self, now, present="", live=()):
        """Those that are shown beside those that always are."""
        live = set(live) | set(present)
        self.places.update(ALWAYS, set(present), live, now)
        assert self.places.shown >= ALWAYS
        return "".join(sorted(self.places.shown - ALWAYS))


def test_at_the_start_by_name():
    for order in itertools.permutations("abcd"):
        world = World(3)
        assert world.at(0, order) == "abc"
        assert world.places.waiting == 1


def test_who_came_first_stays():
    world = World(3)
    assert world.at(0, "xy") == "xy"
    assert world.at(1, "abxy") == "axy"
    assert world.at(2, "0abxy") == "axy"
    assert world.places.waiting == 2
    # x goes, and keeps its place for a while: by its id, or by when it was last seen.
    assert world.at(2 + TTL, "0aby") == "axy"
    assert world.at(3 + TTL, "0aby", live="x") == "axy"
    # b waited longer than 0.
    assert world.at(4 + TTL, "0aby") == "aby"
    # It comes again as any other.
    assert world.at(5 + TTL, "0abxy") == "aby"
    assert world.places.waiting == 2
    # What waits is forgotten like what is shown.
    assert world.at(6 + 2 * TTL, "x") == "x"
    assert world.places.waiting == 0


def test_what_was_never_seen_alive_has_its_turn():
    """It came and went between two scrapes, and has an id."""
    world = World(3)
    assert world.at(0, "b", live="a") == "ab"
    assert world.at(TTL, "b", live="a") == "ab"
    assert world.at(TTL + 1, "b") == "b"


@pytest.mark.parametrize("number", [0, 1, 7, 40])
def test_names_that_come_and_go_change_nothing_for_those_that_are_there(number):
    """However many somebody makes up, and whatever they are called."""
    draw = random.Random(number)
    world = World(number)
    mine = [f"mine-{i:02}" for i in range(number)]
    world.at(0, mine)
    for now in range(1, 1009):
        others = {f"{draw.randrange(5000)}" for _ in range(draw.randrange(101))}
        world.places.update(ALWAYS, {*mine, *others}, set(mine), now)
        assert world.places.shown == ALWAYS | set(mine)


def test_no_series_comes_and_goes_in_any_history():
    """A place is lost only by a group in which there was nothing for the time."""
    draw = random.Random(7)
    world, last, before = World(5), {}, set()
    for now in range(0, 3000, 3):
        present = {name for name in "abcdefghijkl" if draw.random() < 0.03}
        last |= dict.fromkeys(present, now)
        shown = set(world.at(now, present))
        assert len(shown) <= 5
        for name in before - shown:
            assert now - last[name] > TTL
        before = shown


def test_a_group_that_is_declared_takes_no_place():
    world = World(1)
    assert world.at(0, "ab") == "a"
    world.places.update(ALWAYS | {"a"}, {"a", "b"}, set(), 1)
    assert world.places.shown == ALWAYS | {"a", "b"}
    assert world.places.waiting == 0
