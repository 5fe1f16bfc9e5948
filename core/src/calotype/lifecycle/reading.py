"""Reading an image's bytes: from the first of its copies that is good and can be reached.

Bytes of a remote store pass through this process, and keep a worker as long as they do;
so only so many images are read that way at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from calotype.lifecycle.copies import Copies, Fault
from calotype.lifecycle.states import NoData, NoGoodCopy, TooManyDownloads
from calotype.lifecycle.verified import verified
from calotype.registry import FindingKind, Image, Location, Status
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import Reader
from calotype.stores.errors import BlobChanged, BlobNotFound, StoreError

#: Seconds for which a store's own URL is good: it must only begin to be used in time.
_URL_EXPIRES = 300

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Shortcut:
    """Either a URL that a client is sent to, or a path that the proxy in front serves."""

    url: str | None = None
    path: str | None = None


class Reading:
    """The verbs on an image's bytes; shared by all threads."""

    def __init__(self, stores: Catalog, most_proxied: int, copies: Copies):
        self._stores = stores
        self._copies = copies
        self._turns = threading.BoundedSemaphore(most_proxied)

    def shortcut(self, image: Image) -> Shortcut | None:
        """A way to an image's bytes that goes past this process, if its store has one and may give it out.

        Raises as `open`.
        """
        return self._from_any(image, lambda store, location: _shortcut(store, location, image.size))

    def open(self, image: Image, offset: int = 0, length: int | None = None) -> Reader:
        """Open an image's bytes: `length` of them from `offset`, or all from there on.

        A whole image that comes from a remote store is held to its SHA-256: see `Verified`.

        Raises:
            NoData: the image is not active.
            TooManyDownloads: it lies in a remote store, from which as many are read as may be.
            NoGoodCopy: each of its copies is damaged or gone.
            StoreError: a store that has a copy is away.
        """
        sha256 = image.os_hash_value if offset == 0 and length is None else None

        def read(store: CheckedStore, location: Location) -> Reader:
            text = location.location or ""
            if store.has_file(text):
                return store.get(text, offset, length, size=image.size)
            reader = store.get(text, offset, length, size=image.size)
            # Only now: those who wait for a store that hangs must not take the turns of other stores.
            if not self._turns.acquire(blocking=False):
                reader.close()
                raise TooManyDownloads("Too many images are being read from remote stores.")
            reader = verified(reader, sha256, store.name, partial(self._tell_of_mismatch, image, location))
            return _Proxied(reader, self._turns)

        return self._from_any(image, read)

    def _from_any(self, image: Image, read: Callable[[CheckedStore, Location], _Result]) -> _Result:
        if image.status not in (Status.ACTIVE, Status.DEACTIVATED) or not image.locations:
            raise NoData(f"Image {image.id} is not active: it has no data to read.")
        away: StoreError | None = None
        bad: StoreError | None = None
        for location in image.locations:
            try:
                if not location.quarantined:
                    return self._read_one(image, location, read)
            except (BlobNotFound, BlobChanged) as error:
                bad = bad or error
            except StoreError as error:
                away = away or error
        if away is not None:
            raise away
        why = bad.reason if bad is not None else "all its copies are in quarantine"
        raise NoGoodCopy(f"The bytes of image {image.id} are damaged or gone ({why}).") from bad

    def _read_one(
        self, image: Image, location: Location, read: Callable[[CheckedStore, Location], _Result]
    ) -> _Result:
        """Read one copy, and report it if it is bad; raises a store's other errors where it is away."""
        store = self._store(location)
        try:
            return read(store, location)
        except (BlobNotFound, BlobChanged) as error:
            self._copies.suspect(image, location, self._copies.fault(store, error))
            raise

    def _tell_of_mismatch(self, image: Image, location: Location, error: BlobChanged) -> None:
        self._copies.suspect(image, location, Fault(FindingKind.WRONG_DIGEST, error.reason))

    def _store(self, location: Location) -> CheckedStore:
        if location.store not in self._stores:
            raise StoreError(location.store, "it is not configured on this server")
        return self._stores[location.store]


class _Proxied:
    """A reader that gives its turn back when it is closed."""

    def __init__(self, reader: Reader, turns: threading.BoundedSemaphore):
        self._reader = reader
        self._turns: threading.BoundedSemaphore | None = turns

    def read(self, size: int = -1, /) -> bytes:
        return self._reader.read(size)

    def close(self) -> None:
        turns, self._turns = self._turns, None
        try:
            self._reader.close()
        finally:
            if turns is not None:
                turns.release()


def _shortcut(store: CheckedStore, location: Location, size: int | None) -> Shortcut | None:
    text = location.location or ""
    if store.redirect and (url := store.direct_url(text, _URL_EXPIRES)) is not None:
        _look(store, text, size)
        return Shortcut(url=url)
    if (path := store.accel_path(text)) is not None:
        _look(store, text, size)
        return Shortcut(path=path)
    return None


def _look(store: CheckedStore, location: str, size: int | None) -> None:
    """See that a copy is there that somebody else is going to send, whose 404 would look like ours."""
    held = store.size(location)
    if None not in (held, size) and held != size:
        raise BlobChanged(store.name, f"it holds {held} bytes of an image of {size}")
