"""The outbox of events: rows that a unit of work writes together with its changes of images.

The rows are numbered in the order in which they are written, but they become visible in the order in which
their transactions commit. `calotype.events.outbox` reads them without losing any.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from calotype.database.event_tables import DeliveryRow, EventRow
from calotype.database.statements import Queries, now
from calotype.database.tables import ImageRow
from calotype.model.events import Event, EventKind
from calotype.model.states import Status

_EVENTS = EventRow.__table__
# Built once, because building a statement costs more than running it.
_INSERT = insert(_EVENTS).inline()
_INSERT_DELIVERIES = insert(DeliveryRow.__table__).inline()
_AFTER = (
    select(_EVENTS)
    .where(_EVENTS.c.number > bindparam("after"))
    .order_by(_EVENTS.c.number)
    .limit(bindparam("most"))
)

#: The kinds of events that each webhook receives, as members of EventKind or as text, by the webhook's name.
Webhooks = Mapping[str, Collection[str]]


@dataclass(frozen=True, slots=True)
class Kept:
    """The numbers of the oldest and the newest event in the outbox; 0 if there never was one."""

    oldest: int
    newest: int


class EventQueries(Queries):
    """The queries for events."""

    def kept(self) -> Kept:
        """Return the range of the numbers of all events."""
        oldest, newest = self._first(select(func.min(_EVENTS.c.number), func.max(_EVENTS.c.number)))
        return Kept(oldest or 0, newest or 0)

    def after(self, number: int, limit: int) -> list[Event]:
        """Return at most `limit` events with numbers greater than `number`, in their order."""
        return [Event(*row) for row in self._all(_AFTER, after=number, most=limit)]

    def older_than(self, moment: datetime.datetime, limit: int) -> list[int]:
        """Return the numbers of the oldest events, at most `limit`, that are from before `moment`.

        The newest event is left out, so that `kept` knows the newest number.
        """
        c = _EVENTS.c
        rows = self._all(select(c.number, c.created_at).order_by(c.number).limit(limit + 1))
        return [row.number for row in rows[:-1][:limit] if row.created_at < moment]


class Outbox:
    """The events of one unit of work."""

    def __init__(self, webhooks: Webhooks):
        self._webhooks = webhooks
        #: The reason of each event, by image and kind.
        self._noted: dict[str, dict[EventKind, str | None]] = {}

    def note(self, kind: EventKind, image_id: str, reason: str | None = None) -> None:
        """Note an event. A second one of the same kind and image only replaces its reason."""
        self._noted.setdefault(image_id, {})[kind] = reason

    def note_move(self, image_id: str, before: Collection[Status], after: Status, reason: str | None) -> None:
        """Note the event for a change of status."""
        was_deleted = Status.DELETED in before
        if after is Status.DELETED:
            self.note(EventKind.DELETED, image_id)
        elif after is Status.ACTIVE and not was_deleted and Status.DEACTIVATED not in before:
            self.note(EventKind.ACTIVATED, image_id)
        elif after is Status.KILLED or (after is Status.QUEUED and not was_deleted):
            self.note(EventKind.FAILED, image_id, reason)

    def write(self, connection: Connection, known: Mapping[str, Status]) -> None:
        """Write the events. `known` has the statuses of images; those of other images are read."""
        if not self._noted:
            return
        unknown = self._noted.keys() - known.keys()
        statuses = {**known, **(_statuses(connection, unknown) if unknown else {})}
        events = list(self._rows(statuses))
        connection.execute(_INSERT, events)
        deliveries = [
            {**event, "webhook": name, "attempts": 0}
            for name, kinds in self._webhooks.items()
            for event in events
            if event["kind"] in kinds
        ]
        if deliveries:
            connection.execute(_INSERT_DELIVERIES, deliveries)

    def _rows(self, statuses: Mapping[str, Status]) -> Iterator[dict[str, Any]]:
        at = now()
        for image_id, kinds in self._noted.items():
            for kind, reason in kinds.items():
                if kind is EventKind.CHANGED and len(kinds) > 1:
                    continue  # the other event says more
                yield {
                    "id": str(uuid.uuid4()),
                    "kind": kind,
                    "image_id": image_id,
                    "status": statuses[image_id],
                    "reason": reason,
                    "created_at": at,
                }


def forget(connection: Connection, numbers: list[int]) -> None:
    """Remove the events with these numbers."""
    connection.execute(delete(_EVENTS).where(_EVENTS.c.number.in_(numbers)))


def _statuses(connection: Connection, image_ids: Iterable[str]) -> dict[str, Status]:
    i = ImageRow
    rows = connection.execute(select(i.id, i.status).where(i.id.in_(sorted(image_ids))))
    return {row.id: row.status for row in rows}
