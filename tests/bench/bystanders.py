# SPDX-License-Identifier: Apache-2.0
"""What others' processes lose while nobody asks get_pid_info(2) in a loop, in the lab.

Method: lives of root's (fork, exec of a static program that exits, wait), pinned to one processor,
are timed while a process of nobody's loops, pinned to the other: over getpgid(2), or over
get_pid_info(2) for everything, with room for all strings and lists. It asks of a process with
6,000 threads; of one with 5,000 children; of the life itself, at its fork, exec and exit; and of
all processes, by many records. 30 pairs for each, interleaved, the first one alternating, all in
one boot; the mean of the pairs' logarithms and, by Student's t, its 95 % interval: an interval
that holds 1 shows no difference. Beside them two more loops: get_pid_info(2) of the looker itself,
which has nothing to do with the others but the processors' memory, and reads of /proc/PID/cmdline
of the same target, which take its mmap_lock as get_pid_info(2) does for the command line.
"""

import math
import statistics
import subprocess

from bench import UNIT, lab, parser, program_in, quiet_guest, say_method

PAIRS, QUICK_PAIRS = 30, 3
LIVES, QUICK_LIVES = 101, 7
# Of Student's t, two-sided 95 %, by degrees of freedom.
T = {PAIRS - 1: 2.045, QUICK_PAIRS - 1: 4.303}


def interval(pairs):
    """The ratio of the second to the first of pairs: mean and 95 % interval, by logarithms."""
    logs = [math.log(second / first) for first, second in pairs]
    mean = statistics.mean(logs)
    half = T[len(logs) - 1] * statistics.stdev(logs) / math.sqrt(len(logs))
    return tuple(math.exp(value) for value in (mean, mean - half, mean + half))


def measure(name, quick):
    """By target the rounds of nanoseconds, from the guest of this name."""
    program = program_in(name, "bystanders", quick)
    sizes = (QUICK_PAIRS, QUICK_LIVES) if quick else (PAIRS, LIVES)
    command = (*UNIT, program, *map(str, sizes))
    lines = lab(name, "exec", "--", *command, stdout=subprocess.PIPE, text=True).stdout
    found = {}
    for line in lines.splitlines():
        target, *ns = line.split()
        found.setdefault(target, []).append(tuple(map(int, ns)))
    return found


def told(rounds, kind):
    """The ratio of the times beside one kind of loop to those beside the first."""
    ratio, low, high = interval([(row[0], row[kind]) for row in rounds])
    return f"{ratio:.3f} ({low:.3f}..{high:.3f})"


def main():
    options = parser(__doc__)
    options.add_argument("--lab", metavar="NAME", help="a guest that is up (default: its own)")
    args = options.parse_args()
    say_method(__doc__)
    with quiet_guest(args.lab) as name:
        found = measure(name, args.quick)
    for target, rounds in found.items():
        alone = statistics.median(row[0] for row in rounds) / 1000
        print(
            f"{target:9} {alone:6.0f} us beside getpgid; beside get_pid_info {told(rounds, 1)} of "
            f"that (wanted: holds 1 or less), of itself {told(rounds, 2)}; beside reads of "
            f"cmdline {told(rounds, 3)}"
        )


if __name__ == "__main__":
    main()
