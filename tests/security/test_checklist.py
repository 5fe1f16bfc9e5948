"""docs/security.md has a row for each entry of the threat catalogue, and each row's test exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.server import ROOT

PAGE = ROOT / "docs/security.md"
#: The number of entries in each part of the catalogue, and the digits of their numbers.
PARTS = {
    "G": (54, 2),
    "W": (26, 2),
    "O": (28, 2),
    "R": (40, 2),
    "LIB": (7, 2),
    "IMG": (10, 1),
    "H": (16, 2),
    "P": (9, 2),
    "C": (16, 2),
    "S": (20, 2),
    "T": (5, 2),
    "Q": (8, 2),
    "N": (3, 2),
    "U": (9, 2),
    "E": (8, 2),
    "V": (9, 2),
    "CL": (8, 2),
    "CO": (7, 2),
    "M": (1, 2),
}
ENTRIES = [
    f"{part}-{number:0{digits}}" for part, (count, digits) in PARTS.items() for number in range(1, count + 1)
]
_ROW = re.compile(r"^\| ([A-Z]+-\d+) \| (.+?) \| (.+?) \|$", re.M)
ROWS = {match[1]: (match[2], match[3]) for match in _ROW.finditer(PAGE.read_text())}


def names(path: Path) -> set[str]:
    """Return the names of all functions and classes that a file defines."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}


def test_every_entry_of_the_catalogue_has_exactly_one_row() -> None:
    found = [match[1] for match in _ROW.finditer(PAGE.read_text())]
    assert sorted(found) == sorted(ENTRIES)
    assert len(ENTRIES) == 224 + 60  # from published catalogues, and found in this project


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_row_names_an_existing_test_or_says_why_there_is_none(entry: str) -> None:
    test, _ = ROWS[entry]
    if test.startswith("not applicable: "):
        assert len(test) > len("not applicable: ") + 10
        return
    path, _, name = test.strip("`").partition("::")
    assert (ROOT / path).is_file(), path
    assert name in names(ROOT / path), test
