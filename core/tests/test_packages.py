"""Exports and imports of packages; the core names no driver. `make lint` checks which layer imports which."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import calotype

ROOT = Path(calotype.__file__).parent
DRIVER_NAMES = {"s3", "swift", "http"}


def modules() -> dict[str, Path]:
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@pytest.mark.parametrize(
    "package",
    ["calotype.stores", "calotype.egress", "calotype.images.lifecycle", "calotype.database.database"],
)
@pytest.mark.parametrize("library", ["pyramid", "webob", "waitress"])
def test_layers_below_http_load_no_http_library(package, library):
    code = f"import sys, {package}; sys.exit({library!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_the_package_loads_no_large_library():
    code = "import sys, calotype; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert {"pyramid", "sqlalchemy", "pydantic", "stevedore"} & set(done.stdout.split()) == set()


def test_a_service_loads_no_library_of_the_commands():
    code = "import sys, calotype.app, calotype.cli.pserve; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert {"click", "rich", "alembic"} & set(done.stdout.split()) == set()


# ---------------------------------------------------------------- the core names no driver


def code_strings(path: Path) -> set[str]:
    """Return the string constants of a file that are not docstrings."""
    tree = ast.parse(path.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    }


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_core_knows_no_driver_by_name(module):
    known = code_strings(MODULES[module]) & DRIVER_NAMES
    # `http` is also a scheme, which those who fetch must know.
    allowed = {"http"} if module.startswith(("calotype.egress", "calotype.api.v2.import_methods")) else set()

    assert known - allowed == set()


# ---------------------------------------------------------------- what packages export

PACKAGES = sorted(
    {"calotype", *(info.name for info in pkgutil.walk_packages([str(ROOT)], "calotype.") if info.ispkg)}
)
WITH_ALL = [name for name in PACKAGES if "__all__" in (MODULES[name].read_text())]


@pytest.mark.parametrize("name", WITH_ALL)
def test_each_public_name_of_a_package_exists_and_is_listed_once(name):
    package = importlib.import_module(name)

    assert [each for each in package.__all__ if not hasattr(package, each)] == []
    assert len(set(package.__all__)) == len(package.__all__)


@pytest.mark.parametrize("name", WITH_ALL)
def test_each_name_that_others_import_from_a_package_is_public(name):
    exported = set(importlib.import_module(name).__all__)
    wanted = set()
    for module, path in MODULES.items():
        if module == name or module.startswith(f"{name}."):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == name:
                wanted |= {alias.name for alias in node.names if f"{name}.{alias.name}" not in MODULES}

    assert wanted - exported == set()


def test_type_checkers_see_every_name_of_the_kit():
    """The kit imports its names at their first use, which type checkers cannot follow."""
    tree = ast.parse(MODULES["calotype.testing"].read_text())
    seen = [
        alias.asname
        for block in tree.body
        if isinstance(block, ast.If)
        for line in block.body
        for alias in line.names
    ]

    assert sorted(seen) == sorted(importlib.import_module("calotype.testing").__all__)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_module_has_a_docstring(module):
    if MODULES[module].stat().st_size and "versions" not in module:
        assert ast.get_docstring(ast.parse(MODULES[module].read_text()))
