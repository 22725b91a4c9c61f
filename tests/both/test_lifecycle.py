# SPDX-License-Identifier: Apache-2.0
"""Processes that are hard to count; the program counts them itself."""

from machine import crowd, output, program


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


def test_threads_leave_nothing(machine):
    """Of tasks that exec'd or ended before their process nothing is kept."""
    program(machine, "lifecycle")
    before = machine.scrape().value("pidinfod_map_entries", map="group_of")
    program(machine, "lifecycle")
    after = machine.scrape().value("pidinfod_map_entries", map="group_of")
    assert after - before < 53  # of some 700; what else came up on this machine


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
