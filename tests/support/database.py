"""Which database the servers of tests run on: SQLite beside their data, or one of their own on a server.

`CALOTYPE_TEST_DATABASE=postgres` or `mariadb` says the latter; the server itself is found in the
environment too, as `tests/servers/run` puts it there. `make databases` runs the functional tests so.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest

from tests.databases.making import MAKERS

KIND = os.environ.get("CALOTYPE_TEST_DATABASE", "sqlite")

#: For a test of what only SQLite does, such as locking the whole database.
only_sqlite = pytest.mark.skipif(KIND != "sqlite", reason="of SQLite's own ways")


def make_database(data_dir: Path) -> str:
    """The SQLAlchemy URL of an empty database for a server whose data lies there."""
    if KIND == "sqlite":
        return f"sqlite:///{data_dir}/calotype.sqlite"
    return MAKERS[KIND](os.environ, f"t{uuid.uuid4().hex}")
