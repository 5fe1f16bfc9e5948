"""Databases for tests, each empty and of its maker's own, on the real servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import psycopg
import pymysql

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


#: How a database is made, by the name of the fixture of its server.
MAKERS: Mapping[str, Callable[[Settings, str], str]] = {
    "postgres": make_on_postgresql,
    "mariadb": make_on_mariadb,
}
