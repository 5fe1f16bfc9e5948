"""Fixtures: a database with the tables of this extension."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from calotype_metadefs import MIGRATIONS
from tests.support.workbench import Bench, make_bench, make_database


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at the newest revision, which each test copies."""
    return make_database(tmp_path_factory.mktemp("template") / "database.sqlite", MIGRATIONS)


@pytest.fixture
def bench(template: Path) -> Iterator[Bench]:
    """A new database, store and lifecycle."""
    with make_bench(template) as made:
        yield made
