"""The driver of docs/writing-a-store.md can be installed, passes the kit, and works."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.support.pages import DOCS, block_called, read_blocks
from tests.support.server import OCTETS, meta, write_ini

PAGE = DOCS / "writing-a-store.md"
INI_LINES = "lines for [app:main] in calotype.ini"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's files, each with the name of its caption."""
    folder = tmp_path_factory.mktemp("gzip")
    for block in read_blocks(PAGE):
        if block.caption and block.caption != INI_LINES:
            path = folder / block.caption
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
    return folder


@pytest.fixture(scope="module")
def env(project: Path) -> dict[str, str]:
    """An environment in which the page's distribution counts as installed."""
    site = project / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    run([*command, "--disable-pip-version-check", "--target", site, project])
    return {**os.environ, "PYTHONPATH": str(site)}


def run(command: list, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def app_lines(page: Path = PAGE) -> dict[str, str]:
    """Return the lines that the page adds to [app:main]."""
    ini = configparser.RawConfigParser()
    ini.read_string("[app:main]\n" + block_called(page, INI_LINES).text)
    return dict(ini["app:main"])


def test_the_pages_driver_passes_the_conformance_kit(project: Path, env: dict[str, str]) -> None:
    said = run([sys.executable, "-m", "pytest", "-q", "-rs"], env, project)

    assert int(re.search(r"(\d+) passed", said)[1]) >= 100
    assert "GzipStore does not declare RANGES" in said


def test_the_pages_driver_has_the_stated_number_of_lines() -> None:
    assert len(block_called(PAGE, "src/calotype_store_gzip/__init__.py").text.splitlines()) < 130


def test_calotype_stores_lists_the_store_of_the_page(tmp_path: Path, env: dict[str, str]) -> None:
    ini = write_ini(tmp_path, app_lines())
    command = Path(sys.executable).with_name("calotype-manage")
    variables = [f"data_dir={tmp_path}"]
    subprocess.run([command, "stores", ini, *variables, "--create", "file"], env=env, capture_output=True)
    line = block_called(PAGE, "make the place, mark it, try it").text.splitlines()[0]
    program, *words = line.replace("calotype.ini", str(ini)).split()
    assert program == command.name
    said = run([command, *words, *variables], env)

    assert "gzip, of calotype-store-gzip 0.1.0" in said
    assert "write, delete" in said
    assert "its place belongs to this store" in said


def test_the_pages_store_stores_and_returns_an_image(start_server: StartServer, env: dict[str, str]) -> None:
    server = start_server(app_lines(), env={"PYTHONPATH": env["PYTHONPATH"]})
    data = bytes(3_000_000) + b"the end"
    image = server.post("/images", {**OCTETS, **meta(store="packed", name="zeros")}, data).image
    (packed,) = (server.data_dir / "packed").glob(f"{image['id']}*")

    assert image["store"] == "packed"
    assert packed.stat().st_size < len(data) / 100
    assert server.get(f"/images/{image['id']}").body == data
    assert server.get(f"/images/{image['id']}", {"Range": "bytes=3000000-"}).body == b"the end"
