"""Empty databases for the servers that tests start.

A server uses SQLite in its data directory. If `CALOTYPE_TEST_DATABASE` is `postgres` or `mariadb`, it uses a
new database on such a server instead. `make databases` sets this variable, and `tests/servers/run` puts the
address of the database server into the environment.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
import pymysql
import pytest

Settings = Mapping[str, str]


def make_on_postgresql(settings: Settings, name: str) -> str:
    """Make a database on PostgreSQL and return its SQLAlchemy URL."""
    with psycopg.connect(settings["POSTGRES_URL"], autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    server = settings["POSTGRES_URL"].rpartition("/")[0].removeprefix("postgresql://")
    return f"postgresql+psycopg://{server}/{name}"


def make_on_mariadb(settings: Settings, name: str) -> str:
    """Make a database on MariaDB and return its SQLAlchemy URL."""
    where = {"host": settings["MYSQL_HOST"], "port": int(settings["MYSQL_PORT"])}
    who = {"user": settings["MYSQL_USER"], "password": settings["MYSQL_PASSWORD"]}
    admin = pymysql.connect(**where, **who)
    with admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    server = settings["MYSQL_URL"].rpartition("/")[0].removeprefix("mysql://")
    return f"mysql+pymysql://{server}/{name}?charset=utf8mb4"


#: The functions that make a database. The key is the name of the database server's fixture.
MAKERS: Mapping[str, Callable[[Settings, str], str]] = {
    "postgres": make_on_postgresql,
    "mariadb": make_on_mariadb,
}

KIND = os.environ.get("CALOTYPE_TEST_DATABASE", "sqlite")

#: Marks a test of something that only SQLite does, such as locking the whole database.
only_sqlite = pytest.mark.skipif(KIND != "sqlite", reason="only SQLite does this")


def make_database(data_dir: Path) -> str:
    """Return the SQLAlchemy URL of an empty database for a server with this data directory."""
    if KIND == "sqlite":
        return f"sqlite:///{data_dir}/calotype.sqlite"
    return MAKERS[KIND](os.environ, f"t{uuid.uuid4().hex}")
