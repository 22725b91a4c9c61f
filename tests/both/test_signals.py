# SPDX-License-Identifier: Apache-2.0
"""Signals by every label: the witness is what the calls and the targets themselves say."""

import signal

from tests.support.machine import output, program

GENERATED = "pidinfod_signals_generated_total"
LABELS = ("signal", "origin", "result", "sender", "target")


def name_of(number):
    if number >= 34:
        return "SIGRTMIN" if number == 34 else f"SIGRTMIN+{number - 34}"
    # The two that the C library keeps for itself have no name.
    return str(number) if number >= 32 else signal.Signals(number).name


def test_every_signal_origin_and_result(machine):
    before = machine.scrape()
    provoked = program(machine, "provoke")
    after = machine.scrape()
    expected = {
        (name_of(number), origin, result, "provoke" if origin == "user" else "kernel",
         "provoke"): count for number, origin, result, count in provoked
    }  # fmt: skip
    table = after.since(before).table(GENERATED, *LABELS)
    found = {labels: n for labels, n in table.items() if "provoke" in labels}
    assert found == expected

    # That it was not little that was provoked.
    numbers, origins, results, _ = map(set, zip(*provoked, strict=True))
    assert numbers == set(range(1, 65))
    for origin in ("user", "timer"):
        assert {n for n, o, _, _ in provoked if o == origin} == set(range(1, 65))
    assert origins == {
        "user", "timer", "fault", "child", "terminal", "io", "limit", "seccomp", "other",
        "parent_death", "tracer_exit", "pid_namespace",
    }  # fmt: skip
    assert results == {
        "delivered", "ignored", "already_pending", "overflow_fail", "lose_info",
    }  # fmt: skip
    assert after.since(before).value("pidinfod_dropped_total") == 0


def test_failed_and_empty_attempts(machine):
    """EPERM, ESRCH and EINVAL by each call; signal 0 by each call, apart."""
    before = machine.scrape()
    attempts = program(machine, "attempts")
    changes = machine.scrape().since(before)
    for metric, label, is_probe in (
        ("pidinfod_kill_failures_total", "errno", False),
        ("pidinfod_liveness_probes_total", "result", True),
    ):
        found = changes.table(metric, "call", label, "sender")
        assert {labels[:2]: n for labels, n in found.items() if labels[2] == "attempts"} == {
            (call, result): count for call, probes, result, count in attempts if probes == is_probe
        }
    calls = {call for call, *_ in attempts}
    assert len(calls) == (7 if machine.name == "lab" else 6)
    assert len(attempts) == 6 * len(calls)


def test_attempts_by_the_entry_of_32_bit_programs(machine):
    before = machine.scrape()
    attempts = program(machine, "entry32")
    changes = machine.scrape().since(before)
    for metric, label, is_probe in (
        ("pidinfod_kill_failures_total", "errno", False),
        ("pidinfod_liveness_probes_total", "result", True),
    ):
        found = changes.table(metric, "call", label, "sender")
        assert {labels[:2]: n for labels, n in found.items() if labels[2] == "entry32"} == {
            (call, result): count for call, probes, result, count in attempts if probes == is_probe
        }


def test_timers_that_expire_while_a_probe_runs(machine):
    """Of 3,001 in busy processes each is counted, or found missing when it is delivered."""
    before = machine.scrape()
    handled = program(machine, "timers", 3001)["handled"]
    changes = machine.scrape().since(before)
    assert handled == 3001
    alarms = {"signal": "SIGALRM", "target": "timers"}
    delivered = changes.table("pidinfod_signals_delivered_total", *alarms, "disposition")
    assert delivered["SIGALRM", "timers", "handled"] == handled
    counted = changes.value(GENERATED, **alarms, origin="timer", sender="kernel")
    assert changes.value(GENERATED, **alarms) == counted
    unseen = changes.value("pidinfod_signal_delivery_unmatched_total", reason="unseen")
    assert counted + unseen == handled
    assert unseen < handled // 100


def strace_record(text):
    """From `strace -f -e trace=execve -e signal=all`: signals by program and name."""
    names, found = {}, {}
    for line in text.splitlines():
        pid, _, event = line.partition(" ")
        event = event.strip()
        if event.startswith("execve("):  # none fails here
            names[pid] = event.split('"')[1].rpartition("/")[2]
        elif event.startswith("--- SIG"):
            key = names.get(pid, "storm"), event.split()[1]
            found[key] = found.get(key, 0) + 1
    return found


def test_strace_sees_the_same(machine):
    """Of each program that takes part; what a tracer cannot stop is left out."""
    record = output(machine, "mktemp").strip()
    trace = ["strace", "-f", "-qq", "-e", "trace=execve", "-e", "signal=all", "-o", record]
    before = machine.scrape()
    output(machine, *trace, "./storm", "signals", "1009")
    changes = machine.scrape().since(before)
    witness = strace_record(output(machine, "cat", record))
    output(machine, "rm", record)
    found = {}
    table = changes.table("pidinfod_signals_delivered_total", "target", "signal", "disposition")
    for (target, name, _), count in table.items():
        if target.startswith("storm") and name != "SIGKILL":
            found[target, name] = found.get((target, name), 0) + count
    assert found == witness
    # Signals that a tracer sees are delivered even where they are ignored.
    assert sum(n for (_, name), n in witness.items() if name == "SIGUSR1") > 100
    assert {target for target, _ in witness} >= {"storm", "storm-handles", "storm-ignores"}
