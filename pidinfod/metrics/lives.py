# SPDX-License-Identifier: Apache-2.0
"""Forks, execs and exits, and how long lives, shutdowns and reapings took."""

from __future__ import annotations

from pidinfod.kernel.layout import Enum
from pidinfod.kernel.names import signal_name
from pidinfod.metrics.schema import Counter, Histogram, group, named, number

FORK_KIND = Enum("fork_kind", "KIND", ("process", "thread", "vfork"))
FORK_VIA = Enum("fork_via", "VIA", ("native", "ft_fork"))
EXIT_REASON = Enum("exit_reason", "REASON", ("exited", "signaled", "oom"))
NONZERO = 255  # in the place of all exit codes but 0

# Powers of four from a millisecond to a day.
LIFE_SLOTS = range(19, 47, 2)
# Times are by declared group: so many have room for all buckets, however many may be declared.
TIMED_GROUPS = 256


def status_name(status: int) -> str:
    """0, nonzero, or the signal."""
    return {0: "0", NONZERO: "nonzero"}.get(status) or signal_name(status)


FORKS = Counter(
    "forks", "New tasks, by the group of the parent.",
    (named(FORK_KIND, "kind"), named(FORK_VIA, "via"), group("group")),
    lambda groups: 4 * groups, ("task_newtask",), event="fork", declared=("process", "native"),
)  # fmt: skip
EXECS = Counter(
    "execs", "Programs started, by the group that the process is in afterwards.",
    (group("group"),), lambda groups: groups, ("sched_process_exec",), event="exec", declared=(),
)  # fmt: skip
EXITS = Counter(
    "exits", "Processes ended.",
    (group("group"), named(EXIT_REASON, "reason"), number("status", "u8", 66, status_name)),
    lambda groups: 8 * groups, ("sched_process_exit",), event="exit", declared=("exited", "0"),
)  # fmt: skip
LIFETIME = Histogram(
    "process_lifetime_seconds", "From fork to the exit of the last thread.",
    (group("group"),), lambda groups: 16 * min(groups, TIMED_GROUPS),
    ("sched_process_exit",), declared=(), slots=LIFE_SLOTS,
)  # fmt: skip
SHUTDOWN = Histogram(
    "shutdown_seconds",
    "From SIGTERM to the exit, where the process did not ignore it and ended within an hour.",
    (group("group"),), lambda groups: 4 * min(groups, TIMED_GROUPS),
    ("signal_generate", "sched_process_exit"), declared=(), slots=LIFE_SLOTS,
)  # fmt: skip
ESCALATIONS = Counter(
    "shutdown_escalations", "Processes that SIGKILL ended within an hour of a SIGTERM.",
    (group("group"),), lambda groups: groups,
    ("signal_generate", "sched_process_exit"), declared=(),
)  # fmt: skip
OOM_KILLS = Counter(
    "oom_kills", "Processes that the OOM killer chose. Others that share their memory are not.",
    (group("group"),), lambda groups: groups, ("mark_victim", "sched_process_exit"), declared=(),
)  # fmt: skip
REAP_DELAY = Histogram(
    "reap_delay_seconds",
    "From the exit of a process until the kernel frees it, an RCU grace period after its parent "
    "reaped it. The parent is a group.",
    (group("parent"),), lambda groups: 16 * min(groups, TIMED_GROUPS),
    ("sched_process_free",), declared=(), slots=LIFE_SLOTS,
)  # fmt: skip

CONSTANTS = {"STATUS_NONZERO": NONZERO}
ENUMS = (FORK_KIND, FORK_VIA, EXIT_REASON)
FAMILIES = (
    FORKS, EXECS, EXITS, LIFETIME, SHUTDOWN, ESCALATIONS, OOM_KILLS, REAP_DELAY,
)  # fmt: skip
