"""A distribution of `calotype-manage new` passes its tests and serves at once, with the wheels alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.environment import Environment
from tests.support.server import OCTETS, Server, meta, write_ini

JSON = {"Content-Type": "application/json"}
#: Kind -> the name to write a distribution for.
NAMES = {"store": "tape_2", "extension": "remarks"}
#: The mistake of a driver -> a text of the new driver, its replacement, and mypy's words.
MISTAKES = {
    "an option that does not exist": (
        "options.path)",
        "options.paht)",
        '"Tape2Options" has no attribute "paht"',
    ),
    "a missing method": ("def locate(self", "def location(self", 'with abstract attribute "locate"'),
    "a method with other parameters": ("source: Reader, size", "size", "incompatible with supertype"),
}


@pytest.fixture(scope="module")
def author(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The environment of an author, who has the wheels of core, server and file store."""
    made = Environment(tmp_path_factory.mktemp("author") / "venv", linked=True)
    ours = [wheels[one] for one in ("server", "core", "plugins/store_file")]
    made.pip("install", "--quiet", "--no-deps", "--no-index", *ours)
    return made


@pytest.fixture(scope="module")
def projects(author: Environment) -> dict[str, Path]:
    """The folder of each new distribution, whose wheel is installed in the author's environment."""
    home, folders = author.bin.parents[1], {}
    for kind, name in NAMES.items():
        author.run("calotype-manage", "new", kind, name, "--into", home / kind)
        build = [sys.executable, "-m", "build", "--quiet", "--no-isolation", "--wheel"]
        subprocess.run([*build, "--outdir", home / "dist", home / kind], check=True, capture_output=True)
        folders[kind] = home / kind
    author.pip("install", "--quiet", "--no-deps", "--no-index", *(home / "dist").glob("*.whl"))
    return folders


@pytest.fixture(scope="module")
def server(
    author: Environment, projects: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with a store of the new driver, and the new extension."""
    folder = tmp_path_factory.mktemp("server")
    keys = {
        "calotype.stores": "file mine",
        "store.mine.driver": "tape_2",
        "store.mine.path": "${data_dir}/mine",
        "store.mine.create": "true",
        "calotype.extensions": "remarks",
    }
    running = Server(folder, write_ini(folder, keys), python=author.python, env={"PYTHONPATH": ""})
    yield running
    running.stop()


def test_the_new_driver_passes_the_whole_kit(author: Environment, projects: dict[str, Path]) -> None:
    said = author.run("python", "-m", "pytest", "-q", "-rxX", cwd=projects["store"])

    assert int(re.search(r"(\d+) passed", said)[1]) > 200
    assert "xfailed" not in said


def test_the_new_extension_passes_its_tests(author: Environment, projects: dict[str, Path]) -> None:
    assert "4 passed" in author.run("python", "-m", "pytest", "-q", cwd=projects["extension"])


@pytest.mark.parametrize("kind", NAMES)
def test_mypy_accepts_what_is_new(author: Environment, projects: dict[str, Path], kind: str) -> None:
    cache = projects[kind].parent / "mypy"  # for both: most of the time goes to the core's modules
    said = author.run("python", "-m", "mypy", "--cache-dir", cache, cwd=projects[kind])

    assert said.startswith("Success: no issues found in ")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mypy_rejects_a_driver_with_a_mistake(
    author: Environment, projects: dict[str, Path], mistake: str, tmp_path: Path
) -> None:
    right, wrong, words = MISTAKES[mistake]
    shutil.copytree(projects["store"], tmp_path, dirs_exist_ok=True)
    driver = tmp_path / "src/calotype_store_tape_2/__init__.py"
    assert driver.read_text().count(right) == 1
    driver.write_text(driver.read_text().replace(right, wrong))
    with pytest.raises(AssertionError) as caught:
        author.run("python", "-m", "mypy", "--cache-dir", projects["store"].parent / "mypy", cwd=tmp_path)

    assert words in str(caught.value)


def test_a_store_of_the_new_driver_keeps_images(server: Server) -> None:
    data = os.urandom(300_000)
    image = server.post("/images", {**OCTETS, **meta(store="mine", name="disk")}, data).image
    (blob,) = (server.data_dir / "mine").glob(f"{image['id']}*")

    assert blob.read_bytes() == data
    assert server.get(f"/images/{image['id']}").body == data
    assert server.get(f"/images/{image['id']}", {"Range": "bytes=1000-1999"}).body == data[1000:2000]
    assert server.delete(f"/images/{image['id']}").status == 200
    assert not blob.exists()


def test_the_new_drivers_own_ini_file_starts_a_service(
    author: Environment, projects: dict[str, Path], tmp_path: Path
) -> None:
    running = Server(tmp_path, projects["store"] / "trial.ini", python=author.python, env={"PYTHONPATH": ""})
    try:
        image = running.post("/images", {**OCTETS, **meta(disk_format="raw")}, b"bytes").image
        assert (image["disk_format"], image["status"]) == ("raw", "active")
        assert [file.name for file in (running.data_dir / "mine").glob(f"{image['id']}*")] != []
    finally:
        running.stop()


def test_the_new_extension_keeps_texts(server: Server) -> None:
    path = f"/v2/remarks/{server.reserve(name='a')['id']}"
    assert server.put(path, JSON, json.dumps({"text": "golden"}).encode()).status == 204

    assert server.get(path).json == {"text": "golden"}


def test_the_command_finds_the_new_place_empty_and_working(server: Server, author: Environment) -> None:
    said = author.run("calotype-manage", "stores", server.ini, "--check", f"data_dir={server.data_dir}")
    _, _, about = said.partition("\nmine\n")

    assert "tape_2, of calotype-store-tape-2 0.1.0" in about
    assert "its place belongs to this store" in about
