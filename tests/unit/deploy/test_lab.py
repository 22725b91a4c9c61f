# SPDX-License-Identifier: Apache-2.0
"""What the lab takes for a fault of the guest's kernel, and for the name of one."""

import pytest

from deploy.lab import kernels
from deploy.lab.guest import OOPS
from deploy.lab.host import EXIT_USAGE, LabError, content_key
from deploy.lab.images import Debian, Extras, tree


@pytest.mark.parametrize(
    "line",
    [
        # As 6.12 and 6.1 print them; those that differ, both ways.
        "BUG: KASAN: slab-use-after-free in ft_wait_scan+0x31/0x140",
        "BUG: KASAN: null-ptr-deref in range [0x0000000000000010-0x0000000000000017]",
        "UBSAN: array-index-out-of-bounds in kernel/pid_info.c:217:3",
        "UBSAN: shift-out-of-bounds in ../kernel/signal.c:86:2",
        "WARNING: possible circular locking dependency detected",
        "WARNING: possible recursive locking detected",
        "WARNING: possible irq lock inversion dependency detected",
        "WARNING: inconsistent lock state",
        "WARNING: bad unlock balance detected!",
        "WARNING: suspicious RCU usage",
        "WARNING: lock held when returning to user space!",
        "BUG: Invalid wait context",
        "BUG: sleeping function called from invalid context at mm/slab.h:321",
        "BUG: scheduling while atomic: race/311/0x00000002",
        "INFO: trying to register non-static key.",
        "BUG: MAX_LOCKDEP_CHAINS too low!",
        "rcu: INFO: rcu_sched self-detected stall on CPU",
        "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
        "rcu: INFO: rcu_sched detected expedited stalls on CPUs/tasks: { 1-.... } 26 jiffies s: 89",
        "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [fuzz:1711]",
        "INFO: task race:311 blocked for more than 122 seconds.",
        "WARNING: CPU: 1 PID: 97 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110",
        "BUG task_struct (Not tainted): Poison overwritten",
        "BUG: unable to handle page fault for address: ffffffffdeadbeef",
        "BUG: Bad page state in process fuzz  pfn:1a2b3",
        "kernel BUG at kernel/exit.c:1007!",
        "Oops: 0000 [#1] PREEMPT SMP KASAN NOPTI",
        "invalid opcode: 0000 [#1] PREEMPT SMP NOPTI",
        "Oops: general protection fault, probably for non-canonical address 0xdffffc0000000001",
        "Kernel panic - not syncing: Fatal exception",
    ],
)
def test_a_fault(line):
    log = f"[    1.000000] Run /sbin/init as init process\n[   97.531135] {line}\n[   97.6] more\n"
    found = OOPS.search(log)
    assert found
    assert found.group() == f"[   97.531135] {line}"


@pytest.mark.parametrize(
    "line",
    [
        "systemd[1]: Failed to start pidinfod.service - Processes as Prometheus metrics.",
        "failnth: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL), nodemask=(null)",
        "Memory cgroup out of memory: Killed process 977 (fork_test) total-vm:3276kB",
        "x86/cpu: SGX disabled by BIOS, debugging on",
        "EXT4-fs (vda): warning: mounting fs with errors, running e2fsck is recommended",
    ],
)
def test_no_fault(line):
    assert not OOPS.search(f"[   97.531135] {line}\n")


@pytest.mark.parametrize("name", ["debian-10", "debian", "6.12-stock", "6", "/nowhere", ""])
def test_no_kernel(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LabError, match="debian-11, debian-12, debian-13") as told:
        kernels.kernel_and_disk(name, Extras())
    assert told.value.status == EXIT_USAGE


def test_own_kernel(tmp_path):
    (tmp_path / "bzImage").touch()
    assert kernels.patched_or_own(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    ("modules", "arguments"),
    [
        ((), ""),
        (("landlock", "yama", "bpf"), "lsm=landlock,yama,bpf audit=1"),
        (("yama", "apparmor"), "lsm=yama,apparmor audit=1 apparmor=1"),
        (("selinux", "bpf"), "lsm=selinux,bpf audit=1 selinux=1 enforcing=0"),
    ],
)
def test_security_modules(modules, arguments):
    assert kernels.security_arguments(modules) == arguments


@pytest.mark.parametrize(
    ("modules", "why"),
    [
        (("yama", "smack"), "landlock, yama, apparmor, selinux, bpf; got 'smack'"),
        (("",), "got ''"),
        (("apparmor", "selinux"), "either apparmor or selinux"),
    ],
)
def test_no_security_modules(modules, why):
    with pytest.raises(LabError, match=why) as told:
        kernels.security_arguments(modules)
    assert told.value.status == EXIT_USAGE


def test_kernel_of_another_suite():
    """From that suite comes the kernel alone: all else there is older."""
    foreign = Debian("bookworm", kernel="bullseye")
    assert foreign.packages()[-1] == "linux-image-amd64/bullseye-security"
    assert [line.split()[2] for line in foreign.sources()] == [
        "bookworm", "bookworm-security", "bullseye-security",
    ]  # fmt: skip
    own = Debian("trixie", kernel="trixie")
    assert own.packages()[-1] == "linux-image-amd64"
    assert [line.split()[2] for line in own.sources()] == ["trixie", "trixie-security"]
    assert "linux-image" not in str(Debian("bookworm").packages())


def test_files_of_a_disk_are_told_apart_by_name_mode_and_content(tmp_path):
    def made(name, mode, text):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "file").write_text(text)
        (folder / "file").chmod(mode)
        (folder / "link").symlink_to("file")
        return content_key(*tree(folder))

    assert made("a", 0o644, "x") == made("b", 0o644, "x")
    assert len({made("c", 0o644, "x"), made("d", 0o755, "x"), made("e", 0o644, "y")}) == 3


def test_extras_make_one_folder(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/own").write_text("own\n")
    with Extras(folder=tmp_path, all_ft=True).files() as files:
        assert (files / "etc/own").read_text() == "own\n"
        [library] = (files / "etc/ld.so.preload").read_text().split()
        assert (files / library.lstrip("/")).read_bytes().startswith(b"\x7fELF")
    assert not files.exists()
