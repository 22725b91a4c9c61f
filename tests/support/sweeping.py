# SPDX-License-Identifier: Apache-2.0
"""What a sweep tells, held against independent witnesses, wherever the daemon runs."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator

from tests.support import REPO
from tests.support.machine import Machine, output, running, settled
from tests.support.scrape import Scrape

PYTHON = "/usr/bin/python3"  # which has what the daemon needs, there and here

# What tests/guest/use.c makes beside the lives that it is asked for, and for how long it does.
BESIDE = 61 + 43
MILLISECONDS = 3000
GROUPS = (
    "use", "use-short", "use-first", "use-other", "use-second", "use-low", "use-threads",
    "use-fails",
)  # fmt: skip
# By metric, label and its value: where the witness has the same.
EXACT = {
    ("group_page_faults", "kind", "minor"): "minor",
    ("group_page_faults", "kind", "major"): "major",
    ("group_io_bytes", "direction", "read"): "rchar",
    ("group_io_bytes", "direction", "write"): "wchar",
    ("group_storage_bytes", "direction", "read"): "read_bytes",
    ("group_storage_bytes", "direction", "write"): "write_bytes",
}  # fmt: skip
SWITCHES = {
    ("group_context_switches", "kind", kind): kind for kind in ("voluntary", "involuntary")
}
COUNTERS = {
    f"pidinfod_{name}_total" for name in
    ("group_cpu_seconds", "group_run_queue_seconds", *(name for name, *_ in (*EXACT, *SWITCHES)))
}  # fmt: skip

CROWD, PROCESSES, THREADS = "many", 31, 7


def _unified(machine: Machine) -> str:
    """Where cgroups of version 2 are mounted."""
    mounts = [line.split() for line in output(machine, "cat", "/proc/mounts").splitlines()]
    return next(folder for _, folder, kind, *_ in mounts if kind == "cgroup2")


@contextlib.contextmanager
def _sweeping(machine: Machine) -> Iterator[None]:
    """Sweeps one after the other; in the end none had a counter that went down."""
    stop = threading.Event()
    found: list[dict[object, float]] = []

    def sweep() -> None:
        scrape = machine.scrape()
        found.append({key: value for key, value in scrape.items() if key[0] in COUNTERS})

    def sweep_on() -> None:
        while not stop.is_set():
            sweep()

    sweep()
    thread = threading.Thread(target=sweep_on)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert len(found) > 3
    for before, after in itertools.pairwise(found):
        assert not [(key, was, after[key]) for key, was in before.items() if after[key] < was]


def _of_groups(scrape: Scrape, name: str, **labels: str) -> float:
    return sum(scrape.value(f"pidinfod_{name}_total", group=group, **labels) for group in GROUPS)


def _when_freed(machine: Machine, before: Scrape, faults: int) -> Scrape:
    """What has changed when the kernel has freed the last of those that were reaped."""

    def told(scrape: Scrape) -> float:
        return _of_groups(scrape.since(before), "group_page_faults", kind="minor")

    settled(machine, lambda scrape: told(scrape) >= faults)
    time.sleep(0.3)  # what is too much is so for good
    return machine.scrape().since(before)


def _lost(machine: Machine, before: Scrape) -> float:
    """Processes whose end the kernel did not let be seen, as some kernels do under a hypervisor's
    agent: what they used is lost, and they are counted, by and by."""
    deadline = time.monotonic() + 100
    while not (lost := machine.scrape().since(before).value(
            "pidinfod_degraded_total", what="reapings_unseen")):  # fmt: skip
        if time.monotonic() > deadline:
            break
        time.sleep(1)
    return lost


def check_use(machine: Machine, lives: int) -> None:
    """At rest groups used what the kernel tells the processes' own parent, with so many lives of a
    millisecond and all else of tests/guest/use.c; no counter goes down meanwhile."""
    folder = f"{_unified(machine)}/pidinfod-use-{time.time_ns()}"
    command = machine.command("./use", folder, str(lives), str(MILLISECONDS))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told_before, before = json.loads(process.stdout.readline()), machine.scrape()
        process.stdin.write("g")
        process.stdin.flush()
        with _sweeping(machine):
            line = process.stdout.readline()
        told = {what: count - told_before[what] for what, count in json.loads(line).items()}
        changes = _when_freed(machine, before, told["minor"])
        process.communicate("")
    assert process.returncode == 0
    output(machine, "rmdir", folder)

    found = {key: _of_groups(changes, key[0], **{key[1]: key[2]}) for key in (*EXACT, *SWITCHES)}
    most = dict.fromkeys(EXACT, 0) | dict.fromkeys(SWITCHES, lives + BESIDE + 1)
    wrong = {
        what: (found[key], told[what])
        for key, what in (EXACT | SWITCHES).items()
        if abs(found[key] - told[what]) > most[key]
    }
    lost = _lost(machine, before) if wrong else 0
    wrong = {
        what: (found, told) for what, (found, told) in wrong.items()
        if not 0 < told - found <= lost * told / 20
    }  # fmt: skip
    assert not wrong, f"found, told: {wrong}; processes lost: {lost}"
    cpu, used = _of_groups(changes, "group_cpu_seconds"), told["cpu_us"] / 1e6
    # From where a thread is released to its last switch it counts for the cgroup alone, which an
    # emulated processor takes its time for.
    share = 0.01 if machine.name == "host" else 0.05
    assert abs(cpu - used) <= share * used + 0.02, (cpu, used)
    for group in GROUPS:
        assert changes.value("pidinfod_group_cpu_seconds_total", group=group) > 0, group


def _told_of(scrape: Scrape, name: str) -> dict[tuple[str, str], float]:
    """By metric and state, as tests/guest/of_proc.py has them."""
    found = {}
    for (metric, labels), value in scrape.items():
        of = dict(labels)
        if of.get("group") == name and metric.startswith("pidinfod_group_"):
            found[metric.removeprefix("pidinfod_group_"), of.get("state", "")] = value
    return found


def check_figures(machine: Machine, *ways: str) -> None:
    """What groups are is what /proc tells while nothing of them moves, and what the daemon's other
    ways of sweeping make of them, which are these."""
    package = str(REPO) if machine.name == "host" else "/usr/lib/python3/dist-packages"
    threads = PROCESSES * THREADS + 1  # that of their parent, too
    with running(machine, f"./{CROWD}", PROCESSES, threads - 1):
        scrape = settled(
            machine, lambda scrape: _told_of(scrape, CROWD).get(("threads", "S")) == threads
        )
        told = _told_of(scrape, CROWD)
        rows = json.loads(output(machine, PYTHON, "of_proc.py", CROWD))
        others = json.loads(output(machine, PYTHON, "sweeps.py", CROWD, package))

    witness = {(field, state): value for field, state, value in rows}
    start, ratio = ("oldest_start_time_seconds", ""), ("descriptors_limit_ratio", "")
    assert abs(told.pop(start) - witness.pop(start)) < 0.1
    assert abs(told.pop(ratio) - witness.pop(ratio)) < 1e-6
    found = {key: told.get(key, 0) for key in witness}
    assert found == witness, f"{found} != {witness}"
    counted: Counter[str] = Counter()
    for (field, _), value in told.items():
        counted[field] += int(value)
    assert (counted["processes"], counted["threads"]) == (PROCESSES + 1, threads)

    assert set(others) == set(ways)
    for way, other in others.items():
        for state, count in other["processes"].items():
            assert told["processes", state] == count, way
        assert other.keys() >= {"resident_bytes", "virtual_bytes"}
        for field in other.keys() & {"resident_bytes", "virtual_bytes", "swap_bytes"}:
            assert told.get((field, ""), 0) == other[field], (way, field)
