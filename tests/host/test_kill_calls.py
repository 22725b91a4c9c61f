# SPDX-License-Identifier: Apache-2.0
"""The programs for kprobes on the calls that send signals, where this machine's kernel may have no
kprobes: a program of that kind can be on a function of user space, and one of another kind see
what the registers of a call are."""

import json
import os
import subprocess
import sys

import pytest

from tests.support import REPO
from tests.support.room import room_for_tasks

pytestmark = pytest.mark.usefixtures("root")

# Has the probes, with flags left out, and what is said in the last lines of the text.
BEGINNING = """
import ctypes, json, os, subprocess, sys
from pidinfod.kernel import loader
from pidinfod.kernel.hooks import RAW_TRACEPOINTS, SYS_EXIT, Hook
from pidinfod.metrics.families import DETAILS
from pidinfod.service import daemon
from pidinfod.service.config import Config

folder = loader.bpf_folder()
os.environ["BCC_KERNEL_SOURCE"] = str(folder)
from bcc import BPF

request = daemon.request(Config())
tracepoints = [Hook("raw_tracepoint", name, name, name) for name in RAW_TRACEPOINTS]
kprobes = [Hook("kprobe", "", "enter_kill_call", "kill_calls")]

def compiled(end="", without=()):
    text = loader.program_text(folder, request, [*tracepoints, *kprobes, SYS_EXIT]) + end
    flags = loader.compiler_flags(folder, request["sizes"])
    return BPF(text=text, cflags=[flag for flag in flags if flag not in without])
"""

MISSED = """
_, program, returns, *argv = sys.argv
bpf = compiled()
for hook in tracepoints:
    if hook.event == "sched_process_exit":
        loader.attach(bpf, hook)
if int(returns):
    bpf.attach_uretprobe(name=program, sym="called", fn_name="exit_kill_call")
bpf.attach_uprobe(name=program, sym="called", fn_name="enter_kill_call")
subprocess.run([program, *argv], check=True)
print(sum(bpf["degraded"][ctypes.c_int(DETAILS.index("kill_calls"))]), flush=True)
os._exit(0)  # bcc's clean-up needs tracefs
"""

REGISTERS = """
END = '''
BPF_ARRAY(differences, u64, 2);

int compare(struct raw_tracepoint *ctx)
{
	u32 place = (u64)caller_registers() != ctx->args[0];
	u64 *count = differences.lookup(&place);

	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}
'''
bpf = compiled(END, sys.argv[1:])
bpf.load_func("compare", BPF.RAW_TRACEPOINT)
bpf.attach_raw_tracepoint(tp="sys_exit", fn_name="compare")
subprocess.run(["/bin/true"], check=True)
print(json.dumps([bpf["differences"][ctypes.c_int(place)].value for place in (0, 1)]))
"""


def told(text, *args):
    """What a program prints that begins with the above."""
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + text, *map(str, args)], cwd=REPO, capture_output=True,
        text=True, timeout=120, check=False, env=dict(os.environ, PYTHONPATH=str(REPO)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("has_returns", "missed"), [(1, 0), (0, 11 + 13)])
def test_missed_returns(has_returns, missed):
    """Each is noticed when the thread calls anew or ends, also of threads that share a word."""
    guest = REPO / "tests/guest"
    subprocess.run(["make", "-s", "-C", guest, "called"], check=True)
    with room_for_tasks():
        assert told(MISSED, guest / "called", has_returns, 11, 13) == missed


@pytest.mark.parametrize("without", [(), ("-DHAVE_TASK_PT_REGS",)])
def test_registers_of_the_caller(without):
    """By the helper, and as kernels before it have them."""
    same, different = told(REGISTERS, *without)
    assert same > 0
    assert different == 0
