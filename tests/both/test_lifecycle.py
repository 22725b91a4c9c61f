# SPDX-License-Identifier: Apache-2.0
"""Processes that are hard to count; the program counts them itself."""

import time

import pytest

from tests.support.machine import crowd, declaring, output, program, running

TIMED = ("lifecycle", "lifecycle-next", "reuse", "reuse-next", "shutdown-obeys")


@pytest.fixture(scope="module")
def machine(machine):
    """With groups whose times are told apart."""
    with machine.configured(declaring(*TIMED)) as configured:
        yield configured


def test_hard_lives_are_exact(machine):
    """exec by a thread, main threads that end first, vforks, threads, 1 ms lives, one PID."""
    before = machine.scrape()
    lives = program(machine, "lifecycle")
    changes = machine.scrape().since(before)
    reused = lives.pop("reused")
    assert lives == {
        "execs": 101, "leaders": 97, "vforks": 89, "threads": 83, "brief": 79, "reuses": 73,
    }  # fmt: skip
    forks = changes.table("pidinfod_forks_total", "kind", "via", "group")
    assert {kind: n for (kind, _, group), n in forks.items() if group == "lifecycle"} == {
        "process": 101 + 97 + 79 + 73, "thread": 101 + 97 + 83, "vfork": 89,
    }  # fmt: skip
    execs = changes.table("pidinfod_execs_total", "group")
    assert (execs["lifecycle",], execs["lifecycle-next",]) == (1, 101)
    exits = changes.table("pidinfod_exits_total", "group", "reason", "status")
    assert {labels: n for labels, n in exits.items() if labels[0].startswith("lifecycle")} == {
        ("lifecycle", "exited", "0"): 89 + 79 + 73 + 1,  # and itself
        ("lifecycle", "exited", "nonzero"): 97,
        ("lifecycle-next", "exited", "nonzero"): 101,
    }
    lifetimes = changes.table("pidinfod_process_lifetime_seconds_count", "group")
    assert lifetimes["lifecycle",] == 97 + 89 + 79 + 73 + 1
    assert lifetimes["lifecycle-next",] == 101

    # One PID, many processes: each has a death of its own.
    deaths = [death for death in machine.deaths() if death["pid"] == reused]
    assert len(deaths) == 73
    assert len({death["started"] for death in deaths}) == 73
    assert {(death["comm"], death["exit_code"]) for death in deaths} == {("lifecycle", 0)}


def records(machine):
    return machine.scrape().value("pidinfod_map_entries", map="processes")


def test_lives_leave_nothing(machine):
    """Of processes that have ended nothing is kept, whoever of their threads was the last."""
    program(machine, "lifecycle")
    before = records(machine)
    program(machine, "lifecycle")
    assert records(machine) - before < 53  # of some 500; what else came up on this machine


def test_one_record_for_each_process(machine):
    """As many as ps shows; threads have none."""
    time.sleep(1)  # until the kernel has freed those that were reaped before
    before = records(machine)
    with running(machine, "./many", 101, 505):
        during = records(machine)
        shown = len(output(machine, "ps", "-e", "-o", "pid=").split())
    # Others on this machine come and go; 505 threads would be far more.
    assert abs(during - before - 101) < 53
    assert abs(during - shown) < 53


def test_one_pid_and_many_lives(machine):
    """A record is of one life, though the kernel frees the task of the one before only after
    the next has begun: each has its own death, group, lifetime and SIGTERM."""
    before = machine.scrape()
    pid = program(machine, "reuse", 53)
    changes = machine.scrape().since(before)
    deaths = sorted(
        (death for death in machine.deaths() if death["pid"] == pid), key=lambda d: d["seq"]
    )
    assert len(deaths) == len({death["seq"] for death in deaths}) == 53
    assert len({death["started"] for death in deaths}) == 53
    for number, death in enumerate(deaths):
        end = death["comm"], death["group"], death["exit_code"], death["signal"]
        if number % 3 == 1:
            assert end == ("reuse", "reuse", None, "SIGKILL")
            assert death["blame"]["sender_comm"] == "reuse"
            assert death["age_ns"] > 0.1e9
            assert "SIGTERM" not in death["why"]  # which was the one's before
        else:
            name = "reuse-next" if number % 3 == 2 else "reuse"
            assert end == (name, name, number, None)
            # One that handled a SIGTERM of its own, and one that nobody sent any.
            blame = death["blame"] and (death["blame"]["signal"], death["blame"]["origin"])
            assert blame == (("SIGTERM", "self") if number % 3 == 0 else None)

    exits = changes.table("pidinfod_exits_total", "group", "reason", "status")
    assert {labels: n for labels, n in exits.items() if labels[0].startswith("reuse")} == {
        ("reuse", "exited", "0"): 1 + 1,  # the first, and the program itself
        ("reuse", "exited", "nonzero"): 17, ("reuse", "signaled", "SIGKILL"): 18,
        ("reuse-next", "exited", "nonzero"): 17,
    }  # fmt: skip
    assert changes.value("pidinfod_process_lifetime_seconds_count", group="reuse") == 37
    assert changes.value("pidinfod_process_lifetime_seconds_count", group="reuse-next") == 17
    assert changes.value("pidinfod_shutdown_seconds_count", group="reuse") == 18
    assert changes.value("pidinfod_shutdown_escalations_total", group="reuse") == 0


def test_exit_codes_make_two_series(machine):
    """What a program ends with is its own choice; so it does not make keys."""
    before = machine.scrape()
    output(machine, "./codes", "200")
    changes = machine.scrape().since(before)
    exits = changes.table("pidinfod_exits_total", "group", "reason", "status")
    assert {labels: n for labels, n in exits.items() if labels[0] == "codes"} == {
        ("codes", "exited", "0"): 1 + 1, ("codes", "exited", "nonzero"): 199,
    }  # fmt: skip
    assert changes.value("pidinfod_map_entries", map="exits") < 53  # 2, and what others left


def test_a_main_thread_that_has_left(machine):
    """Its process lives on: it has a group, and signals to it and from it count for that."""
    before = machine.scrape()
    told = program(machine, "headless")
    changes = machine.scrape().since(before)
    labels = ("signal", "origin", "result", "sender", "target")
    table = changes.table("pidinfod_signals_generated_total", *labels)
    assert {key: n for key, n in table.items() if "headless" in key[3] + key[4]} == {
        ("SIGUSR1", "user", "ignored", "headless", "headless-one"): 7,
        ("SIGUSR2", "user", "ignored", "headless-one", "headless"): 11,
        ("SIGKILL", "user", "delivered", "headless", "headless-one"): 1,
        ("SIGCHLD", "child", "ignored", "kernel", "headless-one"): 5,
        ("SIGCHLD", "child", "ignored", "kernel", "headless"): 1,
    }  # fmt: skip
    forks = changes.table("pidinfod_forks_total", "kind", "group")
    assert forks["process", "headless-one"] == 5
    exits = changes.table("pidinfod_exits_total", "group", "reason", "status")
    assert exits["headless-one", "exited", "nonzero"] == 5
    assert exits["headless-one", "signaled", "SIGKILL"] == 1

    deaths = {death["pid"]: death for death in machine.deaths()}
    death = deaths[told["pid"]]
    assert (death["group"], death["blame"]["sender_pid"]) == ("headless-one", told["parent"])
    for child in told["children"]:
        parent = deaths[child]["ppid"], deaths[child]["parent_comm"], deaths[child]["group"]
        assert parent == (told["pid"], "headless-one", "headless-one")
    # A thread's own name is nowhere.
    assert not [key for key in changes if "headless-thread" in dict(key[1]).values()]


def test_what_is_a_shutdown(machine):
    """A SIGTERM that was ignored is none, and one is forgotten with the program it was sent to."""
    before = machine.scrape()
    execed = program(machine, "shutdown")
    changes = machine.scrape().since(before)
    shutdowns = changes.table("pidinfod_shutdown_seconds_count", "group")
    assert {group: n for (group,), n in shutdowns.items() if group.startswith("shutdown")} == {
        "shutdown-obeys": 13
    }
    escalations = changes.table("pidinfod_shutdown_escalations_total", "group")
    assert not [group for (group,) in escalations if group.startswith("shutdown")]
    deaths = {death["pid"]: death for death in machine.deaths()}
    for pid in execed:
        assert deaths[pid]["blame"]["signal"] == "SIGKILL"
        assert "SIGTERM" not in deaths[pid]["why"]


def test_parent_that_does_not_reap(machine):
    def zombies(scrape):
        return scrape.value("pidinfod_group_processes", group="crowd", state="Z")

    with crowd(machine, "dead", 67):
        scrape = machine.scrape()
        shown = output(machine, "ps", "-C", "crowd", "-o", "stat=").split()
        assert sum(state.startswith("Z") for state in shown) == 67
        assert zombies(scrape) == 67
        assert scrape.value("pidinfod_zombies", parent="crowd") == 67
        # Dead they are already.
        exits = {"group": "crowd", "reason": "exited", "status": "0"}
        assert scrape.value("pidinfod_exits_total", **exits) == 67
    assert zombies(machine.scrape()) == 0


FAMILY = """
groups:
- name: family
  cmdline: ['family of 10007']
  children: true
"""
PARENT = """
import subprocess, sys, time
time.sleep(1)  # until it is in the group: "family of 10007"
dead = [subprocess.Popen(["true"]) for _ in range(31)]
time.sleep(1)
print("ready", flush=True)
sys.stdin.read()
"""


def test_zombies_keep_their_group(machine):
    """One that their own name and command line do not tell."""
    with (
        machine.configured(FAMILY) as configured,
        running(configured, "python3", "-c", PARENT),
    ):
        scrape = configured.scrape()
        assert scrape.value("pidinfod_group_processes", group="family", state="Z") == 31
        assert scrape.value("pidinfod_group_processes", group="true", state="Z") == 0
        assert scrape.value("pidinfod_zombies", parent="family") == 31
