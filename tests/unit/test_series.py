# SPDX-License-Identifier: Apache-2.0
"""kernel/series puts the mails together from what all kernels share and what is each one's own."""

import re
import shutil
import subprocess

import pytest

from tests.support import REPO

KERNELS = sorted(path.name for path in (REPO / "kernel/patches").iterdir())
LIST = REPO / "kernel/tree.list"


@pytest.fixture
def kernel(tmp_path):
    """A copy of what mails are made of."""
    for name in ("patches", "tree"):
        shutil.copytree(REPO / "kernel" / name, tmp_path / "kernel" / name)
    for name in ("series", "tree.list"):
        shutil.copy(REPO / "kernel" / name, tmp_path / "kernel" / name)
    return tmp_path / "kernel"


def mails(kernel, series, folder):
    return subprocess.run(
        [kernel / "series", "mails", series, folder], capture_output=True, text=True
    )


@pytest.mark.parametrize("series", KERNELS)
def test_each_patch_adds_its_files(kernel, series, tmp_path):
    assert mails(kernel, series, tmp_path / "mails").returncode == 0
    added = []
    for mail in sorted((tmp_path / "mails").iterdir()):
        for path in re.findall(r"^ create mode 100644 (.*)$", mail.read_text(), re.MULTILINE):
            added.append(f"{mail.name[:4]} {path}\n")
    assert "".join(added) == LIST.read_text()
    # git apply makes the files anew from nothing but the mails.
    new = [path.split()[1] for path in added]
    only_new = [f"--include={path}" for path in new]
    for mail in sorted((tmp_path / "mails").iterdir()):
        subprocess.run(["git", "apply", *only_new, mail], cwd=tmp_path, check=True)
    for path in new:
        assert (tmp_path / path).read_bytes() == (REPO / "kernel/tree" / path).read_bytes()


def test_a_file_that_no_patch_adds(kernel, tmp_path):
    (kernel / "tree/kernel/stray.c").write_text("\n")
    done = mails(kernel, "6.12", tmp_path / "mails")
    assert (done.returncode, done.stderr) == (
        1, "kernel/series: no patch adds tree/kernel/stray.c (tree.list)\n",
    )  # fmt: skip


def test_a_patch_that_is_not_there(kernel, tmp_path):
    next((kernel / "patches/6.12").glob("0002-*")).unlink()
    done = mails(kernel, "6.12", tmp_path / "mails")
    assert done.returncode == 1
    assert "is of patch 0002, which 6.12 does not have" in done.stderr


def git(repo, *arguments):
    identity = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
    done = subprocess.run(
        ["git", "-C", repo, *identity, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout


def commit(repo, subject, **files):
    for name, text in files.items():
        (repo / name).write_text(text)
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", subject)


@pytest.fixture
def repo(tmp_path):
    """What `open` leaves: a kernel of one file, and a series of two commits on top."""
    repo = tmp_path / "repo"
    repo.mkdir()
    git(repo, "init", "-q", "-b", "series")
    commit(repo, "base", old="1\n")
    git(repo, "tag", "base")
    commit(repo, "first", old="1\n2\n", new="new\n", other="other\n")
    commit(repo, "second", old="1\n2\n3\n")
    return repo


def test_save_and_mails_give_the_same_commits(kernel, repo, tmp_path):
    (kernel / "check").write_text("#!/bin/sh\n")
    (kernel / "check").chmod(0o755)
    shutil.rmtree(kernel / "patches")
    (kernel / "patches/1.0").mkdir(parents=True)

    def save():
        return subprocess.run(
            [kernel / "series", "save", "1.0", repo], capture_output=True, text=True
        )

    saved = save()
    assert saved.returncode == 0
    assert "changed for the other kernels, too: tree/new\n" in saved.stderr
    assert (kernel / "tree.list").read_text() == "0001 new\n0001 other\n"
    assert "+new" not in (kernel / "patches/1.0/0001-first.patch").read_text()
    assert mails(kernel, "1.0", tmp_path / "mails").returncode == 0
    git(repo, "checkout", "-q", "-b", "again", "base")
    git(repo, "am", *sorted((tmp_path / "mails").iterdir()))
    assert git(repo, "log", "-p", "again", "--format=%B") == git(
        repo, "log", "-p", "series", "--format=%B"
    )
    assert save().stderr == ""

    commit(repo, "third", new="newer\n")
    refused = save()
    assert refused.returncode == 1
    assert "new: patch 1 adds it and a later one changes it" in refused.stderr
    assert (kernel / "tree/new").read_text() == "new\n"


def test_the_hash_is_of_every_file_of_the_series(kernel):
    def value():
        return subprocess.run([kernel / "series", "hash"], capture_output=True, check=True).stdout

    before = value()
    (kernel / "tree.list").touch()
    assert value() == before
    for path in ("tree/kernel/pid_info.c", "tree.list", next(kernel.glob("patches/6.1/0003-*"))):
        file = kernel / path
        file.write_text(file.read_text() + "\n")
        assert value() != before
        before = value()
