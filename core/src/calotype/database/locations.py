"""Locations: the rows that say where bytes of images lie, or are about to come or to go."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, or_, select, update

from calotype.database.errors import StatusConflict
from calotype.database.tables import ImageRow, LocationRow
from calotype.database.usage import UsageUnit
from calotype.model.images import Image, LeasedLocation, Location, LocationState, Status, StoredLocation
from calotype.model.uploads import Lease, UploadAttempt
from calotype.model.usage import Limits

_LOCATIONS = LocationRow.__table__


class Locations:
    """The questions about locations."""

    _reader: Callable[[], AbstractContextManager[Connection]]

    def leased_locations(self, now: datetime.datetime, limit: int) -> list[LeasedLocation]:
        """Return upload attempts and bytes in pending delete, at most `limit`, earliest lease expiry first.

        Bytes that no process holds and that are kept until after `now` are left out.
        """
        c = LocationRow
        leased = (
            select(_LOCATIONS)
            .where(
                c.state.in_([LocationState.INTENDED, LocationState.PENDING_DELETE]),
                or_(c.lease_owner.is_not(None), c.lease_until.is_(None), c.lease_until < now),
            )
            .order_by(c.lease_until)
            .limit(limit)
        )
        with self._reader() as connection:
            rows = connection.execute(leased).all()
        return [
            LeasedLocation(
                row.image_id,
                _location(row),
                Status(row.on_failure) if row.on_failure else None,
                row.lease_until,
            )
            for row in rows
        ]

    def stored_locations(self, store: str, after: str, limit: int) -> list[StoredLocation]:
        """Return the blobs that images have in a store, in the order of their keys."""
        c, i = LocationRow, ImageRow
        stored = (
            select(c.image_id, c.key, c.location, i.size, i.os_hash_value)
            .join(i, i.id == c.image_id)
            .where(c.store == store, c.state == LocationState.STORED, c.key > after)
            .order_by(c.key)
            .limit(limit)
        )
        with self._reader() as connection:
            return [
                StoredLocation(image_id, key, location, size, sha256)
                for image_id, key, location, size, sha256 in connection.execute(stored)
                if location is not None
            ]

    def known_locations(self, store: str, locations: list[str]) -> set[str]:
        """Return which of a store's locations the database has a row for, in whatever state."""
        c = LocationRow
        known = select(c.location).where(c.store == store, c.location.in_(locations))
        with self._reader() as connection:
            return set(connection.scalars(known))

    def unplaced_keys(self, store: str) -> list[str]:
        """Return keys of a store whose rows do not say where the bytes lie, or will lie."""
        c = LocationRow
        with self._reader() as connection:
            return list(connection.scalars(select(c.key).where(c.store == store, c.location.is_(None))))

    def has_stored(self, key: str) -> bool:
        """Return whether an image has its bytes under that key."""
        stored = (LocationRow.key == key, LocationRow.state == LocationState.STORED)
        with self._reader() as connection:
            return connection.execute(select(LocationRow.key).where(*stored)).first() is not None

    def known_keys(self, keys: list[str]) -> set[str]:
        """Return which keys of upload attempts the database has a row for."""
        with self._reader() as connection:
            return set(connection.scalars(select(LocationRow.key).where(LocationRow.key.in_(keys))))


class LocationsUnit(UsageUnit):
    """The verbs of a unit of work on locations."""

    def __init__(self) -> None:
        super().__init__()
        #: Images as this unit has loaded them, with all that belongs to them.
        self._whole: dict[str, Image] = {}

    def begin_upload(self, attempt: UploadAttempt, lease: Lease) -> None:
        """Write down, before any byte moves, that bytes are about to go to a store.

        A process that finds the lease expired leaves the image in the attempt's `on_failure`.
        """
        self._add_location(
            attempt.image.id,
            attempt.key,
            attempt.store,
            state=LocationState.INTENDED,
            counted=attempt.length or 0,
            lease_owner=lease.owner,
            lease_until=lease.until,
            on_failure=attempt.on_failure,
        )

    def add_external(self, image_id: str, key: str, store: str, location: str) -> None:
        """Write down where bytes lie that belong to somebody else."""
        stored = LocationState.STORED
        self._add_location(image_id, key, store, location=location, state=stored, external=True)

    def _add_location(self, image_id: str, key: str, store: str, **values: Any) -> None:
        row = {"key": key, "image_id": image_id, "store": store, "external": False, "counted": 0}
        self._connection.execute(insert(_LOCATIONS), {**row, "created_at": _now(), **values})
        self._whole.pop(image_id, None)

    def count_location(self, key: str, project: str | None, limits: Limits, size: int) -> None:
        """Set how many bytes are counted for the key, and the project's sum with it.

        Raises:
            LimitReached: the project may not have so many.
        """
        c = _LOCATIONS.c
        counted = self._connection.scalar(select(c.counted).where(c.key == key).with_for_update())
        if counted is not None and counted != size:
            self.count(project, limits, size=size - counted)
            self._change_location(key, counted=size)

    def commit_location(
        self, key: str, owner: str, location: str, state: LocationState = LocationState.STORED
    ) -> None:
        """Write down that the bytes of an upload are complete: they are the image's, or staged for it.

        Raises:
            StatusConflict: the attempt is no longer `owner`'s.
        """
        mine = (_LOCATIONS.c.state == LocationState.INTENDED, _LOCATIONS.c.lease_owner == owner)
        values = {"state": state, "location": location}
        if not self._change_location(key, *mine, lease_owner=None, lease_until=None, **values):
            raise StatusConflict(key)

    def doom_location(
        self, key: str, state: LocationState, until: datetime.datetime, owner: str | None = None
    ) -> bool:
        """Mark the key's bytes for removal and return whether the row was in `state`.

        Other processes leave them alone until `until`. An `owner` removes them now; without one the row
        keeps the owner that it has, if any.
        """
        values = {"state": LocationState.PENDING_DELETE, "lease_until": until}
        if owner is not None:
            values["lease_owner"] = owner
        return self._change_location(key, _LOCATIONS.c.state == state, **values)

    def revive_location(self, key: str) -> bool:
        """Give an image bytes back that no process has begun to remove; return whether there were any."""
        untouched = (_LOCATIONS.c.state == LocationState.PENDING_DELETE, _LOCATIONS.c.lease_owner.is_(None))
        return self._change_location(key, *untouched, state=LocationState.STORED, lease_until=None)

    def claim_location(self, seen: LeasedLocation, owner: str, until: datetime.datetime) -> bool:
        """Take over a row and return True, unless it is no longer as it was `seen`."""
        c = _LOCATIONS.c
        as_seen = (c.state == seen.location.state, c.lease_until == seen.lease_until)
        return self._change_location(seen.location.key, *as_seen, lease_owner=owner, lease_until=until)

    def _change_location(self, key: str, *conditions: ColumnElement[bool], **values: Any) -> bool:
        self._whole.clear()
        change = update(_LOCATIONS).where(_LOCATIONS.c.key == key, *conditions).values(**values)
        return self._connection.execute(change).rowcount == 1

    def forget_location(self, key: str) -> None:
        """Remove the row of a key under which nothing lies any more."""
        self._connection.execute(delete(_LOCATIONS).where(_LOCATIONS.c.key == key))
        self._whole.clear()

    def staged(self, image_id: str) -> list[Location]:
        """Return the locations of bytes that wait to be imported into an image."""
        return [one for one in self.locations(image_id) if one.state is LocationState.STAGED]

    def locations(self, image_id: str) -> list[Location]:
        """Return all locations of an image, in whatever state."""
        rows = self._connection.execute(select(_LOCATIONS).where(_LOCATIONS.c.image_id == image_id))
        return [_location(row) for row in rows]


def _location(row: Row[Any]) -> Location:
    return Location(
        row.key,
        row.store,
        row.location,
        LocationState(row.state),
        row.external,
        row.counted,
        row.quarantined_at is not None,
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
