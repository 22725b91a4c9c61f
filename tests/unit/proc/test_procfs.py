# SPDX-License-Identifier: Apache-2.0
"""/proc as it is on this machine against ps, and texts that /proc is known to have."""

import json
import os
import subprocess
import sys

import pytest

from pidinfod.proc import procfs


def test_name_with_brackets_and_spaces():
    pid, comm, fields = procfs.parse_stat(b"7 (a) b (c) S 1 2 3")
    assert (pid, comm, fields) == (7, "a) b (c", ["S", "1", "2", "3"])


def test_agrees_with_ps():
    pipe = subprocess.PIPE
    child = subprocess.Popen(["cat"], stdin=pipe, stdout=pipe)
    try:
        # Once it echoes, the loader has mapped all that it will map.
        child.stdin.write(b"x\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"x\n"
        info = procfs.read(child.pid)
        columns = "pid=,ppid=,pgid=,sid=,nlwp=,comm=,uid=,ni=,vsz="
        shown = subprocess.run(
            ["ps", "-o", columns, "-p", str(child.pid)], capture_output=True, text=True, check=True
        ).stdout.split()
        ours = (
            info.pid, info.ppid, info.pgid, info.sid, info.num_threads, info.comm, info.uid,
            info.nice, info.vsize // 1024,
        )  # fmt: skip
        assert [str(value) for value in ours] == shown
        assert info.cwd == os.getcwd()
        assert info.source == "procfs"
        assert child.pid in procfs.read(os.getpid()).children
    finally:
        child.kill()
        child.wait()


def test_zombie():
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    info = procfs.read(pid)
    os.waitpid(pid, 0)
    assert (info.state, info.exit_code, info.cwd, info.stack) == ("Z", 7 << 8, None, None)
    with pytest.raises(ProcessLookupError):
        procfs.read(pid)


def test_sweep_finds_us():
    ours = [info for info in procfs.sweep() if info.pid == os.getpid()]
    assert [info.ppid for info in ours] == [os.getppid()]


def test_once_imports_neither_bcc_nor_http():
    program = (
        "import sys; from pidinfod.cli.main import main; main(['--once', '1', '--format', 'json']);"
        "assert not {'bcc', 'http.server', 'prometheus_client'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pid"] == 1
