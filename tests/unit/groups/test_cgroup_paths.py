# SPDX-License-Identifier: Apache-2.0
"""Paths as systemd and container runtimes make them."""

import os
import subprocess

import pytest

from pidinfod.groups import cgroups
from pidinfod.kernel.records import CGROUP_MADE, EVENT_CGROUP
from pidinfod.proc.mounts import CgroupMount

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


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        # A name may have every byte but / and the end of a line.
        (b"0::/a:b:c/d.service\n", "/a:b:c/d.service"),
        (b"0::/caf\xe9.service\n", "/caf\udce9.service"),
        (b"0::/\x1b[2J\x0b\x0c\x1c\x85\r.service\n", "/\x1b[2J\x0b\x0c\x1c\udc85\r.service"),
        ("0::/a\u2028b.service\n".encode(), "/a\u2028b.service"),
        (b"0::/a\\012b\n", "/a\\012b"),
        (b"1:name=systemd:/x:y\n0::/\n", "/x:y"),
        (b"0::/ \n", "/ "),
        (b"0::/gone.service (deleted)\n", "/gone.service"),
        # Seen from inside a cgroup namespace.
        (b"0::/../../x.service\n", "/../../x.service"),
        (b"0::/..\n", "/.."),
        # A text that is not as expected.
        (b"0::\n", ""),
        (b"nonsense\n0::/a\n:\n", "/a"),
    ],
)
def test_of_process_with_odd_names(raw, path):
    assert cgroups.of_process(os.fsdecode(raw)) == path


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/../../x.service", "x.service"),
        ("/../user@7.service/../y.scope", "y.scope"),
        ("/../..", None),
        ("", None),
        ("/caf\udce9.service", "caf\udce9.service"),
        ("/\x1b[2J\r.service/leaf", "\x1b[2J\r.service"),
        (f"/../docker/{ID}", None),
    ],
)
def test_unit_of_odd_paths(path, unit):
    assert cgroups.unit(path) == unit


def test_container_seen_from_a_namespace():
    assert cgroups.container(f"/../{ID}/x") == ID


def walked(folder, root="/", capacity=cgroups.CAPACITY):
    paths = cgroups.Paths(CgroupMount(str(folder), root), capacity)
    paths.walk()
    return paths


def test_paths_learnt_by_a_walk_and_from_records(tmp_path):
    (tmp_path / "a.slice/b.service").mkdir(parents=True)
    paths = walked(tmp_path)
    inode = os.stat(tmp_path / "a.slice/b.service").st_ino
    assert paths.get(inode) == "/a.slice/b.service"
    assert paths.get(os.stat(tmp_path).st_ino) == "/"
    paths.add(CGROUP_MADE.pack(type=EVENT_CGROUP, id=7, path=b"/gone.scope\0" + b"\xff" * 9))
    assert paths.get(7) == "/gone.scope"
    assert paths.get(8) is None


@pytest.mark.parametrize("root", ["/docker/x", "/../.."])
def test_a_mount_of_a_part_is_told_by_whole_paths(tmp_path, root):
    (tmp_path / "b.service").mkdir()
    paths = walked(tmp_path, root)
    assert paths.get(os.stat(tmp_path).st_ino) == root
    assert paths.get(os.stat(tmp_path / "b.service").st_ino) == f"{root}/b.service"


def test_a_walk_of_every_byte(tmp_path):
    names = [bytes([byte]) for byte in range(1, 256) if byte not in b"/."]
    for name in names:
        os.mkdir(os.fsencode(tmp_path) + b"/" + name)
    paths = walked(tmp_path)
    for name in names:
        inode = os.stat(os.fsencode(tmp_path) + b"/" + name).st_ino
        assert paths.get(inode) == "/" + os.fsdecode(name)


def test_a_walk_meets_links_files_and_folders_that_cannot_be_read(tmp_path, monkeypatch):
    for name in ("good/below", "removed", "closed/below"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "cgroup.procs").touch()
    scandir = os.scandir

    def broken(path):
        if path.endswith("/removed"):
            raise FileNotFoundError
        if path.endswith("/closed"):
            raise PermissionError
        return scandir(path)

    monkeypatch.setattr(os, "scandir", broken)
    paths = walked(tmp_path)
    monkeypatch.undo()
    assert len(paths) == 5
    inode = os.stat(tmp_path / "good/below").st_ino
    assert paths.get(inode) == "/good/below"
    assert paths.get(os.stat(tmp_path / "closed").st_ino) == "/closed"


def test_a_walk_of_nothing(tmp_path):
    assert len(walked(tmp_path / "none")) == 0
    paths = cgroups.Paths(None)
    paths.walk()
    assert paths.get(7) is None


@pytest.mark.parametrize("name", ["d" * 97, "d" * 251])
def test_a_tree_deeper_than_a_path_may_be_long(tmp_path, name):
    (tmp_path / "other").mkdir()
    folders = [os.open(tmp_path, os.O_PATH)]
    try:
        for _ in range(5000 // (len(name) + 1)):
            os.mkdir(name, dir_fd=folders[-1])
            folders.append(os.open(name, os.O_PATH, dir_fd=folders[-1]))
            if len(folders) > 2:
                os.close(folders.pop(-2))
        paths = walked(tmp_path)
        assert paths.get(os.stat(tmp_path / "other").st_ino) == "/other"
        longest = max(map(len, paths._paths.values()))
        assert 4096 - 2 * len(name) - len(str(tmp_path)) < longest <= 4096 + len(name)
    finally:
        for folder in folders:
            os.close(folder)
        subprocess.run(["rm", "-rf", tmp_path / name], check=True)


def test_a_walk_ends_where_there_is_no_room(tmp_path):
    for number in range(101):
        (tmp_path / f"{number}/below").mkdir(parents=True)
    paths = walked(tmp_path, capacity=53)
    assert len(paths) == 53
    # The upper ones: those below would have pushed them out.
    assert paths.get(os.stat(tmp_path).st_ino) == "/"
    assert sum(path.endswith("/below") for path in paths._paths.values()) == 0


def test_the_one_used_longest_ago_goes_first():
    paths = cgroups.Paths(None, capacity=2)

    def made(number):
        paths.add(CGROUP_MADE.pack(type=EVENT_CGROUP, id=number, path=b"/%d" % number))

    made(1)
    made(2)
    assert paths.get(1) == "/1"
    made(3)
    assert [paths.get(number) for number in (1, 2, 3)] == ["/1", None, "/3"]
    assert len(paths) == 2
