# SPDX-License-Identifier: Apache-2.0
"""`pidinfod --check` on the kernel of this machine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPO

pytestmark = pytest.mark.usefixtures("tracefs")

EVENTS = Path("/sys/kernel/tracing/events")


def check(*args, **options):
    return subprocess.run(
        [sys.executable, "-m", "pidinfod", "--check", *args],
        cwd=REPO, capture_output=True, text=True, timeout=120, check=False, **options,
    )  # fmt: skip


def calls_of_this_kernel():
    """The ft calls among the kernel's symbols: the witness for the kprobes."""
    symbols = Path("/proc/kallsyms").read_text().splitlines()
    return {name for line in symbols if (name := line.split()[2]).endswith("_sys_get_pid_info")}


def test_every_probe_is_in_the_table():
    result = check()
    assert result.returncode == 0, result.stderr
    rows = re.findall(r"^(\w+):(\S+)  +(attached|MISSING)  +(\S+)$", result.stdout, re.MULTILINE)
    hooks = {f"{kind}:{name}" for kind, name, *_ in rows}
    assert {"raw_tracepoint:signal_generate", "tracepoint:sched:sched_process_exit"} <= hooks
    for kind, name, state, _ in rows:
        if kind.endswith("probe"):
            exists = bool(calls_of_this_kernel())
        elif kind == "tracepoint":
            exists = (EVENTS / name.replace(":", "/")).is_dir()
        else:
            exists = any(EVENTS.glob(f"*/{name}"))
        assert (state == "attached") == exists, (kind, name, state)
    attached = sum(state == "attached" for _, _, state, _ in rows)
    assert result.stdout.splitlines()[-1] == f"{attached} of {len(rows)} probes attached"


def test_probes_on_system_calls_can_be_left_off(tmp_path):
    config = tmp_path / "config.yml"
    config.write_text("kill_failures: false\n")
    assert "syscalls:" in check().stdout
    assert "syscalls:" not in check("--config", str(config)).stdout


def test_each_missing_probe_says_why():
    lines = check().stdout.splitlines()
    missing = [i for i, line in enumerate(lines) if "  MISSING  " in line]
    assert len(missing) == (0 if calls_of_this_kernel() else 8)
    for i in missing:
        assert re.match(r"    the kernel lacks (get_pid_info|ft_\w+) \(", lines[i + 1])


def test_without_rights_it_fails_and_names_what_is_missing():
    # As root without a capability, so that the modules can still be read.
    result = check(preexec_fn=drop_capabilities)
    assert result.returncode == 1
    assert result.stdout == ""
    assert "no probe can be loaded" in result.stderr
    assert "signals_generated_total" in result.stderr


def drop_capabilities():
    """Empty sets for this process; NOROOT, so that exec does not give them back."""
    import ctypes

    libc = ctypes.CDLL(None)
    pr_set_securebits, noroot_locked = 28, 0b11
    if libc.prctl(pr_set_securebits, noroot_locked, 0, 0, 0) != 0:
        os._exit(99)
