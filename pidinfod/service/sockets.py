# SPDX-License-Identifier: Apache-2.0
"""Listening sockets, TCP and Unix, and who is at the other end of a Unix connection."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BACKLOG = 128
PATH_MAX = 107  # bytes; sun_path of unix(7) without its final zero
_SO_PEERGROUPS = 59  # include/uapi/asm-generic/socket.h
_UCRED = struct.Struct("=iII")  # pid, uid, gid


class ListenError(Exception):
    """The address or path is another's; the message names it and says why."""


def tcp(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ListenError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(BACKLOG)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        shown = f"[{host}]" if ":" in host else host
        raise ListenError(f"cannot listen on {shown}:{port}: {error.strerror}") from None
    return sock


class UnixSocket(socket.socket):
    """A listening socket that everyone may connect to; closing it removes its file.

    A file that somebody else has put in its place stays.

    Raises ListenError if the path is too long or belongs to somebody else, OSError if the
    socket cannot be made there (no rights, read-only).
    """

    def __init__(self, path: Path) -> None:
        raw = os.fsencode(path)
        if len(raw) > PATH_MAX:
            raise ListenError(f"{path}: longer than {PATH_MAX} bytes, the most for a socket")
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self._path = path
        self._identity: tuple[int, int] | None = None
        try:
            _make_folder(path.parent)
            with _only_one(path):
                _remove_stale(path)
                self.bind(raw)
                self._identity = _identity(path)
                # Who may ask what is decided by the credentials of the peer, not here.
                os.chmod(path, 0o666)
                self.listen(BACKLOG)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the file if it is still this socket's, and close."""
        identity, self._identity = self._identity, None
        if identity:
            with contextlib.suppress(OSError):
                if _identity(self._path) == identity:
                    os.unlink(self._path)
        super().close()


def _make_folder(folder: Path) -> None:
    """Make a folder that everyone can enter, whatever the umask. Raises OSError."""
    if not folder.is_dir():
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)


def _identity(path: Path) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold the lock of a path, so that of two daemons that start at once only one replaces a
    stale socket. Raises ListenError if another holds the lock, OSError."""
    lock = path.with_name(path.name + ".lock")
    while True:
        # Only its owner can open it: nobody else can keep a daemon from starting.
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ListenError(f"another daemon is starting at {path}") from None
            # Its last holder may have removed the file before this lock was had.
            locked = os.fstat(fd)
            with contextlib.suppress(FileNotFoundError):
                if _identity(lock) == (locked.st_dev, locked.st_ino):
                    try:
                        yield
                    finally:
                        os.unlink(lock)
                    return
        finally:
            os.close(fd)


def _remove_stale(path: Path) -> None:
    """Remove the socket of a daemon that was killed, and nothing else. Raises ListenError."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"{path} exists and is no socket; it stays as it is")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # a full backlog answers, too
        error = probe.connect_ex(os.fsencode(path))
    if error in (0, errno.EAGAIN):
        raise ListenError(f"another daemon answers at {path}")
    if error != errno.ECONNREFUSED:
        raise ListenError(f"{path} is another program's socket: {os.strerror(error)}")
    os.unlink(path)


@dataclass(frozen=True)
class Peer:
    """The process at the other end of a Unix connection, as it was when it connected.

    The ids are those of this process's own user namespace: root of another one is not 0 here.
    """

    uid: int
    groups: frozenset[int]  # the group id and the supplementary ones


def peer_of(sock: socket.socket) -> Peer | None:
    """Who is connected; None if that is not a Unix socket. Raises OSError."""
    if sock.family != socket.AF_UNIX:
        return None
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, gid = _UCRED.unpack(raw)
    return Peer(uid, frozenset((gid, *_peer_groups(sock))))


def _peer_groups(sock: socket.socket) -> tuple[int, ...]:
    """The supplementary groups; by ctypes, as Python's getsockopt takes 256 at most."""
    call = ctypes.CDLL(None, use_errno=True).getsockopt
    length = ctypes.c_uint32(0)
    # Without room the kernel says how much is needed; it says 0 if there is no group.
    call(sock.fileno(), socket.SOL_SOCKET, _SO_PEERGROUPS, None, ctypes.byref(length))
    groups = (ctypes.c_uint32 * (length.value // 4))()
    if call(sock.fileno(), socket.SOL_SOCKET, _SO_PEERGROUPS, groups, ctypes.byref(length)) < 0:
        return ()  # a kernel before 4.13: the group id alone counts
    return tuple(groups)
