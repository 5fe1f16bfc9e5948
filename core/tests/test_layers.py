"""The floors: imports point downward only, in no circle; and the core names no driver."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import calotype

ROOT = Path(calotype.__file__).parent
#: From the top down; what stands on one floor may use what stands on lower ones, and its neighbours.
FLOORS = (
    {"cli"},
    {"app"},
    {"api"},
    {"resources"},
    {"lifecycle", "security", "testing"},
    {"stores", "registry", "policy", "inspection", "egress", "settings", "serving"},
)
#: Parts that are no floor of their own: each is a room on the floor named here.
ROOMS = {
    "background": "app",
    "metrics": "lifecycle",
    "intake": "lifecycle",
    "definitions": "lifecycle",
    "keystone": "security",
    "tokens": "security",
    "draft": "policy",
    "properties": "policy",
    "fsck": "lifecycle",
    "places": "lifecycle",
    "probes": "lifecycle",
    "variables": "settings",
    "hints": "settings",
    "quantities": "settings",
    "private_files": "settings",
    "exposure": "lifecycle",
    "former_name": "settings",
}
LEVEL = {name: -number for number, floor in enumerate(FLOORS) for name in floor}
#: The server serves any application: what it shares is how an ini file's values are read.
SERVING_MAY_USE = {"serving", "variables", "hints", "quantities"}
#: What the core must not know: the drivers that are plugins, and the libraries they stand on.
DRIVER_PACKAGES = {"boto3", "botocore", "swiftclient", "keystoneauth1"}
DRIVER_NAMES = {"s3", "swift", "http"}


def modules() -> dict[str, Path]:
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(path: Path, *, at_run_time: bool = False) -> set[str]:
    """The calotype modules that a file imports, wherever in it; for types too, unless `at_run_time`."""
    names, tree = set(), ast.parse(path.read_text())
    if at_run_time:
        tree.body = [
            node
            for node in tree.body
            if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else node.module for name in whole}
    return {name for name in names if name.split(".")[0] == "calotype"}


def part(module: str) -> str:
    """The part of the core that a module belongs to: its first name below `calotype`."""
    return module.split(".")[1] if "." in module else ""


def level(name: str) -> int:
    return LEVEL[ROOMS.get(name, name)]


def test_every_part_has_its_floor():
    parts = {part(module) for module in MODULES} - {""}

    assert parts - set(LEVEL) - set(ROOMS) == set()


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"calotype"}))
def test_imports_point_downward_only(module):
    used = {part(name) for name in imported(MODULES[module])} - {""}

    assert {name for name in used if level(name) > level(part(module))} == set()


def test_no_part_stands_on_itself_through_others():
    graph: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        if part(module):
            graph.setdefault(part(module), set()).update(part(name) for name in imported(path))
    for name, used in graph.items():
        used -= {name, ""}
    while loose := {name for name, used in graph.items() if not used & graph.keys()}:
        for name in loose:
            del graph[name]

    assert graph == {}


def test_no_module_imports_itself_through_others():
    graph = {m: imported(path, at_run_time=True) - {m} for m, path in MODULES.items() if part(m)}
    while loose := {name for name, used in graph.items() if not used & graph.keys()}:
        for name in loose:
            del graph[name]

    assert graph == {}


def test_the_server_knows_nothing_of_the_application():
    used = {
        part(name) for module in MODULES if part(module) == "serving" for name in imported(MODULES[module])
    }

    assert used <= SERVING_MAY_USE


@pytest.mark.parametrize(
    "package", ["calotype.stores", "calotype.egress", "calotype.lifecycle", "calotype.registry"]
)
@pytest.mark.parametrize("library", ["pyramid", "webob", "waitress"])
def test_what_lies_below_http_does_not_load_it(package, library):
    code = f"import sys, {package}; sys.exit({library!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_the_package_is_light():
    code = "import sys, calotype; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert {"pyramid", "sqlalchemy", "pydantic", "stevedore"} & set(done.stdout.split()) == set()


# ---------------------------------------------------------------- the core names no driver


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_core_imports_no_driver_and_no_library_of_one(module):
    tree = ast.parse(MODULES[module].read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    packages = {name.split(".")[0] for name in names}

    assert packages & DRIVER_PACKAGES == set()
    assert {name for name in packages if name.startswith("calotype_store")} == set()


def code_strings(path: Path) -> set[str]:
    """The string constants of a file that are not documentation."""
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
    # `http` is also a scheme, which those who fetch or serve must know.
    allowed = {"egress": {"http"}, "serving": {"http"}, "calotype.api.v2.methods": {"http"}}

    assert known - allowed.get(part(module), set()) - allowed.get(module, set()) == set()


# ---------------------------------------------------------------- what packages export

PACKAGES = sorted(
    {"calotype", *(info.name for info in pkgutil.walk_packages([str(ROOT)], "calotype.") if info.ispkg)}
)
WITH_ALL = [name for name in PACKAGES if "__all__" in (MODULES[name].read_text())]


@pytest.mark.parametrize("name", WITH_ALL)
def test_all_names_what_is_there_and_once(name):
    package = importlib.import_module(name)

    assert [each for each in package.__all__ if not hasattr(package, each)] == []
    assert len(set(package.__all__)) == len(package.__all__)


@pytest.mark.parametrize("name", WITH_ALL)
def test_all_names_whatever_others_import_from_the_package(name):
    exported = set(importlib.import_module(name).__all__)
    wanted = set()
    for module, path in MODULES.items():
        if module == name or module.startswith(f"{name}."):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == name:
                wanted |= {alias.name for alias in node.names if f"{name}.{alias.name}" not in MODULES}

    assert wanted - exported == set()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_module_says_what_it_is_for(module):
    if MODULES[module].stat().st_size and "versions" not in module:
        assert ast.get_docstring(ast.parse(MODULES[module].read_text()))
