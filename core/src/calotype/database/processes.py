"""The serving processes. Each renews its own row, so that other processes can see that it is alive."""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass

from sqlalchemy import delete, insert, select

from calotype.database.statements import Queries, UnitPart
from calotype.database.tables import ProcessRow

_PROCESSES = ProcessRow.__table__


@dataclass(frozen=True, slots=True)
class ServingProcess:
    """A serving process. `seen_at` is the time of its row's last renewal, by its own clock."""

    id: str
    host: str
    pid: int
    version: str
    started_at: datetime.datetime
    seen_at: datetime.datetime


class Processes(Queries):
    """The queries for processes."""

    def all(self) -> list[ServingProcess]:
        """Return all processes that have a row, sorted by host and start time."""
        c = _PROCESSES.c
        rows = self._all(select(_PROCESSES).order_by(c.host, c.started_at, c.id))
        return [ServingProcess(*row) for row in rows]


class ProcessesUnit(UnitPart):
    """The methods of a unit of work that change the records of processes."""

    def keep(self, process: ServingProcess) -> None:
        """Insert the row of a process, or renew it."""
        if not self._swap(_PROCESSES, _PROCESSES.c.id == process.id, seen_at=process.seen_at):
            self.connection.execute(insert(_PROCESSES), asdict(process))

    def forget(self, process_id: str) -> None:
        """Remove the row of a process that is ending."""
        self.connection.execute(delete(_PROCESSES).where(_PROCESSES.c.id == process_id))

    def forget_unseen(self, since: datetime.datetime) -> None:
        """Remove the rows that were last renewed before `since`."""
        self.connection.execute(delete(_PROCESSES).where(_PROCESSES.c.seen_at < since))
