"""Reading an image's bytes: from the first of its stores that has them and can be reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tintype.lifecycle.states import NoData
from tintype.registry import Image, Location, Status
from tintype.stores.catalog import Catalog
from tintype.stores.checked import CheckedStore
from tintype.stores.contract import Reader
from tintype.stores.errors import StoreError

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

    def __init__(self, stores: Catalog):
        self._stores = stores

    def shortcut(self, image: Image) -> Shortcut | None:
        """A way to an image's bytes that goes past this process, if its store has one and may give it out.

        Raises as `open`.
        """
        return self._from_any(image, _shortcut)

    def open(self, image: Image, offset: int = 0, length: int | None = None) -> Reader:
        """Open an image's bytes: `length` of them from `offset`, or all from there on.

        Raises:
            NoData: the image is not active.
            BlobNotFound, BlobChanged, Unavailable: none of its stores gives them; the first one's error.
        """
        return self._from_any(
            image,
            lambda store, location: store.get(location.location or "", offset, length, size=image.size),
        )

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


def _shortcut(store: CheckedStore, location: Location) -> Shortcut | None:
    text = location.location or ""
    if store.redirect and (url := store.direct_url(text, _URL_EXPIRES)) is not None:
        return Shortcut(url=url)
    if (path := store.accel_path(text)) is not None:
        return Shortcut(path=path)
    return None
