# SPDX-License-Identifier: Apache-2.0
"""A whole scrape as the host grows, beside process-exporter and psutil.

Method: 100, 1,000 and 10,000 processes of 20, 200 and 200 names, then five threads in each, on the
kernel of this machine; all that run there count. In turn, nine rounds, five with the threads: a
scrape of the daemon and one of prometheus-process-exporter, as Prometheus asks (gzip), both
grouping by name, until the last byte; and nine fields of every process by psutil, in an interpreter
of its own that keeps nothing from before. The daemon makes each answer anew: as it is configured by
default, where 80 names have series of their own, and with series for all names, as process-exporter
has, whose own settings are its defaults. The medians count. CPU is what a scrape takes of it by the
scheduler's account of all threads, psutil's by its own. The memory is what is resident after the
last scrape. The exponent b is that of time ~ processes^b, by least squares of the logarithms. CPU
at rest is that of the daemon with 300 processes, for eight scrapes at 15 s.
"""

import contextlib
import json
import math
import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import contestants
import plot
from bench import REPO, interleaved, parser, say_method

from tests.support.room import room_for_tasks

# Processes, threads of each, rounds. One of them is there twice, the second time with threads.
SIZES = ((100, 1, 9), (1000, 1, 9), (10_000, 1, 9), (10_000, 5, 5))
QUICK_SIZES = ((10, 1, 1), (30, 1, 1), (90, 1, 1), (90, 5, 1))
MOST_NAMES, OF_A_NAME = 200, 5
OURS = "pidinfod", "pidinfod, all groups"
WANTED = {"process-exporter": 80, "psutil": 20}
WANTED_THREADS, WANTED_CPU = 2.5, 0.001
SCRAPES, PAUSE = 8, 15.0


@dataclass(frozen=True)
class Row:
    who: str
    processes: int
    threads: int
    ms: float
    cpu_ms: float
    bytes: int | None = None
    series: int | None = None
    resident_mb: float | None = None


HEAD = " " * 24 + "processes   threads        time         CPU     bytes  series  resident"


def line(row):
    """Of the table."""
    text = f"{row.who:23} {row.processes:9,} {row.threads:9,} {row.ms:8.1f} ms {row.cpu_ms:8.1f} ms"
    if row.bytes:
        text += f" {row.bytes:9,} {row.series:7,} {row.resident_mb:6.1f} MB"
    return text


def milliseconds(seconds):
    """Of their median."""
    return round(1e3 * statistics.median(seconds), 2)


def contest(processes, threads, rounds):
    """The row of each contestant, by name."""
    names = min(MOST_NAMES, processes // OF_A_NAME)
    with contextlib.ExitStack() as stack:
        stack.enter_context(contestants.crowd(names, processes, threads))
        exporters = {
            who: stack.enter_context(start()) for who, start in contestants.EXPORTERS.items()
        }
        for exporter in exporters.values():
            exporter.wait()
        there = contestants.tasks()
        readers = {who: exporter.read for who, exporter in exporters.items()}
        found = interleaved(readers | {"psutil": contestants.read_by_psutil}, rounds)
        memory = {who: exporter.resident_mb() for who, exporter in exporters.items()}
    rows = {}
    for who, readings in sorted(found.items()):
        ms = milliseconds(reading.seconds for reading in readings)
        cpu_ms = milliseconds(reading.cpu_seconds for reading in readings)
        answer = ()
        if who in exporters:
            size = statistics.median_low(len(reading.answer) for reading in readings)
            answer = size, readings[-1].series, round(memory[who], 1)
        rows[who] = Row(who, *there, ms, cpu_ms, *answer)
    return rows


def exponents(sizes):
    """By contestant: of the growth of its time with the processes."""
    return {
        who: statistics.linear_regression(
            [math.log(rows[who].processes) for rows in sizes],
            [math.log(rows[who].ms) for rows in sizes],
        ).slope
        for who in sizes[0]
    }


def idle(pause):
    """The share of a CPU of a daemon with its defaults."""
    with contestants.crowd(1, 300, 1), contestants.pidinfod("") as daemon:
        daemon.read()
        time.sleep(pause)
        start, before = time.monotonic(), daemon.cpu_seconds()
        for _ in range(SCRAPES):
            daemon.read()
            time.sleep(pause)
        return (daemon.cpu_seconds() - before) / (time.monotonic() - start)


def say_ratios(large, threaded):
    """Of 10,000 processes, and of them with threads, beside what is wanted."""
    for who in OURS:
        for peer, least in WANTED.items():
            ratio = large[peer].ms / large[who].ms
            print(f"{peer} / {who} = {ratio:.1f} (wanted: at least {least})")
        ratio = threaded[who].ms / large[who].ms
        print(f"{who}, with threads / without = {ratio:.2f} (wanted: at most {WANTED_THREADS})")
        ratio = large[who].resident_mb / large["process-exporter"].resident_mb
        print(f"memory of {who} / process-exporter = {ratio:.2f} (wanted: below 1)")


def main():
    options = parser(__doc__)
    options.add_argument(
        "--output", metavar="FOLDER", type=Path,
        help="for scale.json and scale.svg (default: beside this file; in quick form nowhere)",
    )  # fmt: skip
    args = options.parse_args()
    say_method(__doc__)
    subprocess.run(["make", "-s", "-C", REPO / "tests/guest", "many"], check=True)
    sizes = []
    print(HEAD)
    with room_for_tasks():
        for size in QUICK_SIZES if args.quick else SIZES:
            sizes.append(contest(*size))
            print(*map(line, sizes[-1].values()), sep="\n", flush=True)
        share = idle(0.1 if args.quick else PAUSE)
    *growing, threaded = sizes
    grows = exponents(growing)
    for who, exponent in grows.items():
        print(f"exponent of {who}: {exponent:.2f}")
    say_ratios(growing[-1], threaded)
    print(f"idle {share:.3%} of a CPU (wanted: at most {WANTED_CPU:.1%})")
    found = {
        "kernel": os.uname().release,
        "machine": os.uname().machine,
        "cpus": os.cpu_count(),
        "rows": [asdict(row) for rows in sizes for row in rows.values()],
        "exponents": {who: round(exponent, 3) for who, exponent in grows.items()},
        "idle_share": round(share, 5),
    }
    with tempfile.TemporaryDirectory() as nowhere:
        folder = args.output or (Path(nowhere) if args.quick else Path(__file__).parent)
        (folder / "scale.json").write_text(json.dumps(found, indent=1) + "\n")
        plot.draw(found, folder / "scale.svg")


if __name__ == "__main__":
    main()
