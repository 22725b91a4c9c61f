# SPDX-License-Identifier: Apache-2.0
"""How long the daemon takes to READY and how much memory it holds, beside an empty Python.

Method: five starts each, in turn, on the kernel of this machine; the median. The floor is
Debian's interpreter that imports nothing and exits, for time, or sleeps, for memory.
"""

import os
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

PYTHON = "/usr/bin/python3"
REPO = Path(__file__).resolve().parents[2]
ROUNDS = 5


def resident_mb(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def daemon(folder):
    """Seconds to READY and MB after ten scrapes."""
    path = Path(folder) / "notify"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, socket.socket() as free:
        sock.bind(str(path))
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        start = time.monotonic()
        process = subprocess.Popen(
            [PYTHON, "-m", "pidinfod", "--listen", address],
            cwd=REPO, stderr=subprocess.DEVNULL, env=dict(os.environ, NOTIFY_SOCKET=str(path)),
        )  # fmt: skip
        while b"READY=1" not in sock.recv(4096):
            pass
        seconds = time.monotonic() - start
    for _ in range(10):
        urllib.request.urlopen(f"http://{address}/metrics").read()
    size = resident_mb(process.pid)
    process.terminate()
    process.wait()
    return seconds, size


def floor():
    start = time.monotonic()
    subprocess.run([PYTHON, "-c", ""], check=True)
    seconds = time.monotonic() - start
    with subprocess.Popen([PYTHON, "-c", "import time; time.sleep(9)"]) as process:
        time.sleep(0.2)
        size = resident_mb(process.pid)
        process.kill()
    return seconds, size


def main():
    print(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        rounds = [(daemon(folder), floor()) for _ in range(ROUNDS)]
    for index, (what, unit) in enumerate((("to READY", "s"), ("resident", "MB"))):
        ours = statistics.median(ours[index] for ours, _ in rounds)
        least = statistics.median(least[index] for _, least in rounds)
        print(f"{what:9} {ours:7.2f} {unit:2}  floor {least:.2f} {unit}, ratio {ours / least:.1f}")


if __name__ == "__main__":
    main()
