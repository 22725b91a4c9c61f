# SPDX-License-Identifier: Apache-2.0
"""Moments too short to be met on purpose: a probe is run by hand, with the kernel's own task."""

import ctypes
import os
import signal

import pytest
from bcc import BPF

from pidinfod.groups.table import key_of
from pidinfod.kernel import handoff, libbpf
from pidinfod.kernel.records import BLAME, PROCESS
from pidinfod.metrics import program
from tests.support import REPO

CURRENT = b"""
#include <linux/types.h>
BPF_ARRAY(current, u64, 1);
int tell(void *ctx)
{
	u32 zero = 0;
	u64 *task = current.lookup(&zero);

	if (task)
		*task = bpf_get_current_task();
	return 0;
}
"""


class _Run(ctypes.Structure):
    """include/uapi/linux/bpf.h: the part of union bpf_attr for BPF_PROG_TEST_RUN."""

    _fields_ = (
        ("prog_fd", ctypes.c_uint32), ("retval", ctypes.c_uint32), ("sizes", ctypes.c_uint32 * 2),
        ("data", ctypes.c_uint64 * 2), ("repeat", ctypes.c_uint32), ("duration", ctypes.c_uint32),
        ("ctx_size_in", ctypes.c_uint32), ("ctx_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_uint64), ("ctx_out", ctypes.c_uint64), ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
    )  # fmt: skip


def run(prog_fd, *arguments):
    """The program of a raw tracepoint, in this process."""
    numbers = (ctypes.c_uint64 * len(arguments))(*arguments)
    asked = _Run(
        prog_fd=prog_fd, ctx_in=ctypes.addressof(numbers), ctx_size_in=ctypes.sizeof(numbers)
    )
    libc, number = ctypes.CDLL(None, use_errno=True), {"x86_64": 321, "aarch64": 280}
    if libc.syscall(number[os.uname().machine], 10, ctypes.byref(asked), ctypes.sizeof(asked)) < 0:
        raise OSError(ctypes.get_errno(), "BPF_PROG_TEST_RUN")


@pytest.fixture(scope="module")
def probes(root):
    loaded = handoff.load(program.request([], 256, libbpf.possible_cpus(), {}, False), 90)
    yield loaded
    loaded.close()


@pytest.fixture
def child(monkeypatch):
    """PID and task of a process that handles SIGTERM."""
    monkeypatch.setenv("BCC_KERNEL_SOURCE", str(REPO / "bpf"))
    bpf = BPF(text=CURRENT, cflags=[f"-I{REPO}/bpf/include"])
    tell = bpf.load_func(b"tell", BPF.RAW_TRACEPOINT)
    ready, is_ready = os.pipe()
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGTERM, lambda *_: None)
        run(tell.fd, 0)
        os.write(is_ready, b".")
        while True:
            signal.pause()
    os.read(ready, 1)
    yield pid, bpf[b"current"][0].value
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(ready)
    os.close(is_ready)


def record(probes, pid):
    return PROCESS.unpack(libbpf.lookup(probes.maps["processes"], key_of(pid)))


def probe(probes, name):
    (found,) = (one.prog_fd for one in probes.probes if one.name == f"raw_tracepoint:{name}")
    return found


def test_a_signal_before_the_kernel_tells_of_the_fork(probes, child):
    """A child can be signalled by its PID before: who did so is known afterwards."""
    pid, task = child
    os.kill(pid, signal.SIGTERM)
    run(probe(probes, "task_newtask"), task, 0)
    found = record(probes, pid)
    blame = BLAME.unpack(found.blame)
    assert (blame.signal, blame.sender) == (signal.SIGTERM, os.getpid())
    assert found.term_ns == blame.time_ns


def test_a_record_of_an_earlier_life(probes, child):
    """A fork puts its own in the place of it; a free of another life removes nothing."""
    pid, task = child
    found = record(probes, pid)
    earlier = found._replace(start_ns=found.start_ns - 1, is_dead=1, end_ns=found.start_ns)
    libbpf.update(probes.maps["processes"], key_of(pid), PROCESS.pack(**earlier._asdict()))
    run(probe(probes, "sched_process_free"), task)
    assert record(probes, pid) == earlier
    run(probe(probes, "task_newtask"), task, 0)
    now = record(probes, pid)
    assert (now.start_ns, now.is_dead, now.end_ns) == (found.start_ns, 0, 0)
    run(probe(probes, "sched_process_free"), task)
    assert libbpf.lookup(probes.maps["processes"], key_of(pid)) is None
