# SPDX-License-Identifier: Apache-2.0
"""What get_pid_info costs beside /proc and beside sched_getattr(2), in the lab.

Method: one static C program in the guest times each in turn, seven rounds, and takes the fastest
round of each; the ratios are of one run. "procfs" opens, reads, closes and parses stat, status,
io, cgroup and syscall of the same process. get_pid_info asks for all groups of SIZE_VER0 without
strings, the wide one for those of SIZE_VER1, too. The sweeps are over 5,003 sleeping processes: by
a call for each id, by many records, by /proc.
"""

import subprocess

from bench import UNIT, lab, parser, program_in, quiet_guest, say_method

PROCESSES, QUICK_PROCESSES = 5003, 503


def measure(name, quick):
    """The program's lines, from the guest of this name."""

    def guest(*argv):
        return lab(name, "exec", "--", *argv, stdout=subprocess.PIPE, text=True).stdout

    program = program_in(name, "pid_info", quick)
    processes = str(QUICK_PROCESSES if quick else PROCESSES)
    return guest(program, "one") + guest(*UNIT, program, "sweep", processes)


def main():
    options = parser(__doc__)
    options.add_argument("--lab", metavar="NAME", help="a guest that is up (default: its own)")
    args = options.parse_args()
    say_method(__doc__)
    with quiet_guest(args.lab) as name:
        lines = measure(name, args.quick)
    ns = {name: int(value) for name, value in map(str.split, lines.splitlines())}
    for name, value in ns.items():
        print(f"{name:20} {value / 1000:12.2f} us")
    for over, under, wanted in (
        ("procfs", "get_pid_info", "at least 10"),
        ("get_pid_info", "sched_getattr", "at most 5"),
        ("get_pid_info_wide", "get_pid_info", "told"),
        ("sweep_procfs", "sweep_many", "at least 10"),
        ("sweep_single", "sweep_many", "at least 2"),
    ):
        print(f"{over} / {under} = {ns[over] / ns[under]:.1f} (wanted: {wanted})")


if __name__ == "__main__":
    main()
