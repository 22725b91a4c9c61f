# SPDX-License-Identifier: Apache-2.0
"""What 7.1 added to fork: children that the kernel reaps, and kills as their pidfd is closed."""

import time

import pytest

from tests.support.machine import Guest, program


@pytest.fixture(scope="module")
def machine(kernel):
    return Guest(kernel)


def test_children_that_nobody_waits_for(series, kernel, machine):
    if series != "7.2":
        done = kernel.exec("/root/src/autoreap", check=False)
        assert "Invalid argument" in done.stderr
        return
    before = machine.scrape()
    made = program(machine, "autoreap")
    assert made == {"ended": 101, "killed": 53, "none": 101 + 53}
    time.sleep(1)  # until the kernel has freed the last
    after = machine.scrape()
    changes = after.since(before)
    forks = changes.table("pidinfod_forks_total", "kind", "group")
    assert forks["process", "autoreap"] == 101 + 53
    exits = changes.table("pidinfod_exits_total", "group", "reason", "status")
    assert {labels: n for labels, n in exits.items() if labels[0] == "autoreap"} == {
        ("autoreap", "exited", "0"): 51 + 1,  # and itself
        ("autoreap", "exited", "nonzero"): 50,
        ("autoreap", "signaled", "SIGKILL"): 53,
    }
    # No signal for the parent, and each SIGKILL the kernel's, whoever closed the pidfd.
    sent = changes.table("pidinfod_signals_generated_total", "signal", "target", "origin")
    assert {(s, origin): n for (s, target, origin), n in sent.items() if target == "autoreap"} == {
        ("SIGKILL", "kernel"): 53,
    }
    # Reaped as they ended: none was a zombie, and nothing of them is kept.
    assert after.table("pidinfod_zombies", "parent").get(("autoreap",), 0) == 0
    deaths = [death for death in machine.deaths() if death["group"] == "autoreap"]
    assert len(deaths) == 101 + 53 + 1
    assert {d["blame"]["origin"] for d in deaths if d["signal"] == "SIGKILL"} == {"kernel"}
