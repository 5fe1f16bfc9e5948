"""Removal of bytes. A blob is removed only after a committed unit of work has marked it for removal."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from functools import partial

from calotype.database.database import Database
from calotype.database.errors import DatabaseError
from calotype.database.retry import retry_on_conflict
from calotype.database.unit_of_work import Unit
from calotype.model.images import Image, Location
from calotype.model.usage import Limits
from calotype.stores.catalog import Catalog
from calotype.stores.errors import BlobNotFound, StoreError, Unavailable
from calotype.transfers.leases import Leases

log = logging.getLogger(__name__)


class Removal:
    """The two steps of a removal: marking blobs, and removing them. All threads share an instance."""

    def __init__(self, database: Database, stores: Catalog, limits: Limits, leases: Leases):
        """`limits` are the limits on a project's usage, for the count of its bytes when blobs are marked."""
        self._database = database
        self._stores = stores
        self._limits = limits
        self._leases = leases

    def mark(self, unit: Unit, image: Image, locations: Iterable[Location], grace: float = 0) -> None:
        """Mark some of an image's blobs for removal. For external locations, only the rows are removed.

        `grace` is the grace period in seconds. If it is 0, this process removes the blobs once the unit is
        committed, and sweepers leave them alone for the duration of a lease.
        """
        for location in locations:
            if location.external:
                unit.forget_location(location.key)
                continue
            unit.count_location(location.key, image.owner, self._limits, 0)
            owner = None if grace else self._leases.owner
            unit.doom_location(location.key, location.state, self._leases.end(grace or None), owner)
            if not grace:
                unit.after_commit(partial(self.remove, location))

    def remove(self, location: Location) -> bool:
        """Remove a blob that is marked for removal, and then its row. Return whether that succeeded.

        If it fails, the blob stays marked, and a sweep retries.
        """
        if location.store not in self._stores:
            log.error("store '%s' is not configured: bytes of a deleted image stay in it", location.store)
            return False
        store = self._stores[location.store]
        try:
            if location.location is None:
                store.discard(location.key)
            else:
                with contextlib.suppress(BlobNotFound):
                    store.delete(location.location)
            self._forget(location)
        except Unavailable as error:
            log.warning("a blob that is pending delete could not be removed; a sweep will retry: %s", error)
            return False
        except (StoreError, DatabaseError):
            log.exception("store '%s': a blob that is pending delete could not be removed", location.store)
            return False
        return True

    @retry_on_conflict
    def _forget(self, location: Location) -> None:
        with self._database.unit(frees=True) as unit:
            unit.forget_location(location.key)
