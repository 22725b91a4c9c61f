# SPDX-License-Identifier: Apache-2.0
"""What the series' selftests print: TAP, as the kernel's own harness writes it."""

import re

PROGRAMS = {
    f"pid_info/{name}_test"
    for name in ("abi", "children", "fields", "many", "permission", "race", "whom")
} | {f"ft_calls/{name}_test" for name in ("fork", "kill", "wait")}
# Turns the ft_* calls off until the next boot, so it is run last or not at all.
OFF = "ft_calls/off_test"

SERIES = ("6.1", "6.12", "7.2")
MACHINES = ("x86-64", "arm64")
# What a kernel may lack for a test to be skipped there: the last words of the reason.
LACKS = {("6.1", machine): ("this kernel has no pidfds of threads",) for machine in MACHINES}


def passed(name: str, printed: str, lacks: tuple[str, ...] = ()) -> int:
    """How many tests passed, of a program that exited with 0. Fails with what it printed, also
    when one skips for another reason than what this kernel lacks."""
    for line in printed.splitlines():
        skips = re.search(r"\bSKIP\b", line)
        assert not skips or line.endswith(lacks), f"{name}:\n{printed}"
    planned = int(re.findall(r"^1\.\.(\d+)$", printed, re.MULTILINE)[0])
    count = len(re.findall(r"^ok \d+", printed, re.MULTILINE))
    assert count == planned > 0, f"{name}:\n{printed}"
    return count
