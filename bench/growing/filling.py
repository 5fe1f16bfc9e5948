"""Fill a database with copies of one image, by SQL inside the database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection, Table, create_engine, text

from calotype.database.tables import ImageRow, LocationRow, PropertyRow, TagRow

#: The common tag, and each value of the common property, belong to one image in this many.
COMMON = 10
#: The rare tag, and each value of the rare property, belong to this many images.
RARE = 10

#: The number of copies that one statement adds. It limits the size of SQLite's write-ahead log.
_BATCH = 500_000
_IMAGES, _LOCATIONS = ImageRow.__table__, LocationRow.__table__
_TABLES = (_IMAGES, _LOCATIONS, PropertyRow.__table__, TagRow.__table__)
#: Statements for the filling connection. Rows that are copied need no check of their foreign keys.
_SETTINGS = {
    "sqlite": ("PRAGMA foreign_keys = OFF", "PRAGMA cache_size = -1000000"),
    "postgresql": ("SET session_replication_role = replica", "SET maintenance_work_mem = '1GB'"),
}
#: Expressions: a new id, and the time `n` milliseconds after the pattern was created.
_IDS = {
    "sqlite": "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2)"
    " || '-8' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))",
    "postgresql": "CAST(gen_random_uuid() AS text)",
}
_TIMES = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', pattern.created_at, '+' || (n / 1000.0) || ' seconds')",
    "postgresql": "pattern.created_at + n * interval '1 millisecond'",
}
_NUMBERS = """
    INSERT INTO added (id, n)
    WITH RECURSIVE numbers(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})
    SELECT {id}, n FROM numbers
"""
_PARTS = (
    f"INSERT INTO image_properties (image_id, name, value) SELECT id, 'common', n % {COMMON} FROM added",
    f"INSERT INTO image_properties (image_id, name, value) SELECT id, 'rare', n / {RARE} FROM added",
    f"INSERT INTO image_tags (image_id, tag) SELECT id, 'common' FROM added WHERE n % {COMMON} = 0",
    f"INSERT INTO image_tags (image_id, tag) SELECT id, 'rare' FROM added WHERE n <= {RARE}",
)


def fill(url: str, pattern_id: str, numbers: range, *, located: bool) -> None:
    """Add a copy of the pattern for each number: an image 'image N', with two properties and its tags.

    With `located`, each copy also has a location in the pattern's store. The indexes are created again in the
    end, because that takes less time than to add each row to them.
    """
    # Each statement is a transaction of its own, which the engine of the service does not allow.
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    kind = engine.dialect.name
    statements = [*_copies(kind, located=located), *_PARTS]
    with engine.connect() as connection:
        for setting in _SETTINGS[kind]:
            connection.exec_driver_sql(setting)
        with _without_indexes(connection):
            _add(connection, statements, pattern_id, numbers)
        if kind == "postgresql":
            connection.exec_driver_sql("VACUUM ANALYZE")
    engine.dispose()


def _add(connection: Connection, statements: Sequence[str], pattern_id: str, numbers: range) -> None:
    connection.exec_driver_sql("CREATE TEMPORARY TABLE added (id varchar(36), n integer)")
    for first in numbers[::_BATCH]:
        last = min(first + _BATCH, numbers.stop) - 1
        new_id = _IDS[connection.dialect.name]
        connection.exec_driver_sql(_NUMBERS.format(id=new_id, first=first, last=last))
        for statement in statements:
            connection.execute(text(statement), {"pattern": pattern_id} if ":pattern" in statement else {})
        connection.exec_driver_sql("DELETE FROM added")


def _copies(kind: str, *, located: bool) -> list[str]:
    """Return the statements that copy the pattern's row of `images`, and its location."""
    moment = _TIMES[kind]
    image = {"id": "added.id", "name": "'image ' || n", "created_at": moment, "updated_at": moment}
    key = "added.id || '.0123456789ab'"
    location = {"key": key, "image_id": "added.id", "location": f"'file:' || {key}"}
    statements = [_copy(_IMAGES, "id", image)]
    return [*statements, _copy(_LOCATIONS, "image_id", location)] if located else statements


def _copy(table: Table, owner: str, changed: Mapping[str, str]) -> str:
    columns = table.columns.keys()
    values = (changed.get(name, f"pattern.{name}") for name in columns)
    return (
        f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {', '.join(values)}"
        f" FROM {table.name} AS pattern, added WHERE pattern.{owner} = :pattern"
    )


@contextlib.contextmanager
def _without_indexes(connection: Connection) -> Iterator[None]:
    indexes = [index for table in _TABLES for index in table.indexes]
    for index in indexes:
        index.drop(connection)
    yield
    for index in indexes:
        index.create(connection)
