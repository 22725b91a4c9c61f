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
SETTING = Enum("setting", "SETTING", ("refined_precedence", "sweep"))

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

# What a task, a process or a group used since it was there. Each only rises.
USE_FIELDS = (
    "cpu_ns",  # exact, where the next two are samples of the clock tick
    "utime_ns", "stime_ns",
    "min_flt", "maj_flt",
    "nvcsw", "nivcsw",
    "rchar", "wchar",
    "read_bytes", "write_bytes",  # of storage
    "run_delay_ns",  # time on a run queue without running
)  # fmt: skip
USE = Struct("use", *(Member(name, "u64") for name in USE_FIELDS))

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
    Member("signals", "u32"),  # generated for it
    # Bytes, as different CPUs write them.
    Member("is_dead", "u8"),
    Member("is_term_ignored", "u8"),
    Member("is_oom_victim", "u8"),
    Member("is_start_rounded", "u8"),  # down to a clock tick, as user space knows it
    Member("is_use_unknown", "u8"),  # there was no room to remember what it had used before
)

# How a process came by what it uses. It is made when there is something to say, and belongs to
# the record of the same start.
USER = Struct(
    "user",
    Member("start_ns", "u64"),
    Member("base", USE),  # what it had used when it joined its group
    Member("ended_delay_ns", "u64"),  # of threads that ended: the kernel adds that up nowhere
    Member("ended_leader", "u64"),  # the last main thread among them, by its address
    Member("joined", "u32"),  # groups that it has joined, twice; odd while it joins one
    Member("visit", "u32"),  # number of the last sweep that visited it
    Member("visit_joined", "u32"),  # `joined` at that sweep's first visit
    Member("visit_group", "u32"),  # the group for which that sweep counts what it uses
    Member("visit_leader", "u64"),  # the main thread at the first visit, by its address
    Member("told_memory", "u32"),  # number of the last sweep that told it
    Member("told_descriptors", "u32"),
    # As that sweep found it, for who wants single processes.
    Member("cpu_ns", "u64"),
    Member("resident_bytes", "u64"),
    Member("descriptors", "u32"),
    Member("signals", "u32"),
)

# One that has ended and is not freed yet, while another process has its PID.
DEPARTED_KEY = Struct("departed_key", Member("start_ns", "u64"), Member("tgid", "u32"))
DEPARTED = Struct("departed", Member("base", USE), Member("group", "u32"))

# What user space says of a process: it holds for the program that was looked at, and no other.
PLACEMENT = Struct("placement", Member("exec_id", "u64"), Member("group", "u32"))

# What sweeps have told of a process for the group of its name, while user space had not placed
# it yet: that stays there. Another program of the process begins anew.
PROVISIONAL_USE = Struct(
    "provisional_use",
    Member("exec_id", "u64"),
    Member("told", USE),  # with what it had used before it joined
    Member("collected", USE),  # the same by the sweep that goes on
    Member("sweep", "u32"),
)

# As in /proc/PID/stat, each at its place in the kernel's task_state_array (fs/proc/array.c).
STATES = ("R", "S", "D", "T", "t", "X", "Z", "P", "I")
STATE_SLOTS = 16  # a power of two: a masked index is in bounds to the verifier of every kernel
CONSTANTS = {"STATE_ZOMBIE": STATES.index("Z"), "STATE_SLOTS": STATE_SLOTS}

# The processes of a group as one sweep found them.
SWEPT = Struct(
    "swept",
    Member("use", USE),  # since they joined the group
    Member("resident_bytes", "u64"),
    Member("virtual_bytes", "u64"),
    Member("swap_bytes", "u64"),
    Member("descriptors", "u64"),
    Member("descriptors_ratio", "u64"),  # of the process nearest to its limit, in 2^-32
    Member("oldest_start_ns", "u64"),
    Member("queued", "u64"),  # signals, of the process nearest to its limit
    Member("queued_limit", "u64"),
    Member("processes", "u32", count=STATE_SLOTS),  # by state
    Member("threads", "u32", count=STATE_SLOTS),
    Member("unreaped", "u32"),  # dead children
    Member("sweep", "u32"),  # of which this is
)
# Processes of a group that have a signal pending, or block it.
SIGNAL_SET = Enum("signal_set", "SET", ("pending", "blocked"))
SWEPT_SIGNAL_KEY = Struct(
    "swept_signal_key", Member("group", "u32"), Member("signal", "u16"), Member("set", "u16")
)
SWEPT_SIGNAL = Struct("swept_signal", Member("sweep", "u32"), Member("processes", "u32"))

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

ENUMS = (FIXED_GROUP, GROUP_KIND, SETTING, ORIGIN, SIGNAL_SET, EVENT)
STRUCTS = (
    COMM, GROUP_ENTRY, BLAME, USE, PROCESS, USER, DEPARTED_KEY, DEPARTED, PLACEMENT,
    PROVISIONAL_USE, SWEPT, SWEPT_SIGNAL_KEY, SWEPT_SIGNAL, PLACEMENT_EVENT, DEATH, CGROUP_MADE,
)  # fmt: skip


def comm_key(comm: bytes) -> bytes:
    """A process's name as the maps have it."""
    return comm[: COMM_BYTES - 1].ljust(COMM_BYTES, b"\0")
