# SPDX-License-Identifier: Apache-2.0
"""What the service may not do, and that the daemon does without."""

import subprocess
import sys

from tests.support import REPO

LINES = (REPO / "deploy/systemd/pidinfod.service").read_text().splitlines()


def test_the_calls_of_a_patched_kernel_are_not_denied():
    """systemd allows a number that no list names only if all lists deny."""
    filters = [line.partition("=")[2] for line in LINES if line.startswith("SystemCallFilter=")]
    assert filters
    assert all(names.startswith("~") for names in filters)
    denied = {name for names in filters for name in names[1:].split()}
    assert {"ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd"} <= denied
    needed = {"bpf", "perf_event_open", "capset", "prctl", "@debug", "@process", "@privileged"}
    assert not denied & needed


def test_callbacks_need_no_memory_to_be_written_and_run():
    """MemoryDenyWriteExecute= as Linux 6.3 has it itself; libbpf calls the daemon back."""
    assert "MemoryDenyWriteExecute=yes" in LINES
    program = (
        "import ctypes; libc = ctypes.CDLL(None); libc.prctl(65, 1, 0, 0, 0);"
        "call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda _: 7); assert call(0) == 7"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
