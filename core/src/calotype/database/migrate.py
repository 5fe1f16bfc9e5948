"""Migrations: bring a database to the newest revision of each branch, or check that it is at that revision.

A branch is a line of migrations with its own tables and version table. The core has one, and so does each
extension that stores data in the database. Disabling an extension leaves its tables and version unchanged.

alembic is imported where it is used, because the import takes 10 MiB and a tenth of a second, and most
processes have nothing to migrate.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Dialect,
    Engine,
    MetaData,
    String,
    column,
    event,
    inspect,
    select,
    table,
    update,
)
from sqlalchemy.dialects.mysql.base import MySQLDialect
from sqlalchemy.exc import DBAPIError

from calotype.config.messages import one_line
from calotype.database.engine import read_only, unhurried
from calotype.database.errors import SchemaMismatch
from calotype.database.event_tables import EventRow
from calotype.database.tables import IdentityRow
from calotype.database.turns import Tell, turn

log = logging.getLogger(__name__)

#: alembic's environment and template, which all branches share.
_ENVIRONMENT = Path(__file__).parent / "migrations"
#: The revisions from before the first release. The last one has the tables of `core_1`.
_UNRELEASED = re.compile(r"00(0[1-9]|10)")
_LAST_UNRELEASED = "0010"
#: The commit at which `_LAST_UNRELEASED` was the newest revision.
_LAST_COMMIT = "b7f1b0e"
#: What to do about errors of SQLite, PostgreSQL and MariaDB, by a part of their text.
_CURES = {
    "file is not a database": ": name another file in sqlalchemy.url, or restore this one from a backup",
    "permission denied for schema": ": the user of the URL must own the database: make it with "
    "`createdb -O {user} {name}`, or run ALTER DATABASE {name} OWNER TO {user}",
    "command denied to user": ": run GRANT ALL PRIVILEGES ON {name}.* TO {user} as an administrator of the "
    "database server",
}
#: The errors of MariaDB and MySQL for a step that is done already: the table, column, index or foreign key
#: exists, or is gone. Their DDL has no transactions, so a repeated migration meets completed steps.
_DONE_ALREADY = frozenset({1050, 1051, 1060, 1061, 1091, 1826})


@dataclass(frozen=True, slots=True)
class Branch:
    """A line of migrations.

    Args:
        name: The branch's name. An extension's branch has the name of the extension.
        folder: The folder of alembic scripts.
        newest: The revision that this version of the code needs.
        metadata: The tables as the newest revision leaves them. No two branches share a table.
    """

    name: str
    folder: Path
    newest: str
    metadata: MetaData

    @property
    def version_table(self) -> str:
        """The name of the table that keeps the database's revision."""
        return "alembic_version" if self is CORE else f"alembic_version_{self.name}"


CORE = Branch("core", _ENVIRONMENT / "versions", "core_5", EventRow.metadata)


def current(engine: Engine, branch: Branch = CORE) -> str | None:
    """Return the branch's revision in the database; None if the branch has no tables yet."""
    version = column("version_num", String())
    with _usable(engine), read_only(engine).connect() as connection:
        if not inspect(connection).has_table(branch.version_table):
            return None
        return connection.scalar(select(version).select_from(table(branch.version_table, version)))


def upgrade(engine: Engine, branches: Sequence[Branch] = (CORE,), tell: Tell = log.warning) -> None:
    """Bring the database to the newest revision of each branch. Do nothing if it is at that revision.

    Args:
        tell: Called with a sentence if this process waits for another one that is changing the schema.

    Raises:
        SchemaMismatch: the database cannot be used, or this version does not know its revision.
    """
    if all(current(engine, branch) == branch.newest for branch in branches):
        return
    _require_own_database(engine)
    from alembic import command

    with _usable(engine), turn(engine, tell):
        for branch in branches:
            if branch is CORE and current(engine) == _LAST_UNRELEASED:
                _adopt(engine)
            _require_known(engine, branch)
            if current(engine, branch) != branch.newest:
                _run(engine, branch, lambda config: command.upgrade(config, "head"))


def downgrade(engine: Engine, revision: str, branch: Branch = CORE, tell: Tell = log.warning) -> None:
    """Take the database back to an older revision of a branch."""
    from alembic import command

    with _usable(engine), turn(engine, tell):
        _run(engine, branch, lambda config: command.downgrade(config, revision))


def older_than(revision: str | None, branch: Branch = CORE) -> list[str]:
    """Return the revisions before this one, newest first; an empty list if this one is unknown."""
    line = _revisions(branch)
    return line[line.index(revision) + 1 :] if revision in line else []


def is_upgradable(revision: str | None, branch: Branch = CORE) -> bool:
    """Return whether tables at this revision are older than this version's, and `upgrade` can change them."""
    return revision in older_than(branch.newest, branch) or (branch is CORE and revision == _LAST_UNRELEASED)


def differences(engine: Engine, branch: Branch = CORE) -> list[Any]:
    """Return how the branch's tables in the database differ from its models, in alembic's terms."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def is_ours(name: str | None, kind: str, parents: Any) -> bool:
        return kind != "table" or name in branch.metadata.tables

    with _usable(engine), read_only(engine).connect() as connection:
        options = {"compare_type": True, "include_name": is_ours}
        return compare_metadata(MigrationContext.configure(connection, opts=options), branch.metadata)


def require_newest(engine: Engine, branches: Sequence[Branch] = (CORE,), ini: str = "INI") -> None:
    """Check that the database is at the newest revision of each branch.

    Raises:
        SchemaMismatch: the database is at another revision. The message names the command to run.
    """
    for branch in branches:
        at = current(engine, branch)
        if at == branch.newest:
            continue
        _require_own_database(engine)
        state = f"at revision {at}" if at else "empty"
        needs = f"the database is {state}, this version needs"
        if branch is not CORE:
            needs = f"the tables of the extension '{branch.name}' are {state if at else 'missing'}, it needs"
        raise SchemaMismatch(f"{needs} revision {branch.newest}: run `calotype-manage db upgrade {ini}`")


def require_own_tables(tables: Collection[str]) -> None:
    """Check that these tables are not those of another program. Ours may be missing or partly migrated.

    Only the table with the database's id proves that a database is ours. Other programs use alembic, too, and
    may number their revisions in the same way.

    Raises:
        SchemaMismatch: the tables belong to another program.
    """
    others = sorted(set(tables) - set(CORE.metadata.tables) - {CORE.version_table})
    if others and IdentityRow.__tablename__ not in tables:
        shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        raise SchemaMismatch(
            f"the database holds tables of another program ({shown}), so nothing was changed in it: give "
            "Calotype a database of its own in sqlalchemy.url"
        )


def exact_text(dialect: Dialect) -> dict[str, str]:
    """Return the options of a table that compares texts exactly, including blanks at the end.

    Without them MariaDB and MySQL consider "My Image" and "my image" equal. Other databases need no option.
    """
    if not isinstance(dialect, MySQLDialect):
        return {}
    collation = "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"
    return {f"{dialect.name}_charset": "utf8mb4", f"{dialect.name}_collate": collation}


def _require_own_database(engine: Engine) -> None:
    with _usable(engine), read_only(engine).connect() as connection:
        require_own_tables(inspect(connection).get_table_names())


def _adopt(engine: Engine) -> None:
    """Replace the last unreleased revision by `core_1`, which has the same tables."""
    version = table(CORE.version_table, column("version_num"))
    with engine.begin() as connection:
        connection.execute(update(version).values(version_num="core_1"))


def _require_known(engine: Engine, branch: Branch) -> None:
    at = current(engine, branch)
    if at is None or at in _revisions(branch):
        return
    if branch is CORE and _UNRELEASED.fullmatch(at):
        raise SchemaMismatch(
            f"the database is at revision {at}, from before the first release: upgrade it to "
            f"{_LAST_UNRELEASED} with the commit {_LAST_COMMIT} of Calotype first, then with this version"
        )
    raise SchemaMismatch(
        f"the database is at revision {at} of {branch.name}, which this version does not know: "
        "use the version that has upgraded it, or a newer one"
    )


def _revisions(branch: Branch) -> list[str]:
    """Return the branch's revisions, newest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(_ENVIRONMENT), version_locations=[str(branch.folder)])
    return [script.revision for script in scripts.walk_revisions()]


def _run(engine: Engine, branch: Branch, work: Callable[[Any], None]) -> None:
    from alembic.config import Config

    config = Config()
    config.set_main_option("path_separator", "newline")
    config.set_main_option("script_location", str(_ENVIRONMENT).replace("%", "%%"))
    config.set_main_option("version_locations", str(branch.folder).replace("%", "%%"))
    # All steps are one transaction, if the database has transactions for DDL.
    with (
        unhurried(engine) as patient,
        patient.connect() as connection,
        _rows_unchained(connection),
        _steps_repeatable(connection),
        connection.begin(),
    ):
        config.attributes["branch"], config.attributes["connection"] = branch, connection
        work(config)


@contextlib.contextmanager
def _rows_unchained(connection: Connection) -> Iterator[None]:
    """Disable foreign keys on SQLite, because they prevent it from replacing a table with a changed copy."""
    if connection.dialect.name != "sqlite":
        yield
        return
    raw = connection.connection.cursor()
    raw.execute("PRAGMA foreign_keys = OFF")  # has no effect once the transaction has begun
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys = ON")


@contextlib.contextmanager
def _steps_repeatable(connection: Connection) -> Iterator[None]:
    """Skip steps that are done already, on databases that do not roll back an interrupted migration."""
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


@contextlib.contextmanager
def _usable(engine: Engine) -> Iterator[None]:
    """Raise SchemaMismatch if the database is unreachable, locked, or not a database."""
    try:
        yield
    except DBAPIError as error:
        url = engine.url.render_as_string(hide_password=True)
        raise SchemaMismatch(f"the database {url} cannot be used: {_reason(engine.url, error)}") from error


def _reason(url: URL, error: DBAPIError) -> str:
    """Return the database's own words on one line, and what to do about them, if that is known."""
    # MariaDB's errors are a number and a text. PostgreSQL's texts may quote the statement in a second line.
    own = str(error.orig.args[-1] if error.orig and error.orig.args else error.orig)
    words = one_line(re.sub(r"\nLINE \d+: .*", "", own, flags=re.DOTALL))
    cure = next((cure for part, cure in _CURES.items() if part in words), "")
    return words + cure.format(user=url.username or "USER", name=url.database)
