"""Places: a store's place (directory, bucket, container) belongs to one store of one database.

The core keeps a marker in each writable store, as a blob under a reserved key. It contains the database's id
and the store's name. If another database, or another store of this one, is configured with the same place, it
finds the marker. Without the marker, each of the two would remove the other's images as orphans.

An empty place is marked when it is created. A place that holds something is marked only when an operator
claims it; until then clients are served, but nothing is repaired there. A foreign place is not used at all:
see `Place.admit`, which is called before the driver. Stores that take no uploads have no marker.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import itertools
import logging
import threading
import time
from functools import cached_property

from calotype.config.messages import with_arguments
from calotype.database.database import Database
from calotype.stores.abilities import Listing
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import MARKER_KEY, WritableStore
from calotype.stores.errors import (
    BlobNotFound,
    ConfigurationError,
    Duplicate,
    Misconfigured,
    StoreError,
    Unavailable,
    for_operators,
)
from calotype.stores.measured import Expectations
from calotype.transfers.markers import Contents, Marker, PlaceState, describe, describe_foreign, describe_lost

log = logging.getLogger(__name__)

#: Maximum number of bytes to read of a marker. A marker has about 150.
_MARKER_MAX = 4096
#: Seconds that the start waits for all stores together. A slower store is examined at its first use.
START_PATIENCE = 5
#: How often to read a marker that another process is writing, and the pause between reads in seconds.
_TRIES, _PAUSE = 10, 0.2
_BATCH = 500
_EXAMPLES = 5
#: States in which clients are served; the place is not examined again.
_SERVED = (PlaceState.OWN, PlaceState.EMPTY, PlaceState.UNMARKED)


class Place:
    """The place of one writable store, held by Places. Several threads may call its methods at once."""

    def __init__(self, store: CheckedStore, places: Places):
        self.name = store.name
        self.state = PlaceState.UNKNOWN
        self.marker: Marker | None = None
        self._logged = PlaceState.OWN
        self._places = places
        # This place is the gate of `store`, so its own calls use the driver without a gate.
        self._driver = CheckedStore(store.driver, bulkhead=store.bulkhead)

    def admit(self) -> None:
        """Raise an error if the store may not be used.

        No I/O is done once the place is known not to be foreign.

        Raises:
            Unavailable: the place belongs to another database or store, or cannot be reached now.
        """
        if self.state in _SERVED:
            return
        self.look()
        self.warn()
        if self.state is PlaceState.FOREIGN:
            raise Unavailable(self.name, "its place belongs to another database or store")

    def require_own(self) -> None:
        """Read the marker now, and raise an error unless it is the store's own.

        Raises:
            StoreError: there is no marker, or a foreign one, or the store cannot be reached.
        """
        if self.look() is not PlaceState.OWN:
            raise Unavailable(self.name, self.remark())

    def look(self) -> PlaceState:
        """Read the marker now, and return the state of the place.

        Raises:
            StoreError: the store cannot be reached, or its driver fails.
        """
        marker = self._read()
        if marker is not None:
            own = (marker.database, marker.store) == (self._places.database_id, self.name)
            state = PlaceState.OWN if own else PlaceState.FOREIGN
        else:
            # An unavailable place may look like one without a marker.
            self._driver.check()
            is_empty = self._driver.can(Listing) and self._driver.is_empty()
            state = PlaceState.EMPTY if is_empty else PlaceState.UNMARKED
        self.state, self.marker = state, marker
        return state

    def create(self, *, afresh: bool = False) -> PlaceState:
        """Create the place, mark it if it is empty, and return its state.

        Raises the same errors as `look`, and Misconfigured if the place is missing or empty although the
        database has images in it: then its disk is probably not mounted. With `afresh`, create it anyway.
        """
        if not afresh:
            self._require_content()
        self._driver.create()
        if self.look() is not PlaceState.EMPTY:
            return self.state
        # The lock keeps two stores with one place from both finding it empty. The first look is outside of
        # it, so that a store that hangs does not block the others.
        with self._places.marking:
            if self.look() is not PlaceState.EMPTY:
                return self.state
            with contextlib.suppress(Duplicate):  # another process was faster
                self._write()
            return self._look_for_marker()

    def claim(self, seen: Marker | None) -> PlaceState:
        """Mark the place as this store's, and return its state. `seen` is the marker to replace, or None.

        Raises:
            StoreError: the marker is not `seen` any more, or it cannot be replaced or written.
        """
        with self._places.marking:
            self.look()
            if self.marker != seen:
                raise StoreError(self.name, "its place was marked by another process meanwhile; try again")
            self._driver.discard(MARKER_KEY)  # also removes the parts of an interrupted attempt
            self._write()
            return self._look_for_marker()

    def contents(self) -> Contents:
        """Return the contents of the place. This reads the whole listing.

        Raises:
            Unsupported: the driver cannot list.
        """
        count = size = known = 0
        examples: list[str] = []
        blobs = self._driver.blobs()
        while batch := list(itertools.islice(blobs, _BATCH)):
            locations = [blob.location for blob in batch]
            count += len(batch)
            size += sum(blob.size for blob in batch)
            known += len(self._places.database.known_locations(self.name, locations))
            examples += locations[: _EXAMPLES - len(examples)]
        return Contents(count, size, known, tuple(examples))

    def warn(self) -> None:
        """Log the state if it has changed since it was last logged. A first state of OWN is not logged."""
        if self.state is not self._logged:
            self._logged = self.state
            log.warning("store '%s': %s", self.name, self.remark())

    def remark(self) -> str:
        """Return a sentence about the state, with the command that changes it."""
        command = f"calotype-manage stores {self._places.ini}"
        if self.state is PlaceState.FOREIGN:
            return describe_foreign(self.marker, self._places.database_id, f"{command} --claim {self.name}")
        can_list = self._driver.can(Listing)
        return describe(self.state, self.marker, command, self.name, can_list=can_list)

    def _require_content(self) -> None:
        try:
            if self.look() is not PlaceState.EMPTY:
                return
            why = "its place is empty"
        except Misconfigured as error:
            why = error.reason
        except StoreError:
            return  # `create` will fail with the same error
        if count := self._places.database.count_images_in(self.name):
            raise Misconfigured(self.name, describe_lost(why, count, self._places.ini, self.name))

    def _read(self) -> Marker | None:
        try:
            return Marker.from_bytes(self._driver.read_start(self._location(), _MARKER_MAX))
        except BlobNotFound:
            return None

    def _write(self) -> None:
        marker = Marker(self._places.database_id, self.name, datetime.datetime.now(datetime.UTC))
        data = marker.to_bytes()
        received = self._driver.add(MARKER_KEY, io.BytesIO(data), Expectations(length=len(data)))
        if received.location != self._location():
            self._driver.delete(received.location)
            raise StoreError(self.name, "its driver's locate and add return different locations")

    def _location(self) -> str:
        location = self._driver.locate(MARKER_KEY)
        if location is None:
            raise StoreError(self.name, "it takes no uploads, so its place has no marker")
        return location

    def _look_for_marker(self) -> PlaceState:
        """Wait for the marker that this process or a faster one is writing, and return the state."""
        for _ in range(_TRIES):
            if self.look() in (PlaceState.OWN, PlaceState.FOREIGN):
                return self.state
            time.sleep(_PAUSE)
        raise StoreError(self.name, f"its marker was begun but not finished: {self.remark()}")


class Places:
    """The places of all writable stores of a catalog; each place becomes the gate of its store."""

    def __init__(self, database: Database, stores: Catalog, ini: str = "INI"):
        """`ini` is the ini file with the command line's variables. Commands in messages contain it."""
        self.database = database
        self.ini = ini
        self.marking = threading.Lock()
        self._stores = stores
        self._places: dict[str, Place] = {}
        for store in stores:
            if store.can(WritableStore):
                place = self._places[store.name] = Place(store, self)
                store.gate = place

    def __getitem__(self, name: str) -> Place:
        """Return the place of the store with this name. Raise KeyError if it takes no uploads."""
        return self._places[name]

    def __contains__(self, name: str) -> bool:
        return name in self._places

    @cached_property
    def database_id(self) -> str:
        """The database's id, which is read once."""
        return self.database.identity().id

    def start(self, *, named: bool) -> None:
        """Examine all places, and create and mark those whose store has the option `create`.

        A store that cannot be reached, or does not answer within START_PATIENCE, is examined at its first
        use.

        Args:
            named: True if the settings name the stores. If False, a store with a foreign place is switched
                off, and a misconfigured store is unavailable.

        Raises:
            ConfigurationError: a named store is misconfigured, or its place is foreign.
        """
        _ = self.database_id  # read it here, so that an error is raised here and not in a thread
        errors: dict[str, StoreError] = {}

        def examine(name: str) -> None:
            try:
                self.open(name, named=named)
            except StoreError as error:
                errors[name] = error

        end = time.monotonic() + START_PATIENCE
        names = tuple(self._stores.entries)
        threads = [threading.Thread(target=examine, args=[name], daemon=True) for name in names]
        for thread in threads:
            thread.start()
        for name, thread in zip(names, threads, strict=True):
            thread.join(max(0, end - time.monotonic()))
            if thread.is_alive():
                log.warning("store '%s': it does not answer; it is examined at its first use", name)
            elif name in errors:
                self._report(name, errors[name], named=named)
        for place in [one for one in self._places.values() if one.state is PlaceState.FOREIGN]:
            if named:
                raise ConfigurationError(place.name, place.remark())
            place.warn()
            self._stores.off[place.name] = place.remark()
            self._stores.entries.pop(place.name).store.close()
            del self._places[place.name]

    def may_repair(self, store: CheckedStore) -> str | None:
        """Return the reason if objects without a row must not be removed from the store, otherwise None.

        This reads the marker now.
        """
        if not store.can(WritableStore):
            return None  # nothing can be removed from it
        place = self._places.get(store.name)
        if place is None:
            return "it takes no uploads, so its objects do not belong to this database"
        try:
            state = place.look()
        except StoreError as error:
            return error.reason
        return None if state is PlaceState.OWN else place.remark()

    def open(self, name: str, *, named: bool) -> None:
        """Examine one store, and create its place if it has the option `create`.

        Only a named store is checked here, because no other can stop the start. Probes check the others.

        Raises:
            StoreError: the store cannot be used now.
        """
        entry, place = self._stores.entries[name], self._places.get(name)
        if entry.options.create:
            self.create(name)
        elif place is not None:
            place.look()
        if place is not None:
            if place.state is PlaceState.FOREIGN:
                return  # `start` reports it
            place.warn()
        if named:
            entry.store.check()

    def create(self, name: str) -> PlaceState | None:
        """Create a store's place, mark it if it is empty, and return its state, or None if it has no marker.

        Raises:
            StoreError: the store cannot be used now.
        """
        if name in self._places:
            return self._places[name].create()
        self._stores[name].create()
        return None

    def _report(self, name: str, error: StoreError, *, named: bool) -> None:
        """Log the reason if a store cannot be used, or raise ConfigurationError if that stops the start."""
        if not (named and isinstance(error, Misconfigured)):
            end = "; it is unavailable" if isinstance(error, Unavailable) else ""
            log.error("%s%s", with_arguments(str(error), self.ini), end)
            return
        # The reason names no path or bucket, because clients may see it, but the operator needs them.
        options = self._stores[name].driver.options
        raise ConfigurationError(name, with_arguments(for_operators(error), self.ini) + options.place())
