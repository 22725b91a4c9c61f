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
import socket
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from pidinfod.kernel import handoff, hooks, libbpf, offsets
from pidinfod.kernel.hooks import SYS_EXIT, Hook

# The program text, in this order; the first comes before what is made of the families.
SOURCES = (
    "common", "groups", "processes", "use", "kill_calls", "ft_calls", "deaths", "delivery",
    "signals", "lifecycle", "cgroups", "figures", "sweep",
)  # fmt: skip

BPF_PROG_TYPE_TRACING = 26  # include/uapi/linux/bpf.h


def bpf_folder() -> Path:
    """The folder of the BPF sources: PIDINFOD_BPF_DIR, the source tree's, or the package's."""
    beside = Path(__file__).resolve().parents[2] / "bpf"
    given = os.environ.get("PIDINFOD_BPF_DIR")
    for folder in [Path(given)] if given else [beside, Path("/usr/share/pidinfod/bpf")]:
        if (folder / "common.bpf.c").is_file():
            return folder
    raise handoff.LoadError(f"no BPF sources in {given or f'{beside} or /usr/share/pidinfod/bpf'}")


def program_text(folder: Path, request: dict[str, Any], wanted: Collection[Hook]) -> str:
    """The whole program; messages of the compiler name the file and its line."""

    def source(name: str) -> str:
        file = folder / f"{name}.bpf.c"
        return f'#line 1 "{file}"\n{file.read_text()}'

    def made(name: str, text: str) -> str:
        return f'#line 1 "<{name}>"\n{text}'

    first, *rest = SOURCES
    parts = [
        made("records", request["records"]), made("wanted", hooks.wanted_text(wanted)),
        source(first), made("families", request["families"]),
        *map(source, rest), made("entries", hooks.entries_text(wanted)),
    ]  # fmt: skip
    return "\n".join(parts)


def compiler_flags(folder: Path, sizes: dict[str, int]) -> list[str]:
    """Include paths, map sizes and what this kernel has.

    Raises OSError or LookupError when the kernel's types cannot be read.
    """
    # What takes time and brings nothing: debug information, which nobody reads, and clang's own
    # optimization, after which bcc has LLVM do the same again.
    own = ["-g0", "-Xclang", "-disable-llvm-passes", f"-I{folder}/include"]
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
        wanted = hooks.choose(request["kill_failures"])
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
