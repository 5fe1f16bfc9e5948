"""Removal: bytes go only after a committed unit of work has marked them for it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from functools import partial

from calotype.config.settings import Settings
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
    """The verbs on bytes that are to go; shared by all threads."""

    def __init__(self, database: Database, stores: Catalog, settings: Settings, leases: Leases):
        self._database = database
        self._stores = stores
        self._limits = Limits(settings.project_bytes, settings.project_images)
        self._leases = leases

    def mark(self, unit: Unit, image: Image, locations: Iterable[Location], grace: float = 0) -> None:
        """Mark some of an image's bytes for removal; rows of bytes that belong to somebody else just go.

        Without a grace, which is in seconds, this process removes the bytes once the unit is committed, and
        sweepers leave them alone for the time of a lease.
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
        """Remove bytes that are marked for removal, and then their row; return whether that succeeded.

        Bytes that could not be removed stay marked, and a sweep tries again.
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
            log.warning("doomed bytes could not be removed; a sweep will try again: %s", error)
            return False
        except (StoreError, DatabaseError):
            log.exception("store '%s': doomed bytes could not be removed", location.store)
            return False
        return True

    @retry_on_conflict
    def _forget(self, location: Location) -> None:
        with self._database.unit(frees=True) as unit:
            unit.forget_location(location.key)
