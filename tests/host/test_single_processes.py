# SPDX-License-Identifier: Apache-2.0
"""Series of single processes: of those that a rule selects and of the first by a measure, never
more than the configuration says."""

import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.daemon import Daemon

pytestmark = pytest.mark.usefixtures("root")

ME = os.getpid()
BUSY = "while True: pass"
OPEN = "import os, sys, time; [os.dup(0) for _ in range(701)]; time.sleep(99)"
LARGE = "import time; kept = bytearray(307 << 20); time.sleep(99)"
DEAF = """
import signal, time
signal.signal(signal.SIGUSR1, lambda *_: 0)
time.sleep(99)
"""
CPU, MEMORY, DESCRIPTORS, SIGNALS = (
    f"pidinfod_process_{name}" for name in
    ("cpu_seconds_total", "resident_bytes", "descriptors", "signals_total")
)  # fmt: skip


def named(tmp_path, name, script, **options):
    path = tmp_path / name
    if not path.is_symlink():
        path.symlink_to("/usr/bin/python3")
    return subprocess.Popen([path, "-ISc", script], **options)


def pids(scrape, metric=CPU):
    return {int(dict(labels)["pid"]) for name, labels in scrape if name == metric}


def of(scrape, metric, process):
    return scrape.value(metric, pid=str(process.pid))


@pytest.fixture
def four(tmp_path):
    processes = [named(tmp_path, name, script) for name, script in
                 (("busy", BUSY), ("open", OPEN), ("large", LARGE), ("deaf", DEAF))]  # fmt: skip
    time.sleep(1)
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def test_the_first_by_each_measure(tmp_path, four):
    busy, opens, large, deaf = four
    # Others on this machine may be busier, larger and more signalled.
    config = "per_pid: {cpu: 7, memory: 7, descriptors: 7, signals: 7}\n"
    with Daemon(tmp_path, config) as daemon:
        daemon.scrape()
        for _ in range(211):
            os.kill(deaf.pid, signal.SIGUSR1)
            time.sleep(0.001)
        scrape = daemon.scrape()
        assert {process.pid for process in four} <= pids(scrape)
        assert of(scrape, DESCRIPTORS, opens) == len(os.listdir(f"/proc/{opens.pid}/fd"))
        page = resource.getpagesize()
        stat = Path(f"/proc/{large.pid}/stat").read_text().rpartition(")")[2].split()
        assert of(scrape, MEMORY, large) == int(stat[21]) * page > 307 << 20
        signals = scrape.value("pidinfod_signals_generated_total", target="deaf", signal="SIGUSR1")
        assert of(scrape, SIGNALS, deaf) == signals == 211
        before = int(Path(f"/proc/{busy.pid}/schedstat").read_text().split()[0]) / 1e9
        told = of(daemon.scrape(), CPU, busy)
        after = int(Path(f"/proc/{busy.pid}/schedstat").read_text().split()[0]) / 1e9
        assert before - 0.02 <= told <= after


def test_never_more_than_the_configuration_says(tmp_path):
    group = f"groups:\n- {{name: all, comm: [p{ME}], per_pid: true}}\n"
    config = f"per_pid: {{most: 7, cpu: 1}}\n{group}"
    started = [named(tmp_path, f"p{ME}", "import time; time.sleep(99)") for _ in range(11)]
    with Daemon(tmp_path, config) as daemon:
        time.sleep(0.5)
        scrape = daemon.scrape()
        told = pids(scrape)
        assert len(told) == 7
        assert told <= {process.pid for process in started}
        assert scrape.value("pidinfod_processes_left_out") >= 11 - 7
        # The others have theirs when there is room, and those of the dead are gone.
        for process in started[:7]:
            process.kill()
            process.wait()
        alive = {process.pid for process in started[7:]}
        assert alive <= pids(daemon.scrape())
        starts = {labels["start"] for labels in
                  (dict(found) for name, found in daemon.scrape() if name == CPU)
                  if int(labels["pid"]) in alive}  # fmt: skip
        assert all(abs(float(start) - time.time()) < 60 for start in starts)
        for process in started[7:]:
            process.kill()
            process.wait()


def test_none_unless_they_are_asked_for(tmp_path):
    with Daemon(tmp_path) as daemon:
        assert not pids(daemon.scrape())
