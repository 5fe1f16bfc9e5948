"""Fixtures: a database for each test, on servers that all tests share."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.support.database import MAKERS


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The SQLAlchemy URL of an empty database that no other test uses."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/database.sqlite"
    server = "postgres" if request.param == "postgresql" else "mariadb"
    return MAKERS[server](request.getfixturevalue(server), f"t{uuid.uuid4().hex}")
