# SPDX-License-Identifier: Apache-2.0
"""The daemon's three ways of sweeping all processes, beside each other in the lab.

Method: 5,003 sleeping processes in the guest, besides its own; each way by the daemon's code, from
the start until Python has what it found: the iterator's sums of groups, and each process by
get_pid_info(2), many records a call, and by /proc; and a call for each process. In turn, seven
rounds; the medians, and their ratios.
"""

import contextlib
import os
import statistics
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

from bench import build, in_guest, interleaved, parser, quiet_guest, say_method

from pidinfod.kernel import handoff, pid_info
from pidinfod.kernel.sweep import Sweep
from pidinfod.proc import procfs
from pidinfod.service import daemon
from pidinfod.service.config import Config

ROUNDS = 7
PROCESSES, QUICK_PROCESSES = "5003", "103"


def seconds_of(way):
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


def single_calls():
    """The same groups by the library's call for one process, for each that /proc lists."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(ProcessLookupError):
            found.append(pid_info.read(int(name), pid_info.SWEEP))
    return found


def measure(program, quick):
    """Print the rows."""
    processes = QUICK_PROCESSES if quick else PROCESSES
    sweep = Sweep(handoff.load(daemon.request(Config()), daemon.LOAD_SECONDS))
    assert sweep.is_there, sweep.reason
    ways = {
        "iterator": sweep.run,
        "get_pid_info": lambda: list(pid_info.sweep()),
        "single calls": single_calls,
        "procfs": lambda: list(procfs.sweep()),
    }
    contests = {name: partial(seconds_of, way) for name, way in ways.items()}
    pipe = subprocess.PIPE
    with subprocess.Popen([program, processes, processes], stdin=pipe, stdout=pipe) as many:
        assert many.stdout.readline() == b"ready\n", "no room for the processes"
        found = interleaved(contests, 1 if quick else ROUNDS)
        many.communicate()
    took = {name: statistics.median(seconds) for name, seconds in found.items()}
    for name, seconds in took.items():
        ratio = seconds / took["iterator"]
        print(f"{name:12} {1e3 * seconds:9.2f} ms, {ratio:6.1f} times the iterator's")
    ratio = took["single calls"] / took["get_pid_info"]
    print(f"many records: single calls / get_pid_info = {ratio:.1f} (wanted: at least 8)")


def main():
    options = parser(__doc__)
    options.add_argument("--lab", metavar="NAME", help="a guest that is up (default: its own)")
    options.add_argument("--program", help="tests/guest/many, built: measure here")
    args = options.parse_args()
    if args.program:
        measure(args.program, args.quick)
        return
    say_method(__doc__)
    with tempfile.TemporaryDirectory() as folder, quiet_guest(args.lab) as guest:
        program = Path(folder) / "many"
        build("tests/guest/many.c", program, args.quick)
        in_guest(guest, "ways.py", program, *(["--quick"] if args.quick else []))


if __name__ == "__main__":
    main()
