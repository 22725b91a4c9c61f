# SPDX-License-Identifier: Apache-2.0
"""The virtual machine that every guest has."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .host import CACHE, content_key

KVM_PROBE_SECONDS = 30


def machine(kernel: Path, accel: str, append: str) -> list[str | Path]:
    """QEMU with the folder's kernel, and what to append to the kernel's command line."""
    # Emulated, there is nothing to mitigate; a small kernel's default of pid_max is smaller
    # than that of distributions, and systemd's limits of tasks follow it.
    arguments = "mitigations=off sysctl.kernel.pid_max=32768"
    acceleration = "kvm" if accel == "kvm" else "tcg,thread=multi"
    return [
        "qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-accel", acceleration,
        "-display", "none", "-no-reboot", "-nodefaults", "-kernel", kernel / "bzImage",
        "-append", f"console=ttyS0 panic=-1 oops=panic quiet loglevel=5 {arguments} {append}",
    ]  # fmt: skip


def is_running(pid: int, directory: Path) -> bool:
    """Whether the PID is still the QEMU of this lab, and not one that got its number."""
    try:
        return str(directory).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def kvm_boots(kernel: Path) -> bool:
    """Whether a guest boots on this machine's KVM: the device alone proves nothing."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    answer = CACHE / "image" / f"kvm.{content_key(os.uname().release, str(kernel))}"
    if not answer.exists():
        # Without a root the kernel panics: that it gets there is what is asked.
        argv = [*machine(kernel, "kvm", "root=/dev/none"), "-m", "512M", "-serial", "stdio"]
        try:
            done = subprocess.run(argv, capture_output=True, timeout=KVM_PROBE_SECONDS, check=False)
            boots = b"Unable to mount root" in done.stdout
        except subprocess.TimeoutExpired:
            boots = False
        answer.write_text("yes" if boots else "no")
    return answer.read_text() == "yes"
