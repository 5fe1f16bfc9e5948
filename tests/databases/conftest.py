"""Databases for single tests, on servers for all of them."""

from __future__ import annotations

import uuid

import pytest

from tests.databases.making import MAKERS


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """The SQLAlchemy URL of an empty database of this test's own."""
    server = "postgres" if request.param == "postgresql" else "mariadb"
    return MAKERS[server](request.getfixturevalue(server), f"t{uuid.uuid4().hex}")
