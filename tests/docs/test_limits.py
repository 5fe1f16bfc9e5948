"""The table of limits in docs/security.md matches the code."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest

from calotype.config.settings import Settings
from tests.support.pages import DOCS

SECTION = (DOCS / "security.md").read_text().partition("## Limits")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| (.+) \| (setting|[\d,]+) \| (.+) \|$", SECTION, re.M)


def constant(name: str) -> Any:
    """Return the object with this dotted name below `calotype`, or in an extension."""
    module, _, last = (name if name.startswith("calotype_") else f"calotype.{name}").rpartition(".")
    return getattr(importlib.import_module(module), last)


def test_every_row_of_the_table_of_limits_is_read() -> None:
    lines = [line for line in SECTION.splitlines() if line.startswith("| ")]
    assert len(lines) - 2 == len(ROWS) > 20


@pytest.mark.parametrize(("what", "limit", "where"), [row for row in ROWS if row[1] != "setting"])
def test_a_constant_has_the_value_on_the_page(what: str, limit: str, where: str) -> None:
    """r1-D1"""
    value = constant(where.strip("`"))
    assert (value if isinstance(value, int) else len(value)) == int(limit.replace(",", "")), what


@pytest.mark.parametrize(("what", "limit", "where"), [row for row in ROWS if row[1] == "setting"])
def test_each_setting_in_the_table_of_limits_exists(what: str, limit: str, where: str) -> None:
    """r1-D1"""
    for name in re.findall(r"`calotype\.(\w+)`", where):
        assert name in Settings.model_fields, what


def test_no_limit_of_a_request_is_missing_from_the_page() -> None:
    """r1-D1: each constant whose name ends in MAX, in a module that reads requests, has a row."""
    for module in (
        "api.http.targets",
        "api.http.filters",
        "api.http.json_input",
        "api.http.digests",
        "api.http.downloads",
        "api.v2.patch",
        "api.v2.schemas",
        "api.uploads.chunks",
        "api.uploads.tus_headers",
    ):
        names = [
            name
            for name in vars(importlib.import_module(f"calotype.{module}"))
            if re.fullmatch("[A-Z]+_MAX", name)
        ]
        assert names
        for name in names:
            assert f"`{module}.{name}`" in SECTION, name
