# SPDX-License-Identifier: Apache-2.0
"""What the probes read of the kernel's structures, and where it is in this kernel, as the compiler
is told it."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterable

from pidinfod.kernel.btf import KernelTypes

# -D name of each structure member that the probes read.
OFFSETS = {
    "OFF_TASK_FLAGS": ("task_struct", "flags"),
    "OFF_TASK_SIGNAL": ("task_struct", "signal"),
    "OFF_TASK_EXIT_CODE": ("task_struct", "exit_code"),
    "OFF_TASK_GROUP_LEADER": ("task_struct", "group_leader"),
    "OFF_TASK_START_BOOTTIME": ("task_struct", "start_boottime"),
    "OFF_TASK_TGID": ("task_struct", "tgid"),
    "OFF_TASK_COMM": ("task_struct", "comm"),
    "OFF_TASK_REAL_PARENT": ("task_struct", "real_parent"),
    "OFF_TASK_PARENT": ("task_struct", "parent"),
    "OFF_TASK_PTRACE": ("task_struct", "ptrace"),
    "OFF_TASK_PID": ("task_struct", "pid"),
    "OFF_TASK_STACK": ("task_struct", "stack"),
    "OFF_TASK_SIGHAND": ("task_struct", "sighand"),
    "OFF_TASK_PENDING": ("task_struct", "pending"),
    "OFF_TASK_THREAD_PID": ("task_struct", "thread_pid"),
    "OFF_PID_LEVEL": ("pid", "level"),
    "OFF_PID_NUMBERS": ("pid", "numbers"),
    "OFF_UPID_NR": ("upid", "nr"),
    "OFF_SIGNAL_LIVE": ("signal_struct", "live"),
    "OFF_SIGNAL_FLAGS": ("signal_struct", "flags"),
    "OFF_SIGNAL_GROUP_EXIT_CODE": ("signal_struct", "group_exit_code"),
    "OFF_SIGNAL_SHARED_PENDING": ("signal_struct", "shared_pending"),
    "OFF_SIGPENDING_SIGNAL": ("sigpending", "signal"),
    "OFF_SIGHAND_ACTION": ("sighand_struct", "action"),
    "OFF_K_SIGACTION_SA": ("k_sigaction", "sa"),
    "OFF_SIGACTION_HANDLER": ("sigaction", "sa_handler"),
    "OFF_SIGINFO_CODE": ("kernel_siginfo", "si_code"),
    "OFF_CGROUP_ROOT": ("cgroup", "root"),
    "OFF_CGROUP_KN": ("cgroup", "kn"),
    "OFF_CGROUP_ROOT_HIERARCHY_ID": ("cgroup_root", "hierarchy_id"),
    "OFF_KERNFS_NODE_ID": ("kernfs_node", "id"),
    "OFF_SIGNAL_NR_THREADS": ("signal_struct", "nr_threads"),
    "OFF_SIGNAL_STATS_LOCK": ("signal_struct", "stats_lock"),
    "OFF_SIGNAL_SUM_SCHED_RUNTIME": ("signal_struct", "sum_sched_runtime"),
    "OFF_TASK_SUM_EXEC_RUNTIME": ("task_struct", "se", "sched_entity", "sum_exec_runtime"),
    **{
        f"OFF_{owner}_{member.upper()}": (struct, member)
        for owner, struct in (("SIGNAL", "signal_struct"), ("TASK", "task_struct"))
        for member in ("utime", "stime", "min_flt", "maj_flt", "nvcsw", "nivcsw")
    },
    "OFF_SIGNAL_RLIM": ("signal_struct", "rlim"),
    "OFF_RLIMIT_RLIM_CUR": ("rlimit", "rlim_cur"),
    "OFF_TASK_EXIT_STATE": ("task_struct", "exit_state"),
    "OFF_TASK_BLOCKED": ("task_struct", "blocked"),
    "OFF_TASK_REAL_CRED": ("task_struct", "real_cred"),
    "OFF_TASK_MM": ("task_struct", "mm"),
    "OFF_MM_TOTAL_VM": ("mm_struct", "total_vm"),
    "OFF_MM_RSS_STAT": ("mm_struct", "rss_stat"),
    "OFF_PERCPU_COUNTER_COUNT": ("percpu_counter", "count"),
    "OFF_TASK_FILES": ("task_struct", "files"),
    "OFF_FILES_FDT": ("files_struct", "fdt"),
    "OFF_FILES_NEXT_FD": ("files_struct", "next_fd"),
    "OFF_FDTABLE_MAX_FDS": ("fdtable", "max_fds"),
    "OFF_FDTABLE_OPEN_FDS": ("fdtable", "open_fds"),
    "OFF_FDTABLE_FULL_FDS_BITS": ("fdtable", "full_fds_bits"),
}
# What a kernel may be built without, or has had under another name: the first that it has.
OPTIONAL_OFFSETS = {
    "OFF_TASK_STATE": (("task_struct", "__state"), ("task_struct", "state")),  # 5.14
    "OFF_TASK_RUN_DELAY": (("task_struct", "sched_info", "sched_info", "run_delay"),),
    "OFF_SIGNAL_IOAC": (("signal_struct", "ioac"),),
    "OFF_TASK_IOAC": (("task_struct", "ioac"),),
    "OFF_IOAC_RCHAR": (("task_io_accounting", "rchar"),),
    "OFF_IOAC_WCHAR": (("task_io_accounting", "wchar"),),
    "OFF_IOAC_READ_BYTES": (("task_io_accounting", "read_bytes"),),
    "OFF_IOAC_WRITE_BYTES": (("task_io_accounting", "write_bytes"),),
    "OFF_MM_RSS_STAT_COUNT": (("mm_rss_stat", "count"),),  # before 6.2
    "OFF_CRED_UCOUNTS": (("cred", "ucounts"),),
    "OFF_UCOUNTS_RLIMIT": (("ucounts", "rlimit"),),  # 6.0
}
# What tells a 32-bit caller from others, by machine: the status is next to the task's flags.
MACHINE_OFFSETS = {
    "x86_64": {"OFF_THREAD_INFO_STATUS": ("thread_info", "status")},
    "aarch64": {
        "OFF_THREAD_INFO_FLAGS": ("thread_info", "flags"),
        "OFF_PT_REGS_SYSCALLNO": ("pt_regs", "syscallno"),
    },
}
# What the sweep cannot tell without an optional member.
NEEDED_BY = {
    "OFF_TASK_RUN_DELAY": ("run_delay_ns",),
    "OFF_IOAC_RCHAR": ("rchar", "wchar"),
    "OFF_IOAC_READ_BYTES": ("read_bytes", "write_bytes"),
    "OFF_UCOUNTS_RLIMIT": ("queued",),
}
# -D name of each structure whose size they need.
SIZES = {
    "SIZE_OF_K_SIGACTION": "k_sigaction",
    "SIZE_OF_UPID": "upid",
    "SIZE_OF_PT_REGS": "pt_regs",
    "SIZE_OF_RLIMIT": "rlimit",
    "SIZE_OF_PERCPU_COUNTER": "percpu_counter",
}


def _optional_flags(types: KernelTypes) -> list[str]:
    """Of each optional member the first name that the kernel has for it; none where it has none."""
    found = []
    for name, places in OPTIONAL_OFFSETS.items():
        for where in places:
            with contextlib.suppress(LookupError):
                found.append(f"-D{name}={types.offset(*where)}")
                break
    return found


def flags() -> list[str]:
    """Offsets, sizes, and what else the probes must know of this kernel.

    Raises OSError or LookupError when the kernel's types cannot be read.
    """
    # THREAD_SIZE: 16 KiB, or a page where pages are larger.
    page = os.sysconf("SC_PAGE_SIZE")
    found = [f"-DPAGE_BYTES={page}", f"-DTHREAD_BYTES={max(16384, page)}"]
    with KernelTypes() as types:
        offsets = OFFSETS | MACHINE_OFFSETS.get(platform.machine(), {})
        found += [f"-D{name}={types.offset(*where)}" for name, where in offsets.items()]
        found += _optional_flags(types)
        found += [f"-D{name}={types.size(struct)}" for name, struct in SIZES.items()]
        if len(types.tracepoint_arguments("sched_process_exit")) > 1:
            found.append("-DHAVE_GROUP_DEAD")
        if types.tracepoint_arguments("mark_victim")[0]:
            found.append("-DMARK_VICTIM_HAS_TASK")
        if types.has_helper("task_pt_regs"):
            found.append("-DHAVE_TASK_PT_REGS")
    return found


def absent(given: Iterable[str]) -> list[str]:
    """What the sweep cannot tell on this kernel, by its flags()."""
    members = {flag.partition("=")[0].removeprefix("-D") for flag in given}
    return [name for member, names in NEEDED_BY.items() if member not in members for name in names]
