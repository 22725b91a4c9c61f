# SPDX-License-Identifier: Apache-2.0
"""Where programs go on this machine, and the text of those that differ by machine and call."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pidinfod.kernel import handoff, pid_info


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

# bcc and libbpf know the program of an iterator by its function's name.
SWEEP = Hook("iterator", "task", "bpf_iter__task", handoff.SWEEP)

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


def choose(with_kills: bool) -> list[Hook]:
    """Where programs go on this machine; the last, SYS_EXIT, only where kprobes do not do."""
    found = [Hook("raw_tracepoint", name, name, name) for name in RAW_TRACEPOINTS]
    found.append(SWEEP)
    if has_kprobes():
        entries = entry_hooks(kernel_symbols(), has_ft_calls=pid_info.is_supported())
        found += [hook for hook in entries if with_kills or hook.feeds != "kill_calls"]
    return [*found, SYS_EXIT] if with_kills else found


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
    """What counts a system call that is done, if it is one of the six by its number. One that has
    sent a signal is not counted; which ABI it is of need not be read for that."""
    native, compat = (("x86_64", "x32"), ("i386",)) if IS_X86 else (("arm64",), ("arm",))
    signals: dict[int, list[str]] = {}  # what may be the signal, by number
    cases: dict[bool, list[str]] = {False: [], True: []}  # by whether of 32 bits
    for call in KILL_CALLS:
        for is_32bit, abis in ((False, native), (True, compat)):
            signal = f"{call.signal}_of(&registers, {str(is_32bit).lower()})"
            for number in filter(None, (getattr(call, abi) for abi in abis)):
                signals.setdefault(number, []).append(signal)
                cases[is_32bit].append(
                    f"\t\tcase {number}:\n\t\t\tkill = CALL_{call.name.upper()};\n"
                    f"\t\t\tsignal = {signal};\n\t\t\tbreak;\n"
                )
    sent = "".join(
        f"\tcase {number}:\n\t\tis_sent = {' && '.join(found)};\n\t\tbreak;\n"
        for number, found in sorted(signals.items())
    )
    other = "\t\tdefault:\n\t\t\treturn 0;\n\t\t}\n"
    return (
        "static __always_inline int kill_call_done(struct pt_regs *regs, long result)\n{\n"
        "\tstruct pt_regs registers;\n"
        "\tlong number = read_registers(regs, &registers);\n"
        "\tbool is_sent;\n\ts32 signal;\n\tu32 kill;\n\n"
        f"\tswitch (number) {{\n{sent}\tdefault:\n\t\treturn 0;\n\t}}\n"
        "\tif (is_sent && result >= 0)\n\t\treturn 0;\n"
        f"\tif (is_32bit_call()) {{\n\t\tswitch (number) {{\n{''.join(cases[True])}{other}"
        f"\t}} else {{\n\t\tswitch (number) {{\n{''.join(cases[False])}{other}\t}}\n"
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
