"""The driver of docs/writing-a-store.md can be installed, passes the kit, and works."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from calotype.stores import External, Store, WritableStore
from calotype.stores.abilities import ABILITIES
from calotype.stores.bulkhead import Bounds
from calotype.testing import StoreConformance
from tests.conftest import StartServer
from tests.support.pages import DOCS, block_called, read_blocks
from tests.support.server import OCTETS, meta, write_ini

PAGE = DOCS / "writing-a-store.md"
INI_LINES = "lines for [app:main] in calotype.ini"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution that the page's command writes, changed as the page says."""
    return created(tmp_path_factory.mktemp("gzip"), PAGE)


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


def created(home: Path, page: Path) -> Path:
    """Run a page's first command, which creates a distribution, and write the page's files into it."""
    create, enter, *_ = block_called(page, "create it, try it").text.splitlines()
    program, *words = create.split()
    run([Path(sys.executable).with_name(program), *words], cwd=home)
    folder = home / enter.removeprefix("cd ")
    for block in read_blocks(page):
        if block.caption and (folder / block.caption).is_file():
            (folder / block.caption).write_text(block.text)
    return folder


def app_lines(page: Path = PAGE) -> dict[str, str]:
    """Return the lines that the page adds to [app:main]."""
    ini = configparser.RawConfigParser()
    ini.read_string("[app:main]\n" + block_called(page, INI_LINES).text)
    return dict(ini["app:main"])


def test_the_pages_driver_passes_the_conformance_kit(project: Path, env: dict[str, str]) -> None:
    said = run([sys.executable, "-m", "pytest", "-q", "-rs"], env, project)

    assert int(re.search(r"(\d+) passed", said)[1]) >= 100
    assert "GzipStore does not declare ranges" in said
    assert "GzipStore is no Listing" in said


@pytest.mark.parametrize("tool", [("mypy",), ("ruff", "check"), ("ruff", "format", "--check")], ids=" ".join)
def test_the_pages_driver_passes_the_tools_of_its_ci_file(project: Path, tool: tuple[str, ...]) -> None:
    assert f"run: {' '.join(tool)}\n" in (project / ".github/workflows/tests.yml").read_text()
    run([sys.executable, "-m", *tool], cwd=project)


def test_the_page_states_the_default_timeouts() -> None:
    bounds = Bounds()

    assert (
        f"the {bounds.call_timeout:g} seconds by `store.NAME.call_timeout`, "
        f"and the {bounds.stall_timeout:g} by `store.NAME.stall_timeout`"
    ) in PAGE.read_text()


def test_the_page_names_the_files_of_the_distribution(project: Path) -> None:
    listed = re.findall(r"^\| (`\S.*?`) \|", PAGE.read_text().partition("| file |")[2], re.M)
    named = {name.strip("`") for cell in listed for name in cell.split(", ")}
    written = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}

    assert {name for name in named if "/" in name or "." in name} <= written


@pytest.mark.parametrize("ability", [Store, WritableStore, *ABILITIES], ids=lambda ability: ability.__name__)
def test_the_page_has_a_row_for_each_ability_and_its_methods(ability: type) -> None:
    row = re.search(rf"^\| `{ability.__name__}` \| (.*?) \|", PAGE.read_text(), re.M)
    own = {name for name in ability.__abstractmethods__ if name in vars(ability)}
    own -= {"get"} if ability is External else set()  # it is the same as the store's

    assert row is not None
    assert set(re.findall(r"`(\w+)`", row[1])) - {"schemes"} == own


def test_the_page_has_a_row_for_each_hook() -> None:
    """Hooks are public methods and attributes with defaults."""
    section = PAGE.read_text().partition("| hook | of | the default |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`.*?`) \| `(\w+)` \|", section, re.M)
    listed = {(owner, name.strip("`")) for names, owner in rows for name in names.split(", ")}
    hooks = {
        (ability.__name__, name)
        for ability in (Store, WritableStore, *ABILITIES)
        for name in vars(ability)
        if not name.startswith("_") and name not in ability.__abstractmethods__
    }

    assert listed == hooks - {("Store", "Options"), ("External", "schemes")}


def test_each_case_and_each_hook_of_the_kit_that_the_page_names_exists() -> None:
    section = PAGE.read_text().partition("## The conformance kit")[2].partition("\n## ")[0]
    hooks = re.findall(r"^\| (`.*?) \|", section.partition("| hook | for |")[2].partition("\n\n")[0], re.M)
    named = {name for cell in hooks for name in re.findall(r"`(\w+)", cell)}
    cases = set(re.findall(r"`(test_\w+)`", section))

    assert len(cases) >= 20
    assert [name for name in sorted(cases | named) if not hasattr(StoreConformance, name)] == []


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
    assert re.search(r" read, write *$", said, re.M)
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
