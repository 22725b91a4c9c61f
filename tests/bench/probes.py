# SPDX-License-Identifier: Apache-2.0
"""What the probes cost in the kernel, beside empty programs on the same hooks.

Method: one static C program, on one processor, times an ignored signal, a handled one and
fork + exec + exit + wait by its processor time, five times, and the least counts. That runs
without probes, with empty programs on the same hooks and with pidinfod's, in turn, in as many
rounds as the noise of a life takes, which is more than what is measured. All programs are loaded
before, and only attached and let go; the ring of pidinfod's is read, and the processes placed
that there are, as the daemon does. "Added" is the median over the rounds of what is more than
without probes in the same round; the ratio is that of the two medians. The interval is of 95 %,
by the order of the differences.

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
from collections import Counter
from functools import partial
from pathlib import Path

from bench import build, in_guest, interleaved, parser, quiet_guest, say_method

from pidinfod.groups.rules import Rules
from pidinfod.kernel import handoff, loader
from pidinfod.kernel.hooks import KILL_CALLS, SYS_EXIT, choose
from pidinfod.metrics.snapshot import Source
from pidinfod.service import daemon
from pidinfod.service.config import Config

ROUNDS, WAY_ROUNDS = 101, 9
WANTED = {"ignored": 1.6, "handled": 3.2, "life": 1.3}


def compiled(text, flags=()):
    """The programs of a text; those on tracepoints are attached already."""
    os.environ["BCC_KERNEL_SOURCE"] = str(loader.bpf_folder())
    from bcc import BPF

    return BPF(text=text, cflags=[f"-I{loader.bpf_folder()}/include", *flags])


def attach(hook, program):
    """Attach a program by its descriptor; that of the attachment, which ends when it is closed."""
    from bcc.libbcc import lib

    event = hook.event.encode()
    if hook.kind == "raw_tracepoint":
        fd = lib.bpf_attach_raw_tracepoint(program, event)
    else:
        fd = lib.bpf_attach_kprobe(program, int(hook.kind == "kretprobe"), event, event, 0, 0)
    assert fd >= 0, hook.name
    return fd


@contextlib.contextmanager
def attached(programs):
    """Programs on their hooks, for a time."""
    links = [attach(hook, program) for hook, program in programs.items()]
    yield
    for link in links:
        os.close(link)


@contextlib.contextmanager
def our_programs(request):
    """By hook, those that the daemon has on this kernel; none is attached. What they tell is read
    as the daemon does."""
    config = Config()
    loaded = handoff.load(request, daemon.LOAD_SECONDS)
    rules = Rules(config.groups, lambda: None)
    source = Source(
        loaded, rules, config.procfs, config.group_ttl, config.max_groups, config.shown_groups
    )
    _, reader = daemon.follow(config, loaded, rules, source, Counter(), True)
    reader.start()
    chosen = choose(request["kill_failures"])
    # An iterator is on no hook: it runs when it is read.
    hooks = {hook.name: hook for hook in chosen if hook.kind != "iterator"}
    probes = [probe for probe in loaded.probes if probe.attached and probe.name in hooks]
    for probe in probes:
        os.close(probe.link_fd)
    yield {hooks[probe.name]: probe.prog_fd for probe in probes}
    reader.stop()


def loaded_by_bcc(bpf, hooks):
    """The programs of a text, by hook."""
    from bcc import BPF

    kinds = {"raw_tracepoint": BPF.RAW_TRACEPOINT}
    return {
        hook: bpf.load_func(hook.function, kinds.get(hook.kind, BPF.KPROBE)).fd for hook in hooks
    }


def empty_programs(hooks):
    """Programs that return at once, by hook, and what holds them."""
    functions = {hook.function for hook in hooks}
    bpf = compiled("\n".join(f"int {name}(void *args) {{ return 0; }}" for name in functions))
    return loaded_by_bcc(bpf, hooks), bpf


@contextlib.contextmanager
def kill_tracepoints():
    """Empty programs: what other calls pay is not in them, but in the kernel."""
    text = "\n".join(
        f"TRACEPOINT_PROBE(syscalls, sys_{side}_{call.name}) {{ return 0; }}"
        for call in KILL_CALLS
        for side in ("enter", "exit")
    )
    bpf = compiled(text)
    yield
    bpf.cleanup()


def ways_to_watch(request):
    """How the calls that send signals can be watched on this kernel, by name, and what holds it."""
    hooks = [hook for hook in choose(request["kill_failures"]) if hook.feeds == "kill_calls"]
    kprobes = [hook for hook in hooks if hook != SYS_EXIT]
    folder = loader.bpf_folder()
    flags = loader.compiler_flags(folder, request["sizes"])
    bpf = compiled(loader.program_text(folder, request, hooks), flags)
    ours = loaded_by_bcc(bpf, hooks)
    ways = {"raw sys_exit": partial(attached, {SYS_EXIT: ours[SYS_EXIT]})}
    if Path("/sys/kernel/tracing/events/syscalls").exists():
        ways["tracepoints"] = kill_tracepoints
    if kprobes:
        ways["kprobes"] = partial(attached, {hook: ours[hook] for hook in kprobes})
    return ways, bpf


def times(program, probes, *contests):
    """Nanoseconds of each contest while the probes are there."""
    with probes():
        printed = subprocess.check_output([program, *contests], text=True)
    return {name: int(ns) for name, ns in map(str.split, printed.splitlines())}


def added(found, who, contest):
    """What a contest takes longer with some probes than without, round by round, in order."""
    pairs = zip(found[who], found["none"], strict=True)
    return sorted(mine[contest] - none[contest] for mine, none in pairs)


def interval(ordered):
    """Of values in order: those between which their median is by 95 %."""
    away = round(0.98 * len(ordered) ** 0.5)
    middle = len(ordered) // 2
    return ordered[max(0, middle - away)], ordered[min(len(ordered) - 1, middle + away)]


def measure(program, quick):
    """Print the rows."""
    request = daemon.request(Config())
    with our_programs(request) as ours:
        empty, holder = empty_programs(ours)
        kinds = {
            "none": contextlib.nullcontext,
            "ours": partial(attached, ours),
            "empty": partial(attached, empty),
        }
        contests = {name: partial(times, program, kind, *WANTED) for name, kind in kinds.items()}
        found = interleaved(contests, 1 if quick else ROUNDS)
        holder.cleanup()
    for contest, most in WANTED.items():
        none = statistics.median(ns[contest] for ns in found["none"])
        more = {who: added(found, who, contest) for who in ("empty", "ours")}
        empty, ours = map(statistics.median, more.values())
        ratio = f"{ours / empty:.2f}" if empty > 0 else "unknown on so busy a machine"
        within = " and ".join("{:+.0f}..{:+.0f}".format(*interval(ns)) for ns in more.values())
        print(
            f"{contest:8} {none:9.0f} ns, empty {empty:+.0f} ns, pidinfod {ours:+.0f} ns: "
            f"ratio {ratio} (wanted: at most {most}), "
            f"slower by {100 * ours / none:.1f} % (within {within} ns)"
        )

    ways, holder = ways_to_watch(request)
    ways = {"none": contextlib.nullcontext, **ways}
    contests = {name: partial(times, program, way, "getppid") for name, way in ways.items()}
    found = interleaved(contests, 1 if quick else WAY_ROUNDS)
    holder.cleanup()
    alone = statistics.median(ns["getppid"] for ns in found["none"])
    costs = ", ".join(
        f"{name} {statistics.median(added(found, name, 'getppid')):+.0f} ns"
        for name in ways if name != "none"
    )  # fmt: skip
    print(f"getppid  {alone:9.0f} ns, {costs}")


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
            with quiet_guest(args.lab) as guest:
                in_guest(guest, "probes.py", program, *(["--quick"] if args.quick else []))
        else:
            measure(program, args.quick)


if __name__ == "__main__":
    main()
