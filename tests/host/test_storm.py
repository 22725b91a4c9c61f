# SPDX-License-Identifier: Apache-2.0
"""Storms, counted exactly: the witness is what the senders' own calls returned."""

import json
import subprocess
from pathlib import Path

from conftest import scrape

SIGNALS, LIVES = 1_000_003, 100_003
MAPS = ("group_of", "blames", "ft_inflight")


def storm(programs, *args):
    output = subprocess.check_output([programs / "storm", *map(str, args)], text=True)
    return json.loads(output)


def resident_bytes(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def test_signals(daemon, programs):
    storm(programs, "signals", 11)  # the groups are there
    before = scrape(daemon.url)
    sent = storm(programs, "signals", SIGNALS)
    after = scrape(daemon.url)
    assert sum(sent.values()) == SIGNALS

    def delta(**labels):
        name, fixed = "pidinfod_signals_generated_total", {"signal": "SIGUSR1", "sender": "storm"}
        return after.value(name, **fixed, **labels) - before.value(name, **fixed, **labels)

    assert delta() == delta(origin="user") == delta(target="storm") == SIGNALS
    assert delta(result="ignored") == sent["ignored"]
    # One was pending until the end, or until it was handled.
    assert delta(result="delivered") + delta(result="already_pending") == (
        sent["handled"] + sent["blocked"]
    )
    assert delta(result="already_pending") >= sent["blocked"] - 1
    dropped = "pidinfod_dropped_total"
    assert after.value(dropped) == before.value(dropped)


def test_short_lives(daemon, programs):
    """Forks, execs, exits and deaths of processes that live for less than two milliseconds."""
    storm(programs, "lives", 5003)
    before, memory = scrape(daemon.url), resident_bytes(daemon.process.pid)
    ended = storm(programs, "lives", LIVES)
    after = scrape(daemon.url)
    signaled = LIVES // 3 + 1
    assert ended == {"exited": LIVES - signaled, "signaled": signaled}

    def delta(name, **labels):
        return after.value(name, **labels) - before.value(name, **labels)

    assert delta("pidinfod_forks_total", group="storm", kind="vfork", via="native") == LIVES
    killed = {"group": "storm", "reason": "signaled", "status": "SIGKILL"}
    assert delta("pidinfod_exits_total", **killed) == signaled
    # The storm itself exits with 0, too.
    assert delta("pidinfod_exits_total", group="storm", status="0") == LIVES - signaled + 1
    assert delta("pidinfod_execs_total", group="storm") == 1
    lifetimes = "pidinfod_process_lifetime_seconds_count"
    assert delta(lifetimes, group="storm") == LIVES + 1

    # Every death is told, or counted as lost.
    exits = delta("pidinfod_exits_total")
    told = delta("pidinfod_deaths_recorded_total")
    lost = delta("pidinfod_dropped_total", cause="deaths_full")
    assert abs(told + lost - exits) <= 20  # others die between the parts of a scrape
    assert told + lost >= LIVES

    assert resident_bytes(daemon.process.pid) - memory < 5 << 20
    for name in MAPS:
        grown = after.value("pidinfod_map_entries", map=name) - before.value(
            "pidinfod_map_entries", map=name
        )
        assert grown < 50, name  # what else came up on this machine
