"""The database engine, with the settings that make SQLite as strict as a server."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPICursor

from calotype.config import private_files
from calotype.database import timeouts
from calotype.database.liveness import check_on_checkout

#: The mode of a new SQLite file. SQLite gives the -wal, -shm and -journal files the same mode and owner.
_DATABASE_MODE = 0o640
#: Seconds between two attempts to set up a connection while another process sets up the database.
_BUSY_PAUSE = 0.02
#: The bit of MariaDB's server status that is set within a transaction.
_MYSQL_IN_TRANSACTION = 1
#: Seconds between two attempts to begin a transaction while another process writes.
_TURN_PAUSE = 0.001


def build_engine(
    url: str | URL,
    *,
    pool_size: int = 10,
    pool_timeout: float = 10,
    busy_timeout: float = 5,
    answer_timeout: float | None = 15,
) -> Engine:
    """Return an engine for SQLite, PostgreSQL or MariaDB, which connects when it is first used.

    Times are in seconds. If `answer_timeout` is None, a statement may take any time (see `timeouts`).
    Connections are tested when they leave the pool, so that no request fails after a restart of the database.

    Outside of a transaction each statement is one of its own, and the engine begins a transaction by a
    statement. So readers, which use the same connections, need no round trips besides their queries.
    """
    url = make_url(url)
    options: dict[str, Any] = {
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": pool_timeout,
        "pool_reset_on_return": None,  # `_roll_back_left_over` saves the round trip
        # The connection that was used last has the most in its caches: pages and statements.
        "pool_use_lifo": True,
    }
    if url.get_backend_name() == "sqlite":
        if (file := _file_of(url)) is not None:
            private_files.make_directory(file.resolve().parent)
        options["connect_args"] = {"timeout": busy_timeout}
    if url.get_backend_name() in ("mysql", "mariadb"):
        # The default isolation level locks gaps between rows, so units that change different rows conflict.
        options["isolation_level"] = "READ COMMITTED"
    options.setdefault("connect_args", timeouts.arguments(url, busy_timeout, answer_timeout))
    engine = create_engine(url, **options)
    if url.get_backend_name() == "sqlite":
        _make_strict(engine, busy_timeout)
    else:
        event.listen(engine, "connect", partial(_commit_each_statement, engine.dialect))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        _skip_needless_rollbacks(engine.dialect)
        check_on_checkout(engine)
    event.listen(engine, "checkin", _roll_back_left_over)
    timeouts.bind(engine, busy_timeout, answer_timeout)
    return engine


def is_missing(url: str | URL) -> bool:
    """Return whether the URL names an SQLite file that does not exist. Connecting would create it."""
    url = make_url(url)
    file = _file_of(url) if url.get_backend_name() == "sqlite" else None
    return file is not None and not file.exists()


def _file_of(url: URL) -> Path | None:
    """Return the file that an SQLite URL names; None for a database in memory, and for a `file:` URI."""
    name = url.database
    return None if not name or name == ":memory:" or name.startswith("file:") else Path(name)


@contextlib.contextmanager
def unhurried(engine: Engine) -> Iterator[Engine]:
    """Return an engine for the same database without timeouts, for changes of large tables."""
    if engine.dialect.name == "sqlite":
        yield engine
        return
    patient = build_engine(engine.url, pool_size=1, answer_timeout=None)
    try:
        yield patient
    finally:
        patient.dispose()


def read_only(engine: Engine) -> Engine:
    """Return an engine for reading: each statement is a transaction of its own, and takes no lock.

    It has the same connections. It lacks the listener that begins transactions, which would make every
    statement on SQLite a third slower, because SQLAlchemy then looks for listeners at each step.
    """
    return Engine(engine.pool, engine.dialect, engine.url)


def _skip_needless_rollbacks(dialect: Dialect) -> None:
    """Send a ROLLBACK only within a transaction. SQLAlchemy sends one at the end of each block that reads."""
    roll_back = dialect.do_rollback

    def do_rollback(connection: Any) -> None:
        if _is_in_transaction(connection):
            roll_back(connection)

    dialect.do_rollback = do_rollback  # type: ignore[method-assign, assignment]


def _commit_each_statement(dialect: Dialect, connection: Any, record: object) -> None:
    dialect.set_isolation_level(connection, "AUTOCOMMIT")


def _make_strict(engine: Engine, busy_timeout: float) -> None:
    event.listen(engine, "do_connect", _create_sqlite)
    event.listen(engine, "connect", partial(_configure_sqlite, busy_timeout))
    event.listen(engine, "begin", partial(_begin_sqlite, busy_timeout))


def _create_sqlite(dialect: object, record: object, arguments: list[Any], options: dict[str, Any]) -> None:
    """Create a missing database file, because SQLite itself would make it readable by everybody.

    An existing file is not opened, because closing it again would release SQLite's own locks on it.
    """
    if not options.get("uri"):
        with contextlib.suppress(OSError):  # SQLite will report the problem
            private_files.create(Path(arguments[0]).resolve(), _DATABASE_MODE)


def _configure_sqlite(busy_timeout: float, connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None  # `_begin_sqlite` begins transactions
    cursor = connection.cursor()
    end = time.monotonic() + busy_timeout
    for pragma in (
        "journal_mode = WAL",  # readers do not wait for the writer
        "synchronous = FULL",  # a commit survives a power cut once it has returned
        "foreign_keys = ON",
    ):
        # SQLite does not wait while another process changes the journal mode of a new database.
        while not _execute(cursor, f"PRAGMA {pragma}", end):
            time.sleep(_BUSY_PAUSE)
    cursor.close()


def _execute(cursor: sqlite3.Cursor | DBAPICursor, statement: str, end: float) -> bool:
    """Execute a statement and return True; return False if another process holds a lock."""
    try:
        cursor.execute(statement)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
            raise
        return False
    return True


def _begin_sqlite(busy_timeout: float, connection: Connection) -> None:
    """Take the write lock at BEGIN, because upgrading a read lock later can fail without waiting.

    SQLite's own wait sleeps up to 0.1 s between two attempts, so a process would almost never find the lock
    free while the threads of another one take turns.
    """
    raw = connection.connection.cursor()
    end = time.monotonic() + busy_timeout
    raw.execute("PRAGMA busy_timeout = 0")
    try:
        while not _execute(raw, "BEGIN IMMEDIATE", end):
            time.sleep(_TURN_PAUSE)
    except sqlite3.Error:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # SQLAlchemy wraps the error
    finally:
        raw.execute(f"PRAGMA busy_timeout = {busy_timeout * 1000:.0f}")


def _roll_back_left_over(connection: Any, record: object) -> None:
    """Roll back a transaction that a failed COMMIT left open, because the next unit would commit it."""
    if connection is not None and _is_in_transaction(connection):
        connection.rollback()


def _is_in_transaction(connection: Any) -> bool:
    """Return whether a connection of sqlite3, psycopg or PyMySQL is in a transaction. Send nothing."""
    if isinstance(connection, sqlite3.Connection):
        return connection.in_transaction
    if hasattr(connection, "server_status"):  # PyMySQL
        return bool(connection.server_status & _MYSQL_IN_TRANSACTION)
    return bool(connection.pgconn.transaction_status)
