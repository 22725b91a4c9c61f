# SPDX-License-Identifier: Apache-2.0
"""--once as an unprivileged user on a /proc that hides the processes of others."""

import os
import subprocess
import sys

import pytest

from tests.support import REPO, records
from tests.support.asked import Daemon

# All is imported before, as nobody may be unable to read the folder that it is in.
AS_NOBODY = """
import os, sys
from pidinfod.cli import deaths, main, once
from pidinfod.service import config
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
sys.exit(main.main(sys.argv[1:]))
"""


@pytest.fixture
def daemon(tmp_path):
    """It remembers a death of our own PID, and anyone may ask it."""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    with Daemon(tmp_path) as running:
        running.path.chmod(0o666)
        running.ledger.add(records.death(pid=os.getpid()))
        (tmp_path / "config.yml").write_text(f"socket: {running.path}\n")
        yield running


@pytest.mark.parametrize("hidepid", ["0", "1", "2", "noaccess", "invisible"])
def test_the_living_are_never_told_dead(daemon, hidepid, tmp_path):
    mount = f"mount -t proc -o hidepid={hidepid} proc /proc && exec"
    once = ["--config", str(tmp_path / "config.yml"), "--once", str(os.getpid())]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mount} "$@"', "", sys.executable, "-c", AS_NOBODY, *once],
        cwd=REPO, capture_output=True, text=True,
    )  # fmt: skip
    if hidepid == "0":
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[0].split() == ["pid", str(os.getpid())]
    else:
        assert (done.returncode, done.stdout) == (4, "")
        assert f"process {os.getpid()} may not be looked at" in done.stderr
    assert not daemon.asked


def test_in_a_pid_namespace_of_its_own(daemon, tmp_path):
    """PIDs mean other processes there: the daemon is not asked."""
    once = ["-m", "pidinfod", "--config", str(tmp_path / "config.yml"), "--once", str(os.getpid())]
    done = subprocess.run(
        ["unshare", "-fpm", "--mount-proc", sys.executable, *once],
        cwd=REPO, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, daemon.asked) == (3, "", [])
    assert "not those of this PID namespace" in done.stderr
