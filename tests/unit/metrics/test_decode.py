# SPDX-License-Identifier: Apache-2.0
"""Maps' bytes, written out by hand, to values."""

import re
from pathlib import Path

import pytest

from pidinfod.metrics import decode

BPF = Path(__file__).resolve().parents[3] / "bpf"

COMMS = {b"bash".ljust(16, b"\0"): b"\x05\0\0\0", b"nginx".ljust(16, b"\0"): b"\x02\0\0\0"}
GROUPS = decode.GroupNames(COMMS, ["web"])


def test_group_names():
    names = [GROUPS[number] for number in (0, 1, 2, 5, 99)]
    assert names == ["kernel", "other", "web", "bash", "other"]


def test_ft_calls():
    key = b"\x26\x02\0\0" + b"\xfd\xff\xff\xff" + b"\x0f\0\0\0"  # 550, -3, 15
    assert decode.ft_calls({key: 7}) == {("ft_kill", "ESRCH"): 7}
    assert decode.ft_kill_signals({key: 7}) == {("SIGTERM", "ESRCH"): 7}


def test_signals():
    key = b"\x23\0\0\0" + b"\0\x03\0\0" + b"\x05\0\0\0" + b"\x02\0\0\0"
    labels = ("SIGRTMIN+1", "user", "overflow_fail", "bash", "web")
    assert decode.signals_generated({key: 3}, GROUPS) == {labels: 3}
    key = b"\x0f\0\0\0" + b"\x02\0\0\0" + b"\x05\0\0\0"
    assert decode.signals_delivered({key: 3}, GROUPS) == {("SIGTERM", "handled", "bash"): 3}


def test_lifecycle():
    assert decode.forks({b"\x02\0\0\0\x05\0\0\0": 2}, GROUPS) == {("vfork", "native", "bash"): 2}
    exits = {b"\x05\0\0\0\0\0\x07\0": 2, b"\x05\0\0\0\0\0\x08\0": 3, b"\x05\0\0\0\1\0\x09\0": 5}
    assert decode.exits(exits, GROUPS) == {
        ("bash", "exited", "nonzero"): 5,
        ("bash", "signaled", "SIGKILL"): 5,
    }


def test_histogram_is_cumulative_and_keeps_what_is_out_of_range():
    kill = b"\x26\x02\0\0"
    slots = {kill + b"\0\0\0\0": 1, kill + b"\x0a\0\0\0": 2, kill + b"\x3f\0\0\0": 4}
    buckets, total = decode.ft_durations(slots, {kill: 1_500_000_000})["ft_kill"]
    assert total == 1.5
    assert decode.BOUNDS[0] == 1.024e-06
    assert buckets[:2] == [1, 3]
    assert buckets[-2:] == [3, 7]
    assert decode.ft_durations({}, {})["ft_wait"] == ([0] * (len(decode.BOUNDS) + 1), 0.0)


@pytest.mark.parametrize(
    ("file", "enum", "prefix", "names"),
    [
        ("common", "drop_cause", "DROP_", (*decode.DROP_CAUSES, "causes")),
        ("common", "seen_event", "SEEN_", (*decode.EVENTS, "events")),
        ("signals", "origin", "ORIGIN_", decode.ORIGINS),
        ("signals", "disposition", "DISPOSITION_", decode.DISPOSITIONS),
        ("delivery", "signal_class", "CLASS_", decode.SIGNAL_CLASSES),
        ("delivery", "unmatched", "UNMATCHED_", decode.UNMATCHED_REASONS),
        ("kill_calls", "kill_call", "CALL_", decode.KILL_CALLS),
        ("lifecycle", "fork_kind", "KIND_", decode.FORK_KINDS),
        ("lifecycle", "fork_via", "VIA_", decode.FORK_WAYS),
        ("lifecycle", "exit_reason", "REASON_", decode.EXIT_REASONS),
    ],
)
def test_names_are_those_of_the_probes(file, enum, prefix, names):
    """The order is all that ties a number in a map to its name."""
    text = (BPF / f"{file}.bpf.c").read_text()
    body = re.search(rf"^enum {enum} {{(.*?)}};", text, re.MULTILINE | re.DOTALL)[1]
    members = re.findall(rf"\b{prefix}(\w+)", re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL))
    assert [member.lower() for member in members] == list(names)


def test_a_placement_holds_for_its_image_alone():
    memberships = {
        b"\x07\0\0\0": decode.MEMBERSHIP.pack(5, 7, 99),
        b"\x08\0\0\0": decode.MEMBERSHIP.pack(5, 8, 98),
        b"\x09\0\0\0": decode.MEMBERSHIP.pack(5, 9, 0),
        b"\x0a\0\0\0": decode.MEMBERSHIP.pack(6, 10, 99),
    }
    placements = {tid: decode.PLACEMENT.pack(99, 2, 0) for tid in list(memberships)[:3]}
    assert decode.group_of(memberships, placements) == {7: 2, 8: 5, 9: 5, 10: 6}
    assert decode.group_of(memberships, {}) == {7: 5, 8: 5, 9: 5, 10: 6}
