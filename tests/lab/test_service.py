# SPDX-License-Identifier: Apache-2.0
"""The daemon as systemd's service on the patched host, and the lab's own promises."""

import re

from tests.support.lab import Lab

CAP_SYS_PTRACE = 1 << 19
KILL_CALLS = (
    "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal",
)  # fmt: skip


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
    attached = lab.scrape().value("pidinfod_probe_attached")
    assert f"{attached:g} probes attached" in shown["StatusText"]

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
    probes = lab.scrape().table("pidinfod_probe_attached", "probe")
    assert probes
    assert set(probes.values()) == {1}


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
    assert f"{len(attached)} of {len(attached)} probes attached" in lines
    # Each call that sends signals by its entry points, of 64-bit and of 32-bit programs.
    for call in ("ft_fork", "ft_kill", "ft_wait", "get_pid_info", *KILL_CALLS):
        # One without arguments has one entry point for both.
        abis = ("__x64_",) if call == "ft_fork" else ("__x64_", "__ia32_")
        for start in (f"{kind}:{abi}" for kind in ("kprobe", "kretprobe") for abi in abis):
            found = [name for name in attached if name.startswith(start)]
            assert [name for name in found if name.endswith(f"sys_{call}")], (start, call)
    # What would slow every system call is not needed.
    assert not [name for name in attached if "syscalls:" in name or "sys_exit" in name]
