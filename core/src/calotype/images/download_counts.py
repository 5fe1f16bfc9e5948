"""Counts of downloads: how often each image was downloaded on each day.

A process collects counts in memory, and writes them together, so a download waits for nothing. If the process
is killed, its last counts are lost.
"""

from __future__ import annotations

import datetime
import logging
import threading
from collections import Counter
from collections.abc import Mapping

from calotype.database.database import Database
from calotype.database.errors import DatabaseError
from calotype.database.retry import retry_on_conflict
from calotype.model.downloads import ImageDay

log = logging.getLogger(__name__)

#: Seconds between two times at which a process writes its counts.
INTERVAL = 30
#: Maximum number of images whose counts one unit of work writes.
_BATCH = 500


class DownloadCounts:
    """The counts that this process has not written yet. All threads share an instance.

    `retention` is the time for which counts are kept, in seconds. If it is 0, nothing is counted.
    """

    def __init__(self, database: Database, retention: float):
        self._database = database
        self._retention = datetime.timedelta(seconds=retention)
        self._counts: Counter[ImageDay] = Counter()
        self._lock = threading.Lock()

    def note(self, image_id: str, *, from_start: bool) -> None:
        """Count a download if it sends the first byte of an image, or else only note that it was read."""
        if self._retention:
            day = ImageDay(image_id, _today())
            with self._lock:
                self._counts[day] += from_start

    def write(self) -> bool:
        """Write the counts, and return False, because the next run can wait for the interval.

        If the database does not answer, the counts are kept for the next call.
        """
        with self._lock:
            taken, self._counts = self._counts, Counter()
        days = sorted(taken)
        for start in range(0, len(days), _BATCH):
            batch = {day: taken[day] for day in days[start : start + _BATCH]}
            try:
                self._write(batch)
            except DatabaseError as error:
                log.warning("counts of downloads could not be written; the process will retry: %s", error)
                with self._lock:
                    for day in days[start:]:
                        self._counts[day] += taken[day]
                return False
        return False

    @retry_on_conflict
    def _write(self, counts: Mapping[ImageDay, int]) -> None:
        with self._database.unit() as unit:
            unit.downloads.add(counts)

    @retry_on_conflict
    def forget_old(self) -> bool:
        """Remove the oldest day whose counts are no longer kept, and return whether there was one."""
        oldest = self._database.downloads.first_day()
        if oldest is None or oldest >= _today() - self._retention:
            return False
        with self._database.unit(frees=True) as unit:
            unit.downloads.forget(oldest)
        return True


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()
