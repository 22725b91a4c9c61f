# SPDX-License-Identifier: Apache-2.0
"""The text and JSON of --once, and what is said of a PID that cannot be shown."""

import ctypes
import dataclasses
import io
import json
import os
import subprocess
import sys

import pytest

from pidinfod.cli import once, status
from pidinfod.kernel import pid_info
from pidinfod.kernel.pid_info import PidInfo
from pidinfod.proc import procfs
from tests.support import records
from tests.support.asked import Daemon

INFO = PidInfo(
    pid=4211, tgid=4211, ppid=1, pgid=4201, sid=4201, state="S", comm="a\nuid  0\x1b[31m",
    num_threads=3, uid=1009, groups=(), cap_effective=0x21, no_new_privs=1, cutime_ns=7, swap=2048,
    open_files=5, ns_net=4026531840, nspids=(4211, 1), tracer_pid=0, exe="/bin/\x1b",
    age_ns=93_784_500_000_000, utime_ns=250_000_000, policy=3, nice=-7,
    rss=9129984, sig_pending=0, sig_blocked=1 << 14 | 1 << 34, stack=0x7FFC13DAE1F0,
    children=(4217, 4219), limits=((1024, 2**64 - 1),), cmdline=("a b", "\x1b]"), root="/",
    cwd="/caf\udce9/\u202e", denied=("rchar", "wchar"), source="procfs",
)  # fmt: skip
TEXT = """\
pid            4211
tgid           4211
ppid           1
state          S (sleeping)
comm           a\\x0auid  0\\x1b[31m
num_threads    3
pgid           4201
sid            4201
uid            1009
groups         none
cap_effective  0x21
no_new_privs   1
age_ns         93784.500 s (1d 02:03:04)
utime_ns       0.250000 s
cutime_ns      0.000000 s
policy         SCHED_BATCH
nice           -7
rss            9129984 (8.7 MiB)
swap           2048 (2.0 KiB)
rchar          (not permitted)
wchar          (not permitted)
open_files     5
limits         1024/-
sig_pending    none
sig_blocked    SIGTERM SIGRTMIN+1
ns_net         4026531840
nspids         4211 1
tracer_pid     0
stack          0x7ffc13dae1f0
children       4217 4219
root           /
cwd            /caf\\xe9/\\u202e
exe            /bin/\\x1b
cmdline        a b \\x1b]
source         procfs
"""


def test_text():
    assert once.as_text(INFO) == TEXT


@pytest.mark.parametrize("name", ["comm", "name", "root", "cwd", "exe"])
def test_no_text_reaches_the_terminal_as_it_is(name):
    told = once.as_text(dataclasses.replace(INFO, **{name: "x\x1b[2J\n\udcff\\"}))
    assert "x\\x1b[2J\\x0a\\xff\\\\\n" in told
    assert all(line.isprintable() for line in told.split("\n"))


def test_json_is_exact_and_ascii():
    told = once.as_json(INFO)
    assert told.isascii()
    back = json.loads(told)
    assert (back["comm"], back["cwd"], back["children"]) == (INFO.comm, INFO.cwd, [4217, 4219])
    assert set(back) == set(pid_info.FIELD_NAMES)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 (exited with 0)"),
        (37 << 8, "9472 (exited with 37)"),
        (9, "9 (killed by SIGKILL)"),
        (139, "139 (killed by SIGSEGV, core dumped)"),
    ],
)
def test_exit_code(number, words):
    assert once.wait_status(number) == words


def ask(pid, form="text", config=None):
    out, err = io.StringIO(), io.StringIO()
    done = once.main(str(pid), form, config, out, err)
    assert all(line.isprintable() for line in (out.getvalue() + err.getvalue()).split("\n"))
    assert (done == status.OK) == (err.getvalue() == "")
    assert len(err.getvalue().splitlines()) <= 1
    return done, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    "pid", ["", "0", "-1", "1.0", "x", "4194305", "9" * 5000, "٣", "1\n", "\x1b"]
)
def test_no_pid(pid):
    done, out, err = ask(pid)
    assert (done, out) == (status.USAGE, "")
    assert "expected a PID from 1 to 4194304" in err


@pytest.fixture
def unseen(monkeypatch):
    """Makes reading fail as told; a PID of a process that is gone."""

    def fail(error):
        def read(pid):
            raise error

        monkeypatch.setattr(procfs, "read", read)
        monkeypatch.setattr(pid_info, "is_supported", lambda: False)

    return fail


@pytest.fixture
def gone():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


@pytest.fixture
def daemon(tmp_path):
    with Daemon(tmp_path) as running:
        yield running


@pytest.fixture
def config(daemon, tmp_path):
    file = tmp_path / "config.yml"
    file.write_text(f"socket: {daemon.path}\n")
    return file


def test_of_the_dead(unseen, gone, daemon, config):
    unseen(ProcessLookupError())
    sender = {"sender": 4217, "sender_comm": b"\x1b]0;x\x07", "sender_uid": 33}
    daemon.ledger.add(records.death(pid=gone, status=3 << 8))
    daemon.ledger.add(
        records.death(pid=gone, comm=b"b\n\xff", status=15, signal=15, term_before_ns=7, **sender)
    )
    done, out, _ = ask(gone, config=config)
    assert done == status.OK
    shown = {name: value for name, _, value in (line.partition(" ") for line in out.splitlines())}
    assert (shown["state"].strip(), shown["comm"].strip()) == ("dead", "b\\x0a\\\\xff")
    assert shown["age_ns"].strip() == "71.000000 s"
    assert shown["why"].endswith("SIGTERM sent by \\x1b]0;x\\x07 (PID 4217, uid 33)")
    done, out, _ = ask(gone, "json", config)
    told = json.loads(out)
    assert (done, told["comm"], told["seq"]) == (status.OK, "b\n\\xff", 2)


def test_nobody(unseen, gone, config, tmp_path):
    unseen(ProcessLookupError())
    done, _, err = ask(gone, config=config)
    assert (done, f"no process {gone}, and the daemon tells of no death" in err) == (3, True)
    (tmp_path / "no\n.yml").write_text(f"socket: {tmp_path}/nothing\x20here\n")
    done, _, err = ask(gone, config=tmp_path / "no\n.yml")
    assert (done, f"no daemon answers at {tmp_path}/nothing here" in err) == (3, True)


@pytest.mark.parametrize("error", [ProcessLookupError(), PermissionError(1, "x"), OSError(5, "\n")])
@pytest.mark.parametrize("who", ["own", "init", "other", "thread"])
def test_the_living_are_never_told_dead(unseen, daemon, config, error, who):
    """Of our own, of another user's, or a thread's PID, whose death the daemon remembers."""
    unseen(error)
    libc = ctypes.CDLL(None)
    other = subprocess.Popen(["sleep", "60"])
    pid = {"own": os.getpid(), "init": 1, "other": other.pid, "thread": libc.gettid()}[who]
    daemon.ledger.add(records.death(pid=pid))
    try:
        done, out, err = ask(pid, config=config)
    finally:
        other.kill()
        other.wait()
    assert (done, out) == (status.FAILED if type(error) is OSError else status.DENIED, "")
    assert f"process {pid} " in err
    assert not daemon.asked


def test_another_users_process_exists(unseen, monkeypatch):
    def refuse(pid, number):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert once.exists(1)


@pytest.mark.parametrize("inode", [4026531837, 1, None])
def test_another_pid_namespace(unseen, gone, daemon, config, monkeypatch, inode):
    unseen(ProcessLookupError())
    daemon.ledger.add(records.death(pid=gone))
    real = os.stat

    def stat(path, *args, **options):
        if path != "/proc/self/ns/pid":
            return real(path, *args, **options)
        if inode is None:
            raise FileNotFoundError
        return os.stat_result([0, inode, *range(8)])

    monkeypatch.setattr(os, "stat", stat)
    done, out, err = ask(gone, config=config)
    assert (done, out, daemon.asked) == (status.NO_PROCESS, "", [])
    assert "not those of this PID namespace" in err


def test_a_bad_configuration(unseen, gone, tmp_path):
    unseen(ProcessLookupError())
    file = tmp_path / "config.yml"
    file.write_text("nosuch: 1\n")
    assert ask(gone, config=file)[0] == status.USAGE


@pytest.mark.parametrize("encoding", ["ascii:strict", "iso-8859-1:strict", "utf-8:strict"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_real_process_in_every_locale(tmp_path, encoding, form):
    odd = os.fsencode(tmp_path) + b"/nu\xff\xfe\x1b\n"
    os.mkdir(odd)
    script = (
        "import ctypes; ctypes.CDLL(None).prctl(15, '同\\x1b\\n'.encode() + b'\\xff', 0, 0, 0)\n"
        "print(flush=True); input()"
    )
    pipe = subprocess.PIPE
    child = subprocess.Popen([sys.executable, "-c", script], cwd=odd, stdin=pipe, stdout=pipe)
    child.stdout.readline()
    done = subprocess.run(
        [sys.executable, "-m", "pidinfod", "--once", str(child.pid), "--format", form],
        env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True,
    )  # fmt: skip
    child.communicate(b"\n")
    assert (done.returncode, done.stderr) == (0, b"")
    told = done.stdout.decode(encoding.partition(":")[0])
    assert all(line.isprintable() for line in told.split("\n"))
    if form == "json":
        assert os.fsencode(json.loads(told)["cwd"]) == odd
    else:
        (cwd,) = (line for line in told.splitlines() if line.startswith("cwd "))
        assert cwd.endswith("/nu\\xff\\xfe\\x1b\\x0a")
