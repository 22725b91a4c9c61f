# SPDX-License-Identifier: Apache-2.0
"""A whole Debian on ft_fork, ft_kill and ft_wait: every dynamically linked program of the guest
goes through libftcalls.so, from systemd on. An independent witness in the kernel counts what goes
by which call."""

import json
import re

import pytest

from tests.support import REPO
from tests.support.lab import Lab
from tests.support.witness import Counts, Key, lay

HERE = REPO / "tests/lab"
SHARE = 0.99
PASSWORD = "pidinfod"


@pytest.fixture(scope="module")
def all_ft(tmp_path_factory, programs, preload_programs):
    guest = Lab("test-all-ft")
    guest.run("down", check=False)
    witness = lay(tmp_path_factory.mktemp("witness"))
    guest.up("--all-ft", "--include", "build-essential,debhelper", "--add", str(witness))
    guest.booted = Counts.of(guest)
    guest.copy_in(programs / "natively", "/root/static")
    guest.copy_in(preload_programs / "natively", "/root/dynamic")
    yield guest
    # Fails when the kernel reported anything in all this time.
    guest.run("down")


def test_boot(all_ft):
    print(all_ft.booted.table())
    assert all_ft.booted.share() > SHARE, all_ft.booted.natively()
    assert {key.comm for key in all_ft.booted if key.call == "ft_fork"} >= {
        "systemd", "systemd-udevd", "sshd",
    }  # fmt: skip
    assert all_ft.exec("systemctl", "is-system-running").stdout == "running\n"


def test_every_process_has_the_library(all_ft):
    """Of all that there are, kernel threads apart, PID 1 and the services with a sandbox too."""
    script = 'cd /proc; for p in [0-9]*; do grep -q . $p/maps && echo "$(cat $p/comm)" '
    script += '$(grep -c "r-xp.*/libftcalls.so$" $p/maps); done'
    lines = all_ft.exec("sh", "-c", script).stdout.splitlines()
    found = {tuple(line.rsplit(" ", 1)) for line in lines}
    assert {count for _, count in found} == {"1"}
    names = {name for name, _ in found}
    assert names >= {"systemd", "systemd-udevd", "systemd-journal", "sshd", "pidinfod"}


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_witness_is_exact(all_ft, kind):
    """What the library does not see, the witness does; and static programs it tells apart."""
    before = Counts.of(all_ft)
    made = json.loads(all_ft.exec(f"/root/{kind}").stdout)
    seen = Counts.of(all_ft).since(before)
    assert {key: n for key, n in seen.items() if key.comm == kind} == {
        Key(call, way, kind == "static", kind): n for call, way, n in made
    }


def test_package_is_built_and_installed(all_ft):
    """By dpkg-buildpackage and apt. Its own check is run on the way: preload/forks.c."""
    before = Counts.of(all_ft)
    all_ft.copy_in(HERE / "package", "/root")
    for name in ("forks.c", "fork_in_constructor.c"):
        all_ft.copy_in(HERE / "preload" / name, "/root/package")
    built = all_ft.exec("env", "-C", "/root/package", "dpkg-buildpackage", "-us", "-uc")
    assert "\ndone\n" in built.stdout
    all_ft.exec("apt-get", "install", "-q", "-y", "/root/forks_1.0_amd64.deb")
    assert all_ft.exec("dpkg", "--verify", "forks").stdout == ""
    all_ft.exec("/usr/lib/forks/forks", "/usr/lib/forks/fork_in_constructor.so")
    all_ft.exec("apt-get", "purge", "-q", "-y", "forks")
    counts = Counts.of(all_ft).since(before)
    print(counts.table())
    assert counts.ways("fork")["ft"] > 211
    assert counts.share() > SHARE, counts.natively()


def test_set_user_id_programs(all_ft):
    """The dynamic linker preloads into them, too, and they do what they are for."""
    all_ft.exec("useradd", "-m", "somebody")
    all_ft.exec("sh", "-c", f"echo somebody:{PASSWORD} | chpasswd")
    before = Counts.of(all_ft)
    command = f"echo {PASSWORD} | su somebody -c 'id -un; exit 7'"
    done = all_ft.exec("runuser", "-u", "nobody", "--", "sh", "-c", command, check=False)
    assert (done.stdout, done.returncode) == ("somebody\n", 7), done.stderr
    seen = Counts.of(all_ft).since(before)
    assert seen[Key("ft_fork", "ft", False, "su")] == 1
    assert not seen.natively()


def test_all_of_it_without_a_fault(all_ft):
    """After the tests above: no unit failed, and nothing died that was not meant to."""
    assert all_ft.exec("systemctl", "--failed", "--no-legend", "--plain").stdout == ""
    journal = all_ft.exec("journalctl", "-b", "-q", "--no-pager", "-o", "cat").stdout
    assert not re.findall(r"^.*(?:dumped core|segfault|code=killed|ld\.so\b).*$", journal, re.M)
