# SPDX-License-Identifier: Apache-2.0
"""The real daemon and probes on the kernel of this machine, as root."""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support import REPO
from tests.support.daemon import Daemon, free_address, pidinfod
from tests.support.scrape import scrape

FORKS, IGNORED, KILLED, EXECS = 1009, 211, 53, 101

pytestmark = pytest.mark.usefixtures("root")


# A program with a name of its own, so that it is a group of its own.
WORKLOAD = f"""
import os, signal
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
for _ in range({FORKS}):
    if (pid := os.fork()) == 0:
        os._exit(7)
    os.waitpid(pid, 0)
for _ in range({IGNORED}):
    os.kill(os.getpid(), signal.SIGUSR1)
for _ in range({KILLED}):
    if (pid := os.fork()) == 0:
        signal.pause()
        os._exit(0)
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
for _ in range({EXECS}):
    if (pid := os.fork()) == 0:
        os.execv(os.environ["TARGET"], ["true"])
    os.waitpid(pid, 0)
"""


def run_workload(tmp_path):
    name = f"wl{os.getpid()}"
    target = f"tr{os.getpid()}"
    shutil.copy("/usr/bin/python3", tmp_path / name)
    shutil.copy("/usr/bin/true", tmp_path / target)
    environment = dict(os.environ, TARGET=str(tmp_path / target))
    subprocess.run([tmp_path / name, "-c", WORKLOAD], check=True, env=environment)
    return name, target


def test_counts_are_exact(daemon, tmp_path):
    name, target = run_workload(tmp_path)
    found = daemon.scrape()

    def value(metric, **labels):
        return found.value(f"pidinfod_{metric}_total", **labels)

    assert value("forks", group=name) == FORKS + KILLED + EXECS
    assert value("exits", group=name, reason="exited", status="nonzero") == FORKS
    assert value("exits", group=name, reason="signaled", status="SIGTERM") == KILLED
    assert value("execs", group=target) == EXECS
    assert value("exits", group=target, status="0") == EXECS
    ours = {"sender": name, "target": name, "origin": "user"}
    assert value("signals_generated", signal="SIGUSR1", result="ignored", **ours) == IGNORED
    assert value("signals_generated", signal="SIGTERM", result="delivered", **ours) == KILLED
    # A signal that kills is taken as SIGKILL: the kernel has ended the group before.
    assert value("signals_delivered", signal="SIGKILL", target=name) == KILLED
    child = {"signal": "SIGCHLD", "origin": "child", "sender": "kernel", "target": name}
    # A child's end is told to its parent by a signal that it ignores by default.
    assert value("signals_generated", **child) == FORKS + KILLED + EXECS
    assert found.value("pidinfod_dropped_total") == 0
    lost = found.table("pidinfod_degraded_total", "what")
    unseen = {("exits_unseen",), ("reapings_unseen",)}  # of others, which a kernel may leave out
    assert not any(count for what, count in lost.items() if what not in unseen)
    for event in ("fork", "exec", "exit", "signal_generated", "signal_delivered", "ft_call"):
        labels = frozenset({("event", event)})
        assert ("pidinfod_events_seen_total", labels) in found


def test_ready_in_time_small_and_without_rights(daemon):
    assert daemon.ready_seconds < 60  # what is promised is measured by tests/bench
    for _ in range(3):
        daemon.scrape()
    assert int(daemon.status("VmRSS").split()[0]) < 45 * 1024
    assert int(daemon.status("CapEff"), 16) & ~(1 << 19) == 0
    maps = Path(f"/proc/{daemon.process.pid}/maps").read_text()
    assert "libbcc" not in maps


def test_probes_are_told_by_numbers(daemon):
    """Which are attached, and of those that are not why; the four calls of a patched kernel
    are none of this kernel's: one line of information says so."""
    found = daemon.scrape()
    attached = found.table("pidinfod_probe_attached", "probe")
    missing = {probe for (probe,), state in attached.items() if state == 0}
    assert set(attached.values()) <= {0, 1}
    reasons = found.table("pidinfod_probe_missing_info", "probe", "reason")
    assert {probe for probe, reason in reasons if reason} == missing
    assert ("raw_tracepoint:sys_exit",) in attached
    assert not [name for (name,) in attached if "ft_" in name or "get_pid_info" in name]
    told = [line for line in daemon.log.splitlines() if "ft_fork" in line]
    assert len(told) == 1
    assert "INFO" in told[0]
    assert "WARNING" not in daemon.log


def test_maps_tell_their_room(daemon):
    found = daemon.scrape()
    entries = found.table("pidinfod_map_entries", "map")
    capacity = found.table("pidinfod_map_capacity", "map")
    memory = found.table("pidinfod_map_memory_bytes", "map")
    assert {("processes",), ("signals_generated",)} <= set(entries)
    for name, count in entries.items():
        assert 0 <= count <= capacity[name], name
        assert memory[name] > 0, name


def test_hangup_does_not_kill(daemon):
    for _ in range(3):
        daemon.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
    assert daemon.scrape().value("pidinfod_group_processes") > 0
    assert daemon.process.poll() is None


def test_a_second_daemon_does_not_take_the_socket(daemon, tmp_path):
    config = tmp_path / "second.yml"
    config.write_text(f"listen: {free_address()}\nsocket: {daemon.socket}\n")
    before = daemon.socket.stat()
    done = pidinfod("--procfs-only", "--config", config, timeout=30)
    assert done.returncode == 1
    assert str(daemon.socket) in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert daemon.socket.stat().st_ino == before.st_ino
    with subprocess.Popen(["sh", "-c", "exit 37"]) as child:
        child.wait()
    assert daemon.death(child.pid)["exit_code"] == 37


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir])
def test_nothing_is_removed_that_is_no_socket(tmp_path, make):
    path = tmp_path / "important"
    make(path)
    config = tmp_path / "config.yml"
    config.write_text(f"listen: {free_address()}\nsocket: {path}\n")
    done = pidinfod("--procfs-only", "--config", config, timeout=30)
    assert done.returncode == 1
    assert str(path) in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert path.exists()


def test_a_socket_that_a_killed_daemon_left_is_taken(tmp_path):
    with Daemon(tmp_path, "", "--procfs-only") as first:
        first.kill()
    assert first.socket.exists()
    with Daemon(tmp_path, "", "--procfs-only") as second:
        assert second.socket.exists()
    assert not second.socket.exists()


def test_pages(daemon):
    def get(path, **headers):
        request = urllib.request.Request(f"http://{daemon.address}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.headers["Content-Type"], answer.read()

    assert b'href="/metrics"' in get("/")[1]
    assert get("/-/healthy")[1] == b"healthy\n"
    kind, body = get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get("/nothing")


def test_procfs_only_says_what_is_missing(tmp_path):
    with Daemon(tmp_path, "", "--procfs-only") as daemon:
        found = daemon.scrape()
    assert found.value("pidinfod_group_processes") > 0
    assert found.value("pidinfod_forks_total") == 0
    assert "NO PROBES" in daemon.log
    assert "forks_total" in daemon.log


def test_without_rights_says_so(tmp_path):
    """As nobody: process counts, and the reason why no more."""
    address = free_address()
    package = tmp_path / "package"
    shutil.copytree(REPO / "pidinfod", package / "pidinfod")
    shutil.copytree(REPO / "bpf", package / "bpf")
    for folder in (*tmp_path.parents, tmp_path):
        if folder.stat().st_uid == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    command = ["/usr/bin/python3", "-m", "pidinfod", "--listen", address]
    process = subprocess.Popen(
        command, cwd="/", user=65534, group=65534, extra_groups=[], stderr=subprocess.PIPE,
        text=True, env={"PYTHONPATH": str(package), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                found = scrape(f"http://{address}/metrics")
                break
            except OSError:
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert found.value("pidinfod_group_processes") > 0
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert "NO PROBES" in errors


def test_bad_configuration_starts_nothing(tmp_path):
    config = tmp_path / "config.yml"
    config.write_text("listn: 127.0.0.1:1\n")
    done = pidinfod("--config", config)
    assert done.returncode == 2
    assert f"{config}:1: " in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_port_in_use_is_one_clear_line(daemon):
    done = pidinfod("--procfs-only", "--listen", daemon.address)
    assert done.returncode == 1
    assert f"cannot listen on {daemon.address}" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_declared_groups_are_there_from_the_start(tmp_path):
    with Daemon(tmp_path, "groups:\n- name: never\n  comm: [never-started]\n") as daemon:
        found = daemon.scrape()
    for metric in ("forks", "execs", "exits"):
        labels = [set(key) for name, key in found if name == f"pidinfod_{metric}_total"]
        assert any({("group", "never")} <= key for key in labels)
    zero = {("group", "never"), ("state", "R")}
    assert found["pidinfod_group_processes", frozenset(zero)] == 0


def test_once_as_json_names_its_source():
    info = json.loads(pidinfod("--once", str(os.getpid()), "--format", "json").stdout)
    assert info["pid"] == os.getpid()
    assert info["source"] in ("get_pid_info", "procfs")
