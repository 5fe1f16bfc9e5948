"""The scrubber's rows: which copies are due, what a check found, and how far the pass over a store is.

One process at a time scrubs a store. It holds the lease of the store's row in `scrubs`, and every
change of that row asks whether it still does.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from calotype.database.retry import LockConflict
from calotype.database.tables import ImageRow, LocationRow, ScrubRow, UTCDateTime
from calotype.model.images import LocationState, Status

_IMAGES, _LOCATIONS, _SCRUBS = ImageRow.__table__, LocationRow.__table__, ScrubRow.__table__
#: The statuses of images whose bytes can be read.
_READABLE = (Status.ACTIVE, Status.DEACTIVATED)


@dataclass(frozen=True, slots=True)
class Copy:
    """A stored copy of an image, with the size in bytes and the SHA-256 in hex that it must have."""

    key: str
    image_id: str
    store: str
    location: str
    size: int | None
    sha256: str | None
    quarantined: bool


@dataclass(frozen=True, slots=True)
class Scrub:
    """A pass over a store: the one that goes on, or else the last one. Counts are of copies."""

    store: str
    lease_until: datetime.datetime | None
    began_at: datetime.datetime
    ended_at: datetime.datetime | None
    checked: int
    failed: int
    stopped: str | None


class Scrubs:
    """The questions about copies and passes."""

    def __init__(self, reader: Callable[[], AbstractContextManager[Connection]]):
        self._reader = reader

    def due(
        self, store: str, stored_before: datetime.datetime, checked_before: datetime.datetime, limit: int
    ) -> list[Copy]:
        """Return a store's copies that must be checked: first those that never were, then the oldest check.

        A copy that was never checked is due if it was `stored_before` that time.
        """
        c = _LOCATIONS.c
        never = _copies(c.store == store, c.checked_at.is_(None), c.created_at < stored_before)
        before = _copies(c.store == store, c.checked_at < checked_before).order_by(c.checked_at)
        with self._reader() as connection:
            found = _read(connection, never.limit(limit))
            return found or _read(connection, before.limit(limit))

    def quarantined(self, store: str, checked_before: datetime.datetime) -> list[Copy]:
        """Return a store's copies in quarantine whose last check is older than that."""
        c = _LOCATIONS.c
        query = _copies(c.store == store, c.quarantined_at.is_not(None), c.checked_at < checked_before)
        with self._reader() as connection:
            return _read(connection, query)

    def copies(self, image_id: str) -> list[Copy]:
        """Return all copies of an image that the scrubber checks."""
        with self._reader() as connection:
            return _read(connection, _copies(_LOCATIONS.c.image_id == image_id))

    def count_bytes(self, store: str) -> int:
        """Return how many bytes all copies in a store have that the scrubber checks."""
        copies = _copies(_LOCATIONS.c.store == store).subquery()
        with self._reader() as connection:
            return int(connection.scalar(select(func.coalesce(func.sum(copies.c.size), 0))) or 0)

    def find(self, store: str) -> Scrub | None:
        """Return the pass over a store; None if there never was one."""
        with self._reader() as connection:
            found = connection.execute(_passes().where(_SCRUBS.c.store == store)).first()
        return None if found is None else Scrub(*found)

    def all(self) -> list[Scrub]:
        """Return the passes over all stores, by the stores' names."""
        with self._reader() as connection:
            return [Scrub(*row) for row in connection.execute(_passes().order_by(_SCRUBS.c.store))]

    def count_quarantined(self) -> dict[str, int]:
        """Count the copies in quarantine by store."""
        c = _LOCATIONS.c
        quarantined = (c.state == LocationState.STORED, c.quarantined_at.is_not(None))
        counted = select(c.store, func.count()).where(*quarantined).group_by(c.store)
        with self._reader() as connection:
            return dict(connection.execute(counted).all())


class ScrubsUnit:
    """The verbs on copies and passes of a unit of work."""

    def __init__(self, connection: Connection):
        self._connection = connection

    def mark_right(self, key: str) -> bool:
        """Write down that a copy was just checked and is right: it is served again if it was not.

        Returns whether it is still a copy of an image.
        """
        return self._change_copy(key, checked_at=_now(), quarantined_at=None)

    def mark_bad(self, key: str) -> bool:
        """Write down that a copy was just checked and is damaged or gone; it is not served from now on.

        Returns whether it is still a copy of an image.
        """
        now = _now()
        since = func.coalesce(_LOCATIONS.c.quarantined_at, literal(now, UTCDateTime()))
        return self._change_copy(key, checked_at=now, quarantined_at=since)

    def make_due(self, key: str) -> bool:
        """Have the scrubber take this copy next; return whether it is still a copy of an image."""
        return self._change_copy(key, checked_at=None)

    def make_quarantined_due(self, store: str) -> None:
        """Have the scrubber take the copies of a store that are in quarantine next."""
        c = _LOCATIONS.c
        quarantined = (c.store == store, c.state == LocationState.STORED, c.quarantined_at.is_not(None))
        self._connection.execute(update(_LOCATIONS).where(*quarantined).values(checked_at=None))

    def set_reason(self, image_id: str, reason: str | None) -> None:
        """Set what `status_reason` says of a readable image. That is no change of the image by its owner."""
        c = _IMAGES.c
        readable = update(_IMAGES).where(c.id == image_id, c.status.in_(_READABLE))
        self._connection.execute(readable.values(status_reason=reason))

    def claim(self, store: str, owner: str, until: datetime.datetime, seen: Scrub | None) -> bool:
        """Take the lease on a store's pass that is as it was `seen`; begin a new pass if that one ended.

        Returns whether nobody else took it or renewed it.
        """
        fresh = {"began_at": _now(), "ended_at": None, "checked": 0, "failed": 0, "stopped": None}
        lease = {"lease_owner": owner, "lease_until": until}
        if seen is None:
            try:
                self._connection.execute(insert(_SCRUBS), {"store": store, **fresh, **lease})
            except IntegrityError as error:
                raise LockConflict("Another process begins to scrub the store at the moment.") from error
            return True
        c = _SCRUBS.c
        as_seen = (c.lease_until == seen.lease_until, c.stopped.is_(None))
        return self._change(store, *as_seen, **lease, **(fresh if seen.ended_at else {}))

    def count(self, store: str, owner: str, *, failed: bool) -> bool:
        """Count one more copy as checked; return whether the pass is still `owner`'s."""
        c = _SCRUBS.c
        counts = {"checked": c.checked + 1, "failed": c.failed + int(failed)}
        return self._change(store, c.lease_owner == owner, **counts)

    def release(self, store: str, owner: str, *, ended: bool = False, stopped: str | None = None) -> bool:
        """Give the lease back; the pass has `ended`, was `stopped` for a reason, or goes on later."""
        values: dict[str, Any] = {"lease_owner": None, "lease_until": None, "stopped": stopped}
        if ended:
            values["ended_at"] = _now()
        return self._change(store, _SCRUBS.c.lease_owner == owner, **values)

    def resume(self, store: str) -> bool:
        """Let a stopped pass begin anew; return whether there was one."""
        return self._change(store, _SCRUBS.c.stopped.is_not(None), stopped=None, ended_at=_now())

    def _change(self, store: str, *conditions: ColumnElement[bool], **values: Any) -> bool:
        change = update(_SCRUBS).where(_SCRUBS.c.store == store, *conditions).values(**values)
        return self._connection.execute(change).rowcount == 1

    def _change_copy(self, key: str, **values: Any) -> bool:
        c = _LOCATIONS.c
        copy = update(_LOCATIONS).where(c.key == key, c.state == LocationState.STORED)
        return self._connection.execute(copy.values(**values)).rowcount == 1


def _copies(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Return the query for copies that are ours to check: external bytes belong to somebody else."""
    c, i = _LOCATIONS.c, _IMAGES.c
    return (
        select(c.key, c.image_id, c.store, c.location, i.size, i.os_hash_value, c.quarantined_at.is_not(None))
        .join(_IMAGES, i.id == c.image_id)
        .where(c.state == LocationState.STORED, c.external.is_(False), i.status.in_(_READABLE), *conditions)
    )


def _read(connection: Connection, query: Select[Any]) -> list[Copy]:
    return [Copy(*row) for row in connection.execute(query)]


def _passes() -> Select[Any]:
    c = _SCRUBS.c
    return select(c.store, c.lease_until, c.began_at, c.ended_at, c.checked, c.failed, c.stopped)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
