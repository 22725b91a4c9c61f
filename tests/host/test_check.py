# SPDX-License-Identifier: Apache-2.0
"""`pidinfod --check` on the kernel of this machine."""

import functools
import os
import re
import resource
import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import pidinfod

pytestmark = pytest.mark.usefixtures("root")

EVENTS = Path("/sys/kernel/tracing/events")


@pytest.fixture
def tracefs():
    """The kernel's own list of its tracepoints, which the probes do not need."""
    if not EVENTS.is_dir():
        subprocess.run(["mount", "-t", "tracefs", "tracefs", EVENTS.parent], check=True)


def check(*args, **options):
    return pidinfod("--check", *args, **options)


def lacks_the_calls():
    """Tests on this machine are about a stock kernel; the symbols are the witness."""
    symbols = Path("/proc/kallsyms").read_text().splitlines()
    return not [line for line in symbols if line.split()[2].endswith("_sys_get_pid_info")]


def test_every_probe_is_in_the_table(tracefs):
    result = check()
    assert result.returncode == 0, result.stderr
    rows = re.findall(r"^(\w+):(\S+)  +(attached|MISSING)  +(\S+)$", result.stdout, re.MULTILINE)
    hooks = {f"{kind}:{name}" for kind, name, *_ in rows}
    assert {"raw_tracepoint:signal_generate", "raw_tracepoint:sys_exit"} <= hooks
    for kind, name, state, _ in rows:
        if kind == "tracepoint":
            exists = (EVENTS / name.replace(":", "/")).is_dir()
        elif kind == "iterator":
            exists = True  # in every kernel that has BTF
        else:
            exists = any(EVENTS.glob(f"*/{name}"))
        assert (state == "attached") == exists, (kind, name, state)
    attached = sum(state == "attached" for _, _, state, _ in rows)
    lines = result.stdout.splitlines()
    assert f"{attached} of {len(rows)} probes attached" in lines
    assert "Processes are swept by bpf_iter" in lines


def test_probes_on_system_calls_can_be_left_off(tmp_path):
    config = tmp_path / "config.yml"
    config.write_text("kill_failures: false\n")
    assert "sys_exit" in check().stdout
    assert "sys_exit" not in check("--config", str(config)).stdout


def test_a_stock_kernel_is_one_line():
    """That it lacks the four calls is no fault of any probe."""
    assert lacks_the_calls()
    result = check()
    assert "MISSING" not in result.stdout
    told = [line for line in (result.stdout + result.stderr).splitlines() if "ft_fork" in line]
    assert len(told) == 1


def test_one_probe_for_all_failed_attempts():
    """Where there are no kprobes; also of 32-bit programs."""
    assert "raw_tracepoint:sys_exit " in check().stdout
    assert "syscalls:" not in check().stdout


def test_without_rights_it_fails_and_names_what_is_missing():
    # As root without a capability, so that the modules can still be read.
    result = check(preexec_fn=drop_capabilities)
    assert result.returncode == 1
    assert result.stdout == ""
    assert "no probe can be loaded" in result.stderr
    assert "CAP_BPF and CAP_PERFMON" in result.stderr
    assert "signals_generated_total" in result.stderr


@pytest.mark.parametrize("most", [23, 41, 59])
def test_without_descriptors_it_fails_and_says_so(most):
    """Wherever on its way the loader runs out of them."""
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (most, most))
    result = check(preexec_fn=limit)
    assert (result.returncode, result.stdout) == (1, "")
    assert "no probe can be loaded" in result.stderr
    assert "Too many open files" in result.stderr
    assert "Traceback" not in result.stderr


def drop_capabilities():
    """Empty sets for this process; NOROOT, so that exec does not give them back."""
    import ctypes

    libc = ctypes.CDLL(None)
    pr_set_securebits, noroot_locked = 28, 0b11
    if libc.prctl(pr_set_securebits, noroot_locked, 0, 0, 0) != 0:
        os._exit(99)
