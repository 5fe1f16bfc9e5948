"""The database's schema over time: alembic, called as a library. What `tintype db` and the start use."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from tintype.registry.errors import SchemaMismatch
from tintype.registry.models import Base

_MIGRATIONS = Path(__file__).parent / "migrations"


def newest() -> str:
    """The revision this version of Tintype needs."""
    return ScriptDirectory(str(_MIGRATIONS)).get_current_head()


def current(engine: Engine) -> str | None:
    """The revision the database is at; None for an empty one."""
    with _usable(), engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database to a revision; does nothing when it is there."""
    _run(engine, lambda config: command.upgrade(config, revision))


def downgrade(engine: Engine, revision: str) -> None:
    """Take the database back to a revision ("base": an empty one)."""
    _run(engine, lambda config: command.downgrade(config, revision))


def differences(engine: Engine) -> list[Any]:
    """What the database has other than the models say, in alembic's terms; empty when they agree."""
    with _usable(), engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, Base.metadata)


def require_newest(engine: Engine, ini: str) -> None:
    """Return when the database is at the newest revision.

    Raises:
        SchemaMismatch: it is not; the sentence says which command mends it.
    """
    at = current(engine)
    if at != newest():
        state = f"at revision {at}" if at else "empty"
        raise SchemaMismatch(
            f"the database is {state}, this version needs revision {newest()}: run `tintype db upgrade {ini}`"
        )


def _run(engine: Engine, work: Callable[[Config], None]) -> None:
    def migrate(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        work(config)

    # One transaction around it all: on SQLite its write lock also makes two
    # processes that start together take turns.
    with (
        _usable(),
        engine.connect() as connection,
        _rows_unchained(connection),
        connection.begin(),
    ):
        migrate(connection)


@contextlib.contextmanager
def _usable() -> Iterator[None]:
    """Say in one sentence that the database is away, locked, or none at all."""
    try:
        yield
    except DBAPIError as error:
        raise SchemaMismatch(f"the database cannot be used: {error.orig}") from error


@contextlib.contextmanager
def _rows_unchained(connection: Connection) -> Iterator[None]:
    """SQLite changes a table by making another in its place, which foreign keys to its rows would forbid."""
    if connection.dialect.name != "sqlite":
        yield
        return
    raw = connection.connection.dbapi_connection
    raw.execute("PRAGMA foreign_keys = OFF")  # means nothing once the transaction has begun
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys = ON")
