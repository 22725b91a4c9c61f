# SPDX-License-Identifier: Apache-2.0
"""A whole Debian on the ft_* calls, at length: a database that forks for every connection under a
load, logins, and packages that come and go. Boot and the build of a package: tests/lab."""

import re
import subprocess

import pytest

from tests.support.lab import Lab
from tests.support.witness import Counts, lay

SHARE = 0.99
BIN = "/usr/lib/postgresql/15/bin"
CLIENTS, TRANSACTIONS = 3, 101  # of each client, and a connection for each transaction
LOGINS = 31
PACKAGES = ("hello", "tree", "bc", "ed")


@pytest.fixture(scope="module")
def all_ft(tmp_path_factory):
    guest = Lab("test-all-ft-long")
    guest.run("down", check=False)
    witness = lay(tmp_path_factory.mktemp("witness"))
    guest.up("--all-ft", "--include", "postgresql", "--add", str(witness))
    yield guest
    # Fails when the kernel reported anything in all this time.
    guest.run("down")


def sql(guest, statement):
    done = guest.exec("runuser", "-u", "postgres", "--", "psql", "-qtAc", statement, "bench")
    return done.stdout.split()


def test_database(all_ft):
    """Every transaction is there, and the books balance, as pgbench's own check says."""
    before = Counts.of(all_ft)
    all_ft.exec("systemctl", "start", "postgresql@15-main")
    as_postgres = ("runuser", "-u", "postgres", "--", "env", "-C", "/tmp")
    all_ft.exec(*as_postgres, "createdb", "bench")
    all_ft.exec(*as_postgres, f"{BIN}/pgbench", "-q", "-i", "bench")
    printed = all_ft.exec(
        *as_postgres, f"{BIN}/pgbench", "-C", "-c", str(CLIENTS), "-t", str(TRANSACTIONS), "bench"
    ).stdout
    count = CLIENTS * TRANSACTIONS
    assert f"transactions actually processed: {count}/{count}\n" in printed
    assert re.search(r"failed transactions: 0 ", printed)
    assert sql(all_ft, "select count(*) from pgbench_history") == [str(count)]
    sums = sql(
        all_ft,
        "select sum(delta) from pgbench_history union all "
        "select sum(abalance) from pgbench_accounts union all "
        "select sum(tbalance) from pgbench_tellers union all "
        "select sum(bbalance) from pgbench_branches",
    )
    assert len(sums) == 4
    assert len(set(sums)) == 1
    all_ft.exec("systemctl", "stop", "postgresql@15-main")
    counts = Counts.of(all_ft).since(before)
    print(counts.table())
    forked = sum(n for key, n in counts.items() if (key.call, key.comm) == ("ft_fork", "postgres"))
    assert forked >= count
    assert counts.share() > SHARE, counts.natively()


def test_logins(all_ft):
    before = Counts.of(all_ft)
    script = (
        "ssh-keygen -q -N '' -f /root/.ssh/id_ed25519 -t ed25519 && "
        "cat /root/.ssh/id_ed25519.pub >> /root/.ssh/authorized_keys && "
        f"for i in $(seq {LOGINS}); do "
        "ssh -o StrictHostKeyChecking=no -o LogLevel=ERROR localhost 'echo in' || exit 1; done"
    )
    assert all_ft.exec("sh", "-c", script).stdout == "in\n" * LOGINS
    counts = Counts.of(all_ft).since(before)
    print(counts.table())
    assert counts.share() > SHARE, counts.natively()


def test_packages(all_ft, tmp_path):
    """Of Debian, by apt and dpkg with all their scripts."""
    options = ("-o", "APT::Sandbox::User=root", "-qq")
    subprocess.run(["apt-get", *options, "download", *PACKAGES], cwd=tmp_path, check=True)
    all_ft.copy_in(tmp_path, "/root/packages")
    before = Counts.of(all_ft)
    names = " ".join(PACKAGES)
    all_ft.exec("sh", "-c", "apt-get install -q -y --no-install-recommends /root/packages/*.deb")
    assert all_ft.exec("hello").stdout == "Hello, world!\n"
    assert all_ft.exec("sh", "-c", "echo '6 * 7' | bc").stdout == "42\n"
    assert all_ft.exec("sh", "-c", f"dpkg --verify {names}").stdout == ""
    all_ft.exec("sh", "-c", f"apt-get purge -q -y {names}")
    assert all_ft.exec("sh", "-c", "dpkg --audit").stdout == ""
    counts = Counts.of(all_ft).since(before)
    print(counts.table())
    assert counts.share() > SHARE, counts.natively()


def test_all_of_it_without_a_fault(all_ft):
    """After the tests above: no unit failed, and nothing died that was not meant to."""
    assert all_ft.exec("systemctl", "--failed", "--no-legend", "--plain").stdout == ""
    journal = all_ft.exec("journalctl", "-b", "-q", "--no-pager", "-o", "cat").stdout
    assert not re.findall(r"^.*(?:dumped core|segfault|code=killed|ld\.so\b).*$", journal, re.M)
