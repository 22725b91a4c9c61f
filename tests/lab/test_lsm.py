# SPDX-License-Identifier: Apache-2.0
"""get_pid_info(2) under security modules: it tells nobody what /proc, or the native call where
there is one, would refuse to the same caller, and denies nothing that they would not.

Both are asked by tests/guest/lsm/look.c, the call in each of its ways. Which groups of fields take
the right to read and which the right to attach is what the comments of the header say.
"""

import errno
import json
import re
import subprocess

import pytest

from tests.support import REPO
from tests.support.lab import Lab

SOURCES = REPO / "tests/guest/lsm"
GUEST = "/srv/lsm"
HEADER = (REPO / "kernel/tree/include/uapi/linux/pid_info.h").read_text()
MARKED = re.findall(
    r"^#define PID_INFO_(\w+)\s+\(1ULL << (\d+)\)\s+/\* (?:([RA]) )?", HEADER, re.MULTILINE
)
# All that this kernel can tell: it keeps nothing of those that were reaped.
GROUPS = {name: 1 << int(bit) for name, bit, _ in MARKED if name != "REAPED"}
READ = {name for name, _, mark in MARKED if mark == "R"}
ATTACH = {name for name, _, mark in MARKED if mark == "A"}
# Those that have a native call with a hook of its own.
SCHEDULING = {"SCHED", "CPU"}
NATIVE = {"PGRP", "SESSION", *SCHEDULING}
# Asked for one; the other ways are among many.
SINGLY = ("pid", "thread", "pidfd")
WAYS = {*SINGLY, "many", "threads", "threads of a pidfd", "all threads"}


def names(mask):
    return {name for name, bit in GROUPS.items() if mask & bit}


def check(seen, denied):
    """Of one process, in each way: these groups are denied, and what is told the reference
    tells, too."""
    reference = names(seen["reference"])
    assert set(seen["ways"]) == WAYS
    for way, told in seen["ways"].items():
        assert told["error"] == 0, way
        filled, supported = names(told["filled"]), names(told["supported"])
        assert supported == set(GROUPS), way
        assert names(told["denied"]) == denied, way
        assert filled <= reference, way
        assert not denied & reference, way


def check_both(seen, denied=frozenset()):
    """As check(), of a process that sleeps, which has all but an exit status, and of a zombie,
    which has one."""
    for process in seen.values():
        check(process, set(denied))
    for told in seen["sleeper"]["ways"].values():
        assert names(told["filled"]) == set(GROUPS) - {"EXIT"} - denied
    for told in seen.get("zombie", {"ways": {}})["ways"].values():
        assert ("EXIT" in names(told["filled"])) == ("EXIT" not in denied)


def check_refused(seen, number):
    """Nothing is told of either, with this error; among many they are not."""
    for process in seen.values():
        assert set(process["ways"]) == WAYS
        for way, told in process["ways"].items():
            assert told["error"] == number if way in SINGLY else told["error"] != 0, way
            assert told["filled"] == told["denied"] == 0, way


@pytest.fixture(scope="class")
def guest(request, tmp_path_factory):
    subprocess.run(["make", "-s", "-C", SOURCES], check=True)
    guest = Lab(f"test-{request.cls.__name__.lower()}")
    guest.run("down", check=False)
    guest.up("--lsm", request.cls.MODULES)
    guest.copy_in(SOURCES, GUEST)
    made = request.cls.compile_policy(tmp_path_factory.mktemp("policy") / "policy")
    guest.copy_in(made, f"{GUEST}/policy")
    # The first write has to be the whole policy.
    guest.exec("dd", f"if={GUEST}/policy", f"of={request.cls.LOAD}", "bs=1M")
    guest.exec("sysctl", "-q", "kernel.yama.ptrace_scope=0")
    yield guest
    # Fails when the kernel reported anything in all this time.
    guest.run("down")


def seen(guest, *args):
    return json.loads(guest.exec("python3", f"{GUEST}/seen.py", *args).stdout)


class UnderModules:
    """What holds whatever the others are."""

    def test_on(self, guest):
        on = guest.exec("cat", "/sys/kernel/security/lsm").stdout
        assert on == f"capability,{self.MODULES}"

    def test_nothing_is_refused(self, guest):
        check_both(seen(guest))

    @pytest.mark.parametrize(
        ("hook", "denied"),
        [
            ("read", READ), ("attach", ATTACH), ("getpgid", {"PGRP"}), ("getsid", {"SESSION"}),
            ("getscheduler", SCHEDULING),
        ],
    )  # fmt: skip
    def test_one_hook_refuses(self, guest, hook, denied):
        check_both(seen(guest, "--refuse", hook), denied)

    def test_hook_of_the_record_refuses(self, guest):
        check_refused(seen(guest, "--refuse", "getinfo"), errno.EACCES)

    def test_seccomp(self, guest):
        check_refused(seen(guest, "--sandbox", "seccomp"), errno.EPERM)

    def test_landlock(self, guest):
        check_both(seen(guest, "--sandbox", "landlock"), READ | ATTACH)

    def test_landlock_hides_files_and_not_processes(self, guest):
        """As Documentation says: rules on paths are not asked, the visibility setting is."""
        found = seen(guest, "--sandbox", "landlock-files")
        for process in found.values():
            assert names(process["reference"]) == NATIVE
            for told in process["ways"].values():
                assert told["error"] == 0
                assert names(told["denied"]) == READ | ATTACH
        guest.exec("sysctl", "-q", "kernel.pid_info_hidepid=2")
        try:
            check_refused(seen(guest, "--sandbox", "landlock-files"), errno.ESRCH)
            check_both(seen(guest))
        finally:
            guest.exec("sysctl", "-q", "kernel.pid_info_hidepid=0")


class TestAppArmor(UnderModules):
    MODULES = "landlock,yama,apparmor,bpf"
    LOAD = "/sys/kernel/security/apparmor/.replace"

    @staticmethod
    def compile_policy(made):
        # For the features of the kernel that the profiles name, whatever kernel compiles them.
        command = ["apparmor_parser", "--skip-kernel-load", "--skip-cache", "--ofile", made]
        features = ["--kernel-features", "/etc/apparmor.d/abi/3.0"]
        subprocess.run([*command, *features, SOURCES / "profiles.apparmor"], check=True)
        return made

    @pytest.mark.parametrize(
        ("profile", "denied"),
        [("only_trace", READ), ("only_read", ATTACH), ("neither", READ | ATTACH)],
    )
    def test_profile(self, guest, profile, denied):
        check_both(seen(guest, "--looker", f"exec {profile}"), denied)

    @pytest.mark.parametrize(
        ("scope", "stranger", "parent", "root"),
        [
            # The last cannot be taken back: nothing comes after it.
            (0, set(), set(), set()), (1, ATTACH, set(), set()), (2, ATTACH, ATTACH, set()),
            (3, ATTACH, ATTACH, ATTACH),
        ],
    )  # fmt: skip
    def test_yama(self, guest, scope, stranger, parent, root):
        guest.exec("sysctl", "-q", f"kernel.yama.ptrace_scope={scope}")
        check_both(seen(guest), stranger)
        check_both(seen(guest, "--child"), parent)
        check_both(seen(guest, "--user", "0"), root)


class TestSELinux(UnderModules):
    MODULES = "landlock,yama,selinux,bpf"
    LOAD = "/sys/fs/selinux/load"
    LOOKER = ("--looker", "lab:system:looker_t")

    @staticmethod
    def compile_policy(made):
        source = SOURCES / "policy.cil"
        subprocess.run(["secilc", "-M", "false", "-o", made, "-f", "/dev/null", source], check=True)
        return made

    @pytest.fixture(scope="class", autouse=True)
    def enforcing(self, guest):
        guest.exec("sh", "-c", "echo 1 >/sys/fs/selinux/enforce")

    @pytest.mark.parametrize(
        ("domain", "denied"),
        [
            ("no_nothing", set()), ("no_ptrace", ATTACH), ("no_getpgid", {"PGRP"}),
            ("no_getsession", {"SESSION"}), ("no_getsched", SCHEDULING),
        ],
    )  # fmt: skip
    def test_domain(self, guest, domain, denied):
        check_both(seen(guest, *self.LOOKER, "--target", f"lab:system:{domain}_t"), denied)

    def test_domain_that_may_not_be_read(self, guest):
        found = seen(guest, *self.LOOKER, "--target", "lab:system:no_read_t")
        check_refused(found, errno.EACCES)
        for process in found.values():
            assert names(process["reference"]) == NATIVE

    def execs(self, guest, domain, count):
        """The looker's look at its children while they execute a program into that domain."""
        enter = (
            f"cd {GUEST} && install -m 4755 execs hidden && "
            "printf lab:system:looker_t >/proc/self/attr/exec && "
            "exec setpriv --reuid 1000 --regid 1000 --clear-groups "
            f"{GUEST}/execs lab:system:{domain}_t {GUEST}/hidden {count}"
        )
        return json.loads(guest.exec("sh", "-c", enter).stdout)

    def test_exec_into_a_domain_that_may_not_be_read(self, guest):
        """Not one answer, of all that race with the execs, shows what came after."""
        found = self.execs(guest, "no_read", 1009)
        assert found["before"] > 1009
        assert (found["refused"], found["shown"]) == (1009, 0)

    def test_exec_into_another_domain_is_seen(self, guest):
        found = self.execs(guest, "no_nothing", 101)
        assert (found["refused"], found["shown"]) == (0, 101)
