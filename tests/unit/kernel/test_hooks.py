# SPDX-License-Identifier: Apache-2.0
"""Where programs go on each machine, and the text that they are of; nothing is compiled."""

import importlib.util
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pidinfod.kernel import hooks, loader, offsets, pid_info
from pidinfod.metrics import program
from pidinfod.metrics.families import FAMILIES
from tests.support import REPO

X86, ARM64 = "x86_64", "aarch64"
REQUEST = program.request([], 64, 2, {}, True)


@pytest.fixture(params=[X86, ARM64])
def machine(request, monkeypatch):
    """The hooks as they are on a machine: their tables are made when they are imported."""
    monkeypatch.setattr(platform, "machine", lambda: request.param)
    name = f"hooks_on_{request.param}"
    spec = importlib.util.spec_from_file_location(name, hooks.__file__)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(loader, "hooks", module)  # for the text
    module.machine = request.param
    return module


SYMBOLS = {
    X86: {f"__{abi}_sys_{call.name}" for call in hooks.KILL_CALLS for abi in ("x64", "ia32")}
    | {f"__{abi}_sys_{name}" for name in hooks.FT_CALLS for abi in ("x64", "ia32")}
    | {"__ia32_compat_sys_rt_sigqueueinfo", "__ia32_compat_sys_rt_tgsigqueueinfo"}
    | {"__x64_compat_sys_rt_sigqueueinfo", "__x64_compat_sys_rt_tgsigqueueinfo"},  # of x32
    ARM64: {f"__arm64_sys_{call.name}" for call in hooks.KILL_CALLS}
    | {f"__arm64_sys_{name}" for name in hooks.FT_CALLS}
    | {"__arm64_compat_sys_rt_sigqueueinfo", "__arm64_compat_sys_rt_tgsigqueueinfo"},
}


@pytest.fixture
def choose(machine, monkeypatch):
    """The hooks on a kernel that has kprobes and the calls, or not."""

    def get(has_kprobes=True, is_supported=True, kill_failures=True, symbols=None):
        found = SYMBOLS[machine.machine] if symbols is None else symbols
        monkeypatch.setattr(machine, "kernel_symbols", lambda: frozenset(found))
        monkeypatch.setattr(machine, "has_kprobes", lambda: has_kprobes)
        monkeypatch.setattr(pid_info, "is_supported", lambda: is_supported)
        return machine.choose(kill_failures)

    return get


KERNELS = [
    {},
    {"kill_failures": False},
    {"is_supported": False},
    {"is_supported": False, "kill_failures": False},
    {"has_kprobes": False},
    {"has_kprobes": False, "kill_failures": False},
]


CONTEXTS = {"raw_tracepoint": "raw_tracepoint", "iterator": "task_iteration"}


def text_of(wanted):
    return loader.program_text(REPO / "bpf", REQUEST, wanted)


@pytest.mark.parametrize("kernel", KERNELS)
def test_each_program_is_there_once(choose, kernel):
    wanted = choose(**kernel)
    text = text_of(wanted)
    defined = re.findall(r"^int (\w+)\(struct (\w+) \*ctx\)", text, re.MULTILINE)
    kinds = dict(defined)
    assert len(kinds) == len(defined)
    for hook in wanted:
        assert kinds[hook.function] == CONTEXTS.get(hook.kind, "pt_regs")


@pytest.mark.parametrize("kernel", KERNELS)
def test_each_family_is_fed(choose, kernel):
    wanted = choose(**kernel)
    fed = {hook.feeds for hook in wanted}
    named = {name for family in FAMILIES for name in family.probes}
    has_kprobes = kernel.get("has_kprobes", True)
    missing = set()
    if not kernel.get("kill_failures", True):
        missing.add("kill_calls")
    if not (has_kprobes and kernel.get("is_supported", True)):
        missing.add("ft_calls")
    assert named - fed == missing
    # Of the first paths are told, and nothing counted; the other is no family's.
    assert fed - named == {"cgroup_mkdir", "sweep"}


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_order(choose, kernel):
    names = [hook.name for hook in choose(**kernel)]
    assert len(set(names)) == len(names)
    places = {name: place for place, name in enumerate(names)}
    # What removes a record comes before what makes one.
    for first, then in (("sched_process_free", "sched_process_exit"),
                        ("sched_process_exit", "sched_process_exec"),
                        ("sched_process_exit", "task_newtask"),
                        ("signal_deliver", "signal_generate")):  # fmt: skip
        assert places[f"raw_tracepoint:{first}"] < places[f"raw_tracepoint:{then}"]
    # A call that is entered in between must find its return.
    entries = [name for name in names if name.startswith("kprobe:")]
    for name in entries:
        assert places[f"kret{name[1:]}"] == places[name] - 1
    assert bool(entries) == (
        kernel.get("has_kprobes", True)
        and (kernel.get("is_supported", True) or kernel.get("kill_failures", True))
    )


def test_entry_points(machine, choose):
    entries = {hook.event: hook.function for hook in choose() if hook.kind == "kprobe"}
    returns = {hook.event: hook.function for hook in choose() if hook.kind == "kretprobe"}
    if machine.machine == X86:
        assert entries.keys() == SYMBOLS[X86] - {
            # 32-bit callers have an entry of their own.
            "__ia32_sys_rt_sigqueueinfo", "__ia32_sys_rt_tgsigqueueinfo",
            # The same address as the native one.
            "__ia32_sys_ft_fork",
        }  # fmt: skip
        assert entries["__x64_sys_ft_kill"] == "native_ft_kill"
        assert entries["__ia32_sys_ft_kill"] == "compat_ft_kill"
    else:
        assert entries.keys() == SYMBOLS[ARM64]
        # One entry for callers of both sizes.
        assert entries["__arm64_sys_ft_kill"] == "native_ft_kill"
    is_ft_call = {event: re.search("_ft_|get_pid_info", event) for event in entries}
    assert returns == {
        event: "exit_ft_call" if is_ft else "exit_kill_call" for event, is_ft in is_ft_call.items()
    }
    # Which of the six calls it is, they know by its number.
    others = {function for event, function in entries.items() if not is_ft_call[event]}
    assert others == {"enter_kill_call"}


def test_entry_points_that_this_kernel_has_not(choose):
    found = choose(symbols={"__x64_sys_kill", "__arm64_sys_kill"})
    entries = [hook.function for hook in found if hook.kind == "kprobe"]
    assert entries == ["enter_kill_call"]


def test_without_kprobes_kills_are_seen_at_the_exit_of_all_calls(machine, choose):
    """It comes last, for the case that kprobes are not to be had."""
    for kernel in ({}, {"has_kprobes": False}):
        found = choose(**kernel)
        assert found[-1] == machine.SYS_EXIT
        assert found.count(machine.SYS_EXIT) == 1
    assert machine.SYS_EXIT not in choose(kill_failures=False)


# As kill(2), tgkill(2), rt_sigqueueinfo(2), pidfd_send_signal(2) have it.
SIGNAL_IS = {
    "kill": "second", "tkill": "second", "tgkill": "third", "rt_sigqueueinfo": "second",
    "rt_tgsigqueueinfo": "third", "pidfd_send_signal": "second",
}  # fmt: skip
SECOND = {(X86, "native"): "si", (X86, "compat"): "cx"}


def test_entries_read_the_signal_from_its_register(machine, choose):
    text = machine.entries_text(choose())
    functions = dict(re.findall(r"^int (\w+)\(struct pt_regs \*ctx\)\n\{\n(.*?)^\}", text,
                                re.MULTILINE | re.DOTALL))  # fmt: skip
    assert functions.keys() == {
        hook.function for hook in choose() if hook.kind == "kprobe" and hook.feeds == "ft_calls"
    }
    for function, body in functions.items():
        abi, _, call = function.partition("_")
        read = re.findall(r"&user->([\w\[\]]+)", body)
        register = SECOND.get((machine.machine, abi), "regs[1]")
        assert read == ([register] if call == "ft_kill" else [])
        signal = "signal" if call == "ft_kill" else "0"
        assert f"return ft_enter(FT_{call.upper()}, {signal});" in body


def test_calls_are_picked_by_their_numbers(machine):
    text = machine.entries_text([machine.SYS_EXIT])
    sent, compat, native = re.search(
        r"switch \(number\) \{(.*?)is_32bit_call\(\)\) \{(.*?)\} else \{(.*)", text, re.DOTALL
    ).groups()
    expected = {"false": {}, "true": {}}  # by whether of 32 bits
    columns = ("x86_64", "i386") if machine.machine == X86 else ("arm64", "arm")
    for call in hooks.KILL_CALLS:
        for is_32bit, column in zip(expected, columns, strict=True):
            number = str(getattr(call, column))
            expected[is_32bit][number] = (call.name.upper(), SIGNAL_IS[call.name])
    if machine.machine == X86:
        # x32 has numbers of its own for calls that have a 32-bit siginfo.
        for number, name in (("524", "rt_sigqueueinfo"), ("536", "rt_tgsigqueueinfo")):
            expected["false"][number] = (name.upper(), SIGNAL_IS[name])
    for is_32bit, body in (("false", native), ("true", compat)):
        case = re.compile(
            r"case (\d+):\s+kill = CALL_(\w+);"
            rf"\s+signal = (\w+)_of\(&registers, {is_32bit}\);\s+break;"
        )
        assert {number: tuple(rest) for number, *rest in case.findall(body)} == expected[is_32bit]
        assert body.count("case ") == len(expected[is_32bit])
    # What has sent a signal in whichever ABI is left at once, and so are all others.
    found = dict(re.findall(r"case (\d+):\s+is_sent = (.*?);\s+break;", sent))
    assert {number: set(signal.split(" && ")) for number, signal in found.items()} == {
        number: {
            f"{calls[number][1]}_of(&registers, {is_32bit})"
            for is_32bit, calls in expected.items() if number in calls
        }
        for number in expected["false"].keys() | expected["true"].keys()
    }  # fmt: skip
    assert sent.count("case ") == len(found)
    assert "default:\n\t\treturn 0;" in sent


def numbers(*headers):
    """Of each call, by the C library's headers."""
    text = "".join(f"#include <{header}>\n" for header in headers)
    text += "".join(f"{call.name} = __NR_{call.name}\n" for call in hooks.KILL_CALLS)
    told = subprocess.run(["gcc", "-E", "-P", "-"], input=text, text=True, capture_output=True,
                          check=True)  # fmt: skip
    return dict(re.findall(r"^(\w+) = (\d+)$", told.stdout, re.MULTILINE))


def test_numbers_are_those_of_the_headers():
    columns = [("arm64", ("asm/bitsperlong.h", "asm-generic/unistd.h"))]
    if platform.machine() == X86:
        columns += [("x86_64", ("asm/unistd_64.h",)), ("i386", ("asm/unistd_32.h",))]
    for column, headers in columns:
        ours = {call.name: str(getattr(call, column)) for call in hooks.KILL_CALLS}
        assert ours == numbers(*headers), column


def test_the_text_has_each_source_once(machine, choose):
    text = text_of(choose())
    sources = sorted((REPO / "bpf").glob("*.bpf.c"))
    assert sorted(f"{name}.bpf.c" for name in loader.SOURCES) == [path.name for path in sources]
    for path in sources:
        assert text.count(path.read_text()) == 1
        assert text.count(f'#line 1 "{path}"\n{path.read_text()}') == 1
    for made in (REQUEST["records"], REQUEST["families"]):
        assert text.count(made) == 1
    first = (REPO / "bpf/common.bpf.c").read_text()
    assert text.index(REQUEST["records"]) < text.index(first) < text.index(REQUEST["families"])
    assert text.endswith(machine.entries_text(choose()))


def test_what_the_text_leaves_open_is_given(machine, choose):
    text = text_of(choose())
    needed = {
        **offsets.OFFSETS, **offsets.MACHINE_OFFSETS[machine.machine], **offsets.OPTIONAL_OFFSETS,
    }  # fmt: skip
    others = {name for table in offsets.MACHINE_OFFSETS.values() for name in table} - needed.keys()
    headers = "".join(path.read_text() for path in (REPO / "bpf/include").rglob("*.h"))
    used = set(re.findall(r"\bOFF_\w+", text + headers))
    made = set(re.findall(r"^#define (OFF_\w+)", text, re.MULTILINE))  # of others
    assert used - others - made == needed.keys()
    sizes = {f"SIZE_{name.upper()}" for name in REQUEST["sizes"]} | offsets.SIZES.keys()
    assert set(re.findall(r"\bSIZE_\w+", text)) == sizes


def test_symbols_of_this_kernel():
    found = hooks.kernel_symbols()
    # kill(2) is called something like it everywhere.
    assert any(name.endswith("sys_kill") for name in found)
    fields = map(str.split, Path("/proc/kallsyms").read_text().splitlines())
    assert found == {
        name for _, kind, name, *_ in fields
        if kind in "Tt" and name.startswith((hooks.NATIVE, hooks.COMPAT))
    }  # fmt: skip
