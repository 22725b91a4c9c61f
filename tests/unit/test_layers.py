# SPDX-License-Identifier: Apache-2.0
"""What may import what: arrows between packages go down only, wherever in a module they are."""

import ast
import functools

import pytest

from tests.support import REPO

# From the top; each may import from its own package and from those after it.
LAYERS = ("cli", "service", "metrics", "deaths", "groups", "proc", "kernel")
MODULES = {
    ".".join(path.relative_to(REPO).with_suffix("").parts): path
    for path in sorted((REPO / "pidinfod").rglob("*.py"))
}
CODE = [name for name in MODULES if name.rpartition(".")[2] not in ("__init__", "__main__")]


@functools.cache
def imports(path):
    """Modules that a file imports, also inside functions; in "from a import b", b may be one."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def package(name):
    """The package within pidinfod that a name is in or is; None when it is in none."""
    parts = name.split(".")
    return parts[1] if parts[0] == "pidinfod" and len(parts) > 1 and parts[1] in LAYERS else None


def test_every_module_is_in_a_layer():
    assert {package(name) for name in CODE} == set(LAYERS)


@pytest.mark.parametrize("name", CODE)
def test_arrows_go_down(name):
    own = LAYERS.index(package(name))
    up = {found for found in imports(MODULES[name])
          if (other := package(found)) and LAYERS.index(other) < own}  # fmt: skip
    assert up == set()


def test_only_the_loader_imports_bcc():
    found = {name for name, path in MODULES.items() if "bcc" in imports(path)}
    assert found == {"pidinfod.kernel.loader"}


@pytest.mark.parametrize("name", CODE)
def test_unit_tests_import_every_module(name):
    """What `make check` has not even imported it has not checked."""
    files = (REPO / "tests/unit").rglob("*.py")
    assert any(name in imports(path) for path in files)
