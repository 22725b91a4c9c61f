# SPDX-License-Identifier: Apache-2.0
import os
import socket
from pathlib import Path

import pytest

from pidinfod.service import notify as module
from pidinfod.service.notify import notify


def listener(address):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(address)
    sock.settimeout(7)
    return sock


@pytest.mark.parametrize("name", ["n", "user@1/n", "@", "@n", "\udce9"])
def test_a_path_with_an_at_in_it(tmp_path, monkeypatch, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    with listener(str(path)) as sock:
        notify("READY=1", "STATUS=caf\udce9")
        assert sock.recv(100) == b"READY=1\nSTATUS=caf\\udce9"


def test_an_abstract_name(monkeypatch):
    name = f"pidinfod-test@{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with listener(f"\0{name}") as sock:
        notify("STOPPING=1")
        assert sock.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["", "/nonexistent/n", "/", "/" + "n" * 200, "vsock:2:7"])
def test_nobody_there_is_no_fault(monkeypatch, address):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


def test_none_asked(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")


def test_one_that_does_not_read_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.01)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
    with listener(str(tmp_path / "n")) as sock:
        holds = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
        for _ in range(holds + 7):
            notify("READY=1")
        assert sock.recv(100) == b"READY=1"
