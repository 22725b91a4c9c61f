# SPDX-License-Identifier: Apache-2.0
"""Certificates of deaths name the culprit right: scenarios of tests/guest/deaths.py."""

import json

import pytest

from tests.guest.deaths import SCENARIOS
from tests.support.machine import declaring, output


@pytest.fixture(scope="module")
def told(machine):
    """By scenario: what the certificate has to say, and the certificate; and what changed."""
    # Where others build a kernel meanwhile, thousands of deaths pass in seconds.
    with machine.configured("deaths: 65536\n" + declaring("sh")) as machine:
        before = machine.scrape()
        caused = json.loads(output(machine, "python3", "deaths.py"))
        deaths = {death["pid"]: death for death in machine.deaths()}
        changes = machine.scrape().since(before)
    return {name: (told, deaths[pid]) for name, (pid, told) in caused.items()}, changes


@pytest.mark.parametrize("name", SCENARIOS)
def test_culprit(machine, told, name):
    certificates, _ = told
    if name.startswith("systemd") and machine.name == "host":
        assert name not in certificates  # timeout(1) is the supervisor here
        return
    expected, death = certificates[name]
    blame, says = expected.pop("blame"), expected.pop("says", "")
    assert expected.items() <= death.items()
    assert says in death["why"]
    if blame is None:
        assert death["blame"] is None
    else:
        assert blame.items() <= death["blame"].items()
        assert 0 <= death["blame"]["before_ns"] < 5 * 10**9


def test_counts_of_the_oom_killer(told):
    """The kernel sends the signal before it marks its victim."""
    changes = told[1]
    assert changes.value("pidinfod_oom_kills_total", group="tail") == 1
    killed = {"signal": "SIGKILL", "target": "tail", "result": "delivered"}
    assert changes.value("pidinfod_signals_generated_total", **killed, origin="kernel") == 1
    exits = {"group": "tail", "reason": "oom", "status": "SIGKILL"}
    assert changes.value("pidinfod_exits_total", **exits) == 1


def test_escalations(machine, told):
    changes = told[1]
    escalations = 3 if machine.name == "lab" else 2
    assert changes.value("pidinfod_shutdown_escalations_total", group="sh") == escalations
    # One of them had ignored the SIGTERM.
    assert changes.value("pidinfod_shutdown_seconds_count", group="sh") >= escalations - 1
