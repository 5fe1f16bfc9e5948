"""The scrubber's rows: the copies that are due, the results of checks, and the pass over each store.

One process at a time scrubs a store. It holds the lease of the store's row in `scrubs`, and every change of
that row is a compare-and-swap on the lease.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, Select, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from calotype.database.columns import UTCDateTime
from calotype.database.retry import LockConflict
from calotype.database.statements import Queries, UnitPart, now
from calotype.database.tables import ImageRow, LocationRow, ScrubRow
from calotype.model.images import LocationState
from calotype.model.states import Status

_IMAGES, _LOCATIONS, _SCRUBS = ImageRow.__table__, LocationRow.__table__, ScrubRow.__table__
#: The statuses of images whose bytes can be read.
_READABLE = (Status.ACTIVE, Status.DEACTIVATED)
_IN_QUARANTINE = (_LOCATIONS.c.state == LocationState.STORED, _LOCATIONS.c.quarantined_at.is_not(None))


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
    """The current or last pass over a store. `checked` and `failed` count copies."""

    store: str
    lease_until: datetime.datetime | None
    began_at: datetime.datetime
    ended_at: datetime.datetime | None
    checked: int
    failed: int
    stopped: str | None


class Scrubs(Queries):
    """The queries for copies and passes."""

    def due(
        self, store: str, stored_before: datetime.datetime, checked_before: datetime.datetime, limit: int
    ) -> list[Copy]:
        """Return at most `limit` copies in a store that are due for a check.

        A copy that was never checked is due if it was stored before `stored_before`. If there are none of
        these, the copies last checked before `checked_before` are returned, oldest check first.
        """
        c = _LOCATIONS.c
        never = _copies(c.store == store, c.checked_at.is_(None), c.created_at < stored_before)
        before = _copies(c.store == store, c.checked_at < checked_before).order_by(c.checked_at)
        return self._read(never.limit(limit)) or self._read(before.limit(limit))

    def quarantined(self, store: str, checked_before: datetime.datetime) -> list[Copy]:
        """Return a store's copies in quarantine that were last checked before `checked_before`."""
        c = _LOCATIONS.c
        return self._read(_copies(c.store == store, *_IN_QUARANTINE, c.checked_at < checked_before))

    def copies(self, image_id: str) -> list[Copy]:
        """Return all copies of an image that the scrubber checks."""
        return self._read(_copies(_LOCATIONS.c.image_id == image_id))

    def _read(self, query: Select[Any]) -> list[Copy]:
        return [Copy(*row) for row in self._all(query)]

    def count_bytes(self, store: str) -> int:
        """Return the size in bytes of all copies in a store that the scrubber checks."""
        copies = _copies(_LOCATIONS.c.store == store).subquery()
        (size,) = self._scalars(select(func.coalesce(func.sum(copies.c.size), 0)))
        return int(size)

    def find(self, store: str) -> Scrub | None:
        """Return the pass over a store; None if there never was one."""
        found = self._first(_PASSES.where(_SCRUBS.c.store == store))
        return None if found is None else Scrub(*found)

    def all(self) -> list[Scrub]:
        """Return the passes over all stores, sorted by the stores' names."""
        return [Scrub(*row) for row in self._all(_PASSES.order_by(_SCRUBS.c.store))]

    def count_quarantined(self) -> dict[str, int]:
        """Count the copies in quarantine by store."""
        store = _LOCATIONS.c.store
        rows = self._all(select(store, func.count()).where(*_IN_QUARANTINE).group_by(store))
        return {row[0]: row[1] for row in rows}


class ScrubsUnit(UnitPart):
    """The methods of a unit of work that change the scrubber's records of copies and passes."""

    def mark_right(self, key: str) -> bool:
        """Record that a check found a copy intact. If the copy is in quarantine, release it.

        Returns whether the blob is still a copy of an image.
        """
        return self._change_copy(key, checked_at=now(), quarantined_at=None)

    def mark_bad(self, key: str) -> bool:
        """Record that a check found a copy damaged or missing, and put it into quarantine.

        Returns whether the blob is still a copy of an image.
        """
        at = now()
        since = func.coalesce(_LOCATIONS.c.quarantined_at, literal(at, UTCDateTime()))
        return self._change_copy(key, checked_at=at, quarantined_at=since)

    def make_due(self, key: str) -> bool:
        """Make a blob due for a check; return whether it is still a copy of an image."""
        return self._change_copy(key, checked_at=None)

    def make_quarantined_due(self, store: str) -> None:
        """Make a store's copies in quarantine due for a check."""
        quarantined = update(_LOCATIONS).where(_LOCATIONS.c.store == store, *_IN_QUARANTINE)
        self.connection.execute(quarantined.values(checked_at=None))

    def set_reason(self, image_id: str, reason: str | None) -> None:
        """Set the `status_reason` of a readable image, but not `updated_at`: no client changed the image."""
        self._swap(_IMAGES, _IMAGES.c.id == image_id, _IMAGES.c.status.in_(_READABLE), status_reason=reason)

    def claim(self, store: str, owner: str, until: datetime.datetime, seen: Scrub | None) -> bool:
        """Take the lease on a store's pass if it has not changed since it was `seen`.

        If that pass has ended, a new one begins. Returns False if another process took or renewed the lease.
        """
        fresh = {"began_at": now(), "ended_at": None, "checked": 0, "failed": 0, "stopped": None}
        lease = {"lease_owner": owner, "lease_until": until}
        if seen is None:
            try:
                self.connection.execute(insert(_SCRUBS), {"store": store, **fresh, **lease})
            except IntegrityError as error:
                raise LockConflict("Another process is beginning to scrub the store.") from error
            return True
        c = _SCRUBS.c
        as_seen = (c.lease_until == seen.lease_until, c.stopped.is_(None))
        return self._change(store, *as_seen, **lease, **(fresh if seen.ended_at else {}))

    def count(self, store: str, owner: str, *, failed: bool) -> bool:
        """Count one more copy as checked; return whether `owner` still holds the lease."""
        c = _SCRUBS.c
        counts = {"checked": c.checked + 1, "failed": c.failed + int(failed)}
        return self._change(store, c.lease_owner == owner, **counts)

    def release(self, store: str, owner: str, *, ended: bool = False, stopped: str | None = None) -> bool:
        """Release the lease; return whether `owner` still held it.

        `ended` is true if the pass is complete, and `stopped` is the reason if it was stopped. Otherwise the
        pass can be continued later.
        """
        values: dict[str, Any] = {"lease_owner": None, "lease_until": None, "stopped": stopped}
        if ended:
            values["ended_at"] = now()
        return self._change(store, _SCRUBS.c.lease_owner == owner, **values)

    def resume(self, store: str) -> bool:
        """End a stopped pass, so that a new one can begin; return whether there was one."""
        return self._change(store, _SCRUBS.c.stopped.is_not(None), stopped=None, ended_at=now())

    def _change(self, store: str, *conditions: ColumnElement[bool], **values: Any) -> bool:
        return self._swap(_SCRUBS, _SCRUBS.c.store == store, *conditions, **values)

    def _change_copy(self, key: str, **values: Any) -> bool:
        stored = (_LOCATIONS.c.key == key, _LOCATIONS.c.state == LocationState.STORED)
        return self._swap(_LOCATIONS, *stored, **values)


def _copies(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Return the query for the copies that the scrubber checks, which excludes external locations."""
    c, i = _LOCATIONS.c, _IMAGES.c
    return (
        select(c.key, c.image_id, c.store, c.location, i.size, i.os_hash_value, c.quarantined_at.is_not(None))
        .join(_IMAGES, i.id == c.image_id)
        .where(c.state == LocationState.STORED, c.external.is_(False), i.status.in_(_READABLE), *conditions)
    )


_PASSES = select(*(_SCRUBS.c[field.name] for field in fields(Scrub)))
