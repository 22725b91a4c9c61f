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
    next((kernel / "patches/6.12").glob("0001-*")).unlink()
    done = mails(kernel, "6.12", tmp_path / "mails")
    assert done.returncode == 1
    assert "is of patch 0001, which 6.12 does not have" in done.stderr
