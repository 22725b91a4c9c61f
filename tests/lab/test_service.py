# SPDX-License-Identifier: Apache-2.0
"""The daemon as systemd's service on the patched host, and the lab's own promises."""

import re

from conftest import Lab

CAP_SYS_PTRACE = 1 << 19


def properties(lab):
    text = lab.exec("systemctl", "show", "pidinfod").stdout
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def status_of(lab, pid):
    text = lab.exec("cat", f"/proc/{pid}/status").stdout
    return dict(re.findall(r"^(\w+):\s+(.*)$", text, re.MULTILINE))


def test_service(lab):
    shown = properties(lab)
    assert shown["ActiveState"] == "active"
    assert shown["Type"] == "notify"
    assert "28 probes attached" in shown["StatusText"]
    started = int(shown["ExecMainStartTimestampMonotonic"])
    ready = int(shown["ActiveEnterTimestampMonotonic"])
    assert ready - started < 15_000_000  # us

    status = status_of(lab, shown["MainPID"])
    assert "0" not in status["Uid"].split()
    assert int(status["CapEff"], 16) & ~CAP_SYS_PTRACE == 0
    assert int(status["CapPrm"], 16) & ~CAP_SYS_PTRACE == 0
    assert status["NoNewPrivs"] == "1"
    lab.scrape()
    assert int(status_of(lab, shown["MainPID"])["VmRSS"].split()[0]) <= 45 * 1024  # kB
    warnings = lab.exec("journalctl", "-u", "pidinfod", "-p", "warning", "-q", "--no-pager")
    assert warnings.stdout == ""


def test_restart_comes_back(lab):
    pid = properties(lab)["MainPID"]
    lab.exec("systemctl", "restart", "pidinfod")
    shown = properties(lab)
    assert shown["MainPID"] != pid
    assert shown["Result"] == "success"
    assert lab.scrape().value("pidinfod_probe_attached") == 28


def test_system_is_running(lab):
    assert lab.exec("systemctl", "is-system-running").stdout.strip() == "running"


def test_lab_passes_arguments_and_statuses(lab):
    shown = lab.exec("printf", "%s|", "two words", "$HOME", "it's").stdout
    assert shown == "two words|$HOME|it's|"
    assert lab.exec("sh", "-c", "exit 7", check=False).returncode == 7


def test_lab_errors_are_told():
    down = Lab("nobody-started-this").run("status", check=False)
    assert down.returncode == 4
    assert "not up" in down.stderr
    assert Lab("bad name").run("status", check=False).returncode == 2


def test_check_finds_every_probe_on_the_patched_kernel(lab):
    lines = lab.exec("pidinfod", "--check").stdout.splitlines()
    attached = [line.split()[0] for line in lines if " attached  " in line]
    assert "MISSING" not in "\n".join(lines)
    assert lines[-1] == f"{len(attached)} of {len(attached)} probes attached"
    assert sum(name.endswith("_sys_ft_kill") for name in attached) == 2
