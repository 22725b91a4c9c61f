# SPDX-License-Identifier: Apache-2.0
"""Reading and writing maps: whatever the kernel's batches are, and on many CPUs."""

import errno
import struct
import tracemalloc

import pytest

from pidinfod.groups.table import key_of
from pidinfod.kernel import libbpf
from pidinfod.kernel.libbpf import NOEXIST, MapHandle, RunStats
from pidinfod.kernel.records import GROUP_ENTRY, PROCESS


def test_the_library_has_what_is_used():
    # One call each, on a descriptor that there is not.
    nobody = MapHandle("nobody", -1, 4, 8, 7, False)
    calls = (
        lambda: libbpf.read_counts(nobody),
        lambda: libbpf.read_array(nobody),
        lambda: libbpf.read_keys(nobody),
        lambda: list(libbpf.read_records(nobody, struct.Struct("=Q"))),
        lambda: list(libbpf.read_entries(nobody)),
        lambda: libbpf.count_entries(nobody),
        lambda: libbpf.count_of(nobody, bytes(4)),
        lambda: libbpf.read_percpu_array(nobody),
        lambda: libbpf.lookup(nobody, bytes(4)),
        lambda: libbpf.update(nobody, bytes(4), bytes(8)),
        lambda: libbpf.delete(nobody, bytes(4)),
    )
    for call in calls:
        with pytest.raises(OSError, match="map nobody") as caught:
            call()
        assert caught.value.errno in (errno.EBADF, errno.EINVAL, errno.EPERM)
    with pytest.raises(OSError, match="queue"):
        libbpf.pop(-1)
    with pytest.raises(OSError, match="queue"):
        libbpf.push(-1, 7)
    with pytest.raises(OSError, match="program"):
        libbpf.run_stats(-1)
    with pytest.raises(OSError, match="the iterator's link"):
        libbpf.link_iterator(-1)
    with pytest.raises(OSError, match="iterator: "):
        libbpf.iterate(-1)
    with pytest.raises(OSError, match="ring"):
        libbpf.Ring(-1, lambda raw: True)
    assert libbpf.possible_cpus() >= 1


@pytest.mark.parametrize("cpus", [1, 2, 64, 256])
@pytest.mark.parametrize("entries", [0, 1, 61, 64, 65, 509])
def test_counts_are_summed_over_the_cpus(make_kernel, cpus, entries):
    kernel = make_kernel(cpus)
    handle = kernel.hash("forks", 8, 8, 512, is_percpu=True)
    expected = {}
    for number in range(entries):
        key = struct.pack("=Q", number)
        values = [number + 3, *[0] * (cpus - 2), 2**40][:cpus]
        kernel.put(handle, key, *values)
        expected[key] = sum(values)
    assert libbpf.read_counts(handle) == expected
    assert libbpf.count_entries(handle) == entries
    assert sorted(libbpf.read_keys(handle)) == sorted(expected)
    for key, count in list(expected.items())[:7]:
        assert libbpf.count_of(handle, key) == count
    assert libbpf.count_of(handle, b"\xff" * 8) == 0


def test_the_buffer_does_not_grow_with_the_cpus(make_kernel):
    kernel = make_kernel(256)
    handle = kernel.hash("many", 8, 8, 4096, is_percpu=True)
    values = [1] * 256
    for number in range(4096):
        kernel.put(handle, struct.pack("=Q", number), *values)
    tracemalloc.start()
    try:
        counts = libbpf.read_counts(handle)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert set(counts.values()) == {256}
    assert len(counts) == 4096
    # At once they would be 8 MiB.
    assert peak - kept < 2 << 20


@pytest.mark.parametrize("crowd", [65, 127, 1021])
def test_a_bucket_that_does_not_fit(make_kernel, monkeypatch, crowd):
    monkeypatch.setattr(libbpf, "BUFFER_BYTES", 1)  # so the smallest batch there is
    kernel = make_kernel(2)
    # All in one bucket, in the middle.
    handle = kernel.hash("crowd", 4, 8, 1024, is_percpu=True, bucket_of=lambda key: 511)
    for number in range(crowd):
        kernel.put(handle, key_of(number), number, 1)
    assert libbpf.read_counts(handle) == {key_of(number): number + 1 for number in range(crowd)}


def test_a_bucket_that_does_not_fit_after_some_that_did(make_kernel, monkeypatch):
    monkeypatch.setattr(libbpf, "BUFFER_BYTES", 1)
    kernel = make_kernel(1)

    def bucket_of(key):
        number = int.from_bytes(key, "little")
        return number if number < 211 else 500 if number < 701 else 900

    handle = kernel.hash("crowds", 4, 8, 1024, is_percpu=True, bucket_of=bucket_of)
    for number in range(1009):
        kernel.put(handle, key_of(number), number)
    assert libbpf.read_counts(handle) == {key_of(number): number for number in range(1009)}
    assert len(libbpf.read_keys(handle)) == 1009


@pytest.mark.parametrize("entries", [0, 1, 64, 128, 1000])
def test_records(kernel, monkeypatch, entries):
    monkeypatch.setattr(libbpf, "BUFFER_BYTES", 1)
    handle = kernel.hash("processes", 4, PROCESS.size, 1024)
    for number in range(entries):
        kernel.put(handle, key_of(number), PROCESS.pack(group=number % 7, parent_group=5))
    found = dict(libbpf.read_records(handle, PROCESS.only("group", "parent_group")))
    assert found == {number: (number % 7, 5) for number in range(entries)}


@pytest.mark.parametrize("entries", [0, 1, 64, 128, 1000])
def test_entries(kernel, monkeypatch, entries):
    monkeypatch.setattr(libbpf, "BUFFER_BYTES", 1)
    # A key and a value of different sizes, neither a power of two.
    handle = kernel.hash("swept", 6, 20, 1024)
    expected = {}
    for number in range(entries):
        expected[b"%06d" % number] = b"%020d" % (number * 1009)
        kernel.put(handle, b"%06d" % number, b"%020d" % (number * 1009))
    # What is given stays what it was when the next batch is read.
    assert dict(list(libbpf.read_entries(handle))) == expected


class Iterator:
    """In the place of libbpf: an iterator whose reads end as is said."""

    def __init__(self, monkeypatch, *reads):
        self.asked, self.closed, self.reads = [], [], list(reads)
        monkeypatch.setattr(libbpf, "library", lambda: self)
        monkeypatch.setattr(libbpf.os, "read", self._read)
        monkeypatch.setattr(libbpf.os, "close", self.closed.append)

    def bpf_iter_create(self, link):
        self.asked.append(link)
        return 1013

    def bpf_link_create(self, *args):
        self.asked.append(args)
        return 1009

    def _read(self, fd, size):
        assert (fd, size > 0) == (1013, True)
        result = self.reads.pop(0)
        if isinstance(result, bytes):
            return result
        raise result


def test_an_iterator_that_wants_to_be_asked_again(monkeypatch):
    again = BlockingIOError(errno.EAGAIN, "again")
    iterator = Iterator(monkeypatch, again, again, b"")
    libbpf.iterate(211)
    assert (iterator.asked, iterator.closed, iterator.reads) == ([211], [1013], [])


def test_an_iterator_that_fails_is_closed(monkeypatch):
    iterator = Iterator(monkeypatch, OSError(errno.EIO, "made up"), b"")
    with pytest.raises(OSError, match="made up"):
        libbpf.iterate(211)
    assert iterator.closed == [1013]


def test_the_link_of_an_iterator(monkeypatch):
    iterator = Iterator(monkeypatch)
    assert libbpf.link_iterator(211) == 1009
    # include/uapi/linux/bpf.h: enum bpf_attach_type, BPF_TRACE_ITER
    assert iterator.asked == [(211, 0, 28, None)]


@pytest.mark.parametrize("entries", [1, 61, 64, 128, 4096])
def test_an_array(kernel, monkeypatch, entries):
    monkeypatch.setattr(libbpf, "BUFFER_BYTES", 1)
    handle = kernel.array("group_table", GROUP_ENTRY.size, entries)
    for number in range(0, entries, 3):
        kernel.put(handle, key_of(number), GROUP_ENTRY.pack(precedence=number))
    found = [GROUP_ENTRY.unpack(raw).precedence for raw in libbpf.read_array(handle)]
    assert found == [0 if number % 3 else number for number in range(entries)]


@pytest.mark.parametrize("cpus", [1, 3, 256])
def test_a_percpu_array(make_kernel, cpus):
    kernel = make_kernel(cpus)
    handle = kernel.array("seen", 8, 5, is_percpu=True)
    for index in range(5):
        kernel.put(handle, key_of(index), *[index] * cpus)
    assert libbpf.read_percpu_array(handle) == [index * cpus for index in range(5)]


def test_an_error_names_the_map(kernel):
    handle = kernel.hash("forks", 4, 8, 64, is_percpu=True)
    array = kernel.array("seen", 8, 3, is_percpu=True)
    kernel.broken |= {handle.fd, array.fd}
    for call in (libbpf.read_counts, libbpf.read_keys, libbpf.count_entries):
        with pytest.raises(PermissionError, match=r"map forks: "):
            call(handle)
    with pytest.raises(PermissionError, match=r"map forks: "):
        libbpf.count_of(handle, bytes(4))
    with pytest.raises(PermissionError, match=r"map seen\[0\]: "):
        libbpf.read_percpu_array(array)


def test_one_value(kernel):
    handle = kernel.hash("placements", 4, 8, 2)
    assert libbpf.lookup(handle, b"aaaa") is None
    assert libbpf.update(handle, b"aaaa", b"12345678", NOEXIST)
    assert not libbpf.update(handle, b"aaaa", b"87654321", NOEXIST)
    assert libbpf.lookup(handle, b"aaaa") == b"12345678"
    assert libbpf.update(handle, b"aaaa", b"87654321")
    assert libbpf.update(handle, b"bbbb", b"87654321")
    assert not libbpf.update(handle, b"cccc", b"87654321")  # there is room for two
    assert libbpf.lookup(handle, b"aaaa") == b"87654321"
    assert libbpf.delete(handle, b"aaaa")
    assert not libbpf.delete(handle, b"aaaa")
    kernel.broken.add(handle.fd)
    for call in (
        lambda: libbpf.lookup(handle, b"bbbb"),
        lambda: libbpf.update(handle, b"bbbb", bytes(8)),
        lambda: libbpf.delete(handle, b"bbbb"),
    ):
        with pytest.raises(PermissionError, match="map placements: "):
            call()


def test_a_queue(kernel):
    free = kernel.load(max_groups=5).free_groups_fd
    assert [libbpf.pop(free) for _ in range(4)] == [2, 3, 4, None]
    libbpf.push(free, 4)
    libbpf.push(free, 3)
    assert [libbpf.pop(free) for _ in range(3)] == [4, 3, None]


def test_run_stats(kernel):
    fd = kernel.fd()
    kernel.stats[fd] = RunStats(run_ns=2**40 + 1, runs=1009, misses=3)
    assert libbpf.run_stats(fd) == RunStats(2**40 + 1, 1009, 3)


def test_memory_of_what_is_no_map(kernel):
    assert libbpf.memory_bytes(MapHandle("none", kernel.fd(), 4, 8, 1, False)) == 0
    # A descriptor that /proc does not show keeps nobody from starting.
    assert libbpf.memory_bytes(MapHandle("none", -1, 4, 8, 1, False)) == 0
