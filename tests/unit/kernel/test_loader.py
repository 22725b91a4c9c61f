# SPDX-License-Identifier: Apache-2.0
"""What is asked of bcc, and what is told of it to the daemon; nothing is compiled."""

import ctypes
import socket
import sys
import types
from pathlib import Path

import pytest

from pidinfod.kernel import handoff, hooks, loader, offsets
from pidinfod.kernel.hooks import SYS_EXIT, Hook
from pidinfod.metrics import program
from tests.support import REPO

REQUEST = program.request([], 64, 2, {}, True)


def wanted_with(has_kprobes):
    """The hooks on a kernel that has the entry points of native callers; or it has no kprobes."""
    calls = [*hooks.FT_CALLS, *(call.name for call in hooks.KILL_CALLS)]
    symbols = frozenset(f"{hooks.NATIVE}sys_{name}" for name in calls)
    entries = hooks.entry_hooks(symbols, has_ft_calls=True) if has_kprobes else ()
    tracepoints = [Hook("raw_tracepoint", name, name, name) for name in hooks.RAW_TRACEPOINTS]
    return [*tracepoints, hooks.SWEEP, *entries, SYS_EXIT]


class Attached:
    """In the place of bcc: some hooks cannot be attached."""

    def __init__(self, monkeypatch, refuses):
        self.attached = []

        def attach(bpf, hook):
            if refuses(hook):
                raise Exception(f"not {hook.name}")
            self.attached.append(hook)
            return 1, 1

        monkeypatch.setattr(loader, "attach", attach)
        monkeypatch.setattr(loader, "detach", lambda bpf, hook: self.attached.remove(hook))
        self.told = []
        monkeypatch.setattr(
            loader.handoff, "send", lambda sock, message, fds: self.told.append(message)
        )

    def probes(self):
        return {told["name"] for told in self.told if told["kind"] == "probe"}

    def remarks(self):
        return [told["text"] for told in self.told if told["kind"] == "remark"]


def test_kprobes_do(monkeypatch):
    bcc = Attached(monkeypatch, lambda hook: False)
    wanted = wanted_with(has_kprobes=True)
    loader.attach_all(None, None, wanted)
    assert bcc.attached == [hook for hook in wanted if hook != SYS_EXIT]
    assert bcc.probes() == {hook.name for hook in bcc.attached}
    assert bcc.remarks() == []


@pytest.mark.parametrize(
    "which", ["kprobe:", "kretprobe:", f"kprobe:{hooks.NATIVE}sys_tkill", ""]
)
def test_kprobes_that_are_refused(monkeypatch, which):
    """All of them or none: half of the calls would be counted twice or not at all."""
    wanted = wanted_with(has_kprobes=bool(which))
    bcc = Attached(monkeypatch, lambda hook: which and hook.name.startswith(which))
    loader.attach_all(None, None, wanted)
    kills = [hook for hook in bcc.attached if hook.feeds == "kill_calls"]
    assert kills == [SYS_EXIT]
    assert [name for name in bcc.probes() if "kill" in name and "ft_kill" not in name] == []
    (remark,) = bcc.remarks()
    assert "at the exit of all system calls" in remark
    assert (which or "the kernel has none") in remark


def test_the_compilers_flags():
    flags = loader.compiler_flags(Path("/bpf"), {"forks": 7, "events": 16})
    assert flags == [
        "-g0", "-Xclang", "-disable-llvm-passes", "-I/bpf/include", "-DSIZE_FORKS=7",
        "-DSIZE_EVENTS=16", *offsets.flags(),
    ]  # fmt: skip


def test_what_this_kernel_does_not_keep_is_told(sockets, monkeypatch):
    ours, theirs = sockets
    monkeypatch.setattr(offsets, "flags", lambda: ["-DOFF_IOAC_RCHAR=8", "-DHAVE_GROUP_DEAD"])
    monkeypatch.setattr(hooks, "choose", lambda _: [])
    monkeypatch.setitem(sys.modules, "bcc", types.SimpleNamespace(BPF=lambda text, cflags: {}))
    for name in ("fill", "attach_all", "send_maps"):
        monkeypatch.setattr(loader, name, lambda *_: None)
    monkeypatch.setenv("BCC_KERNEL_SOURCE", "")  # load() sets it
    loader.load(theirs, REQUEST)
    with open("/dev/null", "rb") as null:
        for kind in ("events", "free_groups"):
            handoff.send(theirs, {"kind": kind}, [null.fileno()])
        handoff.send(theirs, {"kind": "done"}, [])
    loaded = handoff._receive(ours, 5)
    assert loaded.absent == {"run_delay_ns", "read_bytes", "write_bytes", "queued"}
    loaded.close()


def test_an_iterator_is_linked(monkeypatch):
    """Its program is of another type than a tracepoint's, and nothing attaches it but a link."""
    loads = []

    def load_func(name, kind):
        loads.append((name, kind))
        return types.SimpleNamespace(fd=211)

    monkeypatch.setattr(loader.libbpf, "link_iterator", lambda fd: fd + 2)
    monkeypatch.setitem(sys.modules, "bcc", types.SimpleNamespace(BPF=None))
    bpf = types.SimpleNamespace(load_func=load_func)
    assert loader.attach(bpf, hooks.SWEEP) == (211, 213)
    # include/uapi/linux/bpf.h: enum bpf_prog_type, BPF_PROG_TYPE_TRACING
    assert loads == [("bpf_iter__task", 26)]


@pytest.fixture
def sockets():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


class Table:
    """A table as bcc has it."""

    def __init__(self, fd, key, leaf, entries):
        self.Key, self.Leaf, self.map_fd, self.max_entries = key, leaf, fd, entries


class PerCpuHash(Table):
    pass


def test_what_is_attached_reaches_the_daemon(sockets, monkeypatch):
    """A probe that cannot be attached costs itself, and says why."""
    ours, theirs = sockets
    first, second, third = hooks.RAW_TRACEPOINTS[:3]

    def attach(bpf, hook):
        if hook.event == second:
            raise Exception("no such tracepoint")
        if hook.event == third:
            raise ZeroDivisionError
        return bpf["forks"].map_fd, bpf["forks"].map_fd

    monkeypatch.setattr(loader, "attach", attach)
    with open("/dev/null", "rb") as null:
        bpf = {
            "forks": PerCpuHash(null.fileno(), ctypes.c_uint64, ctypes.c_uint64 * 5, 211),
            "groups": Table(null.fileno(), ctypes.c_char * 16, ctypes.c_uint32, 13),
            "events": Table(null.fileno(), None, None, 0),
            "free_groups": Table(null.fileno(), None, None, 0),
        }
        wanted = [Hook("raw_tracepoint", name, name, name) for name in (first, second, third)]
        loader.attach_all(bpf, theirs, wanted)
        loader.send_maps(bpf, theirs, ["forks", "groups"])
        handoff.send(theirs, {"kind": "done"}, [])
    loaded = handoff._receive(ours, 5)
    assert [(probe.name, probe.attached, probe.reason, probe.feeds) for probe in loaded.probes] == [
        (f"raw_tracepoint:{first}", True, "", first),
        (f"raw_tracepoint:{second}", False, "no such tracepoint", second),
        (f"raw_tracepoint:{third}", False, "ZeroDivisionError", third),
    ]
    assert [
        (name, one.key_size, one.value_size, one.max_entries, one.is_percpu)
        for name, one in loaded.maps.items()
    ] == [("forks", 8, 8, 211, True), ("groups", 16, 4, 13, False)]
    loaded.close()


@pytest.mark.parametrize("given", ["", "nothing"])
def test_the_folder_of_the_sources(monkeypatch, tmp_path, given):
    if not given:
        monkeypatch.delenv("PIDINFOD_BPF_DIR", raising=False)
        assert loader.bpf_folder() == REPO / "bpf"
        return
    monkeypatch.setenv("PIDINFOD_BPF_DIR", str(tmp_path))
    with pytest.raises(handoff.LoadError, match=f"no BPF sources in {tmp_path}$"):
        loader.bpf_folder()
    (tmp_path / "common.bpf.c").touch()
    assert loader.bpf_folder() == tmp_path
