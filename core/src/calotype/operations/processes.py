"""Processes: which processes serve, where, in which version, and whether they are alive."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from calotype.database.database import Database
from calotype.database.processes import ServingProcess
from calotype.transfers.heartbeat import INTERVAL

#: A process that has missed two heartbeats counts as dead.
_SILENT_AFTER = datetime.timedelta(seconds=3 * INTERVAL)


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A serving process, and whether it is alive, as far as its last heartbeat shows.

    The heartbeat has the time of the process's own clock, so a clock that is wrong makes a process look dead.
    """

    process: ServingProcess
    is_alive: bool


def serving_processes(database: Database) -> list[ProcessState]:
    """Return the processes that have a heartbeat, by host and start. Dead ones are listed for a day."""
    now = datetime.datetime.now(datetime.UTC)
    return [
        ProcessState(process, abs(now - process.seen_at) < _SILENT_AFTER)
        for process in database.processes.all()
    ]
