#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The witness in the guest: as a service it counts every fork, kill and wait from early in the boot
on (witness.bpf.c says how they are judged); `witness.py` prints what it counted, as JSON."""

import json
import os
import socket
import sys
from pathlib import Path

SOCKET = "/run/witness"
# The headers that the probes of pidinfod compile against: the kernel's own are not there.
HEADERS = "/usr/share/pidinfod/bpf"
FT = ("ft_fork", "ft_kill", "ft_wait")
NATIVE = ("fork", "vfork", "clone", "clone3", "kill", "wait4", "waitid")
# The entries of 32-bit programs; fork and vfork have one for all.
OF_32_BIT = {
    "ia32_compat_sys_ia32_clone": "clone", "ia32_sys_clone3": "clone3", "ia32_sys_kill": "kill",
    "ia32_sys_waitpid": "waitpid", "ia32_compat_sys_wait4": "wait4",
    "ia32_compat_sys_waitid": "waitid",
}  # fmt: skip


def load():
    os.environ["BCC_KERNEL_SOURCE"] = HEADERS
    from bcc import BPF

    from pidinfod.kernel.btf import KernelTypes

    with KernelTypes() as types:
        offsets = {
            "OFF_TASK_MM": types.offset("task_struct", "mm"),
            "OFF_MM_SAVED_AUXV": types.offset("mm_struct", "saved_auxv"),
        }
    flags = [f"-I{HEADERS}/include", *(f"-D{name}={value}" for name, value in offsets.items())]
    bpf = BPF(text=Path(__file__).with_name("witness.bpf.c").read_text(), cflags=flags)
    for name in FT + NATIVE:
        bpf.attach_kprobe(event=f"__x64_sys_{name}", fn_name=f"enter_{name}")
    for entry, name in OF_32_BIT.items():
        bpf.attach_kprobe(event=f"__{entry}", fn_name=f"enter_32_{name}")
    return bpf["calls"]


def serve():
    calls = load()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(SOCKET)
        server.listen()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
        while True:
            connection, _ = server.accept()
            counted = [
                {
                    "call": key.name.decode(), "way": key.way.decode(),
                    "static": bool(key.is_static), "comm": key.comm.decode(errors="replace"),
                    "count": value.value,
                }
                for key, value in calls.items()
            ]  # fmt: skip
            with connection:
                connection.sendall(json.dumps(counted).encode())


def ask():
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(SOCKET)
        with connection.makefile() as answer:
            print(answer.read())


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else ask()
