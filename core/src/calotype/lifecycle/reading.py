"""Reading an image's bytes: from the first of its stores that has them and can be reached.

Bytes of a remote store pass through this process, and keep a worker as long as they do;
so only so many images are read that way at a time.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

from calotype.lifecycle.states import NoData, TooManyDownloads
from calotype.registry import Image, Location, Status
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import Reader
from calotype.stores.errors import StoreError

#: Seconds for which a store's own URL is good: it must only begin to be used in time.
_URL_EXPIRES = 300

_Result = TypeVar("_Result")

#: Makes a context within which a worker waits for a store, and others may do its work.
Waiting = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Shortcut:
    """Either a URL that a client is sent to, or a path that the proxy in front serves."""

    url: str | None = None
    path: str | None = None


class Reading:
    """The verbs on an image's bytes; shared by all threads."""

    def __init__(self, stores: Catalog, most_proxied: int):
        self._stores = stores
        self._turns = threading.BoundedSemaphore(most_proxied)

    def shortcut(self, image: Image) -> Shortcut | None:
        """A way to an image's bytes that goes past this process, if its store has one and may give it out.

        Raises as `open`.
        """
        return self._from_any(image, _shortcut)

    def open(
        self,
        image: Image,
        offset: int = 0,
        length: int | None = None,
        *,
        waiting: Waiting = contextlib.nullcontext,
    ) -> Reader:
        """Open an image's bytes: `length` of them from `offset`, or all from there on.

        Raises:
            NoData: the image is not active.
            TooManyDownloads: it lies in a remote store, from which as many are read as may be.
            BlobNotFound, BlobChanged, Unavailable: none of its stores gives them; the first one's error.
        """

        def read(store: CheckedStore, location: Location) -> Reader:
            text = location.location or ""
            if store.has_file(text):
                return store.get(text, offset, length, size=image.size)
            if not self._turns.acquire(blocking=False):
                raise TooManyDownloads("Too many images are being read from remote stores.")
            try:
                with waiting():
                    reader = store.get(text, offset, length, size=image.size)
            except BaseException:
                self._turns.release()
                raise
            return _Proxied(reader, self._turns)

        return self._from_any(image, read)

    def _from_any(self, image: Image, read: Callable[[CheckedStore, Location], _Result]) -> _Result:
        if image.status not in (Status.ACTIVE, Status.DEACTIVATED) or not image.locations:
            raise NoData(f"Image {image.id} is not active: it has no data to read.")
        errors: list[StoreError] = []
        for location in image.locations:
            try:
                return read(self._store(location), location)
            except StoreError as error:
                errors.append(error)
        raise errors[0]

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


def _shortcut(store: CheckedStore, location: Location) -> Shortcut | None:
    text = location.location or ""
    if store.redirect and (url := store.direct_url(text, _URL_EXPIRES)) is not None:
        return Shortcut(url=url)
    if (path := store.accel_path(text)) is not None:
        return Shortcut(path=path)
    return None
