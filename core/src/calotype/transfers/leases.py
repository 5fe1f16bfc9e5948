"""Leases: a process that carries something says so in the database, again and again, while it lives.

What is leased is a location row (an upload) or a job, by its key. A lease that is over
tells every other process that the work may be ended or taken over; whoever lost it
finds out at its next change, which asks for the row as it left it. No clock that can be
set says alone that a lease is over (see `LeaseMonitor`).
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


class Leases:
    """The leases that this process holds.

    A process that serves renews them beside its requests (`renew`, once `renewed_outside` was called).
    In others, such as commands, the first lease starts a thread that does it.
    """

    def __init__(self, database: Database, seconds: float):
        self.owner = str(uuid.uuid4())
        self.seconds = seconds
        self._database = database
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._needs_thread = True

    def end(self, seconds: float | None = None) -> datetime.datetime:
        """When a lease ends that is taken now."""
        wait = self.seconds if seconds is None else seconds
        return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=wait)

    def lease(self) -> Lease:
        """Return a lease of this process that is taken now."""
        return Lease(self.owner, self.end())

    @contextlib.contextmanager
    def held(self, key: str) -> Iterator[None]:
        """Renew the lease of that key until the block is left."""
        with self._lock:
            self._held.add(key)
            if self._thread is None and self._needs_thread:
                self._thread = threading.Thread(target=self._renew_all, name="leases", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(key)

    def renewed_outside(self) -> None:
        """Start no thread, because the caller sees to it that `renew` is called three times in each lease."""
        self._needs_thread = False

    def renew(self) -> bool:
        """Renew all leases that are held now; always return False, because once is enough."""
        with self._lock:
            held = sorted(self._held)
        if held:
            try:
                with self._database.unit(frees=True) as unit:
                    unit.renew_leases(held, self.owner, self.end())
            except DatabaseError:
                log.exception("leases could not be renewed; they are tried again")
        return False

    def close(self, seconds: float = 2) -> None:
        """Renew nothing any more; wait at most `seconds` for a renewal that runs."""
        self._ended.set()
        thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _renew_all(self) -> None:
        while not self._ended.wait(self.seconds / 3):
            self.renew()


@dataclass(frozen=True, slots=True)
class _Observation:
    """A lease as it was seen: when it ends by the database, and since when it says so, by our own clock."""

    end: datetime.datetime | None
    since: float


class LeaseMonitor:
    """What a process has seen of leases, its own and others', and since when they were not renewed.

    Their ends are times by the clock of whoever wrote them down, and clocks are set, forwards and
    back. A lease that is over by them is so only if nobody renewed it while one watched for two thirds
    of what it lasts, in which all who live renew theirs twice; and what nobody renewed for as long
    as it lasts is over, whatever its end. That time is told by a clock that nobody sets.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic):
        self._seconds = seconds
        self._clock = clock
        self._sights: dict[str, _Observation] = {}
        self._lock = threading.Lock()

    def expired(self, ends: Mapping[str, datetime.datetime | None]) -> set[str]:
        """Look at all leases there are, by their ends; the keys of those that are over, or never were."""
        clock, now = self._clock(), datetime.datetime.now(datetime.UTC)
        with self._lock:
            before = self._sights
            self._sights = {
                key: before[key] if key in before and before[key].end == end else _Observation(end, clock)
                for key, end in ends.items()
            }
            return {key for key, sight in self._sights.items() if self._left(sight, clock, now) <= 0}

    def seconds_until_certain(self) -> float:
        """Seconds after which it will be certain of all that looked so far as if it could be over."""
        clock, now = self._clock(), datetime.datetime.now(datetime.UTC)
        longest = now + datetime.timedelta(seconds=self._seconds)
        with self._lock:
            doubtful = (one for one in self._sights.values() if one.end and not now <= one.end <= longest)
            return max((self._left(one, clock, now) for one in doubtful), default=0)

    def _left(self, sight: _Observation, clock: float, now: datetime.datetime) -> float:
        """Seconds for which it must still be seen as it is until it is over."""
        if sight.end is None:
            return 0
        patience = self._seconds * 2 / 3 if sight.end < now else self._seconds
        return max(0.0, sight.since + patience - clock)
