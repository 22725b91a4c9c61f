# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: the repository, the options, rounds, a C program, and guests."""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
IN_GUEST = "/root/bench"
# A service may have fewer tasks than a benchmark needs by default.
UNIT = ("systemd-run", "--quiet", "--pipe", "--wait", "-p", "TasksMax=infinity")


def parser(method):
    """Of a benchmark that works by this method."""
    parser = argparse.ArgumentParser(
        description=method, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true",
        help="seconds instead of minutes: shows that it works, its figures are worth nothing",
    )  # fmt: skip
    return parser


def say_method(method):
    """Print the method, and how busy the machine is: figures of a busy one are worth little."""
    print(f"{method}\nLoad of the last minute before: {os.getloadavg()[0]:.2f}\n", flush=True)


def build(source, program, quick):
    """Compile a C program of this folder; in quick form it times each thing once."""
    folders = (f"{REPO}/tests/guest", f"{REPO}/kernel/tree/include/uapi")
    flags = ["-O2", "-static", "-pthread", *(f"-I{folder}" for folder in folders)]
    if quick:
        flags.append("-DROUNDS=1")
    subprocess.run(["gcc", *flags, "-o", program, REPO / source], check=True)


def program_in(guest, name, quick):
    """A C program of this folder, compiled and copied to the guest; its path there."""
    path = f"/root/{name}"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / name
        build(f"tests/bench/src/{name}.c", program, quick)
        lab(guest, "copy", program, f"lab:{path}")
    return path


def interleaved(contests, rounds):
    """What each contest returns, by name and round: all take their turn in every round."""
    found = {name: [] for name in contests}
    for _ in range(rounds):
        for name, contest in contests.items():
            found[name].append(contest())
    return found


def lab(name, *argv, **options):
    """Run the lab's command for a guest."""
    command = [REPO / "deploy/lab/lab", "--name", name, *argv]
    return subprocess.run(command, **({"check": True} | options))


@contextlib.contextmanager
def quiet_guest(name):
    """The name of a guest whose daemon is not in the way: one that is up, or an own one."""
    is_own = name is None
    name = name or "bench"
    if is_own:
        lab(name, "down", stderr=subprocess.DEVNULL)
        lab(name, "up", stdout=sys.stderr)
    try:
        lab(name, "exec", "--", "systemctl", "stop", "pidinfod")
        yield name
        lab(name, "exec", "--", "systemctl", "start", "pidinfod")
    finally:
        if is_own:
            lab(name, "down", check=False)


def in_guest(guest, benchmark, program, *args):
    """Have a benchmark of this folder measure there, by a program that is built."""
    lab(guest, "exec", "--", "mkdir", "-p", f"{IN_GUEST}/tests")
    for part in ("pidinfod", "bpf", "tests/bench"):
        lab(guest, "copy", REPO / part, f"lab:{IN_GUEST}/{part}")
    lab(guest, "copy", program, f"lab:{IN_GUEST}/program")
    lab(
        guest, "exec", "--", *UNIT, "env", f"PYTHONPATH={IN_GUEST}", "python3",
        f"{IN_GUEST}/tests/bench/{benchmark}", "--program", f"{IN_GUEST}/program", *args,
    )  # fmt: skip
