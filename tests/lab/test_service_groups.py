# SPDX-License-Identifier: Apache-2.0
"""Groups by systemd's own units, placed by the service with the one capability it keeps."""

import json
import time

import pytest

from tests.support.machine import Guest

CONFIG = r"""
groups:
  - name: web
    exe: ['^/usr/bin/tail$']
    user: [nobody]
  - name: nightly
    unit: ['^nightly@.*\.service$']
    children: true
"""


@pytest.fixture
def configured(lab):
    with Guest(lab).configured(CONFIG):
        yield lab
        lab.exec("systemctl", "stop", "nightly@*", "web@*")


def test_units_and_users(configured):
    lab = configured
    for number in range(2):
        script = "sleep 1009 & wait"
        unit = ("--unit", f"nightly@{number}")
        lab.exec("systemd-run", "-q", "--collect", *unit, "sh", "-c", script)
    for number in range(3):
        lab.exec("systemd-run", "-q", "--collect", "--unit", f"web@{number}", "--uid", "nobody",
                 "tail", "-f", "/dev/null")  # fmt: skip
    by_root = ("systemd-run", "-q", "--collect", "--unit", "web@9")
    lab.exec(*by_root, "tail", "-f", "/dev/null")
    deadline = time.monotonic() + 60
    while True:
        found = lab.scrape()
        counts = {
            group: found.value("pidinfod_group_processes", group=group)
            for group in ("web", "nightly")
        }
        if counts == {"web": 3, "nightly": 4}:
            break
        assert time.monotonic() < deadline, counts
        time.sleep(0.5)
    assert found.value("pidinfod_group_misses_total", reason="unreadable") == 0


def test_the_unit_of_one_that_is_gone(lab):
    """systemd removes the cgroup of a unit right after its last process."""
    run = ("systemd-run", "-q", "--collect", "--wait", "--unit", "gone")
    lab.exec(*run, "sh", "-c", "exit 41", check=False)
    assert lab.exec("ls", "/sys/fs/cgroup/system.slice/gone.service", check=False).returncode != 0
    told = lab.exec("pidinfod", "deaths", "--since", "5m", "--format", "json").stdout
    deaths = [json.loads(line) for line in told.splitlines()]
    # systemd-run and the shell that called it end with the same status.
    found = [
        death for death in deaths
        if death["exit_code"] == 41 and death["parent_comm"] == "systemd"
    ]  # fmt: skip
    assert [(death["cgroup"], death["unit"]) for death in found] == [
        ("/system.slice/gone.service", "gone.service")
    ]
