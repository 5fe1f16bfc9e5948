"""The database's schema over time. What `calotype-manage db` and the start use.

alembic is loaded only when there is something to migrate or to compare: it costs 10 MiB
and a good part of the start. A server that migrates leaves that to a child process.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from sqlalchemy import Engine, column, inspect, select, table
from sqlalchemy.exc import DBAPIError

from calotype.config.messages import one_line
from calotype.database.engine import read_only
from calotype.database.errors import SchemaMismatch
from calotype.database.migrations import NEWEST
from calotype.database.turns import Tell, turn

log = logging.getLogger(__name__)

_VERSION = select(column("version_num")).select_from(table("alembic_version"))


def newest() -> str:
    """The revision this version of Calotype needs."""
    return NEWEST


def current(engine: Engine) -> str | None:
    """The revision the database is at; None for an empty one."""
    with _usable(engine), read_only(engine).connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.scalar(_VERSION)


def upgrade(engine: Engine, revision: str = NEWEST, tell: Tell = log.warning) -> None:
    """Bring the database to a revision; does nothing, and waits for nobody, when it is there.

    Args:
        tell: Called with a sentence when another process is at it, whose end is waited for.
    """
    if current(engine) == revision:
        return
    from calotype.database import migrate

    with _usable(engine), turn(engine, tell):
        if current(engine) != revision:
            migrate.upgrade(engine, revision)


def upgrade_apart(engine: Engine) -> None:
    """As `upgrade`, in a child of this process, whose memory goes with it; before any thread is started."""
    if current(engine) == NEWEST:
        return
    processes = multiprocessing.get_context("fork")
    outcome, report = processes.Pipe(duplex=False)
    child = processes.Process(target=_upgrade_in_child, args=(engine, report))
    child.start()
    report.close()
    try:
        failure = outcome.recv()
    except EOFError:
        failure = "the process that migrates the database did not end well"
    child.join()
    if failure is not None:
        raise SchemaMismatch(failure)


def _upgrade_in_child(engine: Engine, report: Connection) -> None:
    engine.dispose(close=False)  # the parent's connections are not ours
    try:
        upgrade(engine)
    except SchemaMismatch as error:
        report.send(str(error))
    else:
        report.send(None)


def downgrade(engine: Engine, revision: str, tell: Tell = log.warning) -> None:
    """Take the database back to a revision ("base": an empty one), in turn as `upgrade`."""
    from calotype.database import migrate

    with _usable(engine), turn(engine, tell):
        migrate.downgrade(engine, revision)


def older_than(revision: str | None) -> list[str]:
    """The revisions before that one, newest first; none if this version does not know it."""
    from calotype.database import migrate

    return migrate.older_than(revision)


def differences(engine: Engine) -> list[Any]:
    """What the database has other than the models say, in alembic's terms; empty when they agree."""
    from calotype.database import migrate

    with _usable(engine):
        return migrate.differences(engine)


def require_newest(engine: Engine, ini: str = "INI") -> None:
    """Return when the database is at the newest revision.

    Raises:
        SchemaMismatch: it is not; the sentence says which command to run.
    """
    at = current(engine)
    if at != newest():
        state = f"at revision {at}" if at else "empty"
        raise SchemaMismatch(
            f"the database is {state}, this version needs revision {newest()}: "
            f"run `calotype-manage db upgrade {ini}`"
        )


@contextlib.contextmanager
def _usable(engine: Engine) -> Iterator[None]:
    """Say in one sentence that the database is away, locked, or none at all, and which one it is."""
    try:
        yield
    except DBAPIError as error:
        url = engine.url.render_as_string(hide_password=True)
        # MariaDB's errors are a number and a text; PostgreSQL's texts have several lines.
        reason = one_line(error.orig.args[-1] if error.orig and error.orig.args else error.orig)
        raise SchemaMismatch(f"the database {url} cannot be used: {reason}") from error
