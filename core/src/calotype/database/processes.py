"""The rows of the processes that serve: each writes its own again and again, so that others see it lives."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from calotype.database.tables import ProcessRow

_PROCESSES = ProcessRow.__table__


@dataclass(frozen=True, slots=True)
class ServingProcess:
    """A process that serves. `seen_at` is when it last wrote its row, by its own clock."""

    id: str
    host: str
    pid: int
    version: str
    started_at: datetime.datetime
    seen_at: datetime.datetime


class Processes:
    """The questions about processes."""

    def __init__(self, reader: Callable[[], AbstractContextManager[Connection]]):
        self._reader = reader

    def all(self) -> list[ServingProcess]:
        """Return all processes that have a row, by host and age."""
        c = _PROCESSES.c
        query = select(c.id, c.host, c.pid, c.version, c.started_at, c.seen_at)
        with self._reader() as connection:
            rows = connection.execute(query.order_by(c.host, c.started_at, c.id)).all()
        return [ServingProcess(*row) for row in rows]


class ProcessesUnit:
    """The verbs on processes of a unit of work."""

    def __init__(self, connection: Connection):
        self._connection = connection

    def keep(self, process: ServingProcess) -> None:
        """Write a process down, or that it was seen again."""
        c = _PROCESSES.c
        seen = update(_PROCESSES).where(c.id == process.id).values(seen_at=process.seen_at)
        if self._connection.execute(seen).rowcount == 0:
            values = {column.name: getattr(process, column.name) for column in c}
            self._connection.execute(insert(_PROCESSES), values)

    def forget(self, process_id: str) -> None:
        """Remove a process that ends."""
        self._connection.execute(delete(_PROCESSES).where(_PROCESSES.c.id == process_id))

    def forget_unseen(self, since: datetime.datetime) -> None:
        """Remove the processes that were not seen since then."""
        self._connection.execute(delete(_PROCESSES).where(_PROCESSES.c.seen_at < since))
