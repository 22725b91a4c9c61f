# SPDX-License-Identifier: Apache-2.0
"""One named guest: its boot, what is run in it, and its end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from . import qemu
from .host import CACHE, EXIT_DOWN, EXIT_OOPS, EXIT_USAGE, LabError, free_ports, run, say
from .images import Extras, ssh_key
from .kernels import has_checkers, kernel_and_disk, security_arguments

MEMORY, DEBUG_MEMORY = "2G", "4G"
# Emulated, a boot to a login takes half a minute on a quiet machine, and three with KASAN; where
# others compile meanwhile, five times that.
BOOT_SECONDS, DEBUG_BOOT_SECONDS = 300, 600

# What the kernel prints when something is wrong with it.
OOPS = re.compile(
    r"^.*(?:\bBUG\b|\bOops: |\[#\d+\]|WARNING: |Kernel panic|general protection fault"
    r"|KASAN: |UBSAN: |INFO: task .* blocked for more than|INFO: .*detected .*stall"
    r"|INFO: trying to register non-static key).*$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class State:
    """What `up` leaves for the other commands."""

    pid: int
    ssh_port: int
    metrics_port: int
    kernel: str
    accel: str
    lsm: str

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.metrics_port}/metrics"


class Lab:
    """One named guest; its files are in the cache's labs/NAME."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dir = CACHE / "labs" / name

    @property
    def console(self) -> Path:
        return self.dir / "console.log"

    def state(self) -> State:
        """The running guest's state. Raises LabError when it is not up."""
        try:
            state = State(**json.loads((self.dir / "state.json").read_text()))
        except FileNotFoundError:
            raise LabError(f"{self.name} is not up (lab up)", EXIT_DOWN) from None
        if not qemu.is_running(state.pid, self.dir):
            self.check_console()
            raise LabError(f"{self.name} is gone: its QEMU ended by itself", EXIT_DOWN)
        return state

    def check_console(self) -> None:
        """Raise when the guest's kernel reported a fault."""
        try:
            text = self.console.read_text(errors="replace")
        except FileNotFoundError:
            return
        found = OOPS.search(text)
        if found:
            shown = text[found.start() :].splitlines()[:40]
            raise LabError("\n".join([f"{self.name}: the kernel reported:", *shown]), EXIT_OOPS)

    def ssh_options(self, state: State) -> list[str | Path]:
        options = {
            "IdentityFile": ssh_key(), "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null", "LogLevel": "ERROR", "BatchMode": "yes",
            "ConnectTimeout": "10", "ControlMaster": "auto", "ControlPersist": "yes",
            "ControlPath": self.dir / "ssh",
        }  # fmt: skip
        return ["-F", "none", *(f"-o{name}={value}" for name, value in options.items())]

    def ssh(self, state: State, argv: list[str], **options: object) -> int:
        command = ["ssh", *self.ssh_options(state), "-p", str(state.ssh_port), "root@127.0.0.1"]
        return subprocess.run([*command, shlex.join(argv)], **options).returncode  # type: ignore

    def up(
        self, kernel_name: str, accel: str, extras: Extras, lsm: tuple[str, ...] = ()
    ) -> None:
        security = security_arguments(lsm)
        with contextlib.suppress(LabError):
            self.state()
            raise SystemExit(f"lab: {self.name} is up already (lab down)")
        kernel, disk = kernel_and_disk(kernel_name, extras)
        if accel == "auto":
            accel = "kvm" if qemu.kvm_boots(kernel) else "tcg"
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        ssh_port, metrics_port = free_ports(2)
        started = time.monotonic()
        say(f"booting {self.name} ({accel})")
        forwards = ",".join(
            f"hostfwd=tcp:127.0.0.1:{ours}-:{guests}"
            for ours, guests in ((ssh_port, 22), (metrics_port, 10548))
        )
        # The filters of system calls that systemd gives services have no names for the ft_* calls.
        unfiltered = "SYSTEMD_SECCOMP=0" if extras.all_ft else ""
        arguments = " ".join(filter(None, ("root=/dev/vda rw", unfiltered, security)))
        # Debian's own kernels get as many possible CPUs as a large host has: maps have room for
        # the values of all of them.
        initrd = kernel / "initrd"
        stock = ["-initrd", initrd, "-smp", "2,maxcpus=255"] if initrd.exists() else ["-smp", "2"]
        run(
            [*qemu.machine(kernel, accel, arguments), *stock,
             "-m", DEBUG_MEMORY if has_checkers(kernel) else MEMORY,
             "-drive", f"file={disk},format=raw,if=virtio,snapshot=on",
             "-nic", f"user,model=virtio-net-pci,{forwards}",
             "-device", "virtio-rng-pci", "-serial", f"file:{self.console}",
             "-pidfile", self.dir / "pid", "-daemonize"]
        )  # fmt: skip
        pid = int((self.dir / "pid").read_text())
        state = State(pid, ssh_port, metrics_port, str(kernel), accel, ",".join(lsm))
        (self.dir / "state.json").write_text(json.dumps(asdict(state)))
        try:
            self.wait_until_ready(state, started)
        except BaseException:
            # Nothing in a guest that is booting is worth a shutdown.
            os.kill(state.pid, signal.SIGKILL)
            self.down()
            raise
        say(f"{self.name} is up after {time.monotonic() - started:.0f} s")
        self.print_state(state)

    def wait_until_ready(self, state: State, started: float) -> None:
        """Until systemd has started everything and pidinfod says it is ready."""
        probe = "systemctl is-system-running --wait; systemctl is-active pidinfod"
        said = started
        limit = DEBUG_BOOT_SECONDS if has_checkers(Path(state.kernel)) else BOOT_SECONDS
        while True:
            self.state()
            self.check_console()
            command = ["ssh", *self.ssh_options(state), "-p", str(state.ssh_port)]
            done = subprocess.run(
                [*command, "root@127.0.0.1", probe], capture_output=True, text=True
            )
            if done.returncode == 0:
                return
            waited = time.monotonic() - started
            if done.returncode != 255 or waited > limit:
                command = "systemctl --failed --no-legend; journalctl -u pidinfod -n 20 --no-pager"
                if done.returncode != 255:
                    self.ssh(state, ["sh", "-c", command], stdout=sys.stderr)
                say("the last of its console:")
                sys.stderr.write(self.console.read_text(errors="replace")[-2000:])
                raise LabError(f"{self.name} did not become ready: {done.stdout or done.stderr}")
            if time.monotonic() - said >= 10:
                said = time.monotonic()
                say(f"waiting for ssh, {waited:.0f} s")
            time.sleep(0.5)

    def print_state(self, state: State) -> None:
        print(f"NAME={self.name}\nPID={state.pid}\nSSH_PORT={state.ssh_port}")
        print(f"CONSOLE={self.console}\nKERNEL={state.kernel}\nLSM={state.lsm}")
        print(f"METRICS_URL={state.metrics_url}")

    def exec(self, argv: list[str]) -> int:
        state = self.state()
        status = self.ssh(state, argv)
        self.check_console()
        return status

    def copy(self, source: str, target: str) -> None:
        state = self.state()
        if source.startswith("lab:") == target.startswith("lab:"):
            raise LabError("copy: one of SRC and DST is in the guest, as lab:PATH", EXIT_USAGE)
        ends = [re.sub(r"^lab:", "root@127.0.0.1:", end) for end in (source, target)]
        run(["scp", "-q", "-r", *self.ssh_options(state), "-P", str(state.ssh_port), *ends])

    def down(self) -> None:
        """Power the guest off and remove its files; a fault in its console is raised after."""
        try:
            state = State(**json.loads((self.dir / "state.json").read_text()))
        except FileNotFoundError:
            say(f"{self.name} is not up")
            return
        if qemu.is_running(state.pid, self.dir):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.ssh(state, ["systemctl", "poweroff", "--no-wall"], timeout=10,
                         stderr=subprocess.DEVNULL)  # fmt: skip
            deadline = time.monotonic() + 20
            while qemu.is_running(state.pid, self.dir) and time.monotonic() < deadline:
                time.sleep(0.2)
            if qemu.is_running(state.pid, self.dir):
                os.kill(state.pid, signal.SIGKILL)
        try:
            self.check_console()
        finally:
            subprocess.run(["ssh", "-O", "exit", f"-oControlPath={self.dir / 'ssh'}", "lab"],
                           capture_output=True, check=False)  # fmt: skip
            shutil.rmtree(self.dir, ignore_errors=True)
