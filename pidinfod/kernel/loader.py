# SPDX-License-Identifier: Apache-2.0
"""The loader: compiles the probes, attaches each on its own, hands them over and exits.

The only module that imports bcc. It is run by handoff.load(), never imported.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import json
import os
import platform
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pidinfod.kernel import handoff, pid_info
from pidinfod.kernel.btf import KernelTypes
from pidinfod.metrics.decode import FIRST_GROUP, comm_key

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
    "OFF_TASK_PID": ("task_struct", "pid"),
    "OFF_TASK_SIGHAND": ("task_struct", "sighand"),
    "OFF_TASK_PENDING": ("task_struct", "pending"),
    "OFF_SIGNAL_LIVE": ("signal_struct", "live"),
    "OFF_SIGNAL_FLAGS": ("signal_struct", "flags"),
    "OFF_SIGNAL_GROUP_EXIT_CODE": ("signal_struct", "group_exit_code"),
    "OFF_SIGNAL_SHARED_PENDING": ("signal_struct", "shared_pending"),
    "OFF_SIGPENDING_SIGNAL": ("sigpending", "signal"),
    "OFF_SIGHAND_ACTION": ("sighand_struct", "action"),
    "OFF_SIGINFO_CODE": ("kernel_siginfo", "si_code"),
}
# -D name of each structure whose size they need.
SIZES = {"SIZE_OF_K_SIGACTION": "k_sigaction"}

# The program text, in this order.
SOURCES = (
    "common", "groups", "kill_calls", "ft_calls", "deaths", "delivery", "signals", "reaping",
    "lifecycle", "cgroups",
)  # fmt: skip

# Entries of each map, where the settings do not say otherwise.
MAP_SIZES = {
    "ft_calls": 4096,
    "ft_call_duration": 256,
    "ft_inflight": 16384,
    "signals_generated": 16384,
    "signals_delivered": 8192,
    "forks": 2048,
    "execs": 1024,
    "exits": 8192,
    "ended": 8192,
    "group_of": 65536,
    "blames": 65536,
    "lives": 16384,
    "kill_calls": 4096,
    "kill_probes": 16384,
    "zombies": 65536,
    "delivery": 512,
    "generated": 16384,
    "rt_queues": 4096,
    "oom_victims": 256,
    "events": 256,  # pages of the ring
}

# Maps that the daemon reads, and whether their values are per CPU.
HANDED_MAPS = {
    "ft_calls": True,
    "ft_call_duration": True,
    "ft_call_duration_ns": True,
    "ft_inflight": False,
    "signals_generated": True,
    "signals_delivered": True,
    "forks": True,
    "execs": True,
    "exits": True,
    "groups": False,
    "group_of": False,
    "blames": False,
    "lives": True,
    "kill_calls": True,
    "delivery": True,
    "zombies": False,
    "drops": True,
    "seen": True,
}
# Only there when declared groups take more than the name to tell.
RULES_MAPS = {"placements": False, "placed_execs": False}


@dataclass(frozen=True)
class Hook:
    """Where a program goes."""

    kind: str
    event: str
    function: str
    metrics: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.event}"


TRACEPOINTS = (
    Hook("tracepoint", "task:task_newtask", "task_newtask", ("forks_total",)),
    Hook("tracepoint", "sched:sched_process_exec", "sched_process_exec", ("execs_total",)),
    Hook("tracepoint", "sched:sched_process_exit", "sched_process_exit", ("exits_total", "deaths")),
    Hook("tracepoint", "oom:mark_victim", "mark_victim", ("oom_kills_total",)),
    Hook(
        "tracepoint", "signal:signal_deliver", "signal_deliver",
        ("signals_delivered_total", "signal_delivery_seconds"),
    ),
    Hook(
        "raw_tracepoint", "signal_generate", "signal_generate",
        ("signals_generated_total", "signal_delivery_seconds", "shutdown_seconds"),
    ),
    Hook("raw_tracepoint", "sched_process_free", "sched_process_free", ("reap_delay_seconds",)),
    Hook("tracepoint", "cgroup:cgroup_mkdir", "cgroup_mkdir", ("deaths",)),
)  # fmt: skip
KILL_CALLS = (
    "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal",
)  # fmt: skip
KILL_METRICS = ("kill_failures_total", "liveness_probes_total")
FT_METRICS = ("ft_calls_total", "ft_call_duration_seconds")
FT_CALLS = ("get_pid_info", "ft_fork", "ft_kill", "ft_wait")
SYSCALL_PREFIX = {"x86_64": "__x64_sys_", "aarch64": "__arm64_sys_"}


def bpf_folder() -> Path:
    """The folder of the BPF sources: PIDINFOD_BPF_DIR, the source tree's, or the package's."""
    beside = Path(__file__).resolve().parents[2] / "bpf"
    given = os.environ.get("PIDINFOD_BPF_DIR")
    for folder in [Path(given)] if given else [beside, Path("/usr/share/pidinfod/bpf")]:
        if (folder / "common.bpf.c").is_file():
            return folder
    raise handoff.LoadError(f"no BPF sources in {given or f'{beside} or /usr/share/pidinfod/bpf'}")


def program_text(folder: Path) -> str:
    """The sources as one text; messages of the compiler name the file and its line."""
    files = (folder / f"{name}.bpf.c" for name in SOURCES)
    return "\n".join(f'#line 1 "{file}"\n{file.read_text()}' for file in files)


def tracefs() -> Path:
    """Where the kernel describes its tracepoints. Raises LoadError when it is not mounted."""
    for folder in (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing")):
        with contextlib.suppress(OSError):
            if (folder / "events").is_dir():
                return folder
    raise handoff.LoadError(
        "tracefs is not mounted or may not be read "
        "(mount -t tracefs tracefs /sys/kernel/tracing; CAP_DAC_READ_SEARCH)"
    )


def tracepoint_folder(hook: Hook) -> Path:
    """Where the kernel describes a hook that is a tracepoint."""
    return tracefs() / "events" / hook.event.replace(":", "/")


def compiler_flags(folder: Path, settings: dict[str, Any]) -> list[str]:
    """Offsets, map sizes and include paths. Raises OSError, LookupError."""
    sizes = MAP_SIZES | {"groups": settings["max_groups"]} | settings.get("map_sizes", {})
    flags = [f"-I{folder}/include"]
    flags += [f"-DSIZE_{name.upper()}={size}" for name, size in sizes.items()]
    events = tracefs() / "events"
    if b" group_dead;" in (events / "sched/sched_process_exit/format").read_bytes():
        flags.append("-DHAVE_GROUP_DEAD")
    if (events / "cgroup/cgroup_mkdir").is_dir():
        flags.append("-DHAVE_CGROUP_MKDIR")
    if settings.get("refined_from") is not None:
        flags.append(f"-DREFINED_FROM={FIRST_GROUP + settings['refined_from']}")
    with KernelTypes() as types:
        flags += [f"-D{name}={types.offset(*where)}" for name, where in OFFSETS.items()]
        flags += [f"-D{name}={types.size(struct)}" for name, struct in SIZES.items()]
    return flags


def declare_groups(bpf: Any, settings: dict[str, Any]) -> None:
    """The declared groups in the file's order, and the ids that no group has yet."""
    groups, keeps_children, free = bpf["groups"], bpf["keeps_children"], bpf["free_groups"]
    declared = settings.get("groups", ())
    for number, group in enumerate(declared, FIRST_GROUP):
        keeps_children[number] = keeps_children.Leaf(group["children"])
        for comm in group["comm"]:
            groups[groups.Key(comm_key(comm.encode()))] = groups.Leaf(number)
    for number in range(FIRST_GROUP + len(declared), settings["max_groups"]):
        free.push(ctypes.c_uint32(number))


def attach(bpf: Any, hook: Hook) -> tuple[int, int]:
    """Load and attach one program; its descriptor and that of its attachment."""
    from bcc import BPF

    if hook.kind == "tracepoint":
        function = bpf.load_func(hook.function, BPF.TRACEPOINT)
        bpf.attach_tracepoint(tp=hook.event, fn_name=hook.function)
        return function.fd, bpf.tracepoint_fds[hook.event.encode()]
    if hook.kind == "raw_tracepoint":
        function = bpf.load_func(hook.function, BPF.RAW_TRACEPOINT)
        bpf.attach_raw_tracepoint(tp=hook.event, fn_name=hook.function)
        return function.fd, bpf.raw_tracepoint_fds[hook.event.encode()]
    function = bpf.load_func(hook.function, BPF.KPROBE)
    if hook.kind == "kprobe":
        bpf.attach_kprobe(event=hook.event, fn_name=hook.function)
        prefix = b"p_"
    else:
        bpf.attach_kretprobe(event=hook.event, fn_name=hook.function)
        prefix = b"r_"
    attached = bpf.kprobe_fds[prefix + hook.event.encode()]
    link = attached if isinstance(attached, int) else attached[hook.function.encode()]
    return function.fd, link


def ft_hooks(prefix: str) -> Iterator[Hook]:
    """A kprobe and a kretprobe on each entry point of the patched kernel."""
    for call in FT_CALLS:
        metrics = FT_METRICS + (("ft_kill_signals_total",) if call == "ft_kill" else ())
        yield Hook("kprobe", prefix + call, f"enter_{call}", metrics)
        yield Hook("kretprobe", prefix + call, "exit_ft_call", metrics)


def kill_hooks() -> Iterator[Hook]:
    """Entry and exit of the kernel's own calls that send signals."""
    for call in KILL_CALLS:
        for end in ("enter", "exit"):
            event = f"syscalls:sys_{end}_{call}"
            yield Hook("tracepoint", event, f"{end}_{call}", KILL_METRICS)


def hooks(settings: dict[str, Any]) -> tuple[Hook, ...]:
    """Where the programs go on this machine."""
    prefix = SYSCALL_PREFIX.get(platform.machine(), "sys_")
    kills = kill_hooks() if settings.get("kill_failures", True) else ()
    return (*ft_hooks(prefix), *TRACEPOINTS, *kills)


def attach_all(bpf: Any, sock: socket.socket, settings: dict[str, Any]) -> None:
    """Attach what can be attached, and say of each probe what became of it."""
    prefix = SYSCALL_PREFIX.get(platform.machine(), "sys_")
    # Asked by calling: with the option off the entry points are there, and give ENOSYS.
    has_ft_calls = pid_info.is_supported()
    for hook in hooks(settings):
        fds: list[int] = []
        reason = ""
        if hook.kind in ("kprobe", "kretprobe") and not has_ft_calls:
            call = hook.event.removeprefix(prefix)
            reason = f"the kernel lacks {call} (no patch, or CONFIG_PID_INFO_SYSCALLS off)"
        else:
            try:
                if hook.kind == "tracepoint" and not tracepoint_folder(hook).is_dir():
                    raise handoff.LoadError("the kernel has no such tracepoint")
                fds = list(attach(bpf, hook))
            except Exception as error:  # bcc raises bare Exception
                reason = str(error) or type(error).__name__
        message = {
            "kind": "probe", "name": hook.name, "attached": not reason,
            "reason": reason, "metrics": hook.metrics,
        }  # fmt: skip
        handoff.send(sock, message, fds)


def send_maps(bpf: Any, sock: socket.socket, has_rules: bool) -> None:
    """Hand over the maps that the daemon reads, and those that it writes."""
    for name, is_percpu in (HANDED_MAPS | (RULES_MAPS if has_rules else {})).items():
        table = bpf[name]
        message = {
            "kind": "map",
            "name": name,
            "key_size": ctypes.sizeof(table.Key),
            # For a per-CPU map bcc's leaf is an array of all CPUs' values, each a u64 here.
            "value_size": 8 if is_percpu else ctypes.sizeof(table.Leaf),
            "max_entries": table.max_entries,
            "is_percpu": is_percpu,
        }
        handoff.send(sock, message, [table.map_fd])
    handoff.send(sock, {"kind": "ring"}, [bpf["events"].map_fd])
    handoff.send(sock, {"kind": "free_groups"}, [bpf["free_groups"].map_fd])


def load(sock: socket.socket, settings: dict[str, Any]) -> None:
    """Compile, fill, attach, hand over. Raises LoadError."""
    folder = bpf_folder()
    # bcc looks here for kernel headers; ours are all that the probes need.
    os.environ["BCC_KERNEL_SOURCE"] = str(folder)
    try:
        from bcc import BPF
    except ImportError as error:
        raise handoff.LoadError(f"bcc is missing ({error}): install python3-bpfcc") from error
    try:
        flags = compiler_flags(folder, settings)
    except (OSError, LookupError) as error:
        raise handoff.LoadError(str(error)) from error
    try:
        bpf = BPF(text=program_text(folder), cflags=flags)
        declare_groups(bpf, settings)
    except Exception as error:  # bcc raises bare Exception
        rights = "" if os.geteuid() == 0 else " (rights? CAP_BPF, CAP_PERFMON, CAP_DAC_READ_SEARCH)"
        raise handoff.LoadError(f"bcc could not load the probes: {error}{rights}") from error
    attach_all(bpf, sock, settings)
    send_maps(bpf, sock, settings.get("refined_from") is not None)


def main() -> None:
    """Called with the daemon's socket; what is attached stays when this process ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--settings", type=json.loads, required=True)
    args = parser.parse_args()
    sock = socket.socket(fileno=args.socket)
    try:
        load(sock, args.settings)
        handoff.send(sock, {"kind": "done"}, [])
    except handoff.LoadError as error:
        handoff.send(sock, {"kind": "error", "reason": str(error)}, [])
    except OSError as error:
        if error.errno != errno.EPIPE:  # the daemon gave up on us
            raise
    # Without bcc's clean-up, which would detach what the daemon now holds.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
