# SPDX-License-Identifier: Apache-2.0
import os
import socket
import stat
import threading

import pytest

from pidinfod.service.sockets import ListenError, Peer, UnixSocket, peer_of, tcp


def leave_stale(path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    return os.lstat(path).st_ino


def test_everyone_may_connect(tmp_path):
    old = os.umask(0o077)
    try:
        sock = UnixSocket(tmp_path / "run" / "s")
    finally:
        os.umask(old)
    with sock, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "run" / "s"))
        assert stat.S_IMODE(os.stat(tmp_path / "run").st_mode) == 0o755
        assert stat.S_IMODE(os.stat(tmp_path / "run" / "s").st_mode) == 0o666
    assert os.listdir(tmp_path / "run") == []


@pytest.mark.parametrize("kind", ["file", "folder", "link", "link to nothing", "fifo"])
def test_what_is_no_socket_stays(tmp_path, kind):
    path, other = tmp_path / "important", tmp_path / "other"
    other.write_text("7")
    match kind:
        case "file":
            path.write_text("13")
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(other)
        case "link to nothing":
            path.symlink_to(tmp_path / "nothing")
        case "fifo":
            os.mkfifo(path)
    before = os.lstat(path)
    with pytest.raises(ListenError, match=r"important exists and is no socket"):
        UnixSocket(path)
    assert os.lstat(path) == before
    assert sorted(os.listdir(tmp_path)) == ["important", "other"]


@pytest.mark.parametrize("backlog", [1, 0])
def test_a_socket_that_answers_is_not_taken(tmp_path, backlog):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as live, socket.socket(socket.AF_UNIX) as client:
        live.bind(str(path))
        live.listen(backlog)
        client.connect(str(path))  # a backlog of 0 has room for one: now it is full
        with pytest.raises(ListenError, match=f"another daemon answers at {path}"):
            UnixSocket(path)
        assert stat.S_ISSOCK(os.lstat(path).st_mode)


def test_a_socket_of_another_kind_is_not_taken(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as live:
        live.bind(str(path))
        with pytest.raises(ListenError, match="s is another program's socket"):
            UnixSocket(path)
        assert path.exists()


def test_a_stale_socket_is_replaced(tmp_path):
    path = tmp_path / "s"
    leave_stale(path)
    with UnixSocket(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    assert not path.exists()


def test_somebody_elses_file_stays_at_the_end(tmp_path):
    path = tmp_path / "s"
    ours = UnixSocket(path)
    path.rename(tmp_path / "moved")  # an inode in use gets no new owner
    theirs = leave_stale(path)
    ours.close()
    assert os.lstat(path).st_ino == theirs


def test_closing_without_the_file(tmp_path):
    sock = UnixSocket(tmp_path / "s")
    (tmp_path / "s").unlink()
    sock.close()
    sock.close()


@pytest.mark.parametrize("is_stale", [False, True])
def test_of_many_that_start_at_once_one_wins(tmp_path, is_stale):
    for number in range(31):
        path = tmp_path / str(number)
        if is_stale:
            leave_stale(path)
        won, refused = [], []
        barrier = threading.Barrier(7)

        def start(path=path, won=won, refused=refused, barrier=barrier):
            barrier.wait()
            try:
                won.append(UnixSocket(path))
            except ListenError as error:
                refused.append(str(error))

        threads = [threading.Thread(target=start) for _ in range(7)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(refused)) == (1, 6)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        won[0].close()
    assert os.listdir(tmp_path) == []


def test_too_long_a_path(tmp_path):
    most = tmp_path / ("x" * (107 - len(os.fsencode(tmp_path)) - 1))
    UnixSocket(most).close()
    with pytest.raises(ListenError, match="longer than 107 bytes"):
        UnixSocket(most.with_name(most.name + "y"))
    with pytest.raises(ListenError, match="longer than 107 bytes"):
        UnixSocket(most.with_name(most.name[:-1] + "é"))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        UnixSocket(tmp_path / "file" / "folder" / "s")


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", r"\[::1\]")])
def test_an_address_in_use(host, shown):
    with tcp(host, 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ListenError, match=f"cannot listen on {shown}:{port}: Address already"):
            tcp(host, port)


def test_an_address_that_is_none():
    with pytest.raises(ListenError, match=r"cannot listen on nowhere\.invalid:1"):
        tcp("nowhere.invalid", 1)


def test_the_peer(tmp_path):
    with UnixSocket(tmp_path / "s") as sock, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))
        peer = peer_of(sock.accept()[0])
        assert peer == Peer(os.geteuid(), frozenset((os.getegid(), *os.getgroups())))


def test_over_tcp_nobody_is_known():
    with tcp("127.0.0.1", 0) as sock, socket.create_connection(sock.getsockname()):
        assert peer_of(sock.accept()[0]) is None
