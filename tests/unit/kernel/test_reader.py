# SPDX-License-Identifier: Apache-2.0
"""The ring's reader, and rings that never run empty."""

import itertools
import struct
import threading
import time

import pytest

from pidinfod.kernel import events
from pidinfod.kernel.events import LATE_SECONDS, STRETCH_SECONDS, Reader


def record(kind, number):
    return struct.pack("=II", kind, number)


@pytest.fixture
def started(kernel):
    """Starts a reader of so many records."""
    readers = []

    def start(records, handlers):
        kernel.records = iter(records)
        reader = Reader(kernel.fd(), handlers)
        readers.append(reader)
        return reader

    yield start
    for reader in readers:
        if reader.is_alive():
            reader.stop()


def test_records_go_to_their_handlers_in_order(started):
    found = []
    reader = started(
        [record(number % 2, number) for number in range(11)],
        {0: lambda raw: found.append(("even", raw)), 1: lambda raw: found.append(("odd", raw))},
    )
    reader.drain()
    assert found == [
        ("odd" if number % 2 else "even", record(number % 2, number)) for number in range(11)
    ]


def test_a_handler_that_raises_costs_one_record(started, caplog):
    found = []

    def handler(raw):
        if raw == record(0, 3):
            raise ZeroDivisionError
        found.append(raw)

    reader = started([record(0, number) for number in range(7)], {0: handler})
    reader.drain()
    assert found == [record(0, number) for number in range(7) if number != 3]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("raw", [b"", b"\0", record(9, 1)])
def test_a_record_that_nobody_knows_costs_itself(started, raw):
    found = []
    reader = started([raw, record(0, 1)], {0: found.append})
    reader.drain()
    assert found == [record(0, 1)]


def test_a_drain_of_a_ring_that_never_runs_empty_ends(started):
    found = []
    reader = started(map(record, itertools.repeat(0), itertools.count()), {0: found.append})
    for _ in range(3):
        before, start = len(found), time.monotonic()
        reader.drain()
        assert time.monotonic() - start < 5 * STRETCH_SECONDS
        assert len(found) > before
    # None is left out between one drain and the next.
    numbers = [struct.unpack("=II", raw)[1] for raw in found]
    assert numbers == list(range(len(found)))


def test_everybody_gets_a_turn_in_a_storm(started):
    reader = started(itertools.repeat(record(0, 1)), {0: lambda raw: None})
    reader.start()
    start = time.monotonic()
    askers = [threading.Thread(target=reader.drain) for _ in range(5)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert time.monotonic() - start < 20 * STRETCH_SECONDS
    assert reader.is_alive()


def test_it_stops_in_a_storm(started):
    reader = started(itertools.repeat(record(0, 1)), {0: lambda raw: None})
    reader.start()
    time.sleep(STRETCH_SECONDS)
    start = time.monotonic()
    reader.stop()
    assert time.monotonic() - start < 2 * (STRETCH_SECONDS + LATE_SECONDS)
    assert not reader.is_alive()


def test_who_drains_after_the_end_finds_nothing(started, kernel):
    found = []
    reader = started([], {0: found.append})
    reader.start()
    reader.stop()
    kernel.records = iter([record(0, 1)])  # in memory that is the reader's no more
    reader.drain()
    assert found == []


def test_records_are_taken_without_being_asked_for(started):
    taken = threading.Event()
    reader = started([record(0, 1)], {0: lambda raw: taken.set()})
    reader.start()
    assert taken.wait(5)


def test_no_name_of_the_thread_is_ours():
    """Python 3.13 gave Thread an attribute that had the name of a method here."""
    plain = vars(threading.Thread(target=print)).keys() | vars(threading.Thread).keys()
    own = {name for name in vars(Reader) if not name.startswith("__")}
    assert own & plain == {"run"}
    assert "_handle" not in own


def test_a_quiet_reader_stops_at_once(started, monkeypatch):
    monkeypatch.setattr(events, "QUIET_SECONDS", 3600.0)
    monkeypatch.setattr(events, "LATE_SECONDS", 3600.0)
    taken = threading.Event()
    reader = started([record(0, 1)], {0: lambda raw: taken.set()})
    reader.start()
    assert taken.wait(5)
    time.sleep(0.1)  # until it waits again
    stopping = threading.Thread(target=reader.stop, daemon=True)
    stopping.start()
    stopping.join(5)
    assert not reader.is_alive()


def test_records_that_follow_untold_are_taken(started, kernel, monkeypatch):
    """The ring is readable once, for the first of them."""
    monkeypatch.setattr(events, "QUIET_SECONDS", 3600.0)
    first, second = threading.Event(), threading.Event()
    took = {record(0, 1): first, record(0, 2): second}
    reader = started([record(0, 1)], {0: lambda raw: took[raw].set()})
    reader.start()
    assert first.wait(5)
    kernel.records = iter([record(0, 2)])
    assert second.wait(5)
