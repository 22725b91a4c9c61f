# SPDX-License-Identifier: Apache-2.0
"""The package and the unit, by Debian's and systemd's own tools."""

import subprocess
import tomllib
from pathlib import Path

import pytest
from conftest import REPO


@pytest.fixture(scope="module")
def deb():
    build = REPO / "deploy/debian/build"
    return subprocess.check_output([build], text=True).splitlines()[-1]


def field(deb, name):
    return subprocess.check_output(["dpkg-deb", "-f", deb, name], text=True).strip()


def test_depends_on_what_the_daemon_imports(deb):
    depends = field(deb, "Depends")
    for package in ("python3-bpfcc", "python3-prometheus-client", "python3-yaml", "libbpf1"):
        assert package in depends


def test_contents(deb):
    listing = subprocess.check_output(["dpkg-deb", "-c", deb], text=True)
    for path in (
        "usr/bin/pidinfod", "usr/lib/systemd/system/pidinfod.service", "etc/pidinfod/config.yml",
        "usr/share/pidinfod/bpf/common.bpf.c", "usr/share/pidinfod/bpf/include/linux/kconfig.h",
        "usr/lib/python3/dist-packages/pidinfod/daemon.py",
    ):  # fmt: skip
        assert f" ./{path}\n" in listing
    assert ".pyc" not in listing
    assert " root/root " in listing
    conffiles = subprocess.check_output(["dpkg-deb", "-I", deb, "conffiles"], text=True)
    assert conffiles == "/etc/pidinfod/config.yml\n"


def test_configuration_that_is_shipped_is_good():
    config = REPO / "deploy/config/config.yml"
    command = ["/usr/bin/python3", "-m", "pidinfod", "--check-config", "--config", config]
    subprocess.run(command, check=True, cwd=REPO)


def test_same_content_same_bytes(deb, tmp_path):
    environment = {"PIDINFOD_CACHE": str(tmp_path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    build = REPO / "deploy/debian/build"
    again = subprocess.check_output([build], env=environment, text=True).splitlines()[-1]
    assert Path(again).read_bytes() == Path(deb).read_bytes()


def test_pypi_metadata_never_names_bcc():
    with open(REPO / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    assert not [name for names in lists for name in names if name.startswith("bcc")]


def test_lab_says_the_unit_is_good(lab):
    done = lab.exec("systemd-analyze", "verify", "pidinfod.service")
    assert "pidinfod.service" not in done.stderr
