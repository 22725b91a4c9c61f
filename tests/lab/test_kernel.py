# SPDX-License-Identifier: Apache-2.0
"""The four calls on the real kernel."""

import errno
import json
import subprocess
import time

from tests.support.lab import LAB, Lab


def test_agrees_with_proc(lab):
    """Processes of every state, field by field with /proc read at the same time."""
    command = [str(LAB), "--name", lab.name, "exec", "--", "/root/src/states", "211"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as states:
        assert states.stdout.readline() == "ready\n"
        result = json.loads(lab.exec("python3", "/root/src/agree.py").stdout)
        states.stdin.close()
        assert states.wait(60) == 0
    assert result["faults"] == []
    found = result["states"]
    assert found["T"] == 13
    assert found["t"] == 7
    assert found["Z"] == 11
    assert found["S"] >= 170
    assert found["R"] >= 2
    assert found["I"] > 0  # kernel threads


def test_edges_of_the_calls(lab):
    """Sizes, flags, buffers, threads; ft_kill and ft_wait answer as kill and wait do."""
    result = json.loads(lab.exec("python3", "/root/src/abi.py").stdout)
    assert result["faults"] == []
    # The cases did run: the native calls' own answers.
    assert result["kill"][0] == [0, 0, "EINVAL", "EINVAL", "EINVAL"]
    assert result["wait"][0] == ["ECHILD", -7]
    assert result["wait"][1] == [True, 11 << 8]


def test_32_bit_programs(lab):
    """The same four numbers, by the entry that 32-bit programs use; they are counted as well."""
    before = lab.scrape()
    lab.exec("/root/src/compat")
    changes = lab.scrape().since(before)
    calls = changes.table("pidinfod_ft_calls_total", "syscall", "result")
    assert {key: n for key, n in calls.items() if key[0] != "get_pid_info"} == {
        ("ft_fork", "ok"): 1, ("ft_wait", "ok"): 1, ("ft_wait", "ECHILD"): 1,
        ("ft_kill", "ok"): 1, ("ft_kill", "ESRCH"): 1,
    }  # fmt: skip
    assert calls["get_pid_info", "EINVAL"] == 1
    kills = changes.table("pidinfod_ft_kill_signals_total", "signal", "result")
    assert kills["SIGUSR2", "ok"] == 1


def task_structs(lab):
    for line in lab.exec("cat", "/proc/slabinfo").stdout.splitlines():
        if line.startswith("task_struct "):
            return int(line.split()[1])
    raise AssertionError("no task_struct in /proc/slabinfo")


def test_loop_leaves_nothing(lab):
    """20,000 rounds of ft_fork, ft_kill and ft_wait: no zombie, no leaked task."""
    before = task_structs(lab)
    lab.exec("/root/src/ft_loop", "20000")
    deadline = time.monotonic() + 60
    # Dead tasks are freed after a grace period of RCU, and slabs keep some of them.
    while (after := task_structs(lab)) > before + 64 and time.monotonic() < deadline:
        time.sleep(2)
    assert after <= before + 64
    states = lab.exec("ps", "-eo", "stat=").stdout.split()
    assert not [state for state in states if state.startswith("Z")]


def test_once(lab):
    """The ad-hoc query: the call's answer, its errors and their exit statuses."""
    info = json.loads(lab.exec("pidinfod", "--once", "1", "--format", "json").stdout)
    assert info["source"] == "get_pid_info"
    assert info["denied"] == []
    shown = lab.exec("ps", "-o", "pid=,ppid=,pgid=,sid=,nlwp=,comm=", "-p", "1").stdout.split()
    names = ("pid", "ppid", "pgid", "sid", "num_threads", "comm")
    assert [str(info[name]) for name in names] == shown
    children = lab.exec("pgrep", "-P", "1").stdout.split()
    assert sorted(map(str, info["children"])) == sorted(children)

    for pid, status in (("3999999", 3), ("abc", 2), ("-1", 2), ("0", 2)):
        result = lab.exec("pidinfod", f"--once={pid}", check=False)
        assert result.returncode == status
        assert len(result.stderr.splitlines()) == 1
        assert pid in result.stderr


def test_once_shows_nobody_what_proc_shows_nobody(lab):
    command = "runuser -u nobody -- pidinfod --once 1 --format json"
    info = json.loads(lab.exec("sh", "-c", command).stdout)
    protected = {
        "rchar", "wchar", "read_bytes", "write_bytes", "syscr", "syscw", "cancelled_write_bytes",
        "exit_code", "stack", "sp", "root", "cwd", "exe", "open_files",
        *(name for name in info if name.startswith("ns_")),
    }  # fmt: skip
    assert set(info["denied"]) == protected
    assert {info[name] for name in protected} == {None}
    assert info["comm"] == "systemd"
    for path in ("io", "root", "cwd"):
        shown = lab.exec("runuser", "-u", "nobody", "--", "cat", f"/proc/1/{path}", check=False)
        assert shown.returncode != 0


def test_sysctl_hides(lab):
    """kernel.pid_info_hidepid: the call knows nothing of what may not be traced. That there is
    such a process kill(2) tells everyone."""
    try:
        for setting in ("1", "2"):
            lab.exec("sysctl", "-q", f"kernel.pid_info_hidepid={setting}")
            command = ("runuser", "-u", "nobody", "--", "pidinfod", "--once", "1")
            hidden = lab.exec(*command, check=False)
            assert hidden.returncode == 4
            assert "may not be looked at" in hidden.stderr
            assert lab.exec("pidinfod", "--once", "1").returncode == 0
    finally:
        lab.exec("sysctl", "-q", "kernel.pid_info_hidepid=0")


def test_option_off():
    """A kernel built with the option off answers ENOSYS, and the daemon says so."""
    guest = Lab("test-off")
    guest.run("down", check=False)
    guest.up("--kernel", "6.12-off")
    try:
        program = (
            "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
            "for number in range(548, 552):\n"
            "    print(libc.syscall(number, 1, 0, 0, 0), ctypes.get_errno())"
        )
        answers = guest.exec("python3", "-c", program).stdout.splitlines()
        assert answers == [f"-1 {errno.ENOSYS}"] * 4
        scrape = guest.scrape()
        assert scrape.value("pidinfod_ft_supported") == 0
        probes = scrape.table("pidinfod_probe_attached", "probe")
        assert set(probes.values()) == {1}
        assert not [name for (name,) in probes if "ft_" in name or "get_pid_info" in name]
        log = guest.exec("journalctl", "-u", "pidinfod", "-q", "--no-pager", "-o", "cat").stdout
        assert len([line for line in log.splitlines() if "ft_kill" in line]) == 1
        warnings = guest.exec("journalctl", "-u", "pidinfod", "-p", "warning", "-q", "--no-pager")
        assert warnings.stdout == ""
        info = json.loads(guest.exec("pidinfod", "--once", "1", "--format", "json").stdout)
        assert info["source"] == "procfs"
    finally:
        guest.run("down")
