"""The commands and paths on the pages for contributors exist, and so do those of CI."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.support.pages import ROOT

PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
#: A path of the checkout in code: with a slash, or the name of a file at the top.
_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+|[\w.-]+\.(?:md|txt|cfg|toml)")


def code(page: Path) -> list[str]:
    """Return the code on a page: lines of blocks, and inline code."""
    text = page.read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    return [*(line for block in blocks for line in block.splitlines()), *spans]


def paths(page: Path) -> list[str]:
    """Return the paths that a page names as code, also within commands."""
    return [
        path
        for text in code(page)
        for path in _PATH.findall(text)
        if not path.startswith((".venv", "127.0.0.1"))
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_path_that_a_page_names_exists(page: Path) -> None:
    assert [path for path in paths(page) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_target_of_make_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M))
    named = {target for text in code(page) for target in re.findall(r"^make ([a-z-]+)", text)}

    assert named - targets == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_program_that_a_page_names_is_known(page: Path) -> None:
    """make, bash and python with a script: a page that names another program needs a test of its own.

    test_commands.py has the one for `calotype-manage`.
    """
    typed = [text.split()[0] for text in code(page) if " " in text and not text.startswith("[")]
    programs = {word for word in typed if re.fullmatch(r"[\w./-]+", word)}

    assert programs <= {"make", "bash", ".venv/bin/python", "calotype-manage", "calotype.identity"}


def test_the_paths_and_commands_of_a_page_are_found() -> None:
    named = set(paths(PAGES[0]))

    assert {"core/tests/transfers/test_leases.py", ".ci/run", "docs/tables.py", "setup.cfg"} <= named
    assert {"make check", "make test PYTEST=core/tests/database"} <= set(code(PAGES[0]))


def test_each_room_of_the_core_has_its_row() -> None:
    rooms = {path.parent.name for path in (ROOT / "core/src/calotype").glob("*/__init__.py")}
    rows = set(re.findall(r"^\| `core/src/calotype/(\w+)` \|", PAGES[0].read_text(), re.M))

    assert rows == rooms


def test_the_workflow_runs_the_script_of_ci() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    (job,) = workflow["jobs"].values()

    assert set(workflow[True]) == {"push", "pull_request"}  # YAML 1.1 reads `on` as true
    assert job["steps"][-1]["run"] == "bash .ci/run"
    assert [len(values) for values in job["strategy"]["matrix"].values()] == [1]
