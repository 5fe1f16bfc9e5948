"""The contents of the wheels: core's has no driver, and each driver has its own wheel."""

from __future__ import annotations

import ast
import configparser
import re
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from tests.support.environment import (
    BASE,
    BLOCKS,
    CLIENT,
    DRIVERS,
    EXTENSIONS,
    FROZEN,
    META,
    PLUGINS,
    STRANGE_DRIVERS,
    distribution_of,
)

#: Driver's folder -> what it imports that the core must not.
CLIENTS = {
    "plugins/store_file": set(),
    "plugins/store_s3": {"boto3", "botocore"},
    "plugins/store_swift": {"swiftclient", "keystoneauth1", "requests"},
    "plugins/store_http": set(),
}


def texts(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def metadata(wheel: Path) -> Message:
    (text,) = (text for name, text in texts(wheel).items() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(text)


def required(wheel: Path) -> set[str]:
    """The distributions that a wheel depends on, extras included."""
    given = metadata(wheel).get_all("Requires-Dist", [])
    return {re.match(r"[A-Za-z0-9._-]+", line)[0].lower() for line in given}


def imported(wheel: Path) -> set[str]:
    """The top-level modules that any code of a wheel imports."""
    modules: set[str] = set()
    for name, text in texts(wheel).items():
        for node in ast.walk(ast.parse(text)) if name.endswith(".py") else ():
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add(node.module.partition(".")[0])
    return modules


def entry_points(wheel: Path, group: str = "calotype.stores") -> dict[str, str]:
    """Return the name of each plugin -> its target, as "module:Class"."""
    found = configparser.ConfigParser()
    for name, text in texts(wheel).items():
        if name.endswith(".dist-info/entry_points.txt"):
            found.read_string(text)
    return dict(found[group]) if group in found else {}


def test_the_cores_wheel_depends_on_no_driver_and_on_no_client_of_one(wheels: dict[str, Path]) -> None:
    needed = required(wheels["core"])
    assert "pyramid" in needed
    assert [name for name in needed if name.startswith("calotype")] == ["calotype-server"]
    assert needed & {"boto3", "botocore", "python-swiftclient", "keystoneauth1", "requests"} == set()


def test_the_cores_wheel_imports_no_driver_and_no_client_of_one(wheels: dict[str, Path]) -> None:
    modules = imported(wheels["core"])
    assert "pyramid" in modules
    assert modules & set().union(*CLIENTS.values()) == set()
    assert [name for name in modules if name.startswith("calotype_")] == ["calotype_server"]


def test_the_servers_wheel_needs_nothing_but_waitress(wheels: dict[str, Path]) -> None:
    assert required(wheels["server"]) == {"waitress"}
    assert imported(wheels["server"]) - sys.stdlib_module_names == {"calotype_server", "waitress"}
    assert "calotype_server/py.typed" in texts(wheels["server"])


def test_the_cores_wheel_names_no_driver(wheels: dict[str, Path]) -> None:
    named = []
    for driver in [*DRIVERS, *STRANGE_DRIVERS]:
        (target,) = entry_points(wheels[driver]).values()
        module, _, class_name = target.partition(":")
        words = re.compile(rf"\b({module}|{class_name}|{metadata(wheels[driver])['Name']})\b")
        named += [name for name, text in texts(wheels["core"]).items() if words.search(text)]
    assert named == []


def test_the_client_is_a_wheel_of_its_own_with_a_command(wheels: dict[str, Path]) -> None:
    assert entry_points(wheels[CLIENT], "console_scripts") == {"calotype": "calotype_client.cli.main:run"}
    files = texts(wheels[CLIENT])
    assert {path.partition("/")[0] for path in files if path.endswith(".py")} == {"calotype_client"}
    assert [path for path in files if path.endswith(".data/data/share/man/man1/calotype-push.1")]
    assert required(wheels[CLIENT]) == {"click", "pyyaml", "rich", "urllib3", "keystoneauth1"}
    assert imported(wheels[CLIENT]) & {"calotype", "calotype_server"} == set()


def test_the_core_contains_the_dialects_and_neither_drivers_nor_extensions(wheels: dict[str, Path]) -> None:
    assert set(entry_points(wheels["core"], "calotype.dialects")) == {"v1", "v2", "uploads"}
    assert entry_points(wheels["core"]) == entry_points(wheels["core"], "calotype.extensions") == {}


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_an_extension_is_a_wheel_of_its_own_with_the_migrations_of_its_tables(
    wheels: dict[str, Path], extension: str
) -> None:
    ((name, target),) = entry_points(wheels[extension], "calotype.extensions").items()
    assert (metadata(wheels[extension])["Name"], target) == (f"calotype-{name}", f"calotype_{name}")
    files = [path for path in texts(wheels[extension]) if ".dist-info/" not in path]
    assert {path.partition("/")[0] for path in files} == {target}
    keeps_tables = any(path.startswith(f"{target}/tables") for path in files)
    assert keeps_tables is any(path.startswith(f"{target}/migrations/{name}_1") for path in files)
    assert {need for need in required(wheels[extension]) if need.startswith("calotype")} == {"calotype-core"}


@pytest.mark.parametrize("driver", [*DRIVERS, *STRANGE_DRIVERS])
def test_a_driver_is_a_wheel_of_its_own_with_one_entry_point(wheels: dict[str, Path], driver: str) -> None:
    (name,) = entry_points(wheels[driver])
    packages = {path.partition("/")[0] for path in texts(wheels[driver]) if ".dist-info/" not in path}
    assert metadata(wheels[driver])["Name"] == f"calotype-store-{name}"
    assert packages == {f"calotype_store_{name}"}
    assert {need for need in required(wheels[driver]) if need.startswith("calotype")} == {"calotype-core"}


@pytest.mark.parametrize("driver", [*DRIVERS, *STRANGE_DRIVERS])
def test_a_driver_imports_only_the_stores_and_egress_packages_of_the_core(
    wheels: dict[str, Path], driver: str
) -> None:
    modules: set[str] = set()
    for name, text in texts(wheels[driver]).items():
        for node in ast.walk(ast.parse(text)) if name.endswith(".py") else ():
            if isinstance(node, ast.ImportFrom) and node.module.startswith("calotype."):
                modules.add(node.module.split(".")[1])
    assert "stores" in modules
    assert modules <= {"stores", "egress"}
    assert imported(wheels[driver]) & {"pyramid", "webob", "sqlalchemy"} == set()


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_driver_depends_on_its_imports(wheels: dict[str, Path], driver: str) -> None:
    distributions = {"botocore": "boto3", "swiftclient": "python-swiftclient", "calotype": "calotype-core"}
    foreign = imported(wheels[driver]) - sys.stdlib_module_names - {f"calotype_store_{driver[14:]}"}
    own = required(wheels[driver])
    through_core = {"pydantic", "urllib3"} & required(wheels["core"])
    assert {distributions.get(name, name) for name in foreign} <= own | through_core


@pytest.mark.parametrize("source", [META, *BASE, CLIENT, *PLUGINS])
def test_a_wheel_has_the_metadata_that_an_index_shows(wheels: dict[str, Path], source: str) -> None:
    """It has the licence, the URL of the sources, the tested interpreters, and absolute links (r1-E19)."""
    about, files = metadata(wheels[source]), texts(wheels[source])

    assert about["Name"] == distribution_of(source)
    assert [name for name in files if name.endswith(".dist-info/licenses/LICENSE")]
    assert {line.partition(", ")[0] for line in about.get_all("Project-URL")} >= {"Documentation", "Issues"}
    assert [need for need in about.get_all("Requires-Dist", []) if "://" in need] == []
    page = about.get_payload()
    assert page.startswith("# ")
    assert re.findall(r"\]\((?![a-z]+://|#)[^)]*\)|^\[[^\]]+\]: (?![a-z]+://).*$", page, re.M) == []


@pytest.mark.parametrize("source", [*BASE, CLIENT, *DRIVERS, BLOCKS, FROZEN])
def test_a_wheel_contains_its_type_annotations(wheels: dict[str, Path], source: str) -> None:
    """Type checkers read the annotations of a package only if it has the file `py.typed`."""
    packages = {name.partition("/")[0] for name in texts(wheels[source]) if name.endswith(".py")}
    assert [name for name in packages if f"{name}/py.typed" not in texts(wheels[source])] == []
