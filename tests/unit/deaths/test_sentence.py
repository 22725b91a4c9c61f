# SPDX-License-Identifier: Apache-2.0
"""The sentence of each kind of death, word for word."""

from dataclasses import replace

import pytest

from pidinfod.deaths.death import decode
from pidinfod.deaths.sentence import explain
from tests.support import records

MS = 1_000_000
BY_NGINX = {"sender": 4217, "sender_comm": b"nginx", "sender_uid": 33}
NGINX = "nginx (PID 4217, uid 33)"


def why(**fields):
    return explain(decode(records.death(**fields), 1, "group", None, 0.0))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"status": 0}, "exited with 0"),
        ({"status": 37 << 8}, "exited with 37"),
        ({"status": 255 << 8}, "exited with 255"),
        (
            {"signal": 15, "before_ns": 251 * MS, **BY_NGINX},
            f"exited with 0, 0.251 s after SIGTERM sent by {NGINX}",
        ),
        (
            {"status": 3 << 8, "signal": 2, "before_ns": 7 * MS, "origin": "terminal"},
            "exited with 3, 0.007 s after SIGINT from its terminal",
        ),
        (
            {"signal": 14, "before_ns": 1 * MS, "origin": "timer"},
            "exited with 0, 0.001 s after SIGALRM of a timer",
        ),
        (
            {"signal": 1, "before_ns": 3 * MS, "origin": "parent_death", **BY_NGINX},
            f"exited with 0, 0.003 s after the end of its parent, {NGINX}",
        ),
        # Long past, or none that asks to leave.
        ({"signal": 15, "before_ns": 10_000 * MS, **BY_NGINX}, "exited with 0"),
        ({"signal": 13, "before_ns": 1 * MS, "origin": "io"}, "exited with 0"),
        ({"signal": 10, "before_ns": 1 * MS, "sender": 4211}, "exited with 0"),
    ],
)
def test_exit(fields, sentence):
    assert why(**fields) == sentence


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"origin": "user", **BY_NGINX}, f"SIGUSR1 sent by {NGINX}"),
        ({"origin": "user", "sender": 4211}, "SIGUSR1 raised by itself"),
        ({"origin": "user"}, "SIGUSR1 sent by a process that is not known"),
        ({"origin": "kernel", **BY_NGINX}, "SIGUSR1 from the kernel"),
        ({"origin": "other", **BY_NGINX}, "SIGUSR1 from the kernel"),
        ({"origin": 4294967295, **BY_NGINX}, "SIGUSR1 from the kernel"),
        ({"origin": "timer", **BY_NGINX}, "SIGUSR1 of a timer"),
        ({"origin": "fault", **BY_NGINX}, "SIGUSR1, a fault of its own"),
        ({"origin": "child", **BY_NGINX}, "SIGUSR1 of a child"),
        ({"origin": "terminal", **BY_NGINX}, "SIGUSR1 from its terminal"),
        ({"origin": "io", **BY_NGINX}, "SIGUSR1 of its input or output"),
        ({"origin": "limit", **BY_NGINX}, "SIGUSR1, a resource limit"),
        ({"origin": "parent_death", **BY_NGINX}, f"the end of its parent, {NGINX}"),
        ({"origin": "tracer_exit", **BY_NGINX}, f"the end of its tracer, {NGINX}"),
        ({"origin": "pid_namespace", **BY_NGINX}, f"the end of its PID namespace's init, {NGINX}"),
    ],
)
def test_each_origin(fields, sentence):
    assert why(signal=10, status=10, **fields) == f"killed by SIGUSR1: {sentence}"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"origin": "user", **BY_NGINX}, f"SIGKILL sent by {NGINX}"),
        ({"origin": "user", "sender": 4211}, "SIGKILL raised by itself"),
        ({"origin": "tracer_exit", **BY_NGINX}, f"the end of its tracer, {NGINX}"),
        ({"origin": "parent_death", **BY_NGINX}, f"the end of its parent, {NGINX}"),
        ({"origin": "pid_namespace", **BY_NGINX}, f"the end of its PID namespace's init, {NGINX}"),
        # By the one that runs, which is not to blame, and by the process itself.
        ({"origin": "kernel", **BY_NGINX}, "SIGKILL from the kernel"),
        ({"origin": "kernel", "sender": 4211}, "SIGKILL, a resource limit"),
        ({"origin": "kernel", "is_oom": 1, **BY_NGINX}, "the OOM killer"),
        ({"origin": "kernel", "is_oom": 1, "sender": 4211}, "the OOM killer"),
        # Somebody else's SIGKILL came first.
        ({"origin": "user", "is_oom": 1, **BY_NGINX}, f"SIGKILL sent by {NGINX}"),
    ],
)
def test_sigkill(fields, sentence):
    assert why(signal=9, status=9, **fields) == f"killed by SIGKILL: {sentence}"
    after = why(signal=9, status=9, before_ns=2 * MS, term_before_ns=10_006 * MS, **fields)
    assert after == f"killed by SIGKILL: {sentence}, 10.004 s after SIGTERM"


def test_core():
    fields = {"signal": 11, "origin": "fault", "sender": 4211}
    text = "killed by SIGSEGV (core dumped): SIGSEGV, a fault of its own"
    assert why(status=11 | 0x80, **fields) == text
    assert why(status=6 | 0x80, signal=6, sender=4211) == (
        "killed by SIGABRT (core dumped): SIGABRT raised by itself"
    )


def test_seccomp():
    text = "killed by SIGSYS: SIGSYS, a system call that its seccomp filter forbids"
    assert why(status=31, signal=31, origin="seccomp") == text


def test_by_whom_is_not_known():
    assert why(status=9) == "killed by SIGKILL"
    assert why(status=35) == "killed by SIGRTMIN+1"
    assert why(status=32) == "killed by 32"
    assert why(status=9, is_oom=1) == "killed by SIGKILL: the OOM killer"
    # The last that came is another than the one that ended it.
    assert why(status=11, signal=15, **BY_NGINX) == "killed by SIGSEGV"
    assert why(status=9, is_oom=1, signal=15, **BY_NGINX) == "killed by SIGKILL: the OOM killer"


def test_a_user_that_may_not_be_known():
    told = decode(records.death(status=15, signal=15, **BY_NGINX), 1, "g", None, 0.0)
    hidden = replace(told, blame=replace(told.blame, sender_uid=None))
    assert hidden.why == "killed by SIGTERM: SIGTERM sent by nginx (PID 4217)"


def test_names_stand_as_they_are():
    name = b"a\nb\x1b[31m"
    sender = {"sender": 4217, "sender_comm": name, "sender_uid": 1009}
    told = why(status=15, signal=15, **sender)
    assert told == "killed by SIGTERM: SIGTERM sent by a\nb\x1b[31m (PID 4217, uid 1009)"
