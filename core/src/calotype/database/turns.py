"""Turns: one process at a time changes a database's schema, and the others wait for it.

The lock ends with the process that holds it. PostgreSQL has an advisory lock for this, and MariaDB a named
lock. For SQLite it is an flock on a file beside the database. SQLite's own lock is not enough, because it
covers only one statement at a time while a database is created.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Connection, Engine, func, select

from calotype.config import private_files
from calotype.database.engine import read_only, unhurried
from calotype.database.errors import SchemaMismatch

Tell = Callable[[str], object]
Try = Callable[[], bool]

#: How long a process waits for its turn, in seconds. Tables of millions of rows take minutes to change.
PATIENCE = 1800.0
#: Seconds between two attempts to take the lock.
_PAUSE = 0.1
#: The number of PostgreSQL's advisory lock, which is unique within one database.
_NUMBER = int.from_bytes(hashlib.sha256(b"calotype schema").digest()[:8], "big", signed=True)
_WAITING = "another process is changing the database's schema; waiting up to %g minutes for it to end"


@contextlib.contextmanager
def turn(engine: Engine, tell: Tell) -> Iterator[None]:
    """Hold the lock. If another process has it, `tell` is called once with a sentence before waiting.

    Raises:
        SchemaMismatch: another process holds the lock for PATIENCE seconds, or the lock cannot be used.
    """
    with _lock_of(engine) as take:
        end, is_told = time.monotonic() + PATIENCE, False
        while not take():
            if time.monotonic() > end:
                raise SchemaMismatch(
                    f"another process has been changing the database's schema for {PATIENCE / 60:g} minutes: "
                    "check whether it is still running, and try again"
                )
            if not is_told:
                is_told = True
                tell(_WAITING % (PATIENCE / 60))
            time.sleep(_PAUSE)
        yield


@contextlib.contextmanager
def _lock_of(engine: Engine) -> Iterator[Try]:
    """Yield a function that tries to take the lock. The lock is released at the end of the block."""
    if engine.dialect.name == "sqlite":
        database = engine.url.database
        if not database or database == ":memory:" or engine.url.query.get("uri"):
            yield lambda: True  # no other process can open it, or its file is not known here
            return
        with _file_lock(Path(f"{database}-upgrade.lock")) as take:
            yield take
        return
    # The lock has its own connection, so that it lasts until the end of the block. DDL does not release it.
    with unhurried(engine) as patient, read_only(patient).connect() as connection:
        yield _statement(connection)


@contextlib.contextmanager
def _file_lock(path: Path) -> Iterator[Try]:
    try:
        descriptor = private_files.open_or_create(path, private_files.SECRET)
    except OSError as error:
        raise SchemaMismatch(
            f"the lock for changing the database's schema, {path}, cannot be opened: {error.strerror}"
        ) from error

    def take() -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        yield take
    finally:
        os.close(descriptor)


def _statement(connection: Connection) -> Try:
    if connection.dialect.name == "postgresql":
        taken = func.pg_try_advisory_lock(_NUMBER)
    else:
        # A name is unique on the whole server, and has 64 characters at most.
        name = hashlib.sha256(f"calotype schema {connection.engine.url.database}".encode()).hexdigest()
        taken = func.get_lock(name, 0)
    return lambda: bool(connection.scalar(select(taken)))
