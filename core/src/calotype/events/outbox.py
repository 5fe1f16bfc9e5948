"""Reading the outbox of events in the order of its numbers, without losing an event; removing old events.

Transactions commit in another order than their events are numbered. So when event 7 is visible, event 6 may
belong to a transaction that has not committed yet, or that never will. Its number is a gap. A reader does not
wait at a gap: it returns event 7 at once. But it keeps its position before the gap, and reads everything
after the position again and again, until event 6 has appeared, or the gap is so old that every transaction
from that time has ended: the database server ends idle ones, see `calotype.database.timeouts`.

Events of one image always keep their order, because each unit of work locks the image before it numbers its
events.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable

from calotype.database.database import Database
from calotype.database.events import EventQueries
from calotype.database.retry import retry_on_conflict
from calotype.model.events import Event

#: Seconds after which a gap can no longer be filled. A server ends a transaction that is idle for 15 seconds.
_SETTLED = 30.0
#: Numbers before the newest one that a new reader searches for gaps.
_BEHIND = 100
#: Maximum number of new events that a reader returns at once.
_BATCH = 1000
#: Maximum number of events behind a gap that a reader remembers. Then it gives the oldest gap up.
_REMEMBERED = 5000
#: Maximum number of events that one unit of work removes.
_FORGOTTEN_AT_ONCE = 1000


class OutboxReader:
    """A reader of new events. It returns each event once.

    Every event up to `position` has been returned, or will never exist.
    """

    def __init__(self, events: EventQueries, clock: Callable[[], float] = time.monotonic):
        self.position = 0
        self._events = events
        self._clock = clock
        #: The numbers of the events after `position` that have been read, with the time of the first read.
        self._read: dict[int, float] = {}

    def start(self) -> None:
        """Begin with the events that become visible from now on."""
        self._read = {}
        self.position = max(0, self._events.kept().newest - _BEHIND)
        self.read()

    def read(self) -> list[Event]:
        """Return the events that have become visible since the last call, in the order of their numbers."""
        now = self._clock()
        found = self._events.after(self.position, len(self._read) + _BATCH)
        new = [event for event in found if event.number not in self._read][:_BATCH]
        self._read.update((event.number, now) for event in new)
        self._advance(now)
        return new

    def _advance(self, now: float) -> None:
        """Move the position over events that have been read, and over gaps that stay empty."""
        for number in sorted(self._read):
            is_old = now - self._read[number] >= _SETTLED or len(self._read) > _REMEMBERED
            if number != self.position + 1 and not is_old:
                break
            del self._read[number]
            self.position = number


@retry_on_conflict
def forget_old(database: Database, seconds: float) -> bool:
    """Remove a batch of events and deliveries older than `seconds`; return whether there may be more."""
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
    events = database.events.older_than(moment, _FORGOTTEN_AT_ONCE)
    deliveries = database.webhooks.older_than(moment, _FORGOTTEN_AT_ONCE)
    if events or deliveries:
        with database.unit(frees=True) as unit:
            unit.forget_events(events)
            unit.webhooks.forget(deliveries)
    return _FORGOTTEN_AT_ONCE in (len(events), len(deliveries))
