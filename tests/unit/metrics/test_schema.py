# SPDX-License-Identifier: Apache-2.0
"""Each family's description: its key's text and bytes, its series, what is shown of them."""

import re
import subprocess
from math import prod

import pytest

from pidinfod.groups.names import GroupNames
from pidinfod.kernel.records import BY_COMM, FREE, GROUP_ENTRY, ORIGIN
from pidinfod.metrics import families
from pidinfod.metrics.families import DETAILS, DROPS, FAMILIES
from pidinfod.metrics.ft_calls import FT_CALLS, FT_KILL_SIGNALS
from pidinfod.metrics.kills import KILL_FAILURES, LIVENESS_PROBES
from pidinfod.metrics.lives import EXECS, EXITS, FORKS, LIFETIME, REAP_DELAY
from pidinfod.metrics.schema import EVENTS, SUM_SLOT, Histogram
from pidinfod.metrics.signals import DELIVERED, DELIVERY, DELIVERY_UNMATCHED, GENERATED
from tests.support import REPO

NAMES = GroupNames([
    GROUP_ENTRY.pack(kind=FREE), GROUP_ENTRY.pack(kind=FREE),
    GROUP_ENTRY.pack(kind=BY_COMM, name=b"bash"), GROUP_ENTRY.pack(kind=BY_COMM, name=b"cat"),
])  # fmt: skip
BASH, CAT = 2, 3
GROUP_LABELS = ("sender", "target", "group", "parent")
COUNTERS = [family for family in FAMILIES if not isinstance(family, Histogram)]
HISTOGRAMS = [family for family in FAMILIES if isinstance(family, Histogram)]


def by_name(family):
    return family.name


# Numbers as the kernel's own headers have them.
@pytest.mark.parametrize(
    ("family", "key", "series"),
    [
        (FT_CALLS, {"syscall": 1, "result": 0}, ("ft_fork", "ok")),
        (FT_CALLS, {"syscall": 2, "result": 3}, ("ft_kill", "ESRCH")),
        (FT_CALLS, {"syscall": 3, "result": 512}, ("ft_wait", "ERESTARTSYS")),
        (FT_CALLS, {"syscall": 9, "result": 11}, ("9", "EAGAIN")),
        (FT_KILL_SIGNALS, {"signal": 35, "result": 1}, ("SIGRTMIN+1", "EPERM")),
        (FT_KILL_SIGNALS, {"signal": 255, "result": 22}, ("invalid", "EINVAL")),
        (FT_KILL_SIGNALS, {"signal": 0, "result": 0}, ("0", "ok")),
        (
            GENERATED,
            {"signal": 15, "origin": 0, "result": 2, "sender": BASH, "target": CAT},
            ("SIGTERM", "user", "already_pending", "bash", "cat"),
        ),
        (
            GENERATED,
            {"signal": 17, "origin": 4, "result": 1, "sender": 0, "target": 99},
            ("SIGCHLD", "child", "ignored", "kernel", "other"),
        ),
        (DELIVERED, {"signal": 9, "disposition": 0, "target": 1}, ("SIGKILL", "default", "other")),
        (DELIVERY, {"kind": 1, "slot": 5}, ("realtime", 5)),
        (DELIVERY_UNMATCHED, {"kind": 0, "reason": 2}, ("standard", "undelivered")),
        (KILL_FAILURES, {"call": 2, "errno": 3, "sender": BASH}, ("tgkill", "ESRCH", "bash")),
        (LIVENESS_PROBES, {"call": 6, "result": 0, "sender": CAT}, ("ft_kill", "ok", "cat")),
        (FORKS, {"kind": 2, "via": 0, "group": BASH}, ("vfork", "native", "bash")),
        (EXITS, {"group": CAT, "reason": 0, "status": 0}, ("cat", "exited", "0")),
        (EXITS, {"group": CAT, "reason": 0, "status": 255}, ("cat", "exited", "nonzero")),
        (EXITS, {"group": CAT, "reason": 2, "status": 9}, ("cat", "oom", "SIGKILL")),
        (LIFETIME, {"group": BASH, "slot": SUM_SLOT}, ("bash", SUM_SLOT)),
        (REAP_DELAY, {"parent": CAT, "slot": 14}, ("cat", 14)),
    ],
)
def test_a_key_is_shown(family, key, series):
    raw = family.key.pack(**key)
    assert family.series(raw, NAMES) == series
    assert family.decode({raw: 211}, NAMES) == {series: 211}
    groups = {value for name, value in key.items() if name in GROUP_LABELS}
    assert family.groups_of(raw) == groups


def test_keys_that_are_shown_alike_are_one_series():
    counts = {EXECS.key.pack(group=number): 2**number for number in (1, 2, 3, 5, 7)}
    assert EXECS.decode(counts, NAMES) == {
        ("other",): 2 + 32 + 128, ("bash",): 4, ("cat",): 8,
    }  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES, ids=by_name)
def test_a_description(family):
    names = [member.name for member in family.key.members]
    members = [label.member for label in family.labels]
    assert sorted(names) == sorted(members + ["slot"] * isinstance(family, Histogram))
    assert family.key.name == f"{family.name}_key"
    # Only at the end of a key bytes are wasted.
    assert not re.search(rf"pad(?!{len(names)}\[)", family.key.c_text())
    assert family.group_labels == tuple(
        place for place, name in enumerate(family.label_names)
        if name in GROUP_LABELS
    )  # fmt: skip
    assert family.help.endswith(".")
    for groups in (16, 4096):
        assert family.entries(groups) > 0
    if family.declared is not None:
        assert len(family.group_labels) == 1
        assert len(family.declared) == len(family.labels) - 1
    for series in family.start:
        assert len(series) == len(family.labels)
    assert bool(family.event) != (family.name in family.details)


@pytest.mark.parametrize("family", FAMILIES, ids=by_name)
def test_the_text(family):
    text, upper = family.c_text(), family.name.upper()
    assert text.startswith(family.key.c_text())
    table = f'BPF_TABLE("percpu_hash", struct {family.name}_key, u64, {family.name}, SIZE_{upper});'
    assert text.count(table) == 1
    function = "observe" if isinstance(family, Histogram) else "count"
    (signature,) = re.findall(r"^static __always_inline void (\w+)\((.*)\)$", text, re.MULTILINE)
    last = "u64 ns" if isinstance(family, Histogram) else "u64 amount"
    assert signature == (f"{function}_{family.name}", f"struct {family.name}_key *key, {last}")
    # Each loss that it names is one that is told, and the other way round.
    lost = {name.lower() for name in re.findall(r"degrade\(DEGRADED_(\w+)\)", text)}
    assert lost == set(family.details) <= set(DETAILS)
    dropped = re.findall(r"drop\(DROP_(\w+)\)", text)
    assert dropped == ([f"{family.event.upper()}_FULL"] if family.event else [])
    for place in family.group_labels if function == "count" else ():
        assert f"others.{family.labels[place].member} = GROUP_OTHER;" in text
    if family.other_map:
        assert text.count(
            f'BPF_TABLE("percpu_hash", struct {family.name}_key, u64, {family.name}_other, '
            f"{family.other_entries});"
        ) == 1  # fmt: skip
    assert text.count("{") == text.count("}")


def test_a_counter_with_groups_and_one_without():
    assert EXECS.c_text() == '''struct execs_key {
	u32 group;
};

BPF_TABLE("percpu_hash", struct execs_key, u64, execs, SIZE_EXECS);
BPF_TABLE("percpu_hash", struct execs_key, u64, execs_other, 1);

static __always_inline void count_execs(struct execs_key *key, u64 amount)
{
	u64 zero = 0, *count = execs.lookup_or_try_init(key, &zero);

	if (!count) {
		struct execs_key others = *key;

		others.group = GROUP_OTHER;
		count = execs_other.lookup_or_try_init(&others, &zero);
		if (count)
			degrade(DEGRADED_EXECS_GROUPS);
	}
	if (count)
		__sync_fetch_and_add(count, amount);
	else
		drop(DROP_EXEC_FULL);
}
'''
    assert "GROUP_OTHER" not in FT_KILL_SIGNALS.c_text()
    assert "\t\tdegrade(DEGRADED_FT_KILL_SIGNALS);\n" in FT_KILL_SIGNALS.c_text()


def test_times_are_by_declared_group():
    text = REAP_DELAY.c_text()
    assert text.count("\tkey->parent = declared_or_other(key->parent);\n") == 1
    # Before anything is looked up by the key.
    assert text.index("declared_or_other") < text.index("lookup_or_try_init")
    assert "declared_or_other" not in DELIVERY.c_text() + EXECS.c_text()


@pytest.mark.parametrize("family", FAMILIES, ids=by_name)
def test_room_for_what_found_none(family):
    if isinstance(family, Histogram) or not family.group_labels:
        assert family.other_map is None
        return
    # All that the enumerations can be, at least; the others have some values more.
    numbers = {"signal": 64, "status": 66, "errno": 64, "result": 64}
    enums = {enum.name: len(enum.names) for enum in (*families.ENUMS, ORIGIN)}
    sizes = {"origin": enums["origin"], "disposition": enums["disposition"],
             "kind": enums["fork_kind"], "via": enums["fork_via"], "call": enums["kill_call"],
             "reason": enums["exit_reason"], **numbers}  # fmt: skip
    if family is GENERATED:
        sizes["result"] = enums["signal_result"]
    room = prod(sizes[label.member] for label in family.labels if not label.is_group)
    assert family.other_entries == min(room, 1024)


def test_each_event_is_dropped_by_one_family():
    assert sorted(family.event for family in FAMILIES if family.event) == sorted(EVENTS.names)
    assert len(set(DROPS)) == len(DROPS)
    assert len(set(DETAILS)) == len(DETAILS)
    assert {event for event, _ in DROPS} == set(EVENTS.names)


def test_names_are_used_once():
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    assert len({family.metric for family in FAMILIES}) == len(FAMILIES)
    assert len({enum.name for enum in families.ENUMS}) == len(families.ENUMS)


def test_the_probes_count_in_each_family():
    text = "".join(path.read_text() for path in (REPO / "bpf").glob("*.bpf.c"))
    called = set(re.findall(r"\b((?:count|observe)_\w+)\(&\w+,", text))
    made = {f"{'observe' if isinstance(family, Histogram) else 'count'}_{family.name}"
            for family in FAMILIES}  # fmt: skip
    assert made <= called
    # What the probes say that they lost is told.
    for prefix, known in (("DROP", {f"{event}_{cause}" for event, cause in DROPS}),
                          ("DEGRADED", set(DETAILS)), ("SEEN", set(EVENTS.names))):  # fmt: skip
        used = {name.lower() for name in re.findall(rf"\b{prefix}_(\w+)\b", text)} - {"count"}
        assert used <= known


def test_events():
    assert FORKS.events(("process", "native", "web"), 7) == 7
    assert LIFETIME.events(("web", 0), 7) == 7
    # Seconds are no event.
    assert LIFETIME.events(("web", SUM_SLOT), 10**12) == 0


def test_the_first_series():
    assert FT_CALLS.first(["web"]) == {
        (name, "ok"): 0 for name in ("get_pid_info", "ft_fork", "ft_kill", "ft_wait")
    }
    assert FORKS.first(["web", "db"]) == {
        ("process", "native", "web"): 0, ("process", "native", "db"): 0,
    }  # fmt: skip
    assert EXITS.first(["web"]) == {("web", "exited", "0"): 0}
    assert EXECS.first([]) == {}
    assert GENERATED.first(["web"]) == {}
    assert LIFETIME.first(["web"]) == {("web", SUM_SLOT): 0}
    assert DELIVERY.first(["web"]) == {}
    assert DELIVERY_UNMATCHED.first(()) == {
        (kind, reason): 0 for kind in ("standard", "realtime")
        for reason in ("unseen", "group_exit", "undelivered")
    }  # fmt: skip


def shown(family, counts):
    return {
        (sample.name, *sample.labels.items()): sample.value
        for sample in family.family(counts).samples
    }


@pytest.mark.parametrize("family", COUNTERS, ids=by_name)
def test_a_counter_is_shown(family):
    values = tuple(f"value{place}" for place, _ in enumerate(family.labels))
    labels = zip(family.label_names, values, strict=True)
    assert shown(family, {values: 2**53 - 111}) == {
        (f"pidinfod_{family.name}_total", *labels): 2**53 - 111
    }
    assert family.metric == family.counted == f"pidinfod_{family.name}_total"


DELIVERY_BOUNDS = [
    "1.024e-06", "2.048e-06", "4.096e-06", "8.192e-06", "1.6384e-05", "3.2768e-05", "6.5536e-05",
    "0.000131072", "0.000262144", "0.000524288", "0.001048576", "0.002097152", "0.004194304",
    "0.008388608", "0.016777216", "0.033554432", "0.067108864", "0.134217728", "0.268435456",
    "0.536870912", "1.073741824", "2.147483648", "4.294967296", "8.589934592", "17.179869184",
    "34.359738368", "+Inf",
]  # fmt: skip
LIFE_BOUNDS = [
    "0.001048576", "0.004194304", "0.016777216", "0.067108864", "0.268435456", "1.073741824",
    "4.294967296", "17.179869184", "68.719476736", "274.877906944", "1099.511627776",
    "4398.046511104", "17592.186044416", "70368.744177664", "+Inf",
]  # fmt: skip
BOUNDS = {
    "ft_call_duration_seconds": DELIVERY_BOUNDS, "signal_delivery_seconds": DELIVERY_BOUNDS,
    "process_lifetime_seconds": LIFE_BOUNDS, "shutdown_seconds": LIFE_BOUNDS,
    "reap_delay_seconds": LIFE_BOUNDS,
}  # fmt: skip


@pytest.mark.parametrize("family", HISTOGRAMS, ids=by_name)
def test_a_histogram_is_shown(family):
    bounds = BOUNDS[family.name]
    assert len(bounds) == len(family.slots) + 1
    (label,) = family.label_names
    # A prime in each bucket, the last one too, and a sum in nanoseconds.
    primes = [number for number in range(2, 500) if all(number % d for d in range(2, number))]
    counts = {("web", slot): primes[slot] for slot in range(len(bounds))}
    counts["web", SUM_SLOT] = 1_500_000_007
    counts["db", SUM_SLOT] = 0  # of a declared group, before anything happened
    metric = f"pidinfod_{family.name}"
    found = shown(family, counts)
    for place, bound in enumerate(bounds):
        key = (f"{metric}_bucket", (label, "web"), ("le", bound))
        assert found.pop(key) == sum(primes[: place + 1])
        assert found.pop((f"{metric}_bucket", (label, "db"), ("le", bound))) == 0
    assert found == {
        (f"{metric}_count", (label, "web")): sum(primes[: len(bounds)]),
        (f"{metric}_sum", (label, "web")): 1.500000007,
        (f"{metric}_count", (label, "db")): 0,
        (f"{metric}_sum", (label, "db")): 0,
    }
    assert family.counted == f"{metric}_count"


PROGRAM = """
#include <stdint.h>
#include <stdio.h>
typedef uint16_t u16; typedef uint32_t u32; typedef uint64_t u64;
#define __always_inline inline
/* bcc: the place of the highest bit, from 1 on. */
static u32 bpf_log2l(u64 number) { return 64 - __builtin_clzl(number); }
%s
int main(void)
{
	u64 ns;
	u32 first, step, buckets;

	while (scanf("%%lu %%u %%u %%u", &ns, &first, &step, &buckets) == 4)
		printf("%%u\\n", bucket_of(ns, first, step, buckets));
}
"""


@pytest.fixture(scope="module")
def bucket_of(tmp_path_factory):
    """The probes' own function."""
    text = (REPO / "bpf/common.bpf.c").read_text()
    found = [re.search(rf"^static __always_inline u\d+ {name}\(.*?^}}", text, re.M | re.S)[0]
             for name in ("slot_of", "bucket_of")]  # fmt: skip
    folder = tmp_path_factory.mktemp("buckets")
    (folder / "buckets.c").write_text(PROGRAM % "\n".join(found))
    subprocess.run(["gcc", "-o", folder / "buckets", folder / "buckets.c"], check=True)

    def call(times, *given):
        asked = "".join(f"{ns} {' '.join(map(str, given))}\n" for ns in times)
        told = subprocess.run(
            [folder / "buckets"], input=asked, capture_output=True, text=True, check=True
        )
        return [int(place) for place in told.stdout.split()]

    return call


@pytest.mark.parametrize("family", HISTOGRAMS, ids=by_name)
def test_upper_bounds_are_inclusive(bucket_of, family):
    call = re.search(r"bucket_of\(ns, (\d+), (\d+), (\d+)\)", family.c_text())
    given = tuple(map(int, call.groups()))
    upper = [round(bound * 1e9) for bound in family.bounds]
    places = list(range(len(upper)))
    assert bucket_of(upper, *given) == places
    assert bucket_of([ns + 1 for ns in upper], *given) == [place + 1 for place in places]
    assert bucket_of([ns - 1 for ns in upper], *given) == places
    assert bucket_of([0, 1, 2, 3], *given) == [0, 0, 0, 0]
    # One more bucket has all the rest.
    above = [upper[-1] * 2**power + 1 for power in range(5)]
    assert bucket_of([*above, 2**63, 2**64 - 1], *given) == [len(upper)] * 7
