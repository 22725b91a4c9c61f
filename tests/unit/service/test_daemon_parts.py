# SPDX-License-Identifier: Apache-2.0
"""Parts of the daemon that need no kernel to be tried."""

import contextlib
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pidinfod.groups.rules import Group, Rules
from pidinfod.kernel import handoff, libbpf
from pidinfod.kernel.handoff import Loaded, Probe
from pidinfod.metrics import program
from pidinfod.metrics.families import FAMILIES
from pidinfod.metrics.per_pid import Wanted
from pidinfod.metrics.snapshot import Snapshot, Source
from pidinfod.service import daemon
from pidinfod.service.config import Config
from pidinfod.service.daemon import Health, is_of_first_namespace
from pidinfod.service.sockets import ListenError


def tree(folder, namespace=None, second=None):
    """A /proc: what a link points to has a number, as a namespace has; `second` are the flags of
    the process 2."""
    (folder / "self/ns").mkdir(parents=True)
    if namespace is not None:
        (folder / "self/ns/pid").symlink_to(namespace)
    if second is not None:
        (folder / "2").mkdir()
        (folder / "2/stat").write_text(f"2 (a) b) S 0 0 0 0 -1 {second} 0 0\n")
    return folder


def test_our_own_proc():
    ours = os.stat("/proc/self/ns/pid").st_ino
    assert is_of_first_namespace(Path("/proc")) == (ours == daemon.FIRST_PID_NAMESPACE)


def test_a_proc_of_the_first_namespace(tmp_path, monkeypatch):
    first = tmp_path / "first"
    first.touch()
    monkeypatch.setattr(daemon, "FIRST_PID_NAMESPACE", first.stat().st_ino)
    # The host's, in a namespace of our own; its 2 is a kernel thread.
    assert is_of_first_namespace(tree(tmp_path / "a", "/dev/null", second=0x208040))
    # A container's, on the host.
    assert not is_of_first_namespace(tree(tmp_path / "b", first, second=0x400000))
    # 2 is hidden, or there is none: our own, if that /proc has us.
    assert is_of_first_namespace(tree(tmp_path / "c", first))
    assert not is_of_first_namespace(tree(tmp_path / "d", "/dev/null"))
    # Nothing is known: what is asked for is done.
    assert is_of_first_namespace(tree(tmp_path / "e"))


@pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace takes root")
@pytest.mark.parametrize("mount", ["--mount-proc", None])
def test_a_namespace_of_its_own(mount):
    """With its own /proc, and with that of who started it."""
    told = subprocess.run(
        ["unshare", "--pid", "--fork", *([mount] if mount else []), sys.executable, "-c",
         "from pathlib import Path; from pidinfod.service import daemon; "
         "print(daemon.is_of_first_namespace(Path('/proc')), daemon.is_in_first_namespace())"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    of_this = is_of_first_namespace(Path("/proc")) and not mount
    assert told.stdout == f"{of_this} False\n"


@pytest.mark.parametrize("knows_pids", [True, False])
def test_the_placer_may_ask_for_a_sweep(kernel, tmp_path, knows_pids):
    loaded, rules, proc = kernel.load(), Rules(()), tree(tmp_path)
    source = Source(loaded, rules, proc, 60, 64, 40)
    daemon.follow(Config(procfs=proc), loaded, rules, source, Counter(), knows_pids)
    assert source._followed.placer._note_use == source.sweeper.note_use


class Thread:
    def __init__(self, alive):
        self.alive = alive

    def is_alive(self):
        return self.alive


def test_health():
    health = Health()
    assert health.ailments() == []
    health.note(Snapshot(failed=frozenset({"sweep", "exits"})))
    assert health.ailments() == ["could not be read: exits", "could not be read: sweep"]
    health.reader = Thread(alive=True)
    health.note(Snapshot())
    assert health.ailments() == []
    health.reader = Thread(alive=False)
    assert health.ailments() == ["the reader of the ring has ended"]


def test_the_request(monkeypatch):
    monkeypatch.setattr(libbpf, "possible_cpus", lambda: 3)
    groups = (Group("web", comm=("nginx",)),)
    config = Config(
        groups=groups, max_groups=211, map_sizes={"forks": 1009}, kill_failures=False
    )
    request = daemon.request(config)
    assert request == program.request(groups, 211, 3, {"forks": 1009}, False)
    assert request["sizes"]["forks"] == 1009
    assert request["sizes"]["groups"] == 211


def test_the_processes_that_are_wanted():
    assert not daemon.wanted_pids(Config()).any
    groups = (Group("web", comm=("nginx",), per_pid=True), Group("db", comm=("postgres",)))
    config = Config(groups=groups, per_pid={"cpu": 3, "most": 7})
    assert daemon.wanted_pids(config) == Wanted(frozenset({"web"}), cpu=3, most=7)


def test_without_probes(caplog):
    loaded = daemon.without_probes("no BTF")
    assert loaded == Loaded({}, (Probe("all", False, "no BTF", "all"),))
    assert "NO PROBES: no BTF" in caplog.text
    assert all(family.metric in caplog.text for family in FAMILIES)


@pytest.mark.parametrize(
    "error", [handoff.LoadError("bcc is missing"), OSError(12, "no memory"), FileNotFoundError("x")]
)
def test_what_cannot_be_loaded_is_said(monkeypatch, caplog, error):
    def load(request, seconds):
        raise error

    monkeypatch.setattr(handoff, "load", load)
    monkeypatch.setattr(libbpf, "possible_cpus", lambda: 3)
    assert daemon.load(Config()).probes[0].reason == str(error)
    assert f"NO PROBES: {error}" in caplog.text


def test_a_machine_without_libbpf(monkeypatch, caplog):
    def library():
        raise OSError("libbpf.so.1: cannot open shared object file")

    libbpf.possible_cpus.cache_clear()
    monkeypatch.setattr(libbpf, "library", library)
    assert not daemon.load(Config()).maps
    assert "NO PROBES: libbpf.so.1" in caplog.text


def test_probes_that_are_not_attached_are_said(monkeypatch, caplog):
    loaded = Loaded({}, (Probe("a", True, "", "a"), Probe("b", False, "no such symbol", "b")))
    monkeypatch.setattr(handoff, "load", lambda request, seconds: loaded)
    assert daemon.load(Config()) is loaded
    assert [record.getMessage() for record in caplog.records] == [
        "b not attached: no such symbol"
    ]


@pytest.fixture
def config(tmp_path):
    def make(port=0, path="control"):
        return Config(listen=("127.0.0.1", port), socket=tmp_path / path)

    return make


def test_listening(config):
    sockets = daemon.listen(config())
    with contextlib.ExitStack() as stack:
        for one in sockets:
            stack.enter_context(one)
        assert [one.family for one in sockets] == [socket.AF_INET, socket.AF_UNIX]
        # Who connects before the probes are loaded waits.
        for one in sockets:
            with socket.socket(one.family) as client:
                client.connect(one.getsockname())


def test_a_port_that_is_taken(config):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ListenError):
        daemon.listen(config(taken.getsockname()[1]))


def test_without_a_place_for_the_socket(config, caplog):
    (one,) = daemon.listen(config(path="no/such/folder/control"))
    with one:
        assert one.family == socket.AF_INET
    assert "no socket for the command" in caplog.text


def test_a_socket_that_another_daemon_has(config):
    first = daemon.listen(config())
    try:
        before = set(os.listdir("/proc/self/fd"))
        with pytest.raises(ListenError):
            daemon.listen(config())
        assert set(os.listdir("/proc/self/fd")) <= before
    finally:
        for one in first:
            one.close()
