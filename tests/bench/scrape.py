# SPDX-License-Identifier: Apache-2.0
"""A whole scrape of a host with 10,000 processes, beside process-exporter and psutil.

Method: 200 programs of different names, each with 50 processes, on the kernel of this machine.
In turn, nine rounds: a scrape of the daemon and one of prometheus-process-exporter, as Prometheus
asks (gzip), both grouping by name, until the last byte; and nine fields of every process by psutil.
The medians count. "Lean" is process-exporter without smaps and names of threads, which it reads by
default. The same again with five threads in each process. The memory is what is resident after
that. CPU at rest is that of the daemon with 300 processes, for eight scrapes at 15 s, by the
scheduler's account of all its threads.
"""

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from bench import REPO, interleaved, parser, say_method

from tests.support.daemon import Daemon, free_address
from tests.support.room import room_for_tasks

ROUNDS = 9
NAMES, PROCESSES, THREADS = 200, 50, 5
WANTED_EXPORTER, WANTED_PSUTIL, WANTED_THREADS = 80, 20, 2.5
WANTED_CPU = 0.001
LEAN = ("-gather-smaps=false", "-threads=false")
SCRAPES, PAUSE = 8, 15.0
REQUEST = {
    "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
    "Accept-Encoding": "gzip",
}
PSUTIL = """
import psutil, time
FIELDS = ["name", "status", "cpu_times", "memory_info", "num_threads", "num_fds",
          "io_counters", "num_ctx_switches", "create_time"]
start = time.perf_counter()
count = sum(1 for process in psutil.process_iter(FIELDS))
print(time.perf_counter() - start, count)
"""


@contextlib.contextmanager
def crowd(folder, names, processes, threads):
    """So many processes of so many names."""
    program = REPO / "tests/guest/many"
    with contextlib.ExitStack() as stack:
        started = []
        for number in range(names):
            path = folder / f"crowd-{number}"
            path.symlink_to(program)
            stack.callback(path.unlink)
            # Its parent is one of them.
            command = [path, str(processes - 1), str((processes - 1) * threads)]
            pipe = subprocess.PIPE
            started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe))
        for process in started:
            stack.callback(process.communicate)
        for process in started:
            assert process.stdout.readline() == b"ready\n"
        yield


@contextlib.contextmanager
def process_exporter(*flags):
    """Its URL and PID; Debian's, which groups by name."""
    address = free_address()
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write('process_names:\n  - name: "{{.Comm}}"\n    cmdline: [".+"]\n')
        file.flush()
        command = ["prometheus-process-exporter", f"-web.listen-address={address}",
                   f"-config.path={file.name}", *flags]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            url = f"http://{address}/metrics"
            try:
                wait_for(url)
                yield url, process.pid
            finally:
                process.terminate()


def wait_for(url):
    """Until it answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return scrape(url)
        except OSError:
            assert time.monotonic() < deadline, url
            time.sleep(0.1)


def scrape(url):
    """Seconds, and bytes as they came."""
    start = time.perf_counter()
    with urllib.request.urlopen(urllib.request.Request(url, headers=REQUEST), timeout=60) as answer:
        size = len(answer.read())
    return time.perf_counter() - start, size


def psutil():
    """Seconds, and processes."""
    seconds, count = subprocess.check_output([sys.executable, "-c", PSUTIL], text=True).split()
    return float(seconds), int(count)


def resident_mb(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def cpu_ns(pid):
    """Of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(path.read_text().split()[0]) for path in tasks)


def contest(folder, names, processes, threads, rounds):
    """Median seconds by name; prints the rows."""
    with (
        crowd(folder, names, processes, threads),
        Daemon(folder) as daemon,
        process_exporter() as (url, pid),
        process_exporter(*LEAN) as (lean_url, lean_pid),
    ):
        found = interleaved(
            {
                "pidinfod": lambda: scrape(daemon.url),
                "process-exporter": lambda: scrape(url),
                "lean process-exporter": lambda: scrape(lean_url),
                "psutil": psutil,
            },
            rounds,
        )
        series = len(daemon.scrape())
        pids = {"pidinfod": daemon.process.pid, "process-exporter": pid,
                "lean process-exporter": lean_pid}  # fmt: skip
        memory = {name: f", {resident_mb(pid):5.1f} MB resident" for name, pid in pids.items()}
    seconds = {}
    for name, told in found.items():
        seconds[name] = statistics.median(second for second, _ in told)
        time_of = f"{seconds[name] * 1e3:7.1f} ms{memory.get(name, '')}"
        print(f"{name:22} {threads} threads each {time_of}")
    print(f"series {series} of pidinfod")
    return seconds


def idle(folder, pause):
    """The daemon's share of a CPU."""
    with subprocess.Popen([REPO / "tests/guest/many", "300", "300"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as many:  # fmt: skip
        assert many.stdout.readline() == b"ready\n"
        with Daemon(folder) as daemon:
            scrape(daemon.url)
            time.sleep(pause)
            start, before = time.monotonic(), cpu_ns(daemon.process.pid)
            for _ in range(SCRAPES):
                scrape(daemon.url)
                time.sleep(pause)
            used = (cpu_ns(daemon.process.pid) - before) / 1e9 / (time.monotonic() - start)
        many.communicate()
    return used


def main():
    options = parser(__doc__).parse_args()
    say_method(__doc__)
    subprocess.run(["make", "-s", "-C", REPO / "tests/guest", "many"], check=True)
    rounds, names, processes = (1, 7, 11) if options.quick else (ROUNDS, NAMES, PROCESSES)
    with tempfile.TemporaryDirectory() as name, room_for_tasks():
        folder = Path(name)
        one = contest(folder, names, processes, 1, rounds)
        many = contest(folder, names, processes, THREADS, rounds)
        for peer, wanted in (("process-exporter", WANTED_EXPORTER), ("psutil", WANTED_PSUTIL)):
            ratio = one[peer] / one["pidinfod"]
            print(f"against {peer}: ratio {ratio:.1f} (wanted: at least {wanted})")
        ratio = many["pidinfod"] / one["pidinfod"]
        print(f"threads {THREADS} / 1: ratio {ratio:.2f} (wanted: at most {WANTED_THREADS})")
        share = idle(folder, 0.1 if options.quick else PAUSE)
        print(f"idle {share:.3%} of a CPU (wanted: at most {WANTED_CPU:.1%})")


if __name__ == "__main__":
    main()
