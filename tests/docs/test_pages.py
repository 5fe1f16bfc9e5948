"""The documentation builds, its tables match the code, and its links lead to existing files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from calotype.stores.core_options import CoreOptions
from docs import tables
from tests.support.pages import DOCS, ROOT

CORE = ROOT / "core/src/calotype"
#: The URL of the checkout's files for readers on a package index, which shows the README, too.
TREE = "https://github.com/calotype-images/calotype/blob/main/"
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *ROOT.glob("*/README.md"),
    *ROOT.glob("plugins/*/README.md"),
]


def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", DOCS, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "writing-a-store.html").is_file()


@pytest.mark.parametrize("page", [tables.PAGE, tables.COMMANDS], ids=lambda page: page.name)
def test_the_tables_are_those_of_the_code(page: Path) -> None:
    """r1-E21: every setting, option and command is on a page, as in the code."""
    written = page.read_text()

    assert written == tables.with_tables(written), "run: .venv/bin/python docs/tables.py"


def test_the_tables_have_settings_options_and_commands() -> None:
    written = tables.PAGE.read_text() + tables.COMMANDS.read_text()

    assert "| `sqlalchemy.url` | secret | **required** |" in written
    assert "| `bucket` | text | **required** |" in written
    assert "### `calotype-manage images undelete INI ID [VARIABLES]...`" in written
    assert "| `--to REVISION` |" in written


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_to_existing_files(page: Path) -> None:
    targets = re.findall(r"(?:\]\(|^\[[^\]]+\]: )([^)#\s]+)", page.read_text(), re.M)
    files = [
        ROOT / target.removeprefix(TREE) if target.startswith(TREE) else page.parent / target
        for target in targets
        if target.startswith(TREE) or "://" not in target
    ]

    assert [file for file in files if not file.exists()] == []


def test_the_keys_of_a_store_are_those_of_the_core() -> None:
    """r1-E21, both ways"""
    written = re.findall(r"^\| `store\.NAME\.([a-z_]+)` \|", tables.PAGE.read_text(), re.M)

    assert sorted(written) == sorted(CoreOptions.model_fields)


def test_keystone_is_described_on_one_page() -> None:
    """r1-E21"""
    pages = [*DOCS.glob("*.md"), ROOT / "README.md", *ROOT.glob("plugins/*/README.md")]

    assert [page.name for page in pages if "keystonemiddleware.auth_token" in page.read_text()] == [
        "keystone.md"
    ]


def test_each_path_that_the_architecture_page_names_exists() -> None:
    page = (DOCS / "architecture.md").read_text()
    named = [name for name in re.findall(r"`([^`\s()]+)`", page) if "*" not in name and "/" in name]
    named += re.findall(r"`(\w+\.py)`", page)

    missing = [name for name in named if not any((folder / name).exists() for folder in (ROOT, CORE))]
    assert missing == []
    assert len(named) > 50
