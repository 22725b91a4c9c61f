# SPDX-License-Identifier: Apache-2.0
"""How long the daemon takes to READY and how much memory it holds, beside an empty Python.

Method: nine starts each, in turn, on the kernel of this machine; the medians. The memory is
the most that was resident up to the end of three scrapes. The floor is the same interpreter, which
imports nothing and exits, for time, or sleeps, for memory. "Among many" is beside 10,007 processes
with 50,035 threads.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import REPO, interleaved, parser, say_method

from tests.support.daemon import Daemon
from tests.support.machine import Host, running
from tests.support.room import room_for_tasks

ROUNDS = 9
CROWD, QUICK_CROWD = (10_007, 50_035), (503, 2_515)
WANTED_SECONDS, WANTED_MB = 1.5, 45


def daemon():
    """Seconds to READY, and MB."""
    with tempfile.TemporaryDirectory() as folder, Daemon(Path(folder)) as running:
        for _ in range(3):
            running.scrape()
        return running.ready_seconds, int(running.status("VmHWM").split()[0]) / 1024


def floor():
    """Seconds to the end, and MB."""
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", ""], check=True)
    seconds = time.monotonic() - start
    status = "import sys; print(open('/proc/self/status').read())"
    told = subprocess.check_output([sys.executable, "-c", status], text=True)
    return seconds, int(told.split("VmHWM:")[1].split()[0]) / 1024


def main():
    quick = parser(__doc__).parse_args().quick
    say_method(__doc__)
    rounds = 1 if quick else ROUNDS
    found = interleaved({"floor": floor, "at rest": daemon}, rounds)
    guest = REPO / "tests/guest"
    subprocess.run(["make", "-s", "-C", guest, "many"], check=True)
    crowd = QUICK_CROWD if quick else CROWD
    with room_for_tasks(), running(Host(None, guest), "./many", *crowd):
        found |= interleaved({"among many": daemon}, rounds)
    for name, figures in found.items():
        seconds, size = map(statistics.median, zip(*figures, strict=True))
        print(f"{name:10} READY {seconds:5.2f} s  resident {size:5.1f} MB")
    print(f"(wanted among many: at most {WANTED_SECONDS} s and {WANTED_MB} MB)")


if __name__ == "__main__":
    main()
