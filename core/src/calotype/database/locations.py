"""Locations: rows for the bytes of images that are stored, or about to be written or removed."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, func, insert, or_, select, update

from calotype.database.errors import StatusConflict
from calotype.database.statements import Queries, now
from calotype.database.tables import ImageRow, LocationRow
from calotype.database.usage import UsageUnit
from calotype.model.images import Image, LeasedLocation, Location, LocationState, StoredLocation
from calotype.model.uploads import Lease, Transfer, UploadAttempt
from calotype.model.usage import Limits

_LOCATIONS = LocationRow.__table__

# Built once, because building a statement costs more than running it.
_COMMIT = (
    update(_LOCATIONS)
    .where(
        _LOCATIONS.c.key == bindparam("of_key"),
        _LOCATIONS.c.state == LocationState.INTENDED,
        _LOCATIONS.c.lease_owner == bindparam("by_owner"),
    )
    .values(lease_owner=None, lease_until=None)
)
_MOVED = update(_LOCATIONS).where(
    _LOCATIONS.c.key == bindparam("at_key"), _LOCATIONS.c.lease_owner == bindparam("at_owner")
)


class LocationQueries(Queries):
    """The queries for locations."""

    def leased_locations(self, at: datetime.datetime, limit: int) -> list[LeasedLocation]:
        """Return at most `limit` upload attempts and blobs in pending delete, earliest lease expiry first.

        A blob that no process holds is left out if it must be kept until after `at`.
        """
        c = _LOCATIONS.c
        leased = (
            select(_LOCATIONS)
            .where(
                c.state.in_([LocationState.INTENDED, LocationState.PENDING_DELETE]),
                or_(c.lease_owner.is_not(None), c.lease_until.is_(None), c.lease_until < at),
            )
            .order_by(c.lease_until)
            .limit(limit)
        )
        return [
            LeasedLocation(row.image_id, _location(row), row.on_failure, row.lease_until)
            for row in self._all(leased)
        ]

    def transfers(self, image_id: str | None = None) -> list[Transfer]:
        """Return the upload attempts of an image, or of all images, that are not complete, oldest first."""
        c = _LOCATIONS.c
        columns = (c.image_id, c.key, c.store, c.announced, c.moved, c.created_at, c.moved_at)
        running = select(*columns).where(c.state == LocationState.INTENDED).order_by(c.created_at, c.key)
        if image_id is not None:
            running = running.where(c.image_id == image_id)
        return [Transfer(*row) for row in self._all(running)]

    def stored_locations(self, store: str, after: str, limit: int) -> list[StoredLocation]:
        """Return at most `limit` stored blobs of a store with keys greater than `after`, sorted by key."""
        c, i = LocationRow, ImageRow
        stored = (
            select(c.image_id, c.key, c.location, i.size, i.os_hash_value)
            .join(i, i.id == c.image_id)
            .where(c.store == store, c.state == LocationState.STORED, c.key > after)
            .where(c.location.is_not(None))
            .order_by(c.key)
            .limit(limit)
        )
        return [StoredLocation(*row) for row in self._all(stored)]

    def known_locations(self, store: str, locations: list[str]) -> set[str]:
        """Return the subset of these locations in a store that have a row in the database, in any state."""
        c = _LOCATIONS.c
        return set(self._scalars(select(c.location).where(c.store == store, c.location.in_(locations))))

    def stores_with_images(self) -> list[str]:
        """Return the names of the stores that have a stored blob, sorted.

        Each step finds the next name in an index, because a SELECT DISTINCT would read the whole index.
        """
        c = _LOCATIONS.c
        found, after = [], ""
        while (name := self._scalars(select(func.min(c.store)).where(c.store > after))[0]) is not None:
            stored = select(c.key).where(c.store == name, c.state == LocationState.STORED).limit(1)
            if self._first(stored) is not None:
                found.append(name)
            after = name
        return sorted(found)

    def count_images_in(self, store: str) -> int:
        """Return the number of images that have a stored blob in a store."""
        c = _LOCATIONS.c
        counted = select(func.count(c.image_id.distinct()))
        return self._scalars(counted.where(c.store == store, c.state == LocationState.STORED))[0]

    def unplaced_keys(self, store: str) -> list[str]:
        """Return the keys of a store whose rows have no location yet."""
        c = _LOCATIONS.c
        return self._scalars(select(c.key).where(c.store == store, c.location.is_(None)))

    def has_stored(self, key: str) -> bool:
        """Return whether an image has a stored blob with this key."""
        c = _LOCATIONS.c
        return self._first(select(c.key).where(c.key == key, c.state == LocationState.STORED)) is not None

    def known_keys(self, keys: list[str]) -> set[str]:
        """Return the subset of the keys that have a row in the database."""
        return set(self._scalars(select(_LOCATIONS.c.key).where(_LOCATIONS.c.key.in_(keys))))


class LocationsUnit(UsageUnit):
    """The methods of a unit of work that change locations."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        #: The images that this unit has loaded, with their properties, tags, members and locations.
        self._whole: dict[str, Image] = {}

    def begin_upload(self, attempt: UploadAttempt, lease: Lease) -> None:
        """Record an upload attempt before its first byte is written to a store.

        If the lease expires, a sweep ends the attempt and sets the image's status to `on_failure`.
        """
        self._add_location(
            attempt.image.id,
            attempt.key,
            attempt.store,
            state=LocationState.INTENDED,
            counted=attempt.length or 0,
            announced=attempt.length,
            lease_owner=lease.owner,
            lease_until=lease.until,
            on_failure=attempt.on_failure,
        )

    def note_moved(self, moved: Mapping[str, int], lease: Lease) -> None:
        """Record how many bytes the upload attempts with these keys have moved, and renew their leases."""
        values = {"at_owner": lease.owner, "moved_at": now(), "lease_until": lease.until}
        # Sorted, because two units that lock rows in different orders could deadlock.
        rows = [{**values, "at_key": key, "moved": count} for key, count in sorted(moved.items())]
        self.connection.execute(_MOVED, rows)

    def begin_session(self, image_id: str, key: str, store: str, counted: int) -> None:
        """Record the key of an upload session, whose bytes arrive in parts."""
        self._add_location(image_id, key, store, state=LocationState.PARTIAL, counted=counted)

    def add_external(self, image_id: str, key: str, store: str, location: str) -> None:
        """Record an external location as the image's bytes."""
        stored = LocationState.STORED
        self._add_location(image_id, key, store, location=location, state=stored, external=True)

    def _add_location(self, image_id: str, key: str, store: str, **values: Any) -> None:
        row = {"key": key, "image_id": image_id, "store": store, "external": False, "counted": 0}
        self.connection.execute(insert(_LOCATIONS), {**row, "created_at": now(), **values})
        self._whole.pop(image_id, None)

    def count_location(self, key: str, project: str | None, limits: Limits, size: int) -> None:
        """Set how many bytes are counted for the key, and add the difference to the project's usage.

        Raises:
            LimitReached: the project would use more than its limits allow. This is raised when the unit ends.
        """
        c = _LOCATIONS.c
        counted = self.connection.scalar(select(c.counted).where(c.key == key).with_for_update())
        if counted is not None and counted != size:
            self.count(project, limits, size=size - counted)
            self._change_location(key, counted=size)

    def take_session(self, key: str, owner: str) -> bool:
        """Give `owner` the key of an upload session, so that it can commit; return whether there was one."""
        values = {"state": LocationState.INTENDED, "lease_owner": owner}
        return self._change_location(key, _LOCATIONS.c.state == LocationState.PARTIAL, **values)

    def commit_location(
        self, key: str, owner: str, location: str, state: LocationState = LocationState.STORED
    ) -> None:
        """Record that an upload is complete, and that its bytes are now stored, or staged.

        Raises:
            StatusConflict: `owner` no longer holds the attempt.
        """
        self._whole.clear()
        values = {"of_key": key, "by_owner": owner, "state": state, "location": location}
        if self.connection.execute(_COMMIT, values).rowcount != 1:
            raise StatusConflict(key)

    def doom_location(
        self, key: str, state: LocationState, until: datetime.datetime, owner: str | None = None
    ) -> bool:
        """Mark the blob for removal if its row is in `state`, and return whether it was.

        Other processes leave it alone until `until`. If `owner` is given, that process takes the lease and
        removes the blob now. Otherwise the row keeps its owner, if it has one.
        """
        values = {"state": LocationState.PENDING_DELETE, "lease_until": until}
        if owner is not None:
            values["lease_owner"] = owner
        return self._change_location(key, _LOCATIONS.c.state == state, **values)

    def revive_location(self, key: str) -> bool:
        """End a blob's pending delete and return True; return False if a process has begun to remove it."""
        untouched = (_LOCATIONS.c.state == LocationState.PENDING_DELETE, _LOCATIONS.c.lease_owner.is_(None))
        return self._change_location(key, *untouched, state=LocationState.STORED, lease_until=None)

    def claim_location(self, seen: LeasedLocation, owner: str, until: datetime.datetime) -> bool:
        """Take over a row's lease and return True; return False if the row changed since it was `seen`."""
        c = _LOCATIONS.c
        as_seen = (c.state == seen.location.state, c.lease_until == seen.lease_until)
        return self._change_location(seen.location.key, *as_seen, lease_owner=owner, lease_until=until)

    def _change_location(self, key: str, *conditions: ColumnElement[bool], **values: Any) -> bool:
        self._whole.clear()
        return self._swap(_LOCATIONS, _LOCATIONS.c.key == key, *conditions, **values)

    def forget_location(self, key: str) -> None:
        """Remove the row of a key whose bytes are gone."""
        self.connection.execute(delete(_LOCATIONS).where(_LOCATIONS.c.key == key))
        self._whole.clear()

    def staged(self, image_id: str) -> list[Location]:
        """Return the locations of an image's staged bytes."""
        return [one for one in self.locations(image_id) if one.state is LocationState.STAGED]

    def locations(self, image_id: str) -> list[Location]:
        """Return all locations of an image, in any state."""
        rows = self.connection.execute(select(_LOCATIONS).where(_LOCATIONS.c.image_id == image_id))
        return [_location(row) for row in rows]


def _location(row: Row[Any]) -> Location:
    quarantined = row.quarantined_at is not None
    return Location(row.key, row.store, row.location, row.state, row.external, row.counted, quarantined)
