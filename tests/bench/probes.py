# SPDX-License-Identifier: Apache-2.0
"""What the probes cost in the kernel, beside empty programs on the same hooks.

Method: one static C program, on one processor, times an ignored signal, a handled one and
fork + exec + exit + wait by its processor time, five times, and the least counts. That runs
without probes, with empty programs on the same hooks and with pidinfod's, in turn, nine rounds.
"Added" is the median over the rounds of what is more than without probes in the same round; the
ratio is that of the two medians.

The same program then times a system call that no probe is about, getppid, while the calls that
send signals are watched in each of the ways that there are: at the exit of all calls (raw
sys_exit), by the tracepoints of each call (syscalls, old style), and by kprobes.

All figures are of one kernel: this machine's, or that of the lab's guest with --lab.
"""

import contextlib
import os
import statistics
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from bench import (
    REPO,
    build,
    interleaved,
    lab,
    median_difference,
    parser,
    quiet_guest,
    say_method,
)  # fmt: skip

from pidinfod.kernel import handoff, loader
from pidinfod.service import config, daemon

ROUNDS = 9
WANTED = {"ignored": 1.6, "handled": 3.2, "life": 1.3}
IN_GUEST = "/root/bench"


def compiled(text, flags=()):
    """The programs of a text; those on tracepoints are attached already."""
    os.environ["BCC_KERNEL_SOURCE"] = str(loader.bpf_folder())
    from bcc import BPF

    return BPF(text=text, cflags=[f"-I{loader.bpf_folder()}/include", *flags])


@contextlib.contextmanager
def attached(bpf, hooks):
    """Programs on these hooks, for a time."""
    for hook in hooks:
        loader.attach(bpf, hook)
    yield
    for hook in hooks:
        if hook.kind == "raw_tracepoint":
            bpf.detach_raw_tracepoint(tp=hook.event)
        else:
            loader.detach(bpf, hook)


@contextlib.contextmanager
def our_probes(request, hooks):
    """As the daemon has them; notes the hooks that they are on."""
    loaded = handoff.load(request, daemon.LOAD_SECONDS)
    try:
        names = {probe.name for probe in loaded.probes if probe.attached}
        hooks[:] = [hook for hook in loader.hooks(request) if hook.name in names]
        yield
    finally:
        loaded.close()


@contextlib.contextmanager
def empty_probes(hooks):
    """Programs that return at once."""
    functions = {hook.function for hook in hooks}
    bpf = compiled("\n".join(f"int {name}(void *args) {{ return 0; }}" for name in functions))
    with attached(bpf, hooks):
        yield
    bpf.cleanup()


@contextlib.contextmanager
def kill_tracepoints():
    """Empty programs: what other calls pay is not in them, but in the kernel."""
    text = "\n".join(
        f"TRACEPOINT_PROBE(syscalls, sys_{side}_{call.name}) {{ return 0; }}"
        for call in loader.KILL_CALLS
        for side in ("enter", "exit")
    )
    bpf = compiled(text)
    yield
    bpf.cleanup()


def ways_to_watch(request):
    """How the calls that send signals can be watched on this kernel, by name."""
    hooks = [hook for hook in loader.hooks(request) if hook.feeds == "kill_calls"]
    kprobes = [hook for hook in hooks if hook != loader.SYS_EXIT]
    folder = loader.bpf_folder()
    flags = loader.compiler_flags(folder, request["sizes"])
    ours = compiled(loader.program_text(folder, request, hooks), flags)
    ways = {"raw sys_exit": partial(attached, ours, [loader.SYS_EXIT])}
    if Path("/sys/kernel/tracing/events/syscalls").exists():
        ways["tracepoints"] = kill_tracepoints
    if kprobes:
        ways["kprobes"] = partial(attached, ours, kprobes)
    return ways


def times(program, probes, *contests):
    """Nanoseconds of each contest while the probes are there."""
    with probes():
        printed = subprocess.check_output([program, *contests], text=True)
    return {name: int(ns) for name, ns in map(str.split, printed.splitlines())}


def added(found, who, contest):
    """The median of what a contest takes longer with some probes than without."""
    return median_difference(
        [ns[contest] for ns in found[who]], [ns[contest] for ns in found["none"]]
    )


def measure(program, rounds):
    """Print the rows."""
    request = daemon.request(config.Config())
    hooks = []
    kinds = {
        "none": contextlib.nullcontext,
        "ours": partial(our_probes, request, hooks),
        "empty": partial(empty_probes, hooks),
    }
    found = interleaved(
        {name: partial(times, program, kind, *WANTED) for name, kind in kinds.items()}, rounds
    )
    for contest, most in WANTED.items():
        none = statistics.median(ns[contest] for ns in found["none"])
        empty, ours = (added(found, who, contest) for who in ("empty", "ours"))
        ratio = f"{ours / empty:.2f}" if empty > 0 else "unknown on so busy a machine"
        print(
            f"{contest:8} {none:9.0f} ns, empty {empty:+.0f} ns, pidinfod {ours:+.0f} ns: "
            f"ratio {ratio} (wanted: at most {most}), "
            f"slower by {100 * ours / none:.1f} %"
        )

    ways = {"none": contextlib.nullcontext, **ways_to_watch(request)}
    found = interleaved(
        {name: partial(times, program, way, "getppid") for name, way in ways.items()}, rounds
    )
    alone = statistics.median(ns["getppid"] for ns in found["none"])
    costs = ", ".join(
        f"{name} {added(found, name, 'getppid'):+.0f} ns" for name in ways if name != "none"
    )
    print(f"getppid  {alone:9.0f} ns, {costs}")


def measure_in_guest(name, program, quick):
    """Have this file do it there."""
    with quiet_guest(name) as guest:
        lab(guest, "exec", "--", "mkdir", "-p", f"{IN_GUEST}/tests")
        for part in ("pidinfod", "bpf", "tests/bench"):
            lab(guest, "copy", REPO / part, f"lab:{IN_GUEST}/{part}")
        lab(guest, "copy", program, f"lab:{IN_GUEST}/program")
        lab(
            guest, "exec", "--", "env", f"PYTHONPATH={IN_GUEST}", "python3",
            f"{IN_GUEST}/tests/bench/probes.py", "--program", f"{IN_GUEST}/program",
            *(["--quick"] if quick else []),
        )  # fmt: skip


def main():
    options = parser(__doc__)
    options.add_argument("--lab", metavar="NAME", help="measure in this guest, which is up")
    options.add_argument("--program", help="the C program, built")
    args = options.parse_args()
    if not args.program:
        say_method(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        program = args.program or Path(folder) / "probe_cost"
        if not args.program:
            build("tests/bench/src/probe_cost.c", program, args.quick)
        if args.lab:
            measure_in_guest(args.lab, program, args.quick)
        else:
            measure(program, 1 if args.quick else ROUNDS)


if __name__ == "__main__":
    main()
