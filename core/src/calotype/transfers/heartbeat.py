"""The heartbeat of a serving process: a row that says where it runs, and when it was last alive."""

from __future__ import annotations

import datetime
import importlib.metadata
import logging
import os
import platform
import uuid
from dataclasses import replace

from calotype.database.database import Database
from calotype.database.errors import DatabaseError
from calotype.database.processes import ServingProcess

log = logging.getLogger(__name__)

#: Seconds between two heartbeats.
INTERVAL = 15
#: After this time without a heartbeat, any other process removes the row.
_FORGOTTEN_AFTER = datetime.timedelta(days=1)


class Heartbeat:
    """The heartbeat of this process. `owner` is the owner of its leases, or None if it takes none."""

    def __init__(self, database: Database, owner: str | None = None):
        now = datetime.datetime.now(datetime.UTC)
        version = importlib.metadata.version("calotype-core")
        self._database = database
        self._process = ServingProcess(
            owner or str(uuid.uuid4()), platform.node()[:255], os.getpid(), version[:64], now, now
        )
        self._written = False
        self._failing = False

    def beat(self) -> bool:
        """Record that this process is alive. Return False, because the next run can wait for the interval.

        Only the first of several consecutive failures is logged.
        """
        now = datetime.datetime.now(datetime.UTC)
        try:
            with self._database.unit() as unit:
                unit.processes.keep(replace(self._process, seen_at=now))
                unit.processes.forget_unseen(now - _FORGOTTEN_AFTER)
        except DatabaseError as error:
            if not self._failing:
                log.warning("the heartbeat of this process cannot be written: %s", error)
            self._failing = True
        else:
            self._written, self._failing = True, False
        return False

    def end(self) -> None:
        """Remove the row when this process ends cleanly."""
        if self._written:
            try:
                with self._database.unit(frees=True) as unit:
                    unit.processes.forget(self._process.id)
            except DatabaseError as error:
                log.warning("the heartbeat of this process cannot be removed: %s", error)
