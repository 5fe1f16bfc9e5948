"""The versions and the parts of libraries that docs/security.md requires."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.support.server import ROOT

_PAGE = (ROOT / "docs/security.md").read_text()
#: The minimum versions that the page names: library and version.
REQUIRED = re.findall(r"\b(?!TLS)(\w+) ([0-9.]+) or later is required", _PAGE)


def declared() -> dict[str, set[str]]:
    """Return the version specifiers of the dependencies of the core and the server, by library."""
    found: dict[str, set[str]] = {}
    for page in ("core/pyproject.toml", "server/pyproject.toml"):
        project = tomllib.loads((ROOT / page).read_text())["project"]
        optional = project.get("optional-dependencies", {}).values()
        for text in (*project["dependencies"], *(text for extra in optional for text in extra)):
            requirement = Requirement(text)
            found.setdefault(requirement.name.lower(), set()).update(map(str, requirement.specifier))
    return found


def test_the_page_requires_versions() -> None:
    assert {name for name, _ in REQUIRED} == {"waitress", "WebOb", "Pyramid", "urllib3", "keystonemiddleware"}


@pytest.mark.parametrize(("name", "version"), REQUIRED)
def test_a_version_that_the_page_requires_is_the_minimum_of_the_dependency(name: str, version: str) -> None:
    assert f">={version}" in declared()[name.lower()]


def test_lib_05_only_auth_token_of_keystonemiddleware_is_used() -> None:
    pages = [path for kind in ("docs/**/*.md", "*.ini", "core/src/**/*.py") for path in ROOT.glob(kind)]
    used = {name for path in pages for name in re.findall(r"keystonemiddleware\.(\w+)", path.read_text())}
    assert used == {"auth_token"}
