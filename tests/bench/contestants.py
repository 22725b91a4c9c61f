# SPDX-License-Identifier: Apache-2.0
"""Who takes part in scale.py, among how many processes, and what one reading of each takes."""

import contextlib
import gzip
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import REPO

from tests.support.daemon import Daemon, free_address

# Each scrape is made anew, else all in the same second have one answer.
ANEW = "share_seconds: 0\n"
ALL_GROUPS = ANEW + "shown_groups: 4096\n"
SETTLING = 0.02  # seconds after the last byte, until the account of the threads is up to date
SECONDS = 120  # that an answer may take
REQUEST = {
    "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
    "Accept-Encoding": "gzip",
}
PSUTIL = """
import psutil, time
FIELDS = ["name", "status", "cpu_times", "memory_info", "num_threads", "num_fds",
          "io_counters", "num_ctx_switches", "create_time"]
start, cpu = time.perf_counter(), time.process_time()
assert list(psutil.process_iter(FIELDS))
print(time.perf_counter() - start, time.process_time() - cpu)
"""


@dataclass(frozen=True)
class Reading:
    """Of all processes, once."""

    seconds: float  # until the last byte
    cpu_seconds: float
    answer: bytes = b""  # as it came: packed

    @property
    def series(self):
        text = gzip.decompress(self.answer) if self.answer else b""
        return sum(not line.startswith(b"#") for line in text.splitlines())


@dataclass(frozen=True)
class Exporter:
    url: str
    pid: int

    def read(self):
        """As Prometheus asks."""
        request = urllib.request.Request(self.url, headers=REQUEST)
        before, start = self.cpu_seconds(), time.perf_counter()
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            body = answer.read()
        seconds = time.perf_counter() - start
        assert answer.headers["Content-Encoding"] == "gzip", f"{self.url} is not packed"
        time.sleep(SETTLING)
        return Reading(seconds, self.cpu_seconds() - before, body)

    def cpu_seconds(self):
        """Of all its threads, by the scheduler's account."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(path.read_text().split()[0]) for path in tasks) / 1e9

    def resident_mb(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def wait(self):
        """Until it answers."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                return self.read()
            except OSError:
                assert time.monotonic() < deadline, f"{self.url} does not answer"
                time.sleep(0.1)


@contextlib.contextmanager
def pidinfod(defaults):
    with (
        tempfile.TemporaryDirectory() as folder,
        Daemon(Path(folder), defaults=defaults) as daemon,
    ):
        yield Exporter(daemon.url, daemon.process.pid)


@contextlib.contextmanager
def process_exporter():
    """Debian's, which groups by name, too."""
    address = free_address()
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write('process_names:\n  - name: "{{.Comm}}"\n    cmdline: [".+"]\n')
        file.flush()
        command = ["prometheus-process-exporter", f"-web.listen-address={address}",
                   f"-config.path={file.name}"]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                yield Exporter(f"http://{address}/metrics", process.pid)
            finally:
                process.terminate()


def read_by_psutil():
    printed = subprocess.check_output([sys.executable, "-c", PSUTIL], text=True)
    return Reading(*map(float, printed.split()))


# In the order of their turns: before each of pidinfod's is one that takes long, so that none
# finds the processor's caches as it left them.
EXPORTERS = {
    "pidinfod": partial(pidinfod, ANEW),
    "process-exporter": process_exporter,
    "pidinfod, all groups": partial(pidinfod, ALL_GROUPS),
}


@contextlib.contextmanager
def crowd(names, processes, threads):
    """So many processes of so many names, with so many threads each."""
    program = REPO / "tests/guest/many"
    each = processes // names - 1  # the parent of those is one, too
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        started = []
        for number in range(names):
            path = folder / f"crowd-{number}"
            path.symlink_to(program)
            pipe = subprocess.PIPE
            command = [path, str(each), str(each * threads)]
            started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe))
            stack.callback(started[-1].communicate)
        for process in started:
            assert process.stdout.readline() == b"ready\n", "no room for the crowd"
        yield


def tasks():
    """Processes and threads that there are on this machine."""
    processes = sum(name.isdecimal() for name in os.listdir("/proc"))
    _, _, threads = Path("/proc/loadavg").read_text().split()[3].partition("/")
    return processes, int(threads)
