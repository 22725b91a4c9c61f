# SPDX-License-Identifier: Apache-2.0
"""All families that are counted in the kernel, and what of them the probes can lose."""

from __future__ import annotations

from pidinfod.metrics import ft_calls, kills, lives, signals
from pidinfod.metrics.schema import Counter

FAMILIES: tuple[Counter, ...] = (
    *ft_calls.FAMILIES, *signals.FAMILIES, *kills.FAMILIES, *lives.FAMILIES,
)  # fmt: skip
CONSTANTS = ft_calls.CONSTANTS | lives.CONSTANTS
ENUMS = (*ft_calls.ENUMS, *signals.ENUMS, *kills.ENUMS, *lives.ENUMS)

# Why an event was seen and not counted: event and cause. Causes beside a full map are named here.
DROPS: tuple[tuple[str, str], ...] = (
    *(family.drop for family in FAMILIES if family.drop),
    ("ft_call", "inflight_full"),
    ("ft_call", "return_missed"),
)
# What something that was counted can lose. groups: no id was left, so it is "other". processes:
# the process has no record. use: what a process used, as it had no record when it was freed.
# swept_signals: no room. deaths, placements, cgroups: the ring was full. kill_calls: the return of
# a call was missed.
DETAILS: tuple[str, ...] = (
    "groups", "processes", "use", "swept_signals", "deaths", "placements", "cgroups", "kill_calls",
    *(detail for family in FAMILIES for detail in family.details),
)  # fmt: skip
