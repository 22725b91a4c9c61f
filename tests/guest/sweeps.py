# SPDX-License-Identifier: Apache-2.0
"""sweeps.py NAME FOLDER: what the daemon's other ways of sweeping tell of all processes of a name,
by its own code, which is in that folder."""

import json
import sys

sys.path.insert(0, sys.argv[2])

from pidinfod.kernel import pid_info
from pidinfod.kernel.records import STATES
from pidinfod.metrics.processes import count_processes
from pidinfod.proc import procfs

FIELDS = "resident_bytes", "virtual_bytes", "swap_bytes", "oldest_start_ns"


def main():
    ways = {"procfs": (procfs.sweep, procfs.ABSENT)}
    if pid_info.is_supported():
        ways["get_pid_info"] = pid_info.sweep, pid_info.ABSENT
    told = {}
    for name, (sweep, absent) in ways.items():
        counts = count_processes(((one, one.comm) for one in sweep()), absent)
        group = counts.groups[sys.argv[1]]
        told[name] = {field: getattr(group, field) for field in FIELDS if field not in absent}
        told[name]["processes"] = {
            state: count for state, count in zip(STATES, group.processes, strict=True) if count
        }
    print(json.dumps(told))


main()
