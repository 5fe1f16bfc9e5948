"""Webhooks: the events that each receiver has not accepted yet, and the results of deliveries.

A delivery is written in the transaction that writes the event, so none is lost. One process at a time
delivers the events of a webhook. It holds the lease of the webhook's row.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from calotype.database.event_tables import DeliveryRow, WebhookRow
from calotype.database.retry import LockConflict
from calotype.database.statements import Queries, UnitPart
from calotype.model.events import Event

_DELIVERIES, _WEBHOOKS = DeliveryRow.__table__, WebhookRow.__table__
_EVENT = ("number", "id", "kind", "image_id", "status", "reason", "created_at")


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that must be delivered, and how many attempts have failed."""

    event: Event
    attempts: int


@dataclass(frozen=True, slots=True)
class WebhookState:
    """The lease of a webhook, and the results of its last deliveries."""

    name: str
    lease_owner: str | None = None
    lease_until: datetime.datetime | None = None
    delivered_at: datetime.datetime | None = None
    failed_at: datetime.datetime | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """The number of events that a webhook's receiver has not accepted, and the time of the oldest one."""

    waiting: int
    since: datetime.datetime


class WebhookQueries(Queries):
    """The queries for webhooks."""

    def states(self) -> dict[str, WebhookState]:
        """Return the state of each webhook that ever had one, by name."""
        return {row.name: WebhookState(*row) for row in self._all(select(_WEBHOOKS))}

    def backlogs(self) -> dict[str, Backlog]:
        """Return the backlog of each webhook that has one, by name."""
        c = _DELIVERIES.c
        counted = select(c.webhook, func.count(), func.min(c.created_at)).group_by(c.webhook)
        return {row[0]: Backlog(row[1], row[2]) for row in self._all(counted)}

    def due(self, webhook: str, at: datetime.datetime, limit: int) -> list[Delivery]:
        """Return at most `limit` due deliveries of a webhook: for each image, only its oldest event.

        An event whose next attempt is not due holds back the later events of its image.
        """
        c = _DELIVERIES.c
        first = select(func.min(c.number)).where(c.webhook == webhook).group_by(c.image_id)
        query = (
            select(*(c[name] for name in _EVENT), c.attempts)
            .where(c.number.in_(first), or_(c.not_before.is_(None), c.not_before <= at))
            .order_by(c.number)
            .limit(limit)
        )
        return [Delivery(Event(*row[:-1]), row.attempts) for row in self._all(query)]

    def older_than(self, moment: datetime.datetime, limit: int) -> list[int]:
        """Return the numbers of the oldest deliveries, at most `limit`, that are from before `moment`."""
        c = _DELIVERIES.c
        rows = self._all(select(c.number, c.created_at).order_by(c.number).limit(limit))
        return [row.number for row in rows if row.created_at < moment]


class WebhooksUnit(UnitPart):
    """The methods of a unit of work that change webhooks and deliveries."""

    def claim(self, seen: WebhookState | None, name: str, owner: str, until: datetime.datetime) -> bool:
        """Take the lease of a webhook; return False if its row has changed since it was `seen`.

        Raises:
            LockConflict: another process has inserted the row at the same time.
        """
        c = _WEBHOOKS.c
        if seen is None:
            try:
                self.connection.execute(
                    insert(_WEBHOOKS), {"name": name, "lease_owner": owner, "lease_until": until}
                )
            except IntegrityError as error:
                raise LockConflict("The image database is too busy at the moment.") from error
            return True
        as_seen = (c.lease_until == seen.lease_until,) if seen.lease_until else (c.lease_until.is_(None),)
        return self._swap(_WEBHOOKS, c.name == name, *as_seen, lease_owner=owner, lease_until=until)

    def release(self, name: str, owner: str) -> None:
        """Give up the lease of a webhook, so that another process can take it at once."""
        c = _WEBHOOKS.c
        self._swap(_WEBHOOKS, c.name == name, c.lease_owner == owner, lease_owner=None, lease_until=None)

    def delivered(self, name: str, number: int, at: datetime.datetime) -> None:
        """Record that the receiver has accepted an event."""
        self.forget([number])
        self._change(name, delivered_at=at)

    def failed(self, name: str, number: int, until: datetime.datetime, **result: Any) -> None:
        """Record a failed attempt, with `failed_at` and `last_error`; the next one is due at `until`."""
        c = _DELIVERIES.c
        self._swap(_DELIVERIES, c.number == number, attempts=c.attempts + 1, not_before=until)
        self._change(name, **result)

    def forget(self, numbers: Collection[int]) -> None:
        """Remove the deliveries with these numbers."""
        self.connection.execute(delete(_DELIVERIES).where(_DELIVERIES.c.number.in_(numbers)))

    def _change(self, name: str, **values: Any) -> None:
        self.connection.execute(update(_WEBHOOKS).where(_WEBHOOKS.c.name == name).values(**values))
