"""The database engine, and what SQLite needs to be told to be as strict as a server."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url

from calotype.config import private_files
from calotype.database import timeouts

#: The mode of a new SQLite database. SQLite gives its -wal, -shm and -journal the same mode and owner.
_DATABASE_MODE = 0o640
#: Seconds between two tries to set up a connection to a database that others are setting up.
_BUSY_PAUSE = 0.02
#: Execution option of connections that only read: they take no write lock.
READ_ONLY = "calotype_read_only"


def build_engine(
    url: str | URL,
    *,
    pool_size: int = 10,
    pool_timeout: float = 10,
    busy_timeout: float = 5,
    answer_timeout: float | None = 15,
) -> Engine:
    """Make an engine for SQLite, PostgreSQL or MariaDB; connects when first used.

    Times are seconds; `answer_timeout` None: a server may take as long as it likes (see
    `bounds`). Connections are tested when they leave the pool, so that a restarted
    database costs nobody a request.
    """
    url = make_url(url)
    options: dict[str, Any] = {
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": pool_timeout,
        "pool_pre_ping": True,
    }
    if url.get_backend_name() == "sqlite":
        if (file := _file_of(url)) is not None:
            private_files.make_directory(file.resolve().parent)
        options |= {"connect_args": {"timeout": busy_timeout}, "pool_pre_ping": False}
    if url.get_backend_name() in ("mysql", "mariadb"):
        # Its default locks gaps between rows, and so units of different rows lock each other out.
        options["isolation_level"] = "READ COMMITTED"
    options.setdefault("connect_args", timeouts.arguments(url, busy_timeout, answer_timeout))
    engine = create_engine(url, **options)
    timeouts.bind(engine, busy_timeout, answer_timeout)
    if url.get_backend_name() == "sqlite":
        _make_strict(engine, busy_timeout)
    return engine


def is_missing(url: str | URL) -> bool:
    """Return whether the URL is that of an SQLite file which does not exist; connecting would create it."""
    url = make_url(url)
    file = _file_of(url) if url.get_backend_name() == "sqlite" else None
    return file is not None and not file.exists()


def _file_of(url: URL) -> Path | None:
    """Return the file that an SQLite URL names; None for memory, and for a URI of SQLite's own."""
    name = url.database
    return None if not name or name == ":memory:" or name.startswith("file:") else Path(name)


@contextlib.contextmanager
def unhurried(engine: Engine) -> Iterator[Engine]:
    """The same database, for what may take long: to change the table of a million rows."""
    if engine.dialect.name == "sqlite":
        yield engine
        return
    patient = build_engine(engine.url, pool_size=1, answer_timeout=None)
    try:
        yield patient
    finally:
        patient.dispose()


def read_only(engine: Engine) -> Engine:
    """The same engine for reading: every statement stands alone, and no lock is taken."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{READ_ONLY: True})
    return engine.execution_options(**{READ_ONLY: True}, isolation_level="AUTOCOMMIT")


def _make_strict(engine: Engine, busy_timeout: float) -> None:
    event.listen(engine, "do_connect", _create_sqlite)
    event.listen(engine, "connect", partial(_configure_sqlite, busy_timeout))
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "checkin", _roll_back_left_over)


def _create_sqlite(dialect: object, record: object, arguments: list[Any], options: dict[str, Any]) -> None:
    """Create a missing database with a mode of ours: SQLite itself lets everybody read what it creates.

    One that exists is not opened, because closing it again would end SQLite's own locks on it.
    """
    if not options.get("uri"):
        with contextlib.suppress(OSError):  # SQLite says better what is wrong
            private_files.create(Path(arguments[0]).resolve(), _DATABASE_MODE)


def _configure_sqlite(busy_timeout: float, connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    end = time.monotonic() + busy_timeout
    for pragma in (
        "journal_mode = WAL",  # readers do not wait for the writer
        "synchronous = FULL",  # a commit that was answered survives a power cut
        "foreign_keys = ON",
    ):
        # SQLite does not wait for others who change a new database's journal at the same time.
        while not _execute(cursor, f"PRAGMA {pragma}", end):
            time.sleep(_BUSY_PAUSE)
    cursor.close()


def _execute(cursor: sqlite3.Cursor, statement: str, end: float) -> bool:
    """Return whether it was done, False while another process is in the way."""
    try:
        cursor.execute(statement)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
            raise
        return False
    return True


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at BEGIN, because a transaction that upgrades its lock later can fail at once."""
    if not connection.get_execution_options().get(READ_ONLY):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _roll_back_left_over(connection: sqlite3.Connection | None, record: object) -> None:
    """A COMMIT that failed leaves its transaction open; the next unit must not commit it."""
    if connection is not None and connection.in_transaction:
        connection.rollback()
