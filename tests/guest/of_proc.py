# SPDX-License-Identifier: Apache-2.0
"""of_proc.py NAME: what /proc tells of all processes of a name, as rows of field, state and sum."""

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


def folders(name):
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().strip() == name:
                yield folder
        except OSError:
            continue  # ended


def stat(folder):
    """The fields from the state on."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


def main():
    found, ratios, starts = Counter(), [], []
    for folder in folders(sys.argv[1]):
        found["processes", stat(folder)[0]] += 1
        for thread in (folder / "task").iterdir():
            found["threads", stat(thread)[0]] += 1
        # The same in statm is another sum since Linux 6.17, which asks every CPU.
        found["virtual_bytes", ""] += int(stat(folder)[20])
        found["resident_bytes", ""] += int(stat(folder)[21]) * PAGE
        swap = (folder / "status").read_text().partition("VmSwap:")[2].split()[0]
        found["swap_bytes", ""] += int(swap) * 1024
        descriptors = len(list((folder / "fd").iterdir()))
        found["descriptors", ""] += descriptors
        limit = (folder / "limits").read_text().partition("Max open files")[2].split()[0]
        ratios.append(descriptors / int(limit))
        starts.append(int(stat(folder)[19]) / os.sysconf("SC_CLK_TCK"))
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    rows = [[*key, value] for key, value in found.items()]
    rows.append(["descriptors_limit_ratio", "", max(ratios)])
    rows.append(["oldest_start_time_seconds", "", boot + min(starts)])
    print(json.dumps(rows))


main()
