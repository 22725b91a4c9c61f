# SPDX-License-Identifier: Apache-2.0
"""What the daemon and the loader need of libbpf.so.1, by ctypes.

Maps are read in batches: one system call for thousands of entries.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# Of keys and values that are read at once, whatever the number of CPUs.
BUFFER_BYTES = 256 << 10
LEAST_BATCH = 64
# Flags of an update.
ANY, NOEXIST = 0, 1


@dataclass(frozen=True)
class MapHandle:
    """A BPF map by its descriptor; sizes in bytes, of one value of one CPU."""

    name: str
    fd: int
    key_size: int
    value_size: int
    max_entries: int
    is_percpu: bool


@dataclass(frozen=True)
class RunStats:
    """How often a program ran and for how long, and how often it could not run."""

    run_ns: int
    runs: int
    misses: int


@functools.cache
def library() -> ctypes.CDLL:
    """libbpf. Raises OSError when it is not installed."""
    lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    lib.btf__load_vmlinux_btf.restype = ctypes.c_void_p
    lib.btf__type_by_id.restype = ctypes.c_void_p
    lib.btf__type_by_id.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    lib.btf__name_by_offset.restype = ctypes.c_char_p
    lib.btf__name_by_offset.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    lib.btf__find_by_name_kind.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32]
    lib.btf__free.argtypes = [ctypes.c_void_p]
    lib.ring_buffer__new.restype = ctypes.c_void_p
    lib.ring_buffer__new.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 3
    lib.ring_buffer__epoll_fd.argtypes = [ctypes.c_void_p]
    lib.ring_buffer__consume.argtypes = [ctypes.c_void_p]
    lib.ring_buffer__free.argtypes = [ctypes.c_void_p]
    lib.bpf_map_lookup_batch.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 6
    lib.bpf_map_lookup_elem.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 2
    lib.bpf_map_lookup_and_delete_elem.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 2
    lib.bpf_map_update_elem.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 2 + [ctypes.c_uint64]
    lib.bpf_link_create.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
    lib.bpf_map_delete_elem.argtypes = [ctypes.c_int, ctypes.c_void_p]
    return lib


@functools.cache
def possible_cpus() -> int:
    """How many values an entry of a per-CPU map has."""
    return int(library().libbpf_num_possible_cpus())


def _batches(handle: MapHandle) -> Iterator[tuple[memoryview, memoryview, int]]:
    """Keys, values and count of each batch of a hash map or an array.

    What is given holds until the next batch is asked for. Raises OSError with the map's name in it.
    """
    lookup = library().bpf_map_lookup_batch
    width = handle.value_size * (possible_cpus() if handle.is_percpu else 1)
    size = min(handle.max_entries, max(LEAST_BATCH, BUFFER_BYTES // (handle.key_size + width)))
    cursor = ctypes.create_string_buffer(max(handle.key_size, 8))
    count = ctypes.c_uint32()
    start: ctypes.Array[ctypes.c_char] | None = None
    keys, values = bytearray(), bytearray()
    while True:
        if len(keys) < size * handle.key_size:
            keys, values = bytearray(size * handle.key_size), bytearray(size * width)
            keys_at = (ctypes.c_char * len(keys)).from_buffer(keys)
            values_at = (ctypes.c_char * len(values)).from_buffer(values)
        count.value = size
        result = lookup(handle.fd, start, cursor, keys_at, values_at, ctypes.byref(count), None)
        error = ctypes.get_errno() if result < 0 else 0
        if error == errno.ENOSPC:
            size *= 2  # the keys of one hash bucket did not fit
            continue
        # ENOENT says that this was the last batch; its count is valid.
        if error not in (0, errno.ENOENT):
            raise OSError(error, f"map {handle.name}: {os.strerror(error)}")
        if count.value:
            yield (
                memoryview(keys)[: count.value * handle.key_size],
                memoryview(values)[: count.value * width],
                count.value,
            )
        if error:
            return
        start = cursor


def read_counts(handle: MapHandle) -> dict[bytes, int]:
    """A per-CPU hash map of u64, summed over the CPUs."""
    cpus, width = possible_cpus(), handle.key_size
    counts = {}
    for keys, values, count in _batches(handle):
        numbers = values.cast("Q")
        for index in range(count):
            key = bytes(keys[index * width : (index + 1) * width])
            counts[key] = sum(numbers[index * cpus : (index + 1) * cpus])
    return counts


def read_records(
    handle: MapHandle, members: struct.Struct
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Of a hash map with keys of u32: each key, and what `members` takes of its value."""
    for keys, values, _ in _batches(handle):
        yield from zip(keys.cast("I"), members.iter_unpack(values), strict=True)


def read_array(handle: MapHandle) -> list[bytes]:
    """The values of an array map, by index."""
    width = handle.value_size
    return [
        bytes(values[index * width : (index + 1) * width])
        for _, values, count in _batches(handle)
        for index in range(count)
    ]


def read_entries(handle: MapHandle) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a hash map."""
    width, size = handle.key_size, handle.value_size
    for keys, values, count in _batches(handle):
        for index in range(count):
            yield (
                bytes(keys[index * width : (index + 1) * width]),
                bytes(values[index * size : (index + 1) * size]),
            )


def read_keys(handle: MapHandle) -> list[bytes]:
    """The keys of a hash map."""
    width = handle.key_size
    return [
        bytes(keys[index * width : (index + 1) * width])
        for keys, _, count in _batches(handle)
        for index in range(count)
    ]


def count_entries(handle: MapHandle) -> int:
    """How many keys a hash map has."""
    return sum(count for _, _, count in _batches(handle))


def count_of(handle: MapHandle, key: bytes) -> int:
    """One counter of a per-CPU hash map, summed over the CPUs; 0 when there is none."""
    values = (ctypes.c_uint64 * possible_cpus())()
    if library().bpf_map_lookup_elem(handle.fd, key, values) < 0:
        _unless((errno.ENOENT,), handle.name)
        return 0
    return sum(values)


def memory_bytes(handle: MapHandle) -> int:
    """The kernel's account of the memory of a map; 0 where it gives none."""
    with contextlib.suppress(OSError), open(f"/proc/self/fdinfo/{handle.fd}") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name == "memlock":
                return int(value)
    return 0


def read_percpu_array(handle: MapHandle) -> list[int]:
    """A per-CPU array of u64, summed over the CPUs."""
    sums = []
    cpus = possible_cpus()
    values = (ctypes.c_uint64 * cpus)()
    for index in range(handle.max_entries):
        key = ctypes.c_uint32(index)
        if library().bpf_map_lookup_elem(handle.fd, ctypes.byref(key), values) < 0:
            error = ctypes.get_errno()
            raise OSError(error, f"map {handle.name}[{index}]: {os.strerror(error)}")
        sums.append(sum(values))
    return sums


def _unless(expected: tuple[int, ...], name: str) -> None:
    error = ctypes.get_errno()
    if error not in expected:
        raise OSError(error, f"map {name}: {os.strerror(error)}")


def lookup(handle: MapHandle, key: bytes) -> bytes | None:
    """The value of one key, or None. Raises OSError."""
    value = ctypes.create_string_buffer(handle.value_size)
    if library().bpf_map_lookup_elem(handle.fd, key, value) < 0:
        _unless((errno.ENOENT,), handle.name)
        return None
    return value.raw


def update(handle: MapHandle, key: bytes, value: bytes, flags: int = ANY) -> bool:
    """Set a value; False when a flag forbids it, or there is no room. Raises OSError."""
    if library().bpf_map_update_elem(handle.fd, key, value, flags) < 0:
        _unless((errno.EEXIST, errno.E2BIG), handle.name)
        return False
    return True


def delete(handle: MapHandle, key: bytes) -> bool:
    """Remove a key; False when there was none. Raises OSError."""
    if library().bpf_map_delete_elem(handle.fd, key) < 0:
        _unless((errno.ENOENT,), handle.name)
        return False
    return True


def pop(fd: int) -> int | None:
    """The first number of a queue of u32, or None when it is empty. Raises OSError."""
    value = ctypes.c_uint32()
    if library().bpf_map_lookup_and_delete_elem(fd, None, ctypes.byref(value)) < 0:
        _unless((errno.ENOENT,), "queue")
        return None
    return value.value


def push(fd: int, number: int) -> None:
    """Append to a queue of u32. Raises OSError."""
    if library().bpf_map_update_elem(fd, None, ctypes.byref(ctypes.c_uint32(number)), ANY) < 0:
        _unless((), "queue")


BPF_TRACE_ITER = 28  # include/uapi/linux/bpf.h


def link_iterator(prog_fd: int) -> int:
    """The link of an iterator's program, which it takes rights to make. Raises OSError."""
    link = int(library().bpf_link_create(prog_fd, 0, BPF_TRACE_ITER, None))
    if link < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"the iterator's link: {os.strerror(error)}")
    return link


def iterate(link_fd: int) -> None:
    """Run an iterator that gives nothing out over all that it visits. Raises OSError."""
    walk = int(library().bpf_iter_create(link_fd))
    if walk < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"iterator: {os.strerror(error)}")
    try:
        while True:
            # After a million visits without output the kernel wants to be asked again.
            with contextlib.suppress(BlockingIOError):
                if not os.read(walk, 1):
                    return
    finally:
        os.close(walk)


_SAMPLE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class Ring:
    """A BPF ring buffer; `take` is called with the bytes of each record, in order. It returns
    whether to go on: as libbpf empties the ring, a storm of records would never let it end.

    To take is not safe for two threads at once. Raises OSError when it cannot be mapped.
    """

    def __init__(self, fd: int, take: Callable[[bytes], bool]) -> None:
        def sample(_: int, data: int, size: int) -> int:
            return 0 if take(ctypes.string_at(data, size)) else -1

        self._sample = _SAMPLE(sample)  # libbpf keeps the address alone
        self._ring = library().ring_buffer__new(fd, self._sample, None, None)
        if not self._ring:
            error = ctypes.get_errno()
            raise OSError(error, f"ring buffer: {os.strerror(error)}")

    def fileno(self) -> int:
        """What can be read from as soon as the kernel says that there are records."""
        return int(library().ring_buffer__epoll_fd(self._ring))

    def consume(self) -> bool:
        """Take those that are there, until `take` says no; whether all were taken."""
        return int(library().ring_buffer__consume(self._ring)) >= 0

    def close(self) -> None:
        library().ring_buffer__free(self._ring)


# struct bpf_prog_info, include/uapi/linux/bpf.h: offsets of the three that are used.
_PROG_INFO_SIZE = 224
_RUN_TIME_NS, _RUN_CNT, _RECURSION_MISSES = 192, 200, 208


def run_stats(prog_fd: int) -> RunStats:
    """The kernel's statistics of one program; times are 0 while they are not enabled."""
    info = ctypes.create_string_buffer(_PROG_INFO_SIZE)
    length = ctypes.c_uint32(_PROG_INFO_SIZE)
    if library().bpf_obj_get_info_by_fd(prog_fd, info, ctypes.byref(length)) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"program: {os.strerror(error)}")
    return RunStats(
        run_ns=struct.unpack_from("=Q", info, _RUN_TIME_NS)[0],
        runs=struct.unpack_from("=Q", info, _RUN_CNT)[0],
        misses=struct.unpack_from("=Q", info, _RECURSION_MISSES)[0],
    )
