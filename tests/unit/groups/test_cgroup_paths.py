# SPDX-License-Identifier: Apache-2.0
"""Paths as systemd and container runtimes make them."""

import os

import pytest

from pidinfod.groups import cgroups

ID = "0123456789abcdef" * 4
INNER = "fedcba9876543210" * 4
POD = "kubepods-burstable-pod0b3c5b1f_8a5e_4c43_9d63_0f6a3d4a2b11.slice"


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/", None),
        ("/init.scope", "init.scope"),
        ("/system.slice/cron.service", "cron.service"),
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", "foo.service"),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", "init.scope"),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
        ("/system.slice/docker.service/supervisor/leaf", "docker.service"),
        ("/system.slice/_cpu.service", "cpu.service"),
        ("/system.slice/dev-hugepages.mount", "dev-hugepages.mount"),
        ("/system.slice/ssh.socket", "ssh.socket"),
        (f"/system.slice/docker-{ID}.scope", f"docker-{ID}.scope"),
        (f"/docker/{ID}", None),
        ("/service", None),
        ("/.service", None),
        ("/a.services", None),
    ],
)
def test_unit(path, unit):
    assert cgroups.unit(path) == unit


@pytest.mark.parametrize(
    ("path", "container"),
    [
        ("/", None),
        (f"/system.slice/docker-{ID}.scope", ID),
        (f"/docker/{ID}", ID),
        (f"/docker/{ID}/docker/{INNER}", INNER),
        (f"/docker/{ID}/system.slice/nginx.service", ID),
        (f"/machine.slice/libpod-{ID}.scope/container", ID),
        (f"/machine.slice/libpod-conmon-{ID}.scope", None),
        (f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope", ID),
        (f"/kubepods.slice/kubepods-burstable.slice/{POD}/cri-containerd-{ID}.scope", ID),
        (f"/kubepods.slice/kubepods-burstable.slice/{POD}/crio-{ID}.scope", ID),
        (f"/kubepods.slice/kubepods-burstable.slice/{POD}/crio-conmon-{ID}.scope", None),
        (f"/kubepods/burstable/pod0b3c5b1f-8a5e-4c43-9d63-0f6a3d4a2b11/{ID}", ID),
        (f"/system.slice/containerd.service/{POD}:cri-containerd:{ID}", ID),
        (f"/system.slice/docker-{ID[:-1]}.scope", None),
        (f"/docker/{ID}0", None),
        (f"/docker/{ID.upper()}", None),
    ],
)
def test_container(path, container):
    assert cgroups.container(path) == container


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("0::/system.slice/cron.service\n", "/system.slice/cron.service"),
        ("9:name=systemd:/a.service\n4:memory:/b\n0::/\n", "/a.service"),
        ("9:name=systemd:/a.service\n4:memory:/b\n0::/a.service\n", "/a.service"),
        ("4:cpu,cpuacct:/docker/x\n1:name=systemd:/docker/x\n", "/docker/x"),
        ("0::/with:colon\n", "/with:colon"),
        ("0::/\n", "/"),
        ("", "/"),
    ],
)
def test_of_process(text, path):
    assert cgroups.of_process(text) == path


def test_mount_point(tmp_path):
    info = tmp_path / "mountinfo"
    info.write_text(
        "25 21 0:22 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755\n"
        "26 25 0:23 / /sys/fs/cgroup/uni\\040fied rw,nosuid shared:10 - cgroup2 cgroup2 rw\n"
    )
    assert str(cgroups.mount_point(info)) == "/sys/fs/cgroup/uni fied"
    info.write_text("25 21 0:22 / / rw - ext4 /dev/sda rw\n")
    assert cgroups.mount_point(info) is None
    assert cgroups.mount_point(tmp_path / "none") is None


def test_paths_learnt_by_a_walk_and_from_records(tmp_path):
    (tmp_path / "a.slice/b.service").mkdir(parents=True)
    paths = cgroups.Paths(tmp_path)
    paths.walk()
    inode = os.stat(tmp_path / "a.slice/b.service").st_ino
    assert paths.get(inode) == "/a.slice/b.service"
    assert paths.get(os.stat(tmp_path).st_ino) == "/"
    paths.add(b"\x03\0\0\0" + b"\0" * 4 + b"\x07" + b"\0" * 7 + b"/gone.scope\0" + b"\xff" * 9)
    assert paths.get(7) == "/gone.scope"
    assert paths.get(8) is None


def test_the_one_used_longest_ago_goes_first():
    paths = cgroups.Paths(None, capacity=2)

    def made(number):
        paths.add(b"\0" * 8 + bytes([number]) + b"\0" * 7 + b"/%d\0" % number)

    made(1)
    made(2)
    assert paths.get(1) == "/1"
    made(3)
    assert [paths.get(number) for number in (1, 2, 3)] == ["/1", None, "/3"]
    assert len(paths) == 2
