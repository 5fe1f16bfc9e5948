"""Running alembic, as a library; imported by `schema` only when there is something to do."""

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
from sqlalchemy import Connection, Engine, event

from calotype.database.engine import read_only, unhurried
from calotype.database.tables import Base

#: MariaDB's and MySQL's errors that say that a step is done already: a table, a column, an index or a foreign
#: key is there, or gone. Their DDL knows no transactions, so what was interrupted is begun again half done.
_DONE_ALREADY = frozenset({1050, 1051, 1060, 1061, 1091, 1826})
#: The folder that alembic finds them in.
MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(engine: Engine, revision: str) -> None:
    """Run the migrations up to a revision."""
    _run(engine, lambda config: command.upgrade(config, revision))


def downgrade(engine: Engine, revision: str) -> None:
    """Undo the migrations down to a revision."""
    _run(engine, lambda config: command.downgrade(config, revision))


def older_than(revision: str | None) -> list[str]:
    """The revisions before that one, newest first; none if there is no such revision."""
    line = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]
    return line[line.index(revision) + 1 :] if revision in line else []


def differences(engine: Engine) -> list[Any]:
    """What the database has other than the models say."""
    with read_only(engine).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, Base.metadata)


def _run(engine: Engine, work: Callable[[Config], None]) -> None:
    def migrate(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        work(config)

    # One transaction around it all, where the database can undo a table's change. Processes take turns:
    # see `turns`.
    with (
        unhurried(engine) as patient,
        patient.connect() as connection,
        _rows_unchained(connection),
        _steps_repeatable(connection),
        connection.begin(),
    ):
        migrate(connection)


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


@contextlib.contextmanager
def _steps_repeatable(connection: Connection) -> Iterator[None]:
    """Let each step pass that is done already, where what was interrupted is not undone."""
    if connection.dialect.name not in ("mysql", "mariadb"):
        yield
        return

    def execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        try:
            cursor.execute(statement, parameters)
        except Exception as error:
            if not error.args or error.args[0] not in _DONE_ALREADY:
                raise
        return True

    event.listen(connection.engine, "do_execute", execute)
    try:
        yield
    finally:
        event.remove(connection.engine, "do_execute", execute)
