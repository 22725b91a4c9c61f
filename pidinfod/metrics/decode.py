# SPDX-License-Identifier: Apache-2.0
"""Bytes of BPF maps to values: pure functions. Nanoseconds become seconds here.

The layouts are those of the structs in bpf/*.bpf.c.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping, Sequence

from pidinfod.kernel.names import error_name, signal_name

Labels = tuple[str, ...]
Counts = Mapping[bytes, int]

SYSCALLS = {548: "get_pid_info", 549: "ft_fork", 550: "ft_kill", 551: "ft_wait"}
# bpf/signals.bpf.c: enum origin
ORIGINS = (
    "user", "kernel", "timer", "fault", "child", "terminal", "io", "limit", "seccomp", "other",
)  # fmt: skip
# include/trace/events/signal.h: TRACE_SIGNAL_*
RESULTS = ("delivered", "ignored", "already_pending", "overflow_fail", "lose_info")
DISPOSITIONS = ("default", "ignored", "handled")
FORK_KINDS = ("process", "thread", "vfork")
EXIT_REASONS = ("exited", "signaled", "oom")
FORK_WAYS = ("native", "ft_fork")
# bpf/common.bpf.c: enum drop_cause
DROP_CAUSES = (
    "ft_calls_full", "ft_inflight_full", "ft_return_missed", "ft_call_duration_full",
    "signals_generated_full", "signals_delivered_full", "forks_full", "execs_full",
    "exits_full", "group_of_full", "groups_full", "blames_full", "deaths_full",
    "lives_full", "kill_calls_full", "kill_probes_full", "zombies_full", "delivery_full",
    "placements_full", "cgroups_full",
)  # fmt: skip

# bpf/common.bpf.c: enum seen_event
EVENTS = ("fork", "exec", "exit", "signal_generated", "signal_delivered", "ft_call")

# bpf/deaths.bpf.c: enum life
LIFETIME, LIFETIME_NS, SHUTDOWN, SHUTDOWN_NS, ESCALATIONS, OOM_KILLS = range(6)
REAP_DELAY, REAP_DELAY_NS, REAPED_UNSEEN = 6, 7, 8
# bpf/delivery.bpf.c: enum signal_class, delivery_count, unmatched
SIGNAL_CLASSES = ("standard", "realtime")
MATCHED, MATCHED_NS, UNMATCHED = range(3)
UNMATCHED_REASONS = ("unseen", "group_exit", "undelivered")
# bpf/kill_calls.bpf.c: enum kill_call
KILL_CALLS = (
    "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal",
    "ft_kill",
)  # fmt: skip

GROUP_KERNEL, GROUP_OTHER, FIRST_GROUP = 0, 1, 2

# Powers of two from a microsecond to half a minute; what is beyond is in the last two.
FIRST_SLOT, LAST_SLOT = 9, 34
BOUNDS = tuple(2 ** (slot + 1) / 1e9 for slot in range(FIRST_SLOT, LAST_SLOT + 1))


class GroupNames:
    """Names of group ids, from the kernel's table of names and the declared groups."""

    def __init__(self, by_comm: Mapping[bytes, bytes], declared: Sequence[str]) -> None:
        self._names = {GROUP_KERNEL: "kernel", GROUP_OTHER: "other"}
        for comm, number in by_comm.items():
            name = comm.partition(b"\0")[0].decode(errors="replace")
            self._names[struct.unpack("=I", number)[0]] = name
        self._names.update(enumerate(declared, FIRST_GROUP))

    def __getitem__(self, group: int) -> str:
        return self._names.get(group, "other")


def _named(names: Sequence[str], index: int) -> str:
    return names[index] if index < len(names) else str(index)


def ft_calls(counts: Counts) -> Counter[Labels]:
    """By syscall and result."""
    calls: Counter[Labels] = Counter()
    for key, count in counts.items():
        number, result, _ = struct.unpack("=Iii", key)
        calls[SYSCALLS[number], error_name(-result) if result else "ok"] += count
    return calls


def ft_kill_signals(counts: Counts) -> Counter[Labels]:
    """Calls of ft_kill by signal and result."""
    calls: Counter[Labels] = Counter()
    for key, count in counts.items():
        number, result, signal = struct.unpack("=Iii", key)
        if SYSCALLS[number] == "ft_kill":
            calls[signal_name(signal), error_name(-result) if result else "ok"] += count
    return calls


# Cumulative counts of the bounds and of infinity, and the sum in seconds.
Histogram = tuple[list[int], float]


def _add_to_buckets(buckets: list[int], slot: int, count: int) -> None:
    """Into the bucket of BOUNDS that has the slot, and those above."""
    first = min(max(slot, FIRST_SLOT), LAST_SLOT + 1) - FIRST_SLOT
    for index in range(first, len(buckets)):
        buckets[index] += count


def ft_durations(slots: Counts, sums: Counts) -> dict[str, Histogram]:
    """By syscall, over BOUNDS."""
    durations = {name: ([0] * (len(BOUNDS) + 1), 0.0) for name in SYSCALLS.values()}
    for key, count in slots.items():
        number, slot = struct.unpack("=II", key)
        _add_to_buckets(durations[SYSCALLS[number]][0], slot, count)
    for key, total in sums.items():
        name = SYSCALLS[struct.unpack("=I", key)[0]]
        durations[name] = (durations[name][0], total / 1e9)
    return durations


def signals_generated(counts: Counts, groups: GroupNames) -> Counter[Labels]:
    """By signal, origin, result, sender and target."""
    signals: Counter[Labels] = Counter()
    for key, count in counts.items():
        signal, origin, result, _, sender, target = struct.unpack("=IBBHII", key)
        labels = (
            signal_name(signal), _named(ORIGINS, origin), _named(RESULTS, result),
            groups[sender], groups[target],
        )  # fmt: skip
        signals[labels] += count
    return signals


def signals_delivered(counts: Counts, groups: GroupNames) -> Counter[Labels]:
    """By signal, disposition and target."""
    signals: Counter[Labels] = Counter()
    for key, count in counts.items():
        signal, disposition, target = struct.unpack("=III", key)
        signals[signal_name(signal), _named(DISPOSITIONS, disposition), groups[target]] += count
    return signals


def forks(counts: Counts, groups: GroupNames) -> Counter[Labels]:
    """By kind, way and group of the parent."""
    forks: Counter[Labels] = Counter()
    for key, count in counts.items():
        kind, via, _, group = struct.unpack("=BBHI", key)
        forks[_named(FORK_KINDS, kind), _named(FORK_WAYS, via), groups[group]] += count
    return forks


def execs(counts: Counts, groups: GroupNames) -> Counter[Labels]:
    """By group after the exec."""
    execs: Counter[Labels] = Counter()
    for key, count in counts.items():
        execs[(groups[struct.unpack("=I", key)[0]],)] += count
    return execs


def exits(counts: Counts, groups: GroupNames) -> Counter[Labels]:
    """By group, reason and status: 0, nonzero or the signal."""
    exits: Counter[Labels] = Counter()
    for key, count in counts.items():
        group, reason, _, status = struct.unpack("=IBBH", key)
        code = "nonzero" if status else "0"
        shown = signal_name(status) if reason else code
        exits[groups[group], _named(EXIT_REASONS, reason), shown] += count
    return exits


# Powers of four from a millisecond to a day: every second slot.
LIFE_SLOTS = range(19, 47, 2)
LIFE_BOUNDS = tuple(2 ** (slot + 1) / 1e9 for slot in LIFE_SLOTS)

def life_histograms(
    counts: Counts, groups: GroupNames, by_slot: int, total: int
) -> dict[str, Histogram]:
    """By group, over LIFE_BOUNDS."""
    found: dict[str, Histogram] = {}
    for key, count in counts.items():
        group, life, slot = struct.unpack("=IHH", key)
        if life not in (by_slot, total):
            continue
        buckets, seconds = found.get(groups[group], ([0] * (len(LIFE_BOUNDS) + 1), 0.0))
        if life == total:
            seconds += count / 1e9
        else:
            for index, last in enumerate((*LIFE_SLOTS, 1 << 16)):
                buckets[index] += count if slot <= last else 0
        found[groups[group]] = (buckets, seconds)
    return found


def life_counts(counts: Counts, groups: GroupNames, wanted: int) -> Counter[Labels]:
    """By group: escalations, or kills of the OOM killer."""
    found: Counter[Labels] = Counter()
    for key, count in counts.items():
        group, life, _ = struct.unpack("=IHH", key)
        if life == wanted:
            found[(groups[group],)] += count
    return found


def kill_calls(counts: Counts, groups: GroupNames, is_probe: bool) -> Counter[Labels]:
    """By call, result and sender's group: failures, or attempts with signal 0."""
    calls: Counter[Labels] = Counter()
    for key, count in counts.items():
        call, probes, error, sender = struct.unpack("=BBHI", key)
        if bool(probes) == is_probe:
            result = error_name(error) if error else "ok"
            calls[_named(KILL_CALLS, call), result, groups[sender]] += count
    return calls


def deliveries(counts: Counts) -> dict[str, Histogram]:
    """By class of the signal, over BOUNDS: from generation to delivery."""
    found = {name: ([0] * (len(BOUNDS) + 1), 0.0) for name in SIGNAL_CLASSES}
    for key, count in counts.items():
        number, what, slot = struct.unpack("=BBH", key)
        name = SIGNAL_CLASSES[number]
        if what == MATCHED:
            _add_to_buckets(found[name][0], slot, count)
        elif what == MATCHED_NS:
            found[name] = (found[name][0], count / 1e9)
    return found


def unmatched_deliveries(counts: Counts) -> Counter[Labels]:
    """By class of the signal and reason."""
    found: Counter[Labels] = Counter(
        {(name, reason): 0 for name in SIGNAL_CLASSES for reason in UNMATCHED_REASONS}
    )
    for key, count in counts.items():
        number, what, reason = struct.unpack("=BBH", key)
        if what == UNMATCHED:
            found[SIGNAL_CLASSES[number], _named(UNMATCHED_REASONS, reason)] += count
    return found


def drops(counts: Sequence[int]) -> dict[str, int]:
    """By cause."""
    return dict(zip(DROP_CAUSES, counts, strict=True))


def seen(counts: Sequence[int]) -> dict[str, int]:
    """By event."""
    return dict(zip(EVENTS, counts, strict=True))


def placed_execs(entries: Mapping[bytes, bytes]) -> dict[bytes, int]:
    """Execs by group that user space counted, with the keys of the kernel's own."""
    return {group: struct.unpack("=Q", count)[0] for group, count in entries.items()}


# bpf/groups.bpf.c: struct membership, struct placement
MEMBERSHIP, PLACEMENT = struct.Struct("=IIQ"), struct.Struct("=QII")


def comm_key(comm: bytes) -> bytes:
    """A process's name as the maps have it."""
    return comm[:15].ljust(16, b"\0")


def group_of(
    memberships: Mapping[bytes, bytes], placements: Mapping[bytes, bytes]
) -> dict[int, int]:
    """Task id to group id. A placement holds for the image that user space looked at."""
    found = {}
    for tid, membership in memberships.items():
        group, _, image = MEMBERSHIP.unpack(membership)
        if image and tid in placements:
            placed_image, placed, _ = PLACEMENT.unpack(placements[tid])
            group = placed if placed_image == image else group
        found[struct.unpack("=I", tid)[0]] = group
    return found
