# SPDX-License-Identifier: Apache-2.0
"""The records that the probes keep of processes and groups, and those that they tell one by one."""

from __future__ import annotations

from pidinfod.kernel.layout import Enum, Member, Struct

COMM_BYTES = 16  # include/linux/sched.h: TASK_COMM_LEN
GROUP_NAME_BYTES = 64
CGROUP_PATH_BYTES = 1024  # include/trace/events/cgroup.h: TRACE_CGROUP_PATH_LEN

# Groups by id. These two are always there; all other ids are given out by name.
FIXED_GROUP = Enum("fixed_group", "GROUP", ("kernel", "other"))
GROUP_KERNEL, GROUP_OTHER = range(2)
# What an id stands for: nothing yet, a program's name, a group that the configuration declares.
GROUP_KIND = Enum("group_kind", "KIND_OF_GROUP", ("free", "comm", "declared"))
FREE, BY_COMM, DECLARED = range(3)
# The precedence of a group that no rule declares: after all that are.
NO_PRECEDENCE = 0xFFFFFFFF

# What the daemon may change while the probes run, by its place in the map `settings`.
SETTING = Enum("setting", "SETTING", ("refined_precedence",))

# Where a signal came from. Only the death tells more: deaths/death.py.
ORIGIN = Enum(
    "origin", "ORIGIN",
    ("user", "kernel", "timer", "fault", "child", "terminal", "io", "limit", "seccomp", "other",
     "parent_death", "tracer_exit", "pid_namespace"),
)  # fmt: skip

COMM = Struct("comm", Member("name", "u8", COMM_BYTES))

GROUP_ENTRY = Struct(
    "group_entry",
    Member("kind", "u32"),
    Member("precedence", "u32"),  # the place of a declared group in the file
    Member("keeps_children", "u32"),
    Member("name", "u8", GROUP_NAME_BYTES),
)

# The last signal that could have ended a process.
BLAME = Struct(
    "blame",
    Member("time_ns", "u64"),  # on the boot clock, as all times of the probes
    Member("signal", "u32"),  # 0 for none
    Member("origin", "u32"),
    Member("sender", "u32"),  # the process that ran
    Member("sender_uid", "u32"),
    Member("sender_comm", COMM),  # the name of the process, not of its thread
)

# One life of a process, from its fork until the kernel frees its task; the key is its tgid.
PROCESS = Struct(
    "process",
    Member("start_ns", "u64"),
    Member("exec_id", "u64"),  # of its program, while user space has a say; 0 for a final group
    Member("end_ns", "u64"),  # 0 while it lives
    Member("term_ns", "u64"),  # of the last SIGTERM that began a shutdown, 0 without one
    Member("blame", BLAME),
    # A standard signal that waits for its delivery: since when, and whose it is (a thread's own or
    # the process's). Others that wait at the same time are in the map `generated`.
    Member("waiting_ns", "u64"),  # 0 for none
    Member("waiting_id", "u32"),
    Member("waiting_signal", "u16"),
    Member("waiting_is_shared", "u16"),
    Member("waiting_others", "u32"),
    Member("group", "u32"),
    Member("parent_group", "u32"),  # of the parent that it died under
    # Bytes, as different CPUs write them.
    Member("is_dead", "u8"),
    Member("is_term_ignored", "u8"),
    Member("is_oom_victim", "u8"),
    Member("is_start_rounded", "u8"),  # down to a clock tick, as user space knows it
)

# What user space says of a process: it holds for the program that was looked at, and no other.
PLACEMENT = Struct("placement", Member("exec_id", "u64"), Member("group", "u32"))

# The ring's records. Each begins with its type.
EVENT = Enum("ring_event", "EVENT", ("death", "placement", "cgroup"))
EVENT_DEATH, EVENT_PLACEMENT, EVENT_CGROUP = range(3)

PLACEMENT_EVENT = Struct(
    "placement_event",
    Member("type", "u32"),
    Member("tgid", "u32"),
    Member("exec_id", "u64"),
    Member("before", "u64"),  # the exec_id before the exec, if the group was provisional then too
    Member("group", "u32"),  # the provisional one
    Member("is_exec", "u32"),
    Member("comm", COMM),
)

DEATH = Struct(
    "death",
    Member("type", "u32"),
    Member("pid", "u32"),
    Member("start_ns", "u64"),
    Member("end_ns", "u64"),
    Member("term_ns", "u64"),
    Member("cgroup_id", "u64"),
    Member("blame", BLAME),
    Member("ppid", "u32"),
    Member("uid", "u32"),
    Member("group", "u32"),
    Member("status", "u32"),  # as wait(2) has it
    Member("is_oom_victim", "u32"),
    Member("comm", COMM),
    Member("parent_comm", COMM),
)

CGROUP_MADE = Struct(
    "cgroup_made",
    Member("type", "u32"),
    Member("id", "u64"),
    Member("path", "u8", CGROUP_PATH_BYTES),
)

ENUMS = (FIXED_GROUP, GROUP_KIND, SETTING, ORIGIN, EVENT)
STRUCTS = (
    COMM, GROUP_ENTRY, BLAME, PROCESS, PLACEMENT, PLACEMENT_EVENT, DEATH, CGROUP_MADE,
)  # fmt: skip


def comm_key(comm: bytes) -> bytes:
    """A process's name as the maps have it."""
    return comm[: COMM_BYTES - 1].ljust(COMM_BYTES, b"\0")
