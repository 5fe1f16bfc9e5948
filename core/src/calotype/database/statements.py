"""Executing statements: the base classes of all queries and of all parts of a unit of work."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, Table, update


def now() -> datetime.datetime:
    """Return the current time as an aware datetime in UTC."""
    return datetime.datetime.now(datetime.UTC)


class Queries:
    """The base class of queries. Each query has a connection of its own, and takes no lock."""

    def __init__(self, reader: Callable[[], AbstractContextManager[Connection]]):
        self._reader = reader

    def _all(self, query: Executable, **values: Any) -> Sequence[Any]:
        with self._reader() as connection:
            return connection.execute(query, values).all()

    def _first(self, query: Executable) -> Any:
        return next(iter(self._all(query)), None)

    def _scalars(self, query: Executable) -> list[Any]:
        return [row[0] for row in self._all(query)]


class UnitPart:
    """The base class of a unit's verbs on one kind of row. `connection` is the connection of the unit."""

    def __init__(self, connection: Connection):
        self.connection = connection

    def _swap(self, table: Table, *conditions: ColumnElement[bool], **values: Any) -> bool:
        """Update the one row that the conditions describe, and return whether there was one."""
        swap = update(table).where(*conditions).values(**values)
        return self.connection.execute(swap).rowcount == 1
