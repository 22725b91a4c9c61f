# SPDX-License-Identifier: Apache-2.0
"""What the loader is asked for: the text that the descriptions make, and the sizes of the maps."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from pidinfod.groups.rules import Group
from pidinfod.groups.table import FIRST_GROUP, comm_keys, entry_of, key_of, refined_precedence
from pidinfod.kernel import records
from pidinfod.kernel.layout import Enum
from pidinfod.kernel.records import GROUP_ENTRY, NO_PRECEDENCE, SETTING
from pidinfod.metrics import families
from pidinfod.metrics.families import DETAILS, DROPS, FAMILIES
from pidinfod.metrics.schema import EVENTS

# Values of all per-CPU maps together take at most so many bytes, whatever the number of CPUs.
PERCPU_BYTES = 64 << 20
LEAST_ENTRIES = 64
# A CPU keeps up to 128 free entries of an LRU map to itself, and as many are evicted at once.
LRU_PER_CPU = 256

# Entries of the other maps; of `events`, the ring, bytes.
PLAIN_SIZES = {
    "processes": 65536, "provisional_use": 8192, "swept_signals": 8192, "ft_inflight": 4096,
    "events": 1 << 20,
}  # fmt: skip
LRU_SIZES = {"generated": 16384, "rt_queues": 4096, "killed_threads": 256, "departed": 1024}
MAP_NAMES = frozenset({*(family.name for family in FAMILIES), *PLAIN_SIZES, *LRU_SIZES})

# Maps that the daemon reads or writes, beside those of the families.
HANDED = (
    "seen", "drops", "degraded", "processes", "placements", "groups", "comm_rules", "group_table",
    "settings", "placed_execs", "ft_inflight", "past_use", "users",
    "provisional_use", "swept", "swept_signals",
)  # fmt: skip


def percpu_sizes(max_groups: int, cpus: int) -> dict[str, int]:
    """Entries of the families' maps: what so many groups need, less where CPUs are many."""
    wanted = {family.name: max(LEAST_ENTRIES, family.entries(max_groups)) for family in FAMILIES}
    least = LEAST_ENTRIES * len(wanted)
    others = sum(family.other_entries for family in FAMILIES if family.other_map)
    room = max(0, PERCPU_BYTES // (8 * cpus) - others - least)
    share = min(1.0, room / (sum(wanted.values()) - least))
    return {
        name: LEAST_ENTRIES + int((size - LEAST_ENTRIES) * share) for name, size in wanted.items()
    }


def family_maps() -> list[str]:
    """The per-CPU maps of all families."""
    others = (family.other_map for family in FAMILIES)
    return [*(family.name for family in FAMILIES), *filter(None, others)]


def map_sizes(max_groups: int, cpus: int, given: Mapping[str, int]) -> dict[str, int]:
    """Entries of all maps, by name; `given` are those that the configuration says."""
    lru = {name: max(size, LRU_PER_CPU * cpus) for name, size in LRU_SIZES.items()}
    return {"groups": max_groups} | percpu_sizes(max_groups, cpus) | PLAIN_SIZES | lru | dict(given)


def memory_bytes(max_groups: int, cpus: int, given: Mapping[str, int]) -> int:
    """The kernel's memory for the maps on so many possible CPUs, by their sizes.

    An entry of a hash map takes its key and value, rounded up to 8 bytes, and 48 bytes beside
    (kernel/bpf/hashtab.c: struct htab_elem); one of a per-CPU map has a pointer and 8 bytes a CPU.
    """
    sizes = map_sizes(max_groups, cpus, given)
    keys = {family.name: family.key.size for family in FAMILIES}
    values = {
        "processes": records.PROCESS.size,
        "users": records.USER.size,
        "provisional_use": records.PROVISIONAL_USE.size,
        "swept": records.SWEPT.size,
        "departed": records.DEPARTED.size,
    }
    total = sizes.pop("events") + max_groups * (records.GROUP_ENTRY.size + records.USE.size)
    sizes["swept"] = max_groups
    sizes["placements"] = sizes["users"] = sizes["processes"]
    for family in FAMILIES:
        if family.other_map:
            sizes[family.other_map], keys[family.other_map] = family.other_entries, family.key.size
    for name, size in sizes.items():
        value = 8 + 8 * cpus if name in keys else values.get(name, 16)
        key = records.DEPARTED_KEY.size if name == "departed" else keys.get(name, 8)
        total += size * (48 + (key + 7) // 8 * 8 + value)
    return total


def records_text() -> str:
    """Includes, constants, enumerations and structures: what all of the program needs first."""
    losses = (
        Enum("drop_cause", "DROP", tuple(f"{event}_{cause}" for event, cause in DROPS)),
        Enum("detail", "DEGRADED", DETAILS),
    )
    enums = (*records.ENUMS, EVENTS, *losses, *families.ENUMS)
    described = (*enums, *records.STRUCTS)
    includes = "#include <linux/types.h>\n#include <linux/ptrace.h>\n"
    constants = "".join(
        f"#define {name}\t{n}\n" for name, n in (records.CONSTANTS | families.CONSTANTS).items()
    )
    return "\n".join([includes, constants, *(one.c_text() for one in described)])


def families_text() -> str:
    """The families' maps, and the functions that count in them."""
    return "\n".join(family.c_text() for family in FAMILIES)


def declare(groups: Sequence[Group]) -> dict[str, list[tuple[str, str]]]:
    """What maps must hold of declared groups: keys and values in hexadecimal, by map."""
    numbered = list(enumerate(groups))
    # A program in "other", as no id was left, may be placed by any rule.
    table = [(key_of(records.GROUP_OTHER), GROUP_ENTRY.pack(precedence=NO_PRECEDENCE))]
    table += [(key_of(FIRST_GROUP + place), entry_of(group, place)) for place, group in numbered]
    rules = [
        (key, key_of(FIRST_GROUP + place)) for place, group in numbered for key in comm_keys(group)
    ]
    refined = SETTING.number("refined_precedence")
    fill = {
        "group_table": table,
        "comm_rules": rules,
        "settings": [(key_of(refined), key_of(refined_precedence(groups)))],
    }
    return {
        name: [(key.hex(), value.hex()) for key, value in entries] for name, entries in fill.items()
    }


def request(
    groups: Sequence[Group],
    max_groups: int,
    cpus: int,
    given_sizes: Mapping[str, int],
    kill_failures: bool,
) -> dict[str, Any]:
    """A request for kernel/loader.py."""
    sizes = map_sizes(max_groups, cpus, given_sizes)
    # bcc takes the ring's size in pages.
    sizes["events"] = max(1, sizes["events"] // os.sysconf("SC_PAGE_SIZE"))
    return {
        "records": records_text(),
        "families": families_text(),
        "sizes": sizes,
        "fill": declare(groups),
        "free_groups": list(range(FIRST_GROUP + len(groups), max_groups)),
        "maps": [*family_maps(), *HANDED],
        "kill_failures": kill_failures,
    }
