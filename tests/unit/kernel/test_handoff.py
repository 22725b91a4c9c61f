# SPDX-License-Identifier: Apache-2.0
"""What the loader hands over is whole, or nothing of it stays."""

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from pidinfod.kernel import handoff
from pidinfod.kernel.handoff import LoadError, Probe
from pidinfod.kernel.libbpf import MapHandle

MAP = {"kind": "map", "name": "forks", "key_size": 8, "value_size": 8, "max_entries": 7,
       "is_percpu": True}  # fmt: skip
ATTACHED = {"kind": "probe", "name": "raw_tracepoint:a", "attached": True, "reason": "",
            "feeds": "a"}  # fmt: skip
MISSING = {"kind": "probe", "name": "kprobe:b", "attached": False, "reason": "no such symbol",
           "feeds": "b"}  # fmt: skip

PYTHON = sys.executable  # before a test puts another in its place


class Side:
    """The loader's end of the socket. A descriptor is the write end of a pipe."""

    def __init__(self, sock):
        self.sock = sock
        self.read_ends = []

    def send(self, message, count=0):
        ends = [os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) for _ in range(count)]
        self.read_ends += [read for read, _ in ends]
        handoff.send(self.sock, message, [write for _, write in ends])
        for _, write in ends:
            os.close(write)

    def send_all(self):
        self.send(MAP, 1)
        self.send(ATTACHED, 2)
        self.send(MISSING)
        self.send({"kind": "events"}, 1)
        self.send({"kind": "free_groups"}, 1)

    def open_count(self):
        """How many of the descriptors somebody still has."""
        count = 0
        for end in self.read_ends:
            try:
                assert os.read(end, 1) == b""
            except BlockingIOError:
                count += 1
        return count


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    side = Side(theirs)
    with ours, theirs:
        yield ours, side
    for end in side.read_ends:
        os.close(end)


def test_all_is_handed_over(pair):
    ours, side = pair
    side.send_all()
    side.send({"kind": "done"})
    loaded = handoff._receive(ours, 5)
    assert side.open_count() == 5
    (name, handle), (attached, missing) = *loaded.maps.items(), loaded.probes
    assert (name, handle) == ("forks", MapHandle("forks", handle.fd, 8, 8, 7, True))
    assert missing == Probe("kprobe:b", False, "no such symbol", "b")
    assert (attached.name, attached.attached, attached.feeds) == ("raw_tracepoint:a", True, "a")
    fds = {handle.fd, attached.prog_fd, attached.link_fd, loaded.ring_fd, loaded.free_groups_fd}
    assert len(fds) == 5
    assert (loaded.remarks, loaded.absent) == ((), frozenset())
    for fd in fds:
        os.fstat(fd)
    loaded.close()
    assert side.open_count() == 0


def test_what_is_said_besides(pair):
    ours, side = pair
    side.send_all()
    side.send({"kind": "absent", "names": ["rchar", "wchar"]})
    side.send({"kind": "remark", "text": "no kprobes"})
    side.send({"kind": "done"})
    loaded = handoff._receive(ours, 5)
    assert (loaded.remarks, loaded.absent) == (("no kprobes",), {"rchar", "wchar"})
    loaded.close()
    assert side.open_count() == 0


def too_many_files(side):
    """No room for one of two descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    side.send(ATTACHED, 2)
    fill = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 9, hard))
    try:
        while True:
            fill.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        os.close(fill.pop())
    side.undo = lambda: (
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        [os.close(fd) for fd in fill],
    )


FAILURES = {
    "an error": (lambda side: side.send({"kind": "error", "reason": "no BTF"}), "^no BTF$"),
    "its end": (lambda side: side.sock.close(), "without a word"),
    "silence": (lambda side: None, r"took more than 0\.3 s"),
    "no JSON": (lambda side: side.sock.send(b"{"), "not whole"),
    "a message that is too long": (
        lambda side: side.send({"kind": "error", "reason": "x" * handoff.MESSAGE_BYTES}),
        "not whole",
    ),
    "a map without a descriptor": (lambda side: side.send(MAP), "not whole"),
    "a probe without descriptors": (
        lambda side: (side.send(ATTACHED), side.send({"kind": "done"})), "not whole",
    ),
    "one of two descriptors": (lambda side: side.send(ATTACHED, 1), "not whole"),
    "too many open files": (too_many_files, "not whole"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_of_a_late_failure_nothing_stays(pair, what):
    ours, side = pair
    fail, message = FAILURES[what]
    side.undo = lambda: None
    side.send_all()
    fail(side)
    start = time.monotonic()
    try:
        with pytest.raises(LoadError, match=message):
            handoff._receive(ours, 0.3)
    finally:
        side.undo()
    assert time.monotonic() - start < 3
    ours.close()  # with what is still on its way
    assert side.open_count() == 0


def test_done_before_the_queues(pair):
    ours, side = pair
    side.send(MAP, 1)
    side.send({"kind": "done"})
    with pytest.raises(LoadError, match="not whole"):
        handoff._receive(ours, 5)
    assert side.open_count() == 0


def test_a_loader_that_goes_on_talking_is_timed_out_all_the_same(pair):
    ours, side = pair
    stopped = threading.Event()

    def talk():
        while not stopped.wait(0.05):
            side.send(MISSING)

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        start = time.monotonic()
        with pytest.raises(LoadError, match="took more"):
            handoff._receive(ours, 0.3)
        assert time.monotonic() - start < 3
    finally:
        stopped.set()
        talker.join()


@pytest.fixture
def interpreter(tmp_path, monkeypatch):
    """Puts a shell script in the place of the loader's interpreter."""

    def put(script):
        path = tmp_path / "python3"
        path.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))
        return lambda: int((tmp_path / "pid").read_text())

    return put


@pytest.mark.parametrize("size", [0, 7, 1 << 20])
def test_a_loader_that_hangs_is_ended(interpreter, size):
    pid = interpreter("exec sleep 61")
    start = time.monotonic()
    with pytest.raises(LoadError, match=r"took more than 0\.5 s"):
        handoff.load({"text": "x" * size}, 0.5)
    assert time.monotonic() - start < 5
    with pytest.raises(ProcessLookupError):
        os.kill(pid(), 0)


@pytest.mark.parametrize("size", [0, 1 << 20])
def test_a_loader_that_ends_at_once(interpreter, size):
    interpreter("exit 3")
    with pytest.raises(LoadError, match="without a word"):
        handoff.load({"text": "x" * size}, 20)


def test_the_loader_is_given_the_request(interpreter, tmp_path):
    interpreter(f"exec cat >{tmp_path}/request")
    with pytest.raises(LoadError, match="without a word"):
        handoff.load({"text": "é\n" * 7}, 20)
    assert (tmp_path / "request").read_text() == '{"text": "%s"}' % (r"\u00e9\n" * 7)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_the_loader_does_not_hear_the_terminal(interpreter, tmp_path, number):
    """What a terminal sends to all of the foreground is the caller's to answer."""
    interpreter(f"touch {tmp_path}/there; sleep 0.5; touch {tmp_path}/done")
    code = f"""
import signal, sys, threading, time, os
from pathlib import Path
from pidinfod.kernel import handoff
signal.signal({number:d}, lambda *_: None)
def send():
    while not Path({str(tmp_path)!r}, "there").exists():
        time.sleep(0.01)
    os.killpg(0, {number:d})
threading.Thread(target=send).start()
sys.executable = {sys.executable!r}
try:
    handoff.load({{}}, 20)
except handoff.LoadError:
    pass
"""
    subprocess.run([PYTHON, "-c", code], check=True, start_new_session=True)
    assert (tmp_path / "done").exists()


def test_no_code_of_the_current_folder_runs(tmp_path, monkeypatch):
    evil = tmp_path / "evil"
    evil.mkdir()
    trace = tmp_path / "trace"
    for name in ("argparse", "json", "bcc", "ctypes", "socket", "sitecustomize"):
        (evil / f"{name}.py").write_text(f"open({str(trace)!r}, 'a').write('{name} ')\n")
    (evil / "pidinfod").mkdir()
    (evil / "pidinfod/__init__.py").write_text(f"open({str(trace)!r}, 'a').write('pidinfod ')\n")
    monkeypatch.chdir(evil)
    # As far as to import bcc and read the kernel's types; then it misses the rest.
    with pytest.raises(LoadError, match="kill_failures"):
        handoff.load({"sizes": {}}, 60)
    assert not trace.exists()
