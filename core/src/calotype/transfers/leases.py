"""Leases: a process records in the database, at intervals, that it is still working on something.

A lease belongs to a row of an upload, a job or a scrubber's pass, and is named by the row's key. Once it
has expired, any other process may end the work or take it over. The process that lost the lease notices this
at its next change of the row, which succeeds only if the row is as that process left it. Clocks can be wrong,
so a lease's end is never the only evidence that the lease has expired (see `LeaseMonitor`).
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from calotype.database.database import Database
from calotype.database.errors import DatabaseError
from calotype.model.uploads import Lease

log = logging.getLogger(__name__)


#: Seconds between two times at which the progress of transfers is written, together with their leases.
_PROGRESS = 1.0


@dataclass(slots=True)
class Meter:
    """The number of bytes that an upload attempt has moved. The thread that moves them adds to it."""

    moved: int = 0
    #: The number that was last written into the database.
    written: int = 0


class Leases:
    """The leases that this process holds. The first one starts a thread that renews them all.

    The thread also writes the progress of transfers that take longer than a second.
    """

    def __init__(self, database: Database, seconds: float):
        self.owner = str(uuid.uuid4())
        self.seconds = seconds
        self._database = database
        self._held: dict[str, Meter] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def end(self, seconds: float | None = None) -> datetime.datetime:
        """Return when a lease that is taken now ends: after `seconds`, or after the configured duration."""
        wait = self.seconds if seconds is None else seconds
        return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=wait)

    def lease(self) -> Lease:
        """Return a lease of this process, taken now."""
        return Lease(self.owner, self.end())

    @contextlib.contextmanager
    def held(self, key: str) -> Iterator[Meter]:
        """Renew the lease of this key until the block ends, and write the progress that the meter shows."""
        meter = Meter()
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._renew_all, name="leases", daemon=True)
                thread.start()  # if this raises, the next lease tries again
                self._thread = thread
            self._held[key] = meter
        try:
            yield meter
        finally:
            with self._lock:
                self._held.pop(key, None)

    def renew(self) -> None:
        """Renew all leases that are held now."""
        with self._lock:
            held = sorted(self._held)
        if held:
            try:
                with self._database.unit(frees=True) as unit:
                    unit.renew_leases(held, self.owner, self.end())
            except Exception:  # if this thread ended, all uploads of this process would lose their leases
                log.exception("leases could not be renewed; the process will retry")

    def write_progress(self) -> None:
        """Write the progress of the transfers that have moved bytes since the last call."""
        with self._lock:
            moved = {key: meter.moved for key, meter in self._held.items() if meter.moved != meter.written}
        if not moved:
            return
        try:
            with self._database.unit(frees=True) as unit:
                unit.note_moved(moved, self.lease())
        except DatabaseError as error:  # the leases are renewed in their own time, and that is logged
            log.debug("the progress of transfers could not be written: %s", error)
            return
        with self._lock:
            for key, count in moved.items():
                if key in self._held:
                    self._held[key].written = count

    def close(self, seconds: float = 2) -> None:
        """Stop renewing; wait at most `seconds` for a renewal that is running."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _renew_all(self) -> None:
        pause = min(_PROGRESS, self.seconds / 3)
        next_renewal = time.monotonic() + self.seconds / 3
        while not self._ended.wait(pause):
            if time.monotonic() >= next_renewal:
                next_renewal = time.monotonic() + self.seconds / 3
                self.renew()
            self.write_progress()


class LeaseMonitor:
    """A watch over the leases that a process has seen, which measures how long each was not renewed.

    The end of a lease comes from the clock of the process that wrote it, and that clock may be wrong. So this
    process also watches each lease by its own monotonic clock, which cannot be set:

    - If the end has passed, the lease has expired once it was not renewed for two thirds of its duration. A
      living process would have renewed it twice in this time.
    - If the end has not passed, the lease has expired once it was not renewed for its whole duration.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic):
        self._seconds = seconds
        self._clock = clock
        #: (key, end) -> the monotonic time, in seconds, at which that end was first seen.
        self._since: dict[tuple[str, datetime.datetime | None], float] = {}
        self._lock = threading.Lock()

    def expired(self, ends: Mapping[str, datetime.datetime | None]) -> set[str]:
        """Return the keys of the leases that have expired, or that no process has taken.

        `ends` maps the key of each existing lease to its end, or to None if no process has taken it.
        """
        clock, now = self._clock(), datetime.datetime.now(datetime.UTC)
        with self._lock:
            self._since = {lease: self._since.get(lease, clock) for lease in ends.items()}
            return {
                key for (key, end), since in self._since.items() if self._certain_at(end, since, now) <= clock
            }

    def seconds_until_certain(self) -> float:
        """Return the seconds until it is certain which of the leases seen so far have expired."""
        clock, now = self._clock(), datetime.datetime.now(datetime.UTC)
        longest = now + datetime.timedelta(seconds=self._seconds)
        with self._lock:
            certain = (
                self._certain_at(end, since, now)
                for (_, end), since in self._since.items()
                if end and not now <= end <= longest
            )
            return max(0.0, max(certain, default=clock) - clock)

    def _certain_at(self, end: datetime.datetime | None, since: float, now: datetime.datetime) -> float:
        """Return the monotonic time at which a lease counts as expired if it stays unchanged."""
        if end is None:
            return since
        return since + (self._seconds * 2 / 3 if end < now else self._seconds)
