# SPDX-License-Identifier: Apache-2.0
"""The daemon on Debian's stock kernels, the oldest that works among them: in short, what
tests/both asks at length. The witness is what the programs themselves say."""

import json
import re

import pytest

from tests.support.daemon import TESTED
from tests.support.lab import Lab
from tests.support.machine import Guest, output, program
from tests.support.sweeping import check_figures, check_use

# By the lab's --kernel: the version.
KERNELS = {"debian-11": "5.10", "debian-12": "6.1", "debian-13": "6.12"}
CAP_BPF = 1 << 39


@pytest.fixture(scope="module", params=KERNELS)
def stock(request, programs, library):
    """One guest after another, with the tests' programs in /root/src."""
    lab = Lab(f"test-{request.param}")
    lab.run("down", check=False)
    lab.up("--kernel", request.param)
    lab.configure(TESTED)
    lab.copy_in(programs, "/root/src")
    lab.copy_in(library, "/root/src")
    guest = Guest(lab)
    guest.version = KERNELS[request.param]
    yield guest
    # Fails when the kernel reported anything in all this time.
    lab.run("down")


def test_kernel_is_debians_own(stock):
    release, _, build = output(stock, "uname", "-rv").partition(" ")
    assert release.startswith(f"{stock.version}.")
    assert " Debian " in build
    owner = output(stock, "dpkg", "-S", f"/boot/vmlinuz-{release}")
    assert owner.startswith(f"linux-image-{release}: ")


def test_rights_are_given_up_and_maps_are_read(stock):
    """With unprivileged bpf(2) off, as Debian has it; before 5.19 that asks for CAP_BPF also to
    read a map, and the daemon keeps that right there and nowhere else."""
    assert int(output(stock, "sysctl", "-n", "kernel.unprivileged_bpf_disabled")) > 0
    status = output(stock, "cat", f"/proc/{stock.daemon_pid()}/status")
    rights = {name: int(value, 16) for name, value in re.findall(r"Cap(Eff|Prm):\s+(\w+)", status)}
    kept = CAP_BPF if stock.version == "5.10" else 0
    assert rights == {"Eff": kept, "Prm": kept}
    assert stock.scrape().value("pidinfod_execs_total") > 0


def test_signals(stock):
    before = stock.scrape()
    storm = program(stock, "storm", "signals", 1009)
    changes = stock.scrape().since(before)
    generated = "pidinfod_signals_generated_total"
    sent = {(sender, target): count for sender, target, count in storm["sent"]}
    assert sum(sent.values()) == 1009
    assert {
        (sender, target): changes.value(generated, signal="SIGUSR1", sender=sender, target=target)
        for sender, target in sent
    } == sent
    taken = {"signal": "SIGUSR1", "target": "storm-handles", "disposition": "handled"}
    assert changes.value("pidinfod_signals_delivered_total", **taken) == storm["handled"]


def test_lives(stock):
    before = stock.scrape()
    lives = program(stock, "lifecycle")
    changes = stock.scrape().since(before)
    forks = changes.table("pidinfod_forks_total", "kind", "group")
    assert {kind: count for (kind, group), count in forks.items() if group == "lifecycle"} == {
        "process": lives["execs"] + lives["leaders"] + lives["brief"] + lives["reuses"],
        "thread": lives["execs"] + lives["leaders"] + lives["threads"],
        "vfork": lives["vforks"],
    }
    execs = changes.table("pidinfod_execs_total", "group")
    assert (execs["lifecycle",], execs["lifecycle-next",]) == (1, lives["execs"])
    exits = changes.table("pidinfod_exits_total", "group", "reason", "status")
    assert {labels: n for labels, n in exits.items() if labels[0].startswith("lifecycle")} == {
        ("lifecycle", "exited", "0"): lives["vforks"] + lives["brief"] + lives["reuses"] + 1,
        ("lifecycle", "exited", "nonzero"): lives["leaders"],
        ("lifecycle-next", "exited", "nonzero"): lives["execs"],
    }


def test_sweep(stock):
    assert stock.scrape().value("pidinfod_build_info", source="bpf_iter") == 1
    check_figures(stock, "procfs")
    check_use(stock, 211)


def test_attempts(stock):
    before = stock.scrape()
    attempts = program(stock, "attempts")
    changes = stock.scrape().since(before)
    assert len(attempts) == 6 * 6  # in six ways by each of the kernel's own calls
    for metric, label, is_probe in (
        ("pidinfod_kill_failures_total", "errno", False),
        ("pidinfod_liveness_probes_total", "result", True),
    ):
        found = changes.table(metric, "call", label, "sender")
        assert {labels[:2]: n for labels, n in found.items() if labels[2] == "attempts"} == {
            (call, result): count for call, probes, result, count in attempts if probes == is_probe
        }


def test_death_names_its_killer(stock):
    text = output(stock, "sh", "-c", "sleep 1009 & kill -KILL $!; wait $!; echo $$ $!")
    killer, victim = map(int, text.split())
    [death] = [death for death in stock.deaths() if death["pid"] == victim]
    assert (death["signal"], death["ppid"], death["exit_code"]) == ("SIGKILL", killer, None)
    blame = death["blame"]
    assert (blame["origin"], blame["sender_comm"], blame["sender_pid"]) == ("user", "sh", killer)


def test_service_attaches_every_probe(stock):
    """With the rights of its unit, where perf_event_open(2) takes all rights, as Debian has it:
    there are no kprobes, and what they would do is done otherwise, and said."""
    assert int(output(stock, "sysctl", "-n", "kernel.perf_event_paranoid")) == 3
    attached = stock.scrape().table("pidinfod_probe_attached", "probe")
    assert set(attached.values()) == {1}
    assert ("raw_tracepoint:sys_exit",) in attached
    journal = output(stock, "journalctl", "-u", "pidinfod", "--no-pager", "-q")
    assert "at the exit of all system calls" in journal


def test_check_of_root(stock):
    """Root may attach kprobes: then the calls that send signals have them."""
    table = output(stock, "pidinfod", "--check")
    assert " MISSING" not in table
    assert "kprobe:__x64_sys_kill" in table
    assert "kprobe:__ia32_sys_kill" in table
    assert "sys_exit" not in table


def test_many_possible_processors(stock):
    """The daemon reads the values of 255, and stays small; the kernel's memory is bounded."""
    # Since 6.11 processors that are not there at the boot are not possible on such a machine.
    last = 1 if stock.version == "6.12" else 254
    assert output(stock, "cat", "/sys/devices/system/cpu/possible").strip() == f"0-{last}"
    for _ in range(3):
        scrape = stock.scrape()
    status = output(stock, "cat", f"/proc/{stock.daemon_pid()}/status")
    peak = int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])
    assert peak < 45 * 1024
    maps = scrape.value("pidinfod_map_memory_bytes")
    assert 16 << 20 < maps < 160 << 20


def test_once(stock):
    names = ("pid", "ppid", "comm")
    shown = json.loads(output(stock, "pidinfod", "--once", "1", "--format", "json"))
    witness = output(stock, "ps", "-p", "1", "-o", ",".join(f"{name}=" for name in names))
    assert [str(shown[name]) for name in names] == witness.split()


def test_preloaded_library(stock):
    """It knows the C library of each Debian; without the calls the native ones are made."""
    environment = ("LD_PRELOAD=/root/src/libftcalls.so", "FTCALLS_SUMMARY=/root/summary")
    output(stock, "env", *environment, "bash", "-c", "(:); (:); kill -0 $$")
    summary = output(stock, "cat", "/root/summary")
    assert re.findall(r" (native_(?:fork|kill)\w*=\d+)", summary) == [
        "native_fork_enosys=2", "native_kill_enosys=1",
    ]  # fmt: skip


def test_all_of_it_without_a_fault(stock):
    """After the tests above: nothing lost, no traceback, never restarted."""
    assert stock.scrape().value("pidinfod_dropped_total") == 0
    shown = output(stock, "systemctl", "show", "-p", "ActiveState", "-p", "NRestarts", "pidinfod")
    assert sorted(shown.split()) == ["ActiveState=active", "NRestarts=0"]
    journal = output(stock, "journalctl", "-u", "pidinfod", "--no-pager", "-q")
    assert "Traceback" not in journal
    assert output(stock, "systemctl", "--failed", "--no-legend", "--plain") == ""
