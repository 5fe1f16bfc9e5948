"""The processes that serve. Each renews a row of its own, so that others see that it is alive."""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass

from sqlalchemy import delete, insert, select

from calotype.database.statements import Queries, UnitPart
from calotype.database.tables import ProcessRow

_PROCESSES = ProcessRow.__table__


@dataclass(frozen=True, slots=True)
class ServingProcess:
    """A process that serves. `seen_at` is when it last renewed its row, by its own clock."""

    id: str
    host: str
    pid: int
    version: str
    started_at: datetime.datetime
    seen_at: datetime.datetime


class Processes(Queries):
    """The queries for processes."""

    def all(self) -> list[ServingProcess]:
        """Return all processes that have a row, by host and age."""
        c = _PROCESSES.c
        rows = self._all(select(_PROCESSES).order_by(c.host, c.started_at, c.id))
        return [ServingProcess(*row) for row in rows]


class ProcessesUnit(UnitPart):
    """The verbs of a unit of work on processes."""

    def keep(self, process: ServingProcess) -> None:
        """Insert the row of a process, or renew it."""
        if not self._swap(_PROCESSES, _PROCESSES.c.id == process.id, seen_at=process.seen_at):
            self.connection.execute(insert(_PROCESSES), asdict(process))

    def forget(self, process_id: str) -> None:
        """Remove a process that ends."""
        self.connection.execute(delete(_PROCESSES).where(_PROCESSES.c.id == process_id))

    def forget_unseen(self, since: datetime.datetime) -> None:
        """Remove the processes that have not renewed their rows since then."""
        self.connection.execute(delete(_PROCESSES).where(_PROCESSES.c.seen_at < since))
