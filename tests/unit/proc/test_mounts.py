# SPDX-License-Identifier: Apache-2.0
import os

import pytest

from pidinfod.proc.mounts import CgroupMount, cgroup_mount

OTHERS = (
    b"25 21 0:22 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755\n"
    b"27 25 0:24 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    b"\nnonsense\n1 2 3 - cgroup2 cgroup2 rw\n"
)


def of(tmp_path, text):
    (tmp_path / "mountinfo").write_bytes(text)
    return cgroup_mount(tmp_path / "mountinfo")


@pytest.mark.parametrize(
    ("field", "folder"),
    [
        (b"/sys/fs/cgroup/unified", b"/sys/fs/cgroup/unified"),
        (rb"/uni\040fied", b"/uni fied"),
        (rb"/a\011b\012c\134d", b"/a\tb\nc\\d"),
        (rb"/\134040", rb"/\040"),
        # A name of several bytes, some of which somebody wrote as octal digits.
        ("/caf\u00e9\\040x".encode(), "/caf\u00e9 x".encode()),
        (rb"/caf\303\251", "/caf\u00e9".encode()),
        (b"/caf\xe9", b"/caf\xe9"),
        (rb"/caf\351", b"/caf\xe9"),
        ("/a\u2028b\u00a0c\u0085d".encode(), "/a\u2028b\u00a0c\u0085d".encode()),
        (b"/a\x0bb\x0cc\x1cd", b"/a\x0bb\x0cc\x1cd"),
    ],
)
def test_every_byte(tmp_path, field, folder):
    line = b"26 25 0:23 / " + field + b" rw,nosuid shared:10 - cgroup2 cgroup2 rw\n"
    assert of(tmp_path, OTHERS + line) == CgroupMount(os.fsdecode(folder))


def test_the_whole_hierarchy_comes_first(tmp_path):
    part = b"26 25 0:23 /docker/x /part rw - cgroup2 cgroup2 rw\n"
    whole = b"27 25 0:23 / /whole rw - cgroup2 cgroup2 rw\n"
    outer = b"28 25 0:23 /../.. /host rw - cgroup2 cgroup2 rw\n"
    assert of(tmp_path, part + outer + whole) == CgroupMount("/whole")
    assert of(tmp_path, part + outer) == CgroupMount("/part", "/docker/x")
    assert of(tmp_path, outer) == CgroupMount("/host", "/../..")


def test_none(tmp_path):
    assert of(tmp_path, OTHERS) is None
    assert of(tmp_path, b"") is None
    assert cgroup_mount(tmp_path / "none") is None
    assert cgroup_mount(tmp_path) is None


@pytest.mark.parametrize(
    ("root", "path", "folder"),
    [
        ("/", "/", "/m"),
        ("/", "/a.service", "/m/a.service"),
        ("/", "/a/b:c", "/m/a/b:c"),
        # Outside of the cgroup namespace, and so of the mount: /m/.. is something else.
        ("/", "/..", None),
        ("/", "/../../a.service", None),
        ("/", "/../../..", None),
        ("/docker/x", "/docker/x", "/m"),
        ("/docker/x", "/docker/x/y", "/m/y"),
        ("/docker/x", "/docker/xy", None),
        ("/docker/x", "/", None),
        ("/../..", "/../../a.service", "/m/a.service"),
        ("/../..", "/../..", "/m"),
        ("/../..", "/../../../a", None),
        ("/../..", "/a", None),
        ("/..", "/..a", None),
    ],
)
def test_the_folder_of_a_path(root, path, folder):
    assert CgroupMount("/m", root).folder_of(path) == folder


def test_ours_is_as_the_kernel_lists_it():
    with open("/proc/self/mounts", "rb") as file:
        folders = [line.split()[1] for line in file if line.split()[2] == b"cgroup2"]
    mount = cgroup_mount()
    assert (mount is None) == (not folders)
    assert mount is None or os.fsencode(mount.folder) in folders
