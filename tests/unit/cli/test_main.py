# SPDX-License-Identifier: Apache-2.0
"""The command as a whole: what it prints, and what it ends with."""

import os
import subprocess
import sys

import pytest

from pidinfod.cli import main as command
from pidinfod.cli import status
from tests.support import records
from tests.support.asked import Daemon


def run(*args, **options):
    return subprocess.run(
        [sys.executable, "-m", "pidinfod", *args], capture_output=True, text=True, **options
    )


@pytest.mark.parametrize("args", [(), ("deaths",)])
def test_help_lists_what_it_ends_with(args, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main([*args, "--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    codes = {0: "done", 2: "wrong usage or configuration", 4: "not permitted", 130: "interrupted"}
    for code, meaning in codes.items():
        assert f"{code} {meaning}" in text
    assert ("3 no such process" in text) == (not args)


def test_check_config(tmp_path, capsys):
    file = tmp_path / "odd\x1b[2J\n\udcff.yml"
    file.touch()
    assert command.main(["--check-config", "--config", str(file)]) == status.OK
    assert capsys.readouterr().out == f"{tmp_path}/odd\\x1b[2J\\x0a\\xff.yml: good\n"
    file.write_text("nosuch: 1\nother: 2\n")
    assert command.main(["--check-config", "--config", str(file)]) == status.USAGE
    err = capsys.readouterr().err
    assert all(line.isprintable() for line in err.split("\n"))
    assert "nosuch" in err
    # What is quoted is not escaped twice.
    file.write_text("groups:\n- name: a\n  exe: ['(\\w']\n")
    assert command.main(["--check-config", "--config", str(file)]) == status.USAGE
    assert ":3: exe: '(\\\\w' is no regular expression" in capsys.readouterr().err


def test_listen(capsys):
    assert command.main(["--listen", "\x1b[2J", "--check-config"]) == status.USAGE
    err = capsys.readouterr().err
    assert err == "pidinfod: --listen: expected HOST:PORT, got '\\x1b[2J'\n"


def test_a_reader_that_leaves():
    with subprocess.Popen(
        f"{sys.executable} -m pidinfod --once {os.getpid()}; echo $? >&2",
        shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        running.stdout.close()
        assert running.stderr.read() == "0\n"


DEAR = {"prometheus_client", "waitress", "bcc", "regex"}


@pytest.mark.parametrize("text", ["", "groups: [{name: web, comm: [nginx], user: [root]}]"])
@pytest.mark.parametrize("what", ["deaths", "follow", "living", "dead", "check-config", "faulty"])
def test_a_question_imports_nothing_that_only_the_daemon_needs(tmp_path, what, text):
    file = tmp_path / "config.yml"
    file.write_text(f"socket: {tmp_path}/socket\n{text}{'7' if what == 'faulty' else ''}\n")
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    args, code = {
        "deaths": (["deaths"], 0), "follow": (["deaths", "--follow"], 4),
        "living": (["--once", str(os.getpid())], 0), "dead": (["--once", str(gone.pid)], 0),
        "check-config": (["--check-config"], 0), "faulty": (["--check-config"], 2),
    }[what]  # fmt: skip
    with Daemon(tmp_path) as daemon:
        daemon.ledger.add(records.death(pid=gone.pid))
        if what == "follow":
            daemon.refusal = (403, {"error": "no"})
        command = [sys.executable, "-X", "importtime", "-m", "pidinfod", *args, "--config", file]
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    imported = {
        line.rpartition("|")[2].split(".")[0].strip()
        for line in done.stderr.splitlines() if line.startswith("import time:")
    }  # fmt: skip
    assert "pidinfod" in imported
    assert not imported & DEAR


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("pid", "code"), [("1", 0), ("0", 2)])
def test_output_that_is_closed(closed, pid, code):
    done = subprocess.run(["sh", "-c", f"{sys.executable} -m pidinfod --once {pid} {closed}"])
    assert done.returncode == code


@pytest.mark.parametrize("args", ["--once 1", "--once 1 --format json", "deaths", "--check-config"])
def test_output_that_takes_no_more(args, tmp_path):
    (tmp_path / "config.yml").write_text(f"socket: {tmp_path}/socket\n")
    with Daemon(tmp_path) as daemon:
        daemon.ledger.add(records.death(pid=7))
        command = f"{sys.executable} -m pidinfod {args} --config {tmp_path}/config.yml >/dev/full"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    expected = "pidinfod: the answer cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (status.FAILED, expected)
