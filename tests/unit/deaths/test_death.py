# SPDX-License-Identifier: Apache-2.0
"""The ring's record of a death, field by field."""

import json

import pytest

from pidinfod.deaths.death import Blame, Death, decode, outline
from tests.support import records


def test_all_fields():
    raw = records.death(
        pid=4211, comm=b"java", start_ns=7_000_000_011, end_ns=100_000_000_013, cgroup_id=811,
        ppid=1, parent_comm=b"systemd", uid=1009, group=13, status=9 | 0x80, is_oom=1, signal=15,
        sender=4217, sender_comm=b"pkill", sender_uid=17, before_ns=23, term_before_ns=29,
    )  # fmt: skip
    assert decode(raw, 19, "shop", "/shop.slice/shop.service", 1000.5) == Death(
        seq=19, pid=4211, comm="java", group="shop", ppid=1, parent_comm="systemd", uid=1009,
        cgroup_id=811, cgroup="/shop.slice/shop.service", unit="shop.service",
        start_ns=7_000_000_011, started=1007.5, died=1100.5, age_ns=93_000_000_002,
        exit_code=None, signal="SIGKILL", core_dumped=True, oom=True,
        blame=Blame("SIGTERM", "user", 4217, "pkill", 17, 23), term_before_ns=29,
    )  # fmt: skip
    assert outline(raw) == (4211, 100_000_000_013, 811, 13)


def test_an_exit_without_blame():
    told = decode(records.death(status=41 << 8), 1, "g", None, 0.0)
    assert (told.exit_code, told.signal, told.blame, told.term_before_ns) == (41, None, None, None)
    assert (told.cgroup, told.unit) == (None, None)


@pytest.mark.parametrize(
    ("origin", "sender", "number", "is_oom", "expected"),
    [
        ("user", 4217, 15, 0, "user"),
        ("user", 4211, 15, 0, "self"),
        ("kernel", 4217, 9, 0, "kernel"),
        ("kernel", 4217, 9, 1, "oom"),
        ("kernel", 4211, 9, 1, "oom"),
        ("kernel", 4211, 9, 0, "limit"),
        ("kernel", 4211, 15, 0, "kernel"),
        *((name, 4217, 9, 0, name) for name in records.ORIGIN.names),
        (13, 4217, 9, 0, "other"),
        (1 << 31, 4217, 9, 0, "other"),
    ],
)
def test_origin_and_whether_somebody_sent_it(origin, sender, number, is_oom, expected):
    raw = records.death(
        status=number, signal=number, origin=origin, sender=sender, sender_comm=b"x", is_oom=is_oom
    )
    blame = decode(raw, 1, "g", None, 0.0).blame
    assert blame.origin == expected
    sent = expected in ("user", "self", "parent_death", "tracer_exit", "pid_namespace")
    assert (blame.sender_pid, blame.sender_comm) == ((sender, "x") if sent else (None, None))


def test_json_is_exact():
    raw = records.death(
        comm=b"a\n\x1b\xff", parent_comm="同".encode(), status=15, signal=15, sender=3,
        sender_comm=b'"\\',
    )  # fmt: skip
    told = decode(raw, 1, "g", "/caf\udce9\u202e.service", 0.0)
    back = json.loads(json.dumps(told.as_dict()))
    assert (back["comm"], back["parent_comm"]) == ("a\n\x1b\\xff", "同")
    assert (back["cgroup"], back["unit"]) == ("/caf\udce9\u202e.service", "caf\udce9\u202e.service")
    assert back["blame"] == {
        "signal": "SIGTERM", "origin": "user", "sender_pid": 3, "sender_comm": '"\\',
        "sender_uid": 0, "before_ns": 0,
    }  # fmt: skip
    assert back["why"] == told.why
    assert told.as_dict()["blame"] is not vars(told.blame)
