# SPDX-License-Identifier: Apache-2.0
"""`pidinfod --once PID`: everything that is known of one PID, as text or JSON."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from pidinfod.cli import status, text
from pidinfod.kernel import pid_info
from pidinfod.kernel.names import signal_name, signal_set
from pidinfod.kernel.pid_info import PidInfo
from pidinfod.proc import procfs

# /proc/sys/kernel/pid_max cannot be set higher: include/linux/threads.h, PID_MAX_LIMIT
PID_MAX = 4 * 1024 * 1024
# include/linux/proc_ns.h, PROC_PID_INIT_INO: the inode of the first PID namespace.
FIRST_PID_NAMESPACE = 0xEFFFFFFC

STATES = {
    "R": "running", "S": "sleeping", "D": "sleeping, uninterruptible", "T": "stopped",
    "t": "stopped by a tracer", "X": "dead", "Z": "zombie", "P": "parked", "I": "idle",
}  # fmt: skip
BYTES = frozenset({
    "rss", "vsize", "rss_anon", "rss_file", "rss_shmem", "swap", "rss_peak", "vsize_peak", "locked",
    "pinned", "page_tables", "data", "stack_size", "text", "rchar", "wchar", "read_bytes",
    "write_bytes", "cancelled_write_bytes",
})  # fmt: skip
POLICIES = {
    0: "SCHED_OTHER", 1: "SCHED_FIFO", 2: "SCHED_RR", 3: "SCHED_BATCH", 5: "SCHED_IDLE",
    6: "SCHED_DEADLINE", 7: "SCHED_EXT",
}  # fmt: skip


def main(pid_text: str, form: str, config: Path | None, out: TextIO, err: TextIO) -> int:
    """Print what is known of a PID; returns the exit status.

    `config` is the daemon's configuration, which says where it can be asked of the dead.
    """
    if not re.fullmatch(r"0*[1-9][0-9]{0,6}", pid_text) or int(pid_text) > PID_MAX:
        expected = f"expected a PID from 1 to {PID_MAX}"
        text.complain(err, f"pidinfod: --once: {expected}, got '{pid_text}'")
        return status.USAGE
    pid = int(pid_text)
    try:
        info = pid_info.read(pid) if pid_info.is_supported() else procfs.read(pid)
    except ProcessLookupError:
        if exists(pid):
            text.complain(err, f"pidinfod: process {pid} may not be looked at: it is hidden")
            return status.DENIED
        return tell_of_the_dead(pid, form, config, out, err)
    except PermissionError as error:
        text.complain(err, f"pidinfod: process {pid} may not be looked at: {error.strerror}")
        return status.DENIED
    except OSError as error:
        text.complain(err, f"pidinfod: process {pid} cannot be looked at: {error}")
        return status.FAILED
    out.write(as_json(info) if form == "json" else as_text(info))
    return status.OK


def exists(pid: int) -> bool:
    """Whether a process or thread has this PID, also where /proc hides it (hidepid)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def is_first_pid_namespace() -> bool:
    """Whether our PIDs are those that the daemon tells; False where that cannot be known."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino == FIRST_PID_NAMESPACE
    except OSError:
        return False


def tell_of_the_dead(pid: int, form: str, config: Path | None, out: TextIO, err: TextIO) -> int:
    """Print the last death of a PID that no process has, if the daemon remembers one; returns
    the exit status."""
    from pidinfod.cli import deaths as client

    if not is_first_pid_namespace():
        why = "the daemon is not asked: its PIDs are not those of this PID namespace"
        text.complain(err, f"pidinfod: no process {pid}; {why}")
        return status.NO_PROCESS
    try:
        deaths = client.ask(client.daemon_socket(config), pid=pid, limit=1).deaths
    except client.DaemonError as error:
        text.complain(err, f"pidinfod: no process {pid}; of the dead: {error}")
        return status.NO_PROCESS
    except ValueError as error:
        text.complain_of_each(err, error)
        return status.USAGE
    if not deaths:
        text.complain(err, f"pidinfod: no process {pid}, and the daemon tells of no death of it")
        return status.NO_PROCESS
    death = {"state": "dead", "source": "pidinfod", **deaths[0]}
    out.write(json.dumps(death, indent=2) + "\n" if form == "json" else death_text(death))
    return status.OK


def death_text(death: dict[str, Any]) -> str:
    """One line a field, the sentence last."""
    shown = {name: value for name, value in death.items() if value is not None and name != "blame"}
    for name in ("age_ns", "term_before_ns", "start_ns"):
        if name in shown:
            shown[name] = text.duration(shown[name])
    for name in ("started", "died"):
        shown[name] = datetime.fromtimestamp(death[name]).astimezone().isoformat()
    return text.fields(shown.items())


def as_json(info: PidInfo) -> str:
    """One object; the keys are the names of struct pid_info's members."""
    return json.dumps(asdict(info), indent=2) + "\n"


def as_text(info: PidInfo) -> str:
    """One line a field, for a person."""
    names = pid_info.FIELD_NAMES
    return text.fields((name, shown) for name in names if (shown := _shown(info, name)))


def _shown(info: PidInfo, name: str) -> str:
    """The text of one field, empty for one that does not exist for this task."""
    value = getattr(info, name)
    if name in info.denied:
        return "(not permitted)"
    if name == "denied" or value is None:
        return ""
    if name == "state":
        return f"{value} ({STATES.get(value, 'unknown')})"
    if name.endswith("_ns"):
        return text.duration(value)
    if name in BYTES:
        return text.size(value)
    if name.startswith("sig_"):
        return " ".join(signal_set(value)) or "none"
    if name in ("stack", "sp") or name.startswith("cap_"):
        return f"{value:#x}"
    if name == "policy":
        return POLICIES.get(value, str(value))
    if name == "limits":
        return " ".join(f"{limit_text(soft)}/{limit_text(hard)}" for soft, hard in value)
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    if name == "exit_code":
        return wait_status(value)
    return str(value)


def limit_text(value: int) -> str:
    return "-" if value == procfs.UNLIMITED else str(value)


def wait_status(status: int) -> str:
    """A wait(2) status in words."""
    if status & 0x7F:
        core = ", core dumped" if status & 0x80 else ""
        return f"{status} (killed by {signal_name(status & 0x7F)}{core})"
    return f"{status} (exited with {status >> 8 & 0xFF})"
