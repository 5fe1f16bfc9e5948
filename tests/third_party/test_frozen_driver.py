"""The promise of compatibility: a driver of contract 2.0 is kept unchanged, and the core still takes it."""

from __future__ import annotations

import hashlib

from tests.support.environment import FROZEN
from tests.support.server import ROOT

FOLDER = ROOT / FROZEN
#: What tools leave in a folder.
_LEFT_OUT = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


def test_the_files_of_the_frozen_driver_are_unchanged() -> None:
    """If this fails, restore the files: see the README there."""
    sums = dict(line.split("  ")[::-1] for line in (FOLDER / "SHA256SUMS").read_text().splitlines())
    files = [path for path in FOLDER.rglob("*") if path.is_file() and _LEFT_OUT.isdisjoint(path.parts)]
    found = {
        str(path.relative_to(FOLDER)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name != "SHA256SUMS"
    }
    assert found == sums
