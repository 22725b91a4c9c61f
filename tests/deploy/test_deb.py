# SPDX-License-Identifier: Apache-2.0
"""The package and the unit, by Debian's and systemd's own tools."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support import REPO


@pytest.fixture(scope="module")
def deb():
    build = REPO / "deploy/debian/build"
    return subprocess.check_output([build], text=True).splitlines()[-1]


def field(deb, name):
    return subprocess.check_output(["dpkg-deb", "-f", deb, name], text=True).strip()


# What is not Python's own, by the name it is imported by.
PACKAGES = {
    "bcc": "python3-bpfcc", "prometheus_client": "python3-prometheus-client",
    "regex": "python3-regex", "waitress": "python3-waitress", "yaml": "python3-yaml",
}  # fmt: skip


def imported():
    """Packages that any module imports, also inside functions."""
    for path in (REPO / "pidinfod").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield node.module.partition(".")[0]


def test_depends_on_what_the_daemon_imports(deb):
    depends = field(deb, "Depends")
    names = set(imported()) - sys.stdlib_module_names - {"pidinfod"}
    assert {"bcc", "prometheus_client", "yaml"} <= names
    for package in ("libbpf1", *(PACKAGES[name] for name in names)):
        assert package in depends


def test_contents(deb):
    listing = subprocess.check_output(["dpkg-deb", "-c", deb], text=True)
    paths = ["usr/bin/pidinfod", "usr/lib/systemd/system/pidinfod.service",
             "etc/pidinfod/config.yml", "usr/share/doc/pidinfod/README.Debian"]  # fmt: skip
    for source, target, pattern in (
        ("pidinfod", "usr/lib/python3/dist-packages/pidinfod", "*.py"),
        ("bpf", "usr/share/pidinfod/bpf", "*.[ch]"),
    ):
        files = [path.relative_to(REPO / source) for path in (REPO / source).rglob(pattern)]
        assert files
        paths += [f"{target}/{path}" for path in files]
    assert [path for path in paths if f" ./{path}\n" not in listing] == []
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
