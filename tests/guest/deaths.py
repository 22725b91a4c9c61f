# SPDX-License-Identifier: Apache-2.0
"""Processes that die in the ways that people ask about, by programs that are not ours.

Prints for each its PID and what its certificate has to say, as the one who did it knows.
"""

import ctypes
import json
import os
import platform
import pty
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

SCENARIOS = {}
PYTHON = Path(sys.executable).name


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


def start(*argv, **options):
    return subprocess.Popen(argv, stderr=subprocess.DEVNULL, text=True, **options)


def by_script(script, **options):
    return start(sys.executable, "-c", script, **options)


def without_main_thread(does):
    """A script of which only another thread goes on."""
    return (
        "import ctypes, threading, time\n"
        f"threading.Thread(target=lambda: ({does})).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )


def first_line(process):
    return process.stdout.readline().strip()


def has_ended(stat):
    """Whether the process of a /proc/PID/stat is dead, or reaped already."""
    try:
        return ") Z " in stat.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def until(holds):
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def children(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], stdout=subprocess.PIPE, text=True)
    return list(map(int, found.stdout.split()))


def sent_by(comm, pid):
    return {"origin": "user", "sender_comm": comm, "sender_pid": pid, "sender_uid": 0}


def from_kernel(origin):
    return {"origin": origin, "sender_pid": None, "sender_comm": None}


def ended(victim, name, blame, **more):
    """What is known of a child that a signal ended."""
    assert victim.wait() == -signal.Signals[name]
    expected = {"signal": name, "exit_code": None, "oom": False, "ppid": os.getpid()}
    return victim.pid, {**expected, "blame": {"signal": name, **blame}, **more}


@scenario
def cron_jobs_pkill():
    """A shell's pkill: neither the target nor its parent is to blame, and not the shell."""
    victim = start("sleep", "10007")
    until(lambda: Path(f"/proc/{victim.pid}/comm").read_text() == "sleep\n")
    job = "pkill -TERM -fx 'sleep 1000[7]' & echo $!; wait"
    killer = int(start("sh", "-c", job, stdout=subprocess.PIPE).communicate()[0])
    return ended(victim, "SIGTERM", sent_by("pkill", killer), comm="sleep")


def killed_without_main_thread(name):
    victim = by_script(without_main_thread("time.sleep(60)"))
    until(lambda: ") Z " in Path(f"/proc/{victim.pid}/stat").read_text())
    killer = start("sh", "-c", f"kill -s {name} {victim.pid}; exit 0")
    killer.wait()
    return ended(victim, f"SIG{name}", sent_by("sh", killer.pid), comm=PYTHON)


@scenario
def killed_after_the_main_thread_has_left():
    return killed_without_main_thread("KILL")


@scenario
def terminated_after_the_main_thread_has_left():
    return killed_without_main_thread("TERM")


# A thread with a name of its own; what it does is in its process's name.
IN_A_THREAD = """
import ctypes, os, signal, threading, time
prctl = ctypes.CDLL(None).prctl

def run():
    prctl(15, b"its-own-name", 0, 0, 0)
    does()

def start_sleep():
    pid = os.fork()
    if pid == 0:
        prctl(1, signal.SIGTERM, 0, 0, 0)
        os.execvp("sleep", ["sleep", "10061"])
    while open(f"/proc/{pid}/comm").read() != "sleep\\n":
        time.sleep(0.01)
    print(pid, flush=True)
    return pid

def does():
    DOES

thread = threading.Thread(target=run)
thread.start()
thread.join()
"""


def in_a_thread(does, then="pass"):
    """The process, and the victim that its thread has started."""
    script = IN_A_THREAD.replace("DOES", does) + then
    process = by_script(script, stdout=subprocess.PIPE)
    return process, int(first_line(process))


@scenario
def killed_by_a_thread_with_a_name_of_its_own():
    killer, victim = in_a_thread("os.kill(start_sleep(), 9)", "os.wait()")
    assert killer.wait() == 0
    blame = {"signal": "SIGKILL", **sent_by(PYTHON, killer.pid)}
    return victim, {
        "comm": "sleep", "signal": "SIGKILL", "ppid": killer.pid, "parent_comm": PYTHON,
        "blame": blame,
    }  # fmt: skip


@scenario
def death_signal_when_the_thread_ends_that_forked():
    """PR_SET_PDEATHSIG is of that thread; its process lives on."""
    parent, victim = in_a_thread("start_sleep()", "os.wait(); time.sleep(0.5)")
    assert parent.wait() == 0
    blame = {"signal": "SIGTERM", **sent_by(PYTHON, parent.pid), "origin": "parent_death"}
    return victim, {"comm": "sleep", "signal": "SIGTERM", "ppid": parent.pid, "blame": blame}


@scenario
def death_signal_when_the_parent_ends():
    parent, victim = in_a_thread("start_sleep(); os._exit(0)")
    assert parent.wait() == 0
    gone = Path(f"/proc/{victim}/stat")
    until(lambda: has_ended(gone))
    blame = {"signal": "SIGTERM", **sent_by(PYTHON, parent.pid), "origin": "parent_death"}
    return victim, {"comm": "sleep", "signal": "SIGTERM", "blame": blame}


TRACER = """
import ctypes
seize, exitkill = 0x4206, 1 << 20
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long] * 4
assert ptrace(seize, VICTIM, 0, exitkill) == 0, ctypes.get_errno()
"""


@scenario
def tracer_ends():
    """PTRACE_O_EXITKILL."""
    victim = start("sleep", "10061")
    tracer = by_script(TRACER.replace("VICTIM", str(victim.pid)))
    assert tracer.wait() == 0
    blame = {"origin": "tracer_exit", "sender_pid": tracer.pid, "sender_comm": PYTHON}
    return ended(victim, "SIGKILL", blame, comm="sleep")


def stubborn(trap):
    """A shell that SIGTERM does not end. Says when it is ready, by its PID."""
    return ["sh", "-c", f"trap {trap} TERM; echo $$; while :; do sleep 0.1; done"]


def killed_by_timeout(trap):
    command = ["timeout", "-k", "1", "1", *stubborn(trap)]
    supervisor = start(*command, stdout=subprocess.PIPE)
    victim = int(first_line(supervisor))
    supervisor.communicate()
    blame = {"signal": "SIGKILL", **sent_by("timeout", supervisor.pid)}
    # It kills itself with its group: who is the parent at the end is not certain.
    return victim, {
        "comm": "sh", "signal": "SIGKILL", "blame": blame, "says": " s after SIGTERM",
    }  # fmt: skip


@scenario
def supervisor_after_sigterm_was_handled():
    """timeout(1) with -k: SIGTERM, then SIGKILL."""
    return killed_by_timeout(":")


@scenario
def supervisor_after_sigterm_was_ignored():
    return killed_by_timeout("''")


@scenario
def systemd_stops_a_unit():
    """Where there is systemd: TimeoutStopSec, SIGTERM, then SIGKILL."""
    if not os.path.isdir("/run/systemd/system"):
        return None
    unit = "stubborn.service"
    command = ["systemd-run", "-qG", f"--unit={unit}", "-p", "TimeoutStopSec=1"]
    subprocess.run([*command, *stubborn(":")], check=True)
    show = ["systemctl", "show", "-P", "MainPID", unit]
    victim = int(subprocess.check_output(show))
    until(lambda: Path(f"/proc/{victim}/comm").read_text() == "sh\n")
    time.sleep(1)  # until its trap is set
    subprocess.run(["systemctl", "stop", unit], check=True)
    blame = {"signal": "SIGKILL", **sent_by("systemd", 1)}
    return victim, {
        "comm": "sh", "signal": "SIGKILL", "ppid": 1, "blame": blame, "says": " s after SIGTERM",
    }  # fmt: skip


def out_of_memory(comm, *eater):
    """In a memory cgroup, of either version."""
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        limits = ["-p", "MemoryMax=32M", "-p", "MemorySwapMax=0"]
        victim = start("systemd-run", "--scope", "-qG", *limits, *eater)
        return ended(victim, "SIGKILL", from_kernel("oom"), comm=comm, oom=True)
    group = Path(f"/sys/fs/cgroup/memory/deaths-{os.getpid()}")
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text("32M")
    victim = start("sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh", *eater)
    told = ended(victim, "SIGKILL", from_kernel("oom"), comm=comm, oom=True)
    group.rmdir()
    return told


@scenario
def oom_killer():
    return out_of_memory("tail", "tail", "/dev/zero")


@scenario
def oom_killer_after_the_main_thread_has_left():
    eat = "time.sleep(0.5), b'x' * (1 << 28)"
    return out_of_memory(PYTHON, sys.executable, "-c", without_main_thread(eat))


@scenario
def segfault():
    victim = by_script("import ctypes; ctypes.string_at(0)")
    return ended(victim, "SIGSEGV", from_kernel("fault"))


@scenario
def abort():
    victim = by_script("import os; os.abort()")
    return ended(victim, "SIGABRT", {"origin": "self", "sender_pid": victim.pid})


@scenario
def raised():
    victim = by_script("import signal; signal.raise_signal(signal.SIGUSR1)")
    return ended(victim, "SIGUSR1", {"origin": "self", "sender_pid": victim.pid})


@scenario
def alarm():
    # Busy on one processor, so that the timer interrupts its owner: a hosted machine's kernel
    # may run no probes in the name of the host's own agent.
    script = (
        "import os, signal; os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})\n"
        "signal.alarm(1)\nwhile True: pass"
    )
    return ended(by_script(script), "SIGALRM", from_kernel("timer"))


def queued(code):
    """Sent by rt_sigqueueinfo(2) with a siginfo that claims to come from elsewhere."""
    victim = start("sleep", "100")
    info = struct.pack("=3i", signal.SIGTERM, 0, code).ljust(128, b"\0")
    number = {"x86_64": 129, "aarch64": 138}[platform.machine()]
    assert not ctypes.CDLL(None).syscall(number, victim.pid, signal.SIGTERM, info)
    return ended(victim, "SIGTERM", sent_by(PYTHON, os.getpid()))


@scenario
def sender_that_claims_to_be_a_timer():
    return queued(-2)  # SI_TIMER


@scenario
def sender_that_claims_to_be_asynchronous_io():
    return queued(-4)  # SI_ASYNCIO


@scenario
def posix_timer():
    script = (
        "import ctypes, signal, struct, time\n"
        "libc, timer = ctypes.CDLL(None, use_errno=True), ctypes.c_void_p()\n"
        "event = struct.pack('=Qii', 0, signal.SIGTERM, 0).ljust(64, b'\\0')\n"
        "soon = struct.pack('=4q', 0, 0, 0, 10**8)\n"
        "assert not libc.timer_create(time.CLOCK_MONOTONIC, event, ctypes.byref(timer))\n"
        "assert not libc.timer_settime(timer, 0, soon, None)\n"
        "while True: pass"
    )
    return ended(by_script(script), "SIGTERM", from_kernel("timer"))


@scenario
def interval_timer_while_busy():
    script = "import signal; signal.setitimer(signal.ITIMER_PROF, 0.1)\nwhile True: pass"
    return ended(by_script(script), "SIGPROF", from_kernel("timer"))


@scenario
def processor_limit():
    limit = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 9))"
    victim = by_script(f"{limit}\nwhile True: pass")
    return ended(victim, "SIGXCPU", from_kernel("limit"))


@scenario
def file_size_limit():
    victim = start("sh", "-c", "ulimit -f 1; exec dd if=/dev/zero of=/tmp/limited bs=1M count=1")
    told = ended(victim, "SIGXFSZ", from_kernel("limit"), comm="dd")
    os.unlink("/tmp/limited")
    return told


@scenario
def reader_leaves():
    victim = start("yes", stdout=subprocess.PIPE)
    first_line(victim)
    victim.stdout.close()
    return ended(victim, "SIGPIPE", from_kernel("io"), comm="yes")


@scenario
def terminal_hangs_up():
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("sleep", ["sleep", "10009"])
    until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
    os.close(terminal)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGHUP
    blame = {"signal": "SIGHUP", **from_kernel("terminal")}
    return pid, {"comm": "sleep", "signal": "SIGHUP", "blame": blame}


@scenario
def interrupt_key():
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("sleep", ["sleep", "10037"])
    until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
    os.write(terminal, b"\x03")
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGINT
    os.close(terminal)
    blame = {"signal": "SIGINT", **from_kernel("terminal")}
    return pid, {"comm": "sleep", "signal": "SIGINT", "blame": blame}


@scenario
def init_of_a_namespace_ends():
    pipe = subprocess.PIPE
    script = "sleep 10039 & echo; read line"
    outside = start("unshare", "-fp", "sh", "-c", script, stdin=pipe, stdout=pipe)
    first_line(outside)
    init = children(outside.pid)[0]
    until(lambda: children(init))
    victim = children(init)[0]
    until(lambda: Path(f"/proc/{victim}/comm").read_text() == "sleep\n")
    outside.communicate("\n")
    blame = {
        "signal": "SIGKILL", "origin": "pid_namespace", "sender_comm": "sh", "sender_pid": init,
    }  # fmt: skip
    return victim, {"comm": "sleep", "signal": "SIGKILL", "ppid": init, "blame": blame}


@scenario
def exits_on_its_own():
    victim = start("sh", "-c", "exit 37")
    assert victim.wait() == 37
    return victim.pid, {
        "exit_code": 37, "signal": None, "blame": None, "says": "exited with 37",
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps({name: told for name, run in SCENARIOS.items() if (told := run())}))
