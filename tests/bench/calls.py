# SPDX-License-Identifier: Apache-2.0
"""What get_pid_info costs beside /proc and beside sched_getattr(2), in the lab.

Method: one static C program in the guest times each in turn, seven rounds, and takes the fastest
round of each; the ratios are of one run. "procfs" opens, reads, closes and parses stat, status,
io, cgroup and syscall of the same process. The sweeps are over 5,003 sleeping processes.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
LAB = [REPO / "deploy/lab/lab", "--name", "bench"]


def guest(*argv):
    command = [*LAB, "exec", "--", *argv]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main():
    print(__doc__)
    subprocess.run([*LAB, "down"], check=False, stderr=subprocess.DEVNULL)
    subprocess.run([*LAB, "up"], check=True, stdout=sys.stderr)
    try:
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "pid_info"
            subprocess.run(
                ["gcc", "-O2", "-static", f"-I{REPO}/tests/guest",
                 f"-I{REPO}/kernel/include/uapi", "-o", program,
                 REPO / "tests/bench/src/pid_info.c"], check=True,
            )  # fmt: skip
            subprocess.run([*LAB, "copy", program, "lab:/root/pid_info"], check=True)
        guest("systemctl", "stop", "pidinfod")
        lines = guest("/root/pid_info", "one")
        # A service may have fewer tasks than that by default.
        unit = ("systemd-run", "--quiet", "--pipe", "--wait", "-p", "TasksMax=infinity")
        lines += guest(*unit, "/root/pid_info", "sweep", "5003")
    finally:
        subprocess.run([*LAB, "down"], check=False)
    ns = {name: int(value) for name, value in map(str.split, lines.splitlines())}
    for name, value in ns.items():
        print(f"{name:20} {value / 1000:12.2f} us")
    for over, under, wanted in (
        ("procfs", "get_pid_info", "at least 10"),
        ("get_pid_info", "sched_getattr", "at most 5"),
        ("sweep_procfs", "sweep_get_pid_info", "at least 10"),
    ):
        print(f"{over} / {under} = {ns[over] / ns[under]:.1f} (wanted: {wanted})")


if __name__ == "__main__":
    main()
