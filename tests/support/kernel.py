# SPDX-License-Identifier: Apache-2.0
"""BPF maps, queues, a ring and programs without a kernel, in the place of libbpf.

They answer as the kernel does (kernel/bpf/hashtab.c, syscall.c, queue_stack_maps.c) and libbpf 1
(errors as -errno, and in errno); what the daemon does with the answers is the daemon's own code.
"""

import contextlib
import ctypes
import errno
import itertools
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pidinfod.groups.rules import Group
from pidinfod.groups.table import key_of
from pidinfod.kernel import records
from pidinfod.kernel.handoff import Loaded, Probe
from pidinfod.kernel.libbpf import NOEXIST, MapHandle, RunStats
from pidinfod.metrics import program
from pidinfod.metrics.families import DETAILS, DROPS, FAMILIES
from pidinfod.metrics.schema import EVENTS


def _fail(number: int) -> int:
    ctypes.set_errno(number)
    return -number


def _get(where: object, size: int) -> bytes:
    """What a pointer of ctypes, or bytes, points to."""
    if isinstance(where, bytes):
        return where[:size]
    return ctypes.string_at(ctypes.addressof(getattr(where, "_obj", where)), size)


@dataclass
class _Map:
    handle: MapHandle
    width: int  # bytes of the values of all CPUs
    bucket_of: Callable[[bytes], int] | None  # None of an array
    buckets: list[dict[bytes, bytes]]

    def bucket(self, key: bytes) -> dict[bytes, bytes]:
        return self.buckets[self.bucket_of(key) % len(self.buckets) if self.bucket_of else 0]


@dataclass
class Kernel:
    """In the place of libbpf.library(); `cpus` in that of libbpf.possible_cpus()."""

    cpus: int = 1
    records: Iterable[bytes] = ()  # that the ring gives
    stats: dict[int, RunStats] = field(default_factory=dict)  # by the program's descriptor
    broken: set[int] = field(default_factory=set)  # descriptors of maps that fail with EPERM
    calls: int = 0  # of batches
    _maps: dict[int, _Map] = field(default_factory=dict)
    _queues: dict[int, list[bytes]] = field(default_factory=dict)
    _fds: list[int] = field(default_factory=list)

    def fd(self) -> int:
        """A descriptor that there is."""
        self._fds.append(os.open("/dev/null", os.O_RDONLY))
        return self._fds[-1]

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)

    # Making and filling.

    def hash(
        self, name: str, key: int, value: int, entries: int, is_percpu: bool = False,
        bucket_of: Callable[[bytes], int] = zlib.crc32,
    ) -> MapHandle:  # fmt: skip
        handle = MapHandle(name, self.fd(), key, value, entries, is_percpu)
        width = value * (self.cpus if is_percpu else 1)
        self._maps[handle.fd] = _Map(handle, width, bucket_of, [{} for _ in range(entries)])
        return handle

    def array(self, name: str, value: int, entries: int, is_percpu: bool = False) -> MapHandle:
        handle = MapHandle(name, self.fd(), 4, value, entries, is_percpu)
        width = value * (self.cpus if is_percpu else 1)
        content = {key_of(index): bytes(width) for index in range(entries)}
        self._maps[handle.fd] = _Map(handle, width, None, [content])
        return handle

    def put(self, handle: MapHandle, key: bytes, *values: int | bytes) -> None:
        """One value, or one of each CPU: the first CPUs', the others' are 0."""
        raw = b"".join(
            value if isinstance(value, bytes) else struct.pack("=Q", value) for value in values
        )
        found = self._maps[handle.fd]
        assert len(key) == handle.key_size
        assert len(raw) <= found.width
        found.bucket(key)[key] = raw.ljust(found.width, b"\0")

    def content(self, handle: MapHandle) -> dict[bytes, bytes]:
        return {key: value for bucket in self._maps[handle.fd].buckets
                for key, value in bucket.items()}  # fmt: skip

    def queue(self, fd: int) -> list[int]:
        return [struct.unpack("=I", number)[0] for number in self._queues[fd]]

    def load(
        self, groups: Sequence[Group] = (), max_groups: int = 16, probes: Sequence[Probe] = ()
    ) -> Loaded:
        """All maps, as the loader would make and fill them; small ones."""
        request = program.request(groups, max_groups, self.cpus, {}, True)
        maps = {
            name: self.hash(name, family.key.size, 8, 64, is_percpu=True)
            for family in FAMILIES for name in (family.name, family.other_map) if name
        }
        for name, number in (
            ("seen", len(EVENTS.names)), ("drops", len(DROPS)), ("degraded", len(DETAILS)),
        ):  # fmt: skip
            maps[name] = self.array(name, 8, number, is_percpu=True)
        for name, key, value, entries in (
            ("processes", 4, records.PROCESS.size, 64),
            ("placements", 4, records.PLACEMENT.size, 64),
            ("groups", records.COMM_BYTES, 4, max_groups),
            ("comm_rules", records.COMM_BYTES, 4, 64),
            ("placed_execs", 4, 8, max_groups),
            ("ft_inflight", 8, 16, 64),
            ("users", 4, records.USER.size, 64),
            ("provisional_use", 4, records.PROVISIONAL_USE.size, 64),
            ("swept", 4, records.SWEPT.size, max_groups),
            ("swept_signals", records.SWEPT_SIGNAL_KEY.size, records.SWEPT_SIGNAL.size, 64),
        ):
            maps[name] = self.hash(name, key, value, entries)
        maps["group_table"] = self.array("group_table", records.GROUP_ENTRY.size, max_groups)
        maps["settings"] = self.array("settings", 4, len(records.SETTING.names))
        maps["past_use"] = self.array("past_use", records.USE.size, max_groups)
        assert maps.keys() == set(request["maps"])
        for name, entries in request["fill"].items():
            for key, value in entries:
                self.put(maps[name], bytes.fromhex(key), bytes.fromhex(value))
        free = self.fd()
        self._queues[free] = [key_of(number) for number in request["free_groups"]]
        return Loaded(maps, tuple(probes), ring_fd=self.fd(), free_groups_fd=free)

    # What libbpf has.

    def bpf_map_lookup_batch(self, fd, start, cursor, keys, values, count, _):
        self.calls += 1
        if fd in self.broken:
            return _fail(errno.EPERM)
        room, count._obj.value = count._obj.value, 0
        one = self._maps[fd]
        if one.bucket_of is None:
            found, place, result = self._batch_of_array(one, start, room)
        else:
            found, place, result = self._batch_of_hash(one, start, room)
        for index, (key, value) in enumerate(found):
            ctypes.memmove(ctypes.addressof(keys) + index * len(key), key, len(key))
            ctypes.memmove(ctypes.addressof(values) + index * len(value), value, len(value))
        count._obj.value = len(found)
        ctypes.memmove(cursor, key_of(place), 4)
        return _fail(result) if result else 0

    def _batch_of_hash(self, one, start, room):
        """Whole buckets. The last batch says ENOENT, a bucket that has no room at all ENOSPC."""
        found = []
        place = struct.unpack("=I", _get(start, 4))[0] if start is not None else 0
        for place in range(place, len(one.buckets)):  # noqa: B020
            bucket = one.buckets[place]
            if len(bucket) > room - len(found):
                return found, place, 0 if found else errno.ENOSPC
            found += bucket.items()
        return found, len(one.buckets), errno.ENOENT

    def _batch_of_array(self, one, start, room):
        """From the key after the one given; a batch that is full never says ENOENT."""
        place = struct.unpack("=I", _get(start, 4))[0] + 1 if start is not None else 0
        found = list(itertools.islice(one.buckets[0].items(), place, place + room))
        return found, place + len(found) - 1, 0 if len(found) == room else errno.ENOENT

    def bpf_map_lookup_elem(self, fd, key, value):
        if fd in self.broken:
            return _fail(errno.EPERM)
        one = self._maps[fd]
        wanted = _get(key, one.handle.key_size)
        if (found := one.bucket(wanted).get(wanted)) is None:
            return _fail(errno.ENOENT)
        ctypes.memmove(value, found, len(found))
        return 0

    def bpf_map_update_elem(self, fd, key, value, flags):
        if fd in self.broken:
            return _fail(errno.EPERM)
        if fd in self._queues:
            assert key is None
            self._queues[fd].append(_get(value, 4))
            return 0
        one = self._maps[fd]
        wanted = _get(key, one.handle.key_size)
        is_there = wanted in one.bucket(wanted)
        if one.bucket_of is None:
            if not is_there:
                return _fail(errno.E2BIG)
            if flags == NOEXIST:
                return _fail(errno.EEXIST)
        elif flags == NOEXIST and is_there:
            return _fail(errno.EEXIST)
        elif not is_there and sum(map(len, one.buckets)) >= one.handle.max_entries:
            return _fail(errno.E2BIG)
        one.bucket(wanted)[wanted] = _get(value, one.width)
        return 0

    def bpf_map_delete_elem(self, fd, key):
        if fd in self.broken:
            return _fail(errno.EPERM)
        one = self._maps[fd]
        if one.bucket_of is None:
            return _fail(errno.EINVAL)
        wanted = _get(key, one.handle.key_size)
        return 0 if one.bucket(wanted).pop(wanted, None) is not None else _fail(errno.ENOENT)

    def bpf_map_lookup_and_delete_elem(self, fd, key, value):
        assert key is None
        if fd in self.broken:
            return _fail(errno.EPERM)
        if not self._queues[fd]:
            return _fail(errno.ENOENT)
        ctypes.memmove(value, self._queues[fd].pop(0), 4)
        return 0

    def bpf_obj_get_info_by_fd(self, fd, info, length):
        if fd not in self.stats:
            return _fail(errno.EBADF)
        one = self.stats[fd]
        # struct bpf_prog_info, include/uapi/linux/bpf.h: run_time_ns, run_cnt, recursion_misses
        struct.pack_into("=QQQ", info, 192, one.run_ns, one.runs, one.misses)
        return 0

    def ring_buffer__new(self, fd, sample, context, options):
        self._sample, self._ready = sample, os.eventfd(1, os.EFD_NONBLOCK)
        self._fds.append(self._ready)
        return fd

    def ring_buffer__epoll_fd(self, ring):
        return self._ready

    def ring_buffer__consume(self, ring):
        """Until there are none, or the callback says so (libbpf: ringbuf_process_ring)."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._ready)
        taken = 0
        for raw in self.records:
            buffer = ctypes.create_string_buffer(raw, len(raw))
            taken += 1
            if (result := self._sample(None, ctypes.addressof(buffer), len(raw))) < 0:
                return result
        return taken

    def ring_buffer__free(self, ring):
        self.records = ()
