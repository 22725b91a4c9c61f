# SPDX-License-Identifier: Apache-2.0
"""The loader: compiles the probes, attaches each on its own, hands them over and exits.

The only module that imports bcc. It is run by handoff.load(), never imported by the daemon. What
it is asked for comes with a request: the text that is made from the descriptions, the sizes of
the maps, what to write into them, and which of them to hand over.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import os
import platform
import re
import socket
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pidinfod.kernel import handoff, libbpf, offsets, pid_info

# The program text, in this order; the first comes before what is made of the families.
SOURCES = (
    "common", "groups", "processes", "use", "kill_calls", "ft_calls", "deaths", "delivery",
    "signals", "lifecycle", "cgroups", "sweep",
)  # fmt: skip


@dataclass(frozen=True)
class Hook:
    """Where a program goes. `feeds` is what the families of metrics name as their source."""

    kind: str
    event: str
    function: str
    feeds: str

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.event}"


# What removes a record comes before what makes one.
RAW_TRACEPOINTS = (
    "sched_process_free", "sched_process_exit", "sched_process_exec", "task_newtask",
    "mark_victim", "signal_deliver", "signal_generate", "cgroup_mkdir",
)  # fmt: skip

BPF_PROG_TYPE_TRACING = 26  # include/uapi/linux/bpf.h
# bcc and libbpf know the program of an iterator by its function's name.
SWEEP = Hook("iterator", "task", "bpf_iter__task", "sweep")

SYS_EXIT = Hook("raw_tracepoint", "sys_exit", "sys_exit", "kill_calls")

FT_CALLS = ("get_pid_info", "ft_fork", "ft_kill", "ft_wait")
# Without arguments, a call has one entry point under two names: arch/x86/include/asm/
# syscall_wrapper.h, SYSCALL_DEFINE0. Two probes there would count each call twice.
WITHOUT_ARGUMENTS = ("ft_fork",)


@dataclass(frozen=True)
class KillCall:
    """One of the kernel's own calls that send signals."""

    name: str
    signal: str  # its place among the arguments: second or third
    x86_64: int
    i386: int
    arm64: int
    arm: int
    compat_entry: str = ""  # of 32-bit callers, where the kernel has one of its own
    x32: int = 0  # its number for x32, where it is another one; bpf/kill_calls.bpf.c drops the bit


KILL_CALLS = (
    KillCall("kill", "second", 62, 37, 129, 37),
    KillCall("tkill", "second", 200, 238, 130, 238),
    KillCall("tgkill", "third", 234, 270, 131, 268),
    KillCall("rt_sigqueueinfo", "second", 129, 178, 138, 178, "compat_sys_rt_sigqueueinfo", 524),
    KillCall(
        "rt_tgsigqueueinfo", "third", 297, 335, 240, 363, "compat_sys_rt_tgsigqueueinfo", 536
    ),
    KillCall("pidfd_send_signal", "second", 424, 424, 424, 424),
)

IS_X86 = platform.machine() == "x86_64"
# Entry points by ABI: what stands before the name of the call.
NATIVE, COMPAT = ("__x64_", "__ia32_") if IS_X86 else ("__arm64_", "__arm64_")
# The member of pt_regs that holds the second argument, by ABI.
SECOND_ARGUMENT = {
    "native": "si" if IS_X86 else "regs[1]",
    "compat": "cx" if IS_X86 else "regs[1]",
}


def bpf_folder() -> Path:
    """The folder of the BPF sources: PIDINFOD_BPF_DIR, the source tree's, or the package's."""
    beside = Path(__file__).resolve().parents[2] / "bpf"
    given = os.environ.get("PIDINFOD_BPF_DIR")
    for folder in [Path(given)] if given else [beside, Path("/usr/share/pidinfod/bpf")]:
        if (folder / "common.bpf.c").is_file():
            return folder
    raise handoff.LoadError(f"no BPF sources in {given or f'{beside} or /usr/share/pidinfod/bpf'}")


def _entry_text(function: str, body: str, argument: str | None = None) -> str:
    """A program on the entry point of a system call, whose argument is the caller's registers."""
    read = ""
    if argument:
        read = (
            "\tstruct pt_regs *user = (struct pt_regs *)PT_REGS_PARM1(ctx);\n"
            "\tunsigned long signal = 0;\n\n"
            f"\tbpf_probe_read_kernel(&signal, sizeof(signal), &user->{argument});\n"
        )
    return f"int {function}(struct pt_regs *ctx)\n{{\n{read}\treturn {body};\n}}\n"


def _kill_calls_text() -> str:
    """What counts a system call that is done, if it is one of the six by its number."""
    native, compat = (("x86_64", "x32"), ("i386",)) if IS_X86 else (("arm64",), ("arm",))

    def numbers_of(call: KillCall, abis: Iterable[str]) -> list[int]:
        return [number for abi in abis if (number := getattr(call, abi))]

    def cases(abis: Iterable[str]) -> str:
        return "".join(
            f"\t\tcase {number}:\n"
            f"\t\t\tkill = CALL_{call.name.upper()};\n\t\t\tsignal = call.{call.signal};\n"
            "\t\t\tbreak;\n"
            for call in KILL_CALLS
            for number in numbers_of(call, abis)
        )

    numbers = sorted({n for call in KILL_CALLS for n in numbers_of(call, (*native, *compat))})
    return (
        "static __always_inline int kill_call_done(struct pt_regs *regs, long result)\n{\n"
        "\tstruct pt_regs registers;\n"
        "\tlong number = read_registers(regs, &registers);\n"
        "\tstruct user_call call = {};\n"
        "\ts32 signal = 0;\n\tu32 kill = 0;\n\n"
        f"\tif ({' && '.join(f'number != {number}' for number in numbers)})\n\t\treturn 0;\n"
        "\tread_call(&registers, &call);\n"
        "\tif (call.is_32bit) {\n\t\tswitch (number) {\n"
        f"{cases(compat)}\t\tdefault:\n\t\t\treturn 0;\n\t\t}}\n"
        "\t} else {\n\t\tswitch (number) {\n"
        f"{cases(native)}\t\tdefault:\n\t\t\treturn 0;\n\t\t}}\n\t}}\n"
        "\tcount_kill_call(kill, signal, result);\n\treturn 0;\n}\n"
    )


def entries_text(wanted: Iterable[Hook]) -> str:
    """What differs by call and ABI of the programs on system calls that are wanted."""
    functions = {hook.function for hook in wanted}
    texts = [_kill_calls_text()] if SYS_EXIT.function in functions else []
    for abi, second in SECOND_ARGUMENT.items():
        for name in FT_CALLS:
            if f"{abi}_{name}" in functions:
                has_signal = name == "ft_kill"
                body = f"ft_enter(FT_{name.upper()}, {'signal' if has_signal else '0'})"
                argument = second if has_signal else None
                texts.append(_entry_text(f"{abi}_{name}", body, argument))
    return "\n".join(texts)


def wanted_text(wanted: Iterable[Hook]) -> str:
    """What the programs are compiled with: programs without a hook are left out."""
    kinds = {(hook.kind, hook.feeds) for hook in wanted}
    names = {
        "WITH_FT_CALLS": ("kprobe", "ft_calls"),
        "WITH_KILL_CALLS": (SYS_EXIT.kind, SYS_EXIT.feeds),
        "WITH_KILL_KPROBES": ("kprobe", "kill_calls"),
    }
    return "".join(f"#define {name}\n" for name, kind in names.items() if kind in kinds)


def program_text(folder: Path, request: dict[str, Any], wanted: Collection[Hook]) -> str:
    """The whole program; messages of the compiler name the file and its line."""

    def source(name: str) -> str:
        file = folder / f"{name}.bpf.c"
        return f'#line 1 "{file}"\n{file.read_text()}'

    def made(name: str, text: str) -> str:
        return f'#line 1 "<{name}>"\n{text}'

    first, *rest = SOURCES
    parts = [
        made("records", request["records"]), made("wanted", wanted_text(wanted)),
        source(first), made("families", request["families"]),
        *map(source, rest), made("entries", entries_text(wanted)),
    ]  # fmt: skip
    return "\n".join(parts)


def compiler_flags(folder: Path, sizes: dict[str, int]) -> list[str]:
    """Include paths, map sizes and what this kernel has.

    Raises OSError or LookupError when the kernel's types cannot be read.
    """
    # Nobody reads debug information of the probes, and to make it takes a tenth of a second.
    own = ["-g0", f"-I{folder}/include"]
    return [*own, *(f"-DSIZE_{name.upper()}={n}" for name, n in sizes.items()), *offsets.flags()]


def fill(bpf: Any, request: dict[str, Any]) -> None:
    """Write into the maps what the request wants there: keys and values in hexadecimal."""
    for name, entries in request["fill"].items():
        table = bpf[name]
        for key, value in entries:
            table[table.Key.from_buffer_copy(bytes.fromhex(key))] = table.Leaf.from_buffer_copy(
                bytes.fromhex(value)
            )
    for number in request["free_groups"]:
        bpf["free_groups"].push(ctypes.c_uint32(number))


def attach(bpf: Any, hook: Hook) -> tuple[int, int]:
    """Load and attach one program; its descriptor and that of its attachment.

    Raises whatever bcc does, which is a bare Exception.
    """
    from bcc import BPF

    if hook.kind == "iterator":
        function = bpf.load_func(hook.function, BPF_PROG_TYPE_TRACING)
        return function.fd, libbpf.link_iterator(function.fd)
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


def detach(bpf: Any, hook: Hook) -> None:
    """Undo attach() of a kprobe or a kretprobe."""
    if hook.kind == "kprobe":
        bpf.detach_kprobe(event=hook.event, fn_name=hook.function)
    else:
        bpf.detach_kretprobe(event=hook.event, fn_name=hook.function)


def kernel_symbols() -> frozenset[str]:
    """The names in /proc/kallsyms that entry points of system calls can have."""
    # All at once: line by line takes twice the time.
    text = Path("/proc/kallsyms").read_text()
    return frozenset(re.findall(rf" [Tt] ((?:{NATIVE}|{COMPAT})\S+)", text))


def entry_hooks(symbols: frozenset[str], has_ft_calls: bool) -> Iterator[Hook]:
    """A kprobe and a kretprobe on each entry point that this kernel has, 32-bit ones too."""

    def both(symbol: str, enter: str, leave: str, feeds: str) -> Iterator[Hook]:
        if symbol in symbols:
            # The return first: a call that is entered between the two would look missed.
            yield Hook("kretprobe", symbol, leave, feeds)
            yield Hook("kprobe", symbol, enter, feeds)

    for name in FT_CALLS if has_ft_calls else ():
        yield from both(f"{NATIVE}sys_{name}", f"native_{name}", "exit_ft_call", "ft_calls")
        if COMPAT != NATIVE and name not in WITHOUT_ARGUMENTS:
            yield from both(f"{COMPAT}sys_{name}", f"compat_{name}", "exit_ft_call", "ft_calls")
    for call in KILL_CALLS:
        entry = call.compat_entry or f"sys_{call.name}"
        symbols_of = [f"{NATIVE}sys_{call.name}"]
        if COMPAT != NATIVE or call.compat_entry:
            symbols_of.append(f"{COMPAT}{entry}")
        if COMPAT != NATIVE and call.compat_entry:
            symbols_of.append(f"{NATIVE}{entry}")  # of x32
        for symbol in symbols_of:
            yield from both(symbol, "enter_kill_call", "exit_kill_call", "kill_calls")


def has_kprobes() -> bool:
    """Whether the kernel has kprobes, as perf_event_open(2) knows them."""
    return Path("/sys/bus/event_source/devices/kprobe").exists()


def hooks(request: dict[str, Any]) -> list[Hook]:
    """Where programs go on this machine; the last, SYS_EXIT, only where kprobes do not do."""
    found = [Hook("raw_tracepoint", name, name, name) for name in RAW_TRACEPOINTS]
    found.append(SWEEP)
    with_kills = request["kill_failures"]
    if has_kprobes():
        entries = entry_hooks(kernel_symbols(), has_ft_calls=pid_info.is_supported())
        found += [hook for hook in entries if with_kills or hook.feeds != "kill_calls"]
    return [*found, SYS_EXIT] if with_kills else found


def try_to_attach(bpf: Any, hook: Hook) -> tuple[list[int], str]:
    """Descriptors of the program and its attachment, or why it cannot be attached."""
    try:
        return list(attach(bpf, hook)), ""
    except Exception as error:  # bcc raises bare Exception
        return [], str(error) or type(error).__name__


def attach_all(bpf: Any, sock: socket.socket, wanted: Iterable[Hook]) -> None:
    """Attach what can be attached, and say of each probe what became of it.

    Kprobes on the calls that send signals are an offer: a kernel may have none, or keep them from
    who is not root. Then SYS_EXIT does what they do, and that is said instead.
    """

    def tell(hook: Hook, fds: list[int], reason: str) -> None:
        message = {
            "kind": "probe", "name": hook.name, "attached": not reason, "reason": reason,
            "feeds": hook.feeds,
        }  # fmt: skip
        handoff.send(sock, message, fds)

    offers = [hook for hook in wanted if hook.feeds == "kill_calls" and hook != SYS_EXIT]
    for hook in wanted:
        if hook.feeds != "kill_calls":
            tell(hook, *try_to_attach(bpf, hook))
    if SYS_EXIT not in wanted:
        return
    made = []
    for hook in offers:
        made.append((hook, *try_to_attach(bpf, hook)))
        if made[-1][2]:
            break  # each refusal is a line of libbcc's
    reasons = sorted({reason for _, _, reason in made if reason})
    if made and not reasons:
        for one in made:
            tell(*one)
        return
    for hook, fds, _ in made:
        if fds:
            detach(bpf, hook)
    tell(SYS_EXIT, *try_to_attach(bpf, SYS_EXIT))
    why = reasons[0] if reasons else "the kernel has none"
    text = (
        f"no kprobes on the calls that send signals ({why}): they are watched at the exit of all "
        "system calls, which makes each of those slower (kill_failures: false leaves that off)"
    )
    handoff.send(sock, {"kind": "remark", "text": text}, [])


def send_maps(bpf: Any, sock: socket.socket, names: Iterable[str]) -> None:
    """Hand over the maps that the daemon reads and writes."""
    for name in names:
        table = bpf[name]
        is_percpu = type(table).__name__.startswith("PerCpu")
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
    for kind in ("events", "free_groups"):
        handoff.send(sock, {"kind": kind}, [bpf[kind].map_fd])


def load(sock: socket.socket, request: dict[str, Any]) -> None:
    """Compile, fill, attach, hand over. Raises LoadError."""
    folder = bpf_folder()
    # bcc looks here for kernel headers; ours are all that the probes need.
    os.environ["BCC_KERNEL_SOURCE"] = str(folder)
    try:
        from bcc import BPF
    except ImportError as error:
        raise handoff.LoadError(f"bcc is missing ({error}): install python3-bpfcc") from error
    try:
        flags = compiler_flags(folder, request["sizes"])
    except (OSError, LookupError) as error:
        raise handoff.LoadError(str(error)) from error
    try:
        wanted = hooks(request)
        bpf = BPF(text=program_text(folder, request, wanted), cflags=flags)
        fill(bpf, request)
    except Exception as error:  # bcc raises bare Exception
        why = f"{error}; its own messages are above; it takes CAP_BPF and CAP_PERFMON"
        raise handoff.LoadError(f"bcc could not load the probes: {why}") from error
    handoff.send(sock, {"kind": "absent", "names": offsets.absent(flags)}, [])
    attach_all(bpf, sock, wanted)
    send_maps(bpf, sock, request["maps"])


def main() -> None:
    """Called with the daemon's socket; what is attached stays when this process ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", type=int, required=True)
    sock = socket.socket(fileno=parser.parse_args().socket)
    try:
        load(sock, json.load(sys.stdin))
        handoff.send(sock, {"kind": "done"}, [])
    except handoff.LoadError as error:
        handoff.send(sock, {"kind": "error", "reason": str(error)}, [])
    except OSError as error:
        if error.errno != errno.EPIPE:  # else the daemon has given up on us
            handoff.send(sock, {"kind": "error", "reason": str(error)}, [])
    # Without bcc's clean-up, which would detach what the daemon now holds.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
