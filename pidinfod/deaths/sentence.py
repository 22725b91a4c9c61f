# SPDX-License-Identifier: Apache-2.0
"""The sentence that explains a death."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pidinfod.deaths.death import Blame, Death

# A program that handles one of these and exits within LEAVE_NS was ended by it all the same.
_ASKED_TO_LEAVE = ("user", "terminal", "timer", "parent_death")
LEAVE_NS = 10_000_000_000


def explain(death: Death) -> str:
    """How the process ended, and by whom: "killed by SIGKILL: SIGKILL sent by sh (PID 7, uid 0)".

    Names stand in it as they are.
    """
    blame = death.blame
    if death.signal is None:
        text = f"exited with {death.exit_code}"
        if blame and blame.origin in _ASKED_TO_LEAVE and blame.before_ns < LEAVE_NS:
            text += f", {_seconds(blame.before_ns)} after {_cause(blame)}"
        return text
    text = f"killed by {death.signal}" + (" (core dumped)" if death.core_dumped else "")
    if blame and blame.signal == death.signal:
        text += ": " + _cause(blame)
        if death.signal == "SIGKILL" and death.term_before_ns is not None:
            text += f", {_seconds(death.term_before_ns - blame.before_ns)} after SIGTERM"
    elif death.oom:
        text += ": the OOM killer"
    return text


def _cause(blame: Blame) -> str:
    if blame.sender_pid is None:
        sender = "a process that is not known"
    else:
        user = "" if blame.sender_uid is None else f", uid {blame.sender_uid}"
        sender = f"{blame.sender_comm} (PID {blame.sender_pid}{user})"
    return {
        "user": f"{blame.signal} sent by {sender}",
        "self": f"{blame.signal} raised by itself",
        "fault": f"{blame.signal}, a fault of its own",
        "timer": f"{blame.signal} of a timer",
        "child": f"{blame.signal} of a child",
        "terminal": f"{blame.signal} from its terminal",
        "io": f"{blame.signal} of its input or output",
        "limit": f"{blame.signal}, a resource limit",
        "seccomp": "SIGSYS, a system call that its seccomp filter forbids",
        "oom": "the OOM killer",
        "parent_death": f"the end of its parent, {sender}",
        "tracer_exit": f"the end of its tracer, {sender}",
        "pid_namespace": f"the end of its PID namespace's init, {sender}",
    }.get(blame.origin, f"{blame.signal} from the kernel")


def _seconds(ns: int) -> str:
    return f"{ns / 1e9:.3f} s"
