"""Places: a store's place (directory, bucket, container) belongs to one store of one database.

The core keeps a marker in each writable store, as a blob under a reserved key: the database's id and the
store's name. By the marker it notices a second database that uses the same place, and a second store whose
options lead there. Each of the two would take the other's images for bytes that nobody needs.

An empty place is marked when it is created. One that holds something is marked only when an operator claims
it; until then clients are served, but nothing is repaired there. A foreign place is not used at all: see
`Place.admit`, which is called before the driver. Stores that take no uploads have no marker.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import itertools
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from calotype.config.messages import with_arguments
from calotype.database.database import Database
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import MARKER_KEY, Blob, Capability
from calotype.stores.errors import (
    BlobNotFound,
    ConfigurationError,
    Duplicate,
    Misconfigured,
    StoreError,
    Unavailable,
)
from calotype.stores.measured import Expectations
from calotype.transfers.markers import Marker, PlaceState, describe, describe_foreign

log = logging.getLogger(__name__)

#: The most bytes that are read of a marker; ours have about 150.
_MARKER_MAX = 4096
#: Seconds that the start waits for all stores together. A slower store is examined when it is first used.
START_PATIENCE = 5
#: How often, and with what pause in seconds, to look for a marker that another process has begun to write.
_TRIES, _PAUSE = 10, 0.2
_BATCH = 500
_EXAMPLES = 5


#: States in which clients are served; the place is not examined again.
_SERVED = (PlaceState.OWN, PlaceState.EMPTY, PlaceState.UNMARKED)


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a place: `known` of its `count` blobs belong to rows of this database."""

    count: int
    bytes: int
    known: int
    examples: tuple[str, ...]


class Place:
    """The place of one writable store. Its methods may be called by several threads at once."""

    def __init__(self, store: CheckedStore, places: Places):
        self.name = store.name
        self.state = PlaceState.UNKNOWN
        self.marker: Marker | None = None
        self._logged = PlaceState.OWN
        self._places = places
        # The same driver without its gate, because the gate is this place.
        self._driver = CheckedStore(store.driver, bulkhead=store.bulkhead)

    def admit(self) -> None:
        """Return if the store may be used; does no I/O once the place is known not to be foreign.

        Raises:
            Unavailable: the place is another database's or store's, or cannot be reached now.
        """
        if self.state in _SERVED:
            return
        self.look()
        self.warn()
        if self.state is PlaceState.FOREIGN:
            raise Unavailable(self.name, "its place belongs to another database or store")

    def require_own(self) -> None:
        """Look now, and return if the marker is the store's own.

        Raises:
            StoreError: there is none, or another's, or the store cannot be reached.
        """
        if self.look() is not PlaceState.OWN:
            raise Unavailable(self.name, self.remark())

    def look(self) -> PlaceState:
        """Find out now whose the place is.

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
            state = PlaceState.EMPTY if self._is_empty() else PlaceState.UNMARKED
        self.state, self.marker = state, marker
        return state

    def create(self) -> PlaceState:
        """Make the place, mark it if it is empty, and return its state; raises as `look`."""
        self._driver.create()
        if self.look() is not PlaceState.EMPTY:
            return self.state
        # Under a lock, because two stores with one place must not both find it empty. The first look is taken
        # without the lock, so that a store that hangs does not block the others.
        with self._places.marking:
            if self.look() is not PlaceState.EMPTY:
                return self.state
            with contextlib.suppress(Duplicate):  # another process was faster
                self._write()
            return self._look_for_marker()

    def claim(self, seen: Marker | None) -> PlaceState:
        """Mark the place as this store's, in place of the marker that was `seen`.

        Raises:
            StoreError: the marker is another by now, or the store takes none.
        """
        with self._places.marking:
            self.look()
            if self.marker != seen:
                raise StoreError(self.name, "somebody else has marked its place meanwhile; look at it again")
            if self._driver.can(Capability.DELETE):
                self._driver.discard(MARKER_KEY)  # what a broken attempt left, too
            elif seen is not None:
                raise StoreError(self.name, "its driver deletes nothing, so the marker cannot be replaced")
            self._write()
            return self._look_for_marker()

    def contents(self) -> Contents:
        """Count what the place holds; reads the whole listing.

        Raises:
            Unsupported: the driver cannot list.
        """
        count = size = known = 0
        examples: list[str] = []
        for batch in _batches(self._driver.blobs()):
            locations = [blob.location for blob in batch]
            count += len(batch)
            size += sum(blob.size for blob in batch)
            known += len(self._places.database.known_locations(self.name, locations))
            examples += locations[: _EXAMPLES - len(examples)]
        return Contents(count, size, known, tuple(examples))

    def warn(self) -> None:
        """Log the state if it has changed since it was last logged; OWN counts as logged at first."""
        if self.state is not self._logged:
            self._logged = self.state
            log.warning("store '%s': %s", self.name, self.remark())

    def remark(self) -> str:
        """Return a sentence about the state, with the command that changes it."""
        command = f"calotype-manage stores {self._places.ini}"
        if self.state is PlaceState.FOREIGN:
            return describe_foreign(self.marker, self._places.database_id, f"{command} --claim {self.name}")
        can_list = self._driver.can(Capability.LISTING)
        return describe(self.state, self.marker, command, self.name, can_list=can_list)

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
            raise StoreError(self.name, "its driver's locate returns another location than its add")

    def _location(self) -> str:
        location = self._driver.locate(MARKER_KEY)
        if location is None:
            raise StoreError(self.name, "its driver declares WRITE and does not implement locate")
        return location

    def _look_for_marker(self) -> PlaceState:
        """Wait for a marker that this process, or a faster one, has begun to write."""
        for _ in range(_TRIES):
            if self.look() in (PlaceState.OWN, PlaceState.FOREIGN):
                return self.state
            time.sleep(_PAUSE)
        raise StoreError(self.name, f"its marker was begun and not finished: {self.remark()}")

    def _is_empty(self) -> bool:
        return self._driver.can(Capability.LISTING) and self._driver.is_empty()


class Places:
    """The places of all writable stores of a catalog; each place becomes the gate of its store."""

    def __init__(self, database: Database, stores: Catalog, ini: str = "INI"):
        """`ini` is the ini file and its variables, as commands in sentences name them."""
        self.database = database
        self.ini = ini
        self.marking = threading.Lock()
        self._stores = stores
        self._places: dict[str, Place] = {}
        for store in stores:
            if store.can(Capability.WRITE):
                place = self._places[store.name] = Place(store, self)
                store.gate = place

    def __getitem__(self, name: str) -> Place:
        """Return the place of the store of that name; raises KeyError when it has no marker."""
        return self._places[name]

    def __contains__(self, name: str) -> bool:
        return name in self._places

    @cached_property
    def database_id(self) -> str:
        """The database's id, read once."""
        return self.database.identity().id

    def start(self, *, named: bool) -> None:
        """Examine all places, and create and mark those whose store has `create`.

        A store that cannot be reached, or does not answer within START_PATIENCE, is examined when it is used.

        Args:
            named: whether the settings name the stores. If not, a store whose place is foreign is switched
                off, and a store that is configured wrongly is unavailable.

        Raises:
            ConfigurationError: a named store's place is foreign, or the store is configured wrongly.
        """
        _ = self.database_id  # raises here rather than in a thread
        end = time.monotonic() + START_PATIENCE
        looks = {name: _Look(self, name, named=named) for name in self._stores.entries}
        for look in looks.values():
            look.start()
        for name, look in looks.items():
            look.join(max(0, end - time.monotonic()))
            if look.is_alive():
                log.warning("store '%s': it says nothing; it is looked at when it is used", name)
            elif look.error is not None:
                self._tell(name, look.error, named=named)
        for place in [one for one in self._places.values() if one.state is PlaceState.FOREIGN]:
            if named:
                raise ConfigurationError(place.name, place.remark())
            self._switch_off(place)

    def may_repair(self, store: CheckedStore) -> str | None:
        """Return why bytes without a row must not be removed from the store; None if they may be.

        Reads the marker now, whatever state is known.
        """
        if not store.can(Capability.DELETE):
            return None  # nothing is ever removed from it
        place = self._places.get(store.name)
        if place is None:
            return "it takes no uploads, so nothing in it is this database's to remove"
        try:
            state = place.look()
        except StoreError as error:
            return error.reason
        return None if state is PlaceState.OWN else place.remark()

    def open(self, name: str, *, named: bool) -> None:
        """Examine one store, and create its place if it has `create`.

        Only a named store is checked here, because no other stops the start; a probe checks the rest.

        Raises:
            StoreError: the store cannot be used now.
        """
        entry, place = self._stores.entries[name], self._places.get(name)
        if entry.options.create:
            (place or entry.store).create()
        elif place is not None:
            place.look()
        if place is not None and place.state is PlaceState.FOREIGN:
            return  # the start says so itself
        if place is not None:
            place.warn()
        if named:
            entry.store.check()

    def _tell(self, name: str, error: StoreError, *, named: bool) -> None:
        if not (named and isinstance(error, Misconfigured)):
            end = "; it is unavailable" if isinstance(error, Unavailable) else ""
            log.error("%s%s", with_arguments(str(error), self.ini), end)
            return
        # A reason names no path or bucket, because clients may see it; the operator needs them.
        options = self._stores[name].driver.options
        fields = type(options).model_fields
        shown = [f"{key} = {value}" for key, value in options.shown().items() if fields[key].is_required()]
        reason = with_arguments(error.reason, self.ini)
        raise ConfigurationError(name, f"{reason} ({', '.join(shown)})" if shown else reason)

    def _switch_off(self, place: Place) -> None:
        place.warn()
        entry = self._stores.entries.pop(place.name)
        self._stores.off[place.name] = place.remark()
        del self._places[place.name]
        entry.store.close()


def _batches(blobs: Iterator[Blob]) -> Iterator[list[Blob]]:
    while batch := list(itertools.islice(blobs, _BATCH)):
        yield batch


class _Look(threading.Thread):
    """Examines a store at the start; `error` is what went wrong."""

    def __init__(self, places: Places, name: str, *, named: bool):
        super().__init__(name=f"place-{name}", daemon=True)
        self.error: StoreError | None = None
        self._places, self._store, self._named = places, name, named

    def run(self) -> None:
        try:
            self._places.open(self._store, named=self._named)
        except StoreError as error:
            self.error = error
