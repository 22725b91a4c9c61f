# SPDX-License-Identifier: Apache-2.0
"""Runs in the guest: the edges of the four calls. Prints what was not as it should be.

ft_kill and ft_wait are given the same as kill(2) and wait4(2), and must answer the same.
"""

import ctypes
import errno
import json
import mmap
import os
import signal
import threading

from pidinfod.kernel import pid_info
from pidinfod.kernel.pid_info import Struct

libc = ctypes.CDLL(None, use_errno=True)
VER0, VER1 = pid_info.SIZE_VER0, pid_info.SIZE_VER1
KILL, WAIT4, FT_KILL, FT_WAIT = 62, 61, 550, 551
faults = []


def expect(what, found, wanted):
    if found != wanted:
        faults.append(f"{what}: {found!r}, expected {wanted!r}")


def syscall(number, *args):
    """The result, or the name of the error."""
    result = libc.syscall(ctypes.c_long(number), *args)
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]


def get(pid, size=VER0, flags=0, tail=b"", wanted=pid_info.ALL):
    buffer = ctypes.create_string_buffer(bytes(Struct(wanted=wanted))[:size] + tail, 8192)
    return syscall(548, pid, buffer, ctypes.c_size_t(size), flags)


def dead_pid():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def sizes_and_flags():
    page = mmap.PAGESIZE
    me = os.getpid()
    expect("size 0", get(me, 0), "EINVAL")
    expect("size VER0-1", get(me, VER0 - 1), "EINVAL")
    expect("size VER0", get(me), 0)
    expect("size VER1", get(me, VER1), 0)
    expect("size VER1+8, zero", get(me, VER1 + 8), 0)
    expect("size VER1+8, not zero", get(me, VER1 + 8, tail=b"\1"), "E2BIG")
    expect("size of a page", get(me, page), 0)
    expect("size above a page", get(me, page + 1), "E2BIG")
    expect("unknown flag", get(me, flags=8), "EINVAL")
    expect("unknown groups", get(me, wanted=1 << 63), 0)
    expect("negative PID", get(-1), "EINVAL")
    expect("PID 0", get(0), 0)
    expect("dead PID", get(dead_pid()), "ESRCH")
    expect("no pidfd", get(0, flags=pid_info.PIDFD), "EBADF")
    expect("NULL", syscall(548, me, None, ctypes.c_size_t(VER0), 0), "EFAULT")


def buffers():
    me = os.getpid()
    room = ctypes.create_string_buffer(b"#" * 64)
    os.chdir("/usr/lib")
    info = Struct(
        wanted=pid_info.CWD | pid_info.ROOT, buffer=ctypes.addressof(room), buffer_size=8
    )
    pid_info.call(me, info)
    expect("what fits", (tuple(info.root), room.raw[:2]), ((0, 2), b"/\0"))
    expect("what does not", tuple(info.cwd), (pid_info.NO_ROOM, len("/usr/lib") + 1))
    expect("room that is needed", info.buffer_needed, 8 + 16)
    expect("nothing behind the room", room.raw[8:12], b"####")
    info = Struct(wanted=pid_info.CWD, buffer=1, buffer_size=4096)
    try:
        pid_info.call(me, info)
        expect("bad buffer", "no error", "EFAULT")
    except OSError as error:
        expect("bad buffer", error.errno, errno.EFAULT)

    children = []
    for _ in range(97):
        pid = os.fork()
        if pid == 0:
            signal.pause()
        children.append(pid)
    info = Struct(wanted=pid_info.CHILDREN)
    pid_info.call(me, info)
    expect("without room", tuple(info.children), (pid_info.NO_ROOM, 4 * 97))
    expect("all of them", sorted(pid_info.read(me).children), sorted(children))
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def threads():
    ids = []
    stop = threading.Event()
    thread = threading.Thread(target=lambda: (ids.append(threading.get_native_id()), stop.wait()))
    thread.start()
    while not ids:
        pass
    info = pid_info.read(ids[0])
    expect("a thread", (info.pid, info.tgid, info.num_threads), (ids[0], os.getpid(), 2))
    stop.set()
    thread.join()


def sweep():
    for _ in range(5):
        before = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        found = [info.pid for info in pid_info.sweep()]
        after = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        expect("ascending", found, sorted(set(found)))
        expect("who stayed is there", (before & after) - set(found), set())
        expect("who is there was there", set(found) - (before | after), set())


def kill_cases(number):
    """Results of one of the two calls, in a child of its own group."""
    def answers():
        os.setpgid(0, 0)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        me, gone = os.getpid(), dead_pid()
        yield [syscall(number, me, sig) for sig in (0, signal.SIGUSR1, -1, 65, 10**6)]
        yield [syscall(number, pid, 0) for pid in (0, -me, gone, -gone, -(2**31), 2**31 - 1)]
        yield [syscall(number, pid, signal.SIGUSR1) for pid in (0, -me)]
        zombie = os.fork()
        if zombie == 0:
            os._exit(0)
        os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)
        yield [syscall(number, zombie, sig) for sig in (0, signal.SIGTERM)]
        os.waitpid(zombie, 0)
        # siginfo as its taker sees it
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        syscall(number, me, signal.SIGRTMIN + 1)
        info = signal.sigwaitinfo([signal.SIGRTMIN + 1])
        yield [info.si_code, info.si_pid == me, info.si_uid, info.si_errno]
        # of a standard signal one is pending, of a real-time signal as many as were sent
        for sig in (signal.SIGUSR2, signal.SIGRTMIN + 2):
            for _ in range(5):
                syscall(number, me, sig)
            yield sum(1 for _ in iter(lambda sig=sig: signal.sigtimedwait([sig], 0), None))
        os.setuid(65534)
        yield [syscall(number, 1, sig) for sig in (0, signal.SIGTERM, 65)]
        yield syscall(number, -1, 0)

    return in_child(lambda: list(answers()))


def wait_cases(number):
    """Results of wait4(-1, status, 0, NULL) or of ft_wait(status)."""
    def wait(status):
        if number == WAIT4:
            return syscall(number, ctypes.c_long(-1), status, 0, None)
        return syscall(number, status)

    def child(end):
        pid = os.fork()
        if pid == 0:
            end()
            os._exit(0)
        return pid

    def answers():
        status = ctypes.c_int(-7)
        yield [wait(None), status.value]
        pid = child(lambda: os._exit(11))
        yield [wait(ctypes.byref(status)) == pid, status.value]
        pid = child(lambda: None)
        yield wait(None) == pid
        child(lambda: None)
        yield [wait(ctypes.c_void_p(1)), wait(None)]  # reaped all the same
        for sig in (signal.SIGTERM, signal.SIGKILL, signal.SIGRTMIN + 3):
            pid = child(lambda sig=sig: os.kill(os.getpid(), sig))
            yield [wait(ctypes.byref(status)) == pid, status.value]
        # a stopped child is no news
        pid = child(lambda: os.kill(os.getpid(), signal.SIGSTOP))
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.siginterrupt(signal.SIGALRM, True)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        yield wait(None)  # EINTR
        os.kill(pid, signal.SIGKILL)
        yield [wait(ctypes.byref(status)) == pid, status.value]
        # restarted where the handler asks for it
        signal.siginterrupt(signal.SIGALRM, False)
        pid = child(lambda: threading.Event().wait(0.6))
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        yield wait(None) == pid
        # children of another thread
        made = []
        thread = threading.Thread(target=lambda: made.append(child(lambda: os._exit(3))))
        thread.start()
        thread.join()
        yield [wait(ctypes.byref(status)) == made[0], status.value]
        # who ignores SIGCHLD waits until all are gone
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        child(lambda: None)
        yield wait(None)

    return in_child(lambda: list(answers()))


def in_child(work):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        os.write(writer, json.dumps(work()).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    expect("the child that tries the calls", status, 0)
    return json.loads(text or "null")


for part in (sizes_and_flags, buffers, threads, sweep):
    part()
expect("ft_kill as kill", kill_cases(FT_KILL), kill_cases(KILL))
expect("ft_wait as wait", wait_cases(FT_WAIT), wait_cases(WAIT4))
print(json.dumps({"faults": faults, "kill": kill_cases(KILL), "wait": wait_cases(WAIT4)}))
