# SPDX-License-Identifier: Apache-2.0
"""`pidinfod --once PID`: everything that is known of one PID, as text or JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from pidinfod.kernel import pid_info
from pidinfod.kernel.names import signal_name, signal_set
from pidinfod.kernel.pid_info import PidInfo
from pidinfod.proc import procfs

EXIT_OK, EXIT_USAGE, EXIT_NO_PROCESS, EXIT_DENIED = 0, 2, 3, 4
# /proc/sys/kernel/pid_max cannot be set higher: include/linux/threads.h, PID_MAX_LIMIT
PID_MAX = 4 * 1024 * 1024

STATES = {
    "R": "running", "S": "sleeping", "D": "sleeping, uninterruptible", "T": "stopped",
    "t": "stopped by a tracer", "X": "dead", "Z": "zombie", "P": "parked", "I": "idle",
}  # fmt: skip
POLICIES = {
    0: "SCHED_OTHER", 1: "SCHED_FIFO", 2: "SCHED_RR", 3: "SCHED_BATCH", 5: "SCHED_IDLE",
    6: "SCHED_DEADLINE", 7: "SCHED_EXT",
}  # fmt: skip


def main(pid_text: str, form: str, config: Path | None, out: TextIO, err: TextIO) -> int:
    """Print what is known of a PID; returns the exit status.

    `config` is the daemon's configuration, which says where it can be asked of the dead.
    """
    if not pid_text.isascii() or not pid_text.isdigit() or not 0 < int(pid_text) <= PID_MAX:
        print(f"pidinfod: --once: expected a PID from 1 to {PID_MAX}, got {pid_text!r}", file=err)
        return EXIT_USAGE
    pid = int(pid_text)
    try:
        info = pid_info.read(pid) if pid_info.is_supported() else procfs.read(pid)
    except ProcessLookupError:
        try:
            death = of_the_dead(pid, config)
        except ValueError as error:
            print(error, file=err)
            return EXIT_USAGE
        if death:
            out.write(json.dumps(death, indent=2) + "\n" if form == "json" else death_text(death))
            return EXIT_OK
        print(f"pidinfod: no process {pid} (or it may not be seen)", file=err)
        return EXIT_NO_PROCESS
    except PermissionError as error:
        print(f"pidinfod: process {pid} may not be looked at: {error.strerror}", file=err)
        return EXIT_DENIED
    out.write(as_json(info) if form == "json" else as_text(info))
    return EXIT_OK


def of_the_dead(pid: int, config: Path | None) -> dict[str, Any] | None:
    """What the running daemon, if there is one, remembers of a PID that is gone.

    Raises ValueError for a bad configuration.
    """
    from pidinfod.cli import deaths as client

    try:
        deaths = client.ask(client.daemon_socket(config), pid=pid, limit=1)
    except client.DaemonError:
        return None
    return {"state": "dead", "source": "pidinfod", **deaths[0]} if deaths else None


def death_text(death: dict[str, Any]) -> str:
    """One line a field, the sentence last."""
    shown = {name: value for name, value in death.items() if value is not None and name != "blame"}
    shown["age_ns"] = _duration(death["age_ns"])
    for name in ("started", "died"):
        shown[name] = datetime.fromtimestamp(death[name]).astimezone().isoformat()
    width = max(map(len, shown))
    return "".join(f"{name:<{width}}  {value}\n" for name, value in shown.items())


def as_json(info: PidInfo) -> str:
    """One object; the keys are the names of struct pid_info's members."""
    return json.dumps(asdict(info), indent=2) + "\n"


def as_text(info: PidInfo) -> str:
    """One line a field, for a person."""
    rows = [(name, text) for name in pid_info.FIELD_NAMES if (text := _shown(info, name))]
    width = max(len(name) for name, _ in rows)
    return "".join(f"{name:<{width}}  {text}\n" for name, text in rows)


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
        return _duration(value)
    if name in ("rss", "vsize", "rchar", "wchar", "read_bytes", "write_bytes"):
        return _size(value)
    if name.startswith("sig_"):
        return " ".join(signal_set(value)) or "none"
    if name in ("stack", "sp"):
        return f"{value:#x}"
    if name == "policy":
        return POLICIES.get(value, str(value))
    if name == "children":
        return " ".join(map(str, value)) or "none"
    if name == "exit_code":
        return _status(value)
    return str(value)


def _duration(ns: int) -> str:
    seconds = ns / 1e9
    if seconds < 120:
        return f"{seconds:.6f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{seconds:.3f} s ({days}d {hours:02}:{minutes:02}:{rest:02})"


def _size(size: int) -> str:
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= scale:
            return f"{size} ({size / scale:.1f} {unit})"
    return str(size)


def _status(status: int) -> str:
    """A wait(2) status in words."""
    if status & 0x7F:
        core = ", core dumped" if status & 0x80 else ""
        return f"{status} (killed by {signal_name(status & 0x7F)}{core})"
    return f"{status} (exited with {status >> 8 & 0xFF})"
