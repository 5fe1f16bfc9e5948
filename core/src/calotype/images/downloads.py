"""Read an image's bytes from the first of its copies that is undamaged and whose store answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from calotype.model.errors import Conflict, NoData, NoGoodCopy, UnknownStore, no_store
from calotype.model.findings import FindingKind
from calotype.model.images import Image, Location
from calotype.model.states import Status
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.errors import BadLocation, BlobChanged, BlobNotFound, StoreError, Unsupported
from calotype.stores.extents import shortened
from calotype.stores.values import Extent, Reader
from calotype.transfers.copies import Copies, Fault, fault_from
from calotype.transfers.verified import verified

#: Lifetime of a direct URL in seconds. The client must begin the download within it.
_URL_EXPIRES = 300

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class DirectAccess:
    """Either a URL to which the client is redirected, or a path that the reverse proxy serves."""

    url: str | None = None
    path: str | None = None


class Reading:
    """The verbs that read an image's bytes. All threads share an instance."""

    def __init__(self, stores: Catalog, copies: Copies):
        self._stores = stores
        self._copies = copies

    def require_data(self, image: Image) -> None:
        """Raise an error unless the image's record says that it has readable bytes. No store is called.

        Raises:
            NoData: the image is neither active nor deactivated, or has no bytes.
            NoGoodCopy: each of its copies is in quarantine.
        """
        if image.status not in (Status.ACTIVE, Status.DEACTIVATED) or not image.locations:
            raise NoData(
                f"Image {image.id} is not active: it has no data to read. Its status is {image.status}."
            )
        if all(location.quarantined for location in image.locations):
            raise _no_good_copy(image)

    def preferring(self, image: Image, stores: Sequence[str]) -> Image:
        """Return the image with its copies in these stores first, in this order, and the others after them.

        Raises:
            UnknownStore: one of the names belongs to no store.
        """
        for name in stores:
            if name not in self._stores:
                raise UnknownStore(no_store(name, self._stores.entries))
        ranks = {name: rank for rank, name in reversed([*enumerate(stores)])}
        ranked = sorted(image.locations, key=lambda location: ranks.get(location.store, len(stores)))
        return replace(image, locations=tuple(ranked))

    def shortcut(self, image: Image) -> DirectAccess | None:
        """Return direct access to the image's bytes, or None if its store does not offer it.

        Raises the same errors as `open`.
        """
        return self._from_any(image, lambda store, location: _direct_access(store, location, image.size))

    def open(self, image: Image, offset: int = 0, length: int | None = None) -> Reader:
        """Open `length` bytes of an image from `offset`, or the rest of it if `length` is None.

        If a whole image is read from a remote store, its SHA-256 is checked: see `Verified`.

        Raises:
            NoData: the image is neither active nor deactivated, or has no bytes.
            NoGoodCopy: each of its copies is damaged or missing.
            StoreError: a store that has a copy is unavailable.
        """
        sha256 = image.os_hash_value if offset == 0 and length is None else None

        def read(store: CheckedStore, location: Location) -> Reader:
            reader = store.get(location.location or "", offset, length, size=image.size)
            if store.keeps_files:
                return reader
            return verified(reader, sha256, store.name, partial(self._report_mismatch, image, location))

        return self._from_any(image, read)

    def extents(self, image: Image) -> list[Extent]:
        """Return the data and the holes of an image, as a map that `stores.extents` has shortened.

        Raises the same errors as `open`, and Conflict if the image's size is unknown.
        """

        def read(store: CheckedStore, location: Location) -> list[Extent]:
            if image.size is None:
                raise Conflict(f"The size of image {image.id} is unknown, and so are its extents.")
            return store.extents(location.location or "", image.size, partial(shortened, size=image.size))

        return self._from_any(image, read)

    def _from_any(self, image: Image, read: Callable[[CheckedStore, Location], _Result]) -> _Result:
        self.require_data(image)
        unavailable: StoreError | None = None
        bad: StoreError | None = None
        for location in image.locations:
            try:
                if not location.quarantined:
                    return self._read_one(image, location, read)
            except (BlobNotFound, BlobChanged) as error:
                bad = bad or error
            except StoreError as error:
                unavailable = unavailable or error
        if unavailable is not None:
            raise unavailable
        raise _no_good_copy(image, bad) from bad

    def _read_one(
        self, image: Image, location: Location, read: Callable[[CheckedStore, Location], _Result]
    ) -> _Result:
        """Read one copy. If it is bad, report it and raise the error.

        Raises:
            StoreError: the copy is bad, or its store is unavailable.
        """
        if location.store not in self._stores:
            raise StoreError(location.store, "it is not configured on this server")
        store = self._stores[location.store]
        try:
            return read(store, location)
        except (BlobNotFound, BlobChanged) as error:
            self._copies.suspect(image, location, fault_from(store, error))
            raise
        except (BadLocation, Unsupported) as error:
            # Elsewhere these errors blame a client's location, but this location is from our database.
            raise StoreError(
                store.name,
                "its driver does not accept the recorded location of this image any more: an "
                "administrator must check the store's driver and options",
            ) from error

    def _report_mismatch(self, image: Image, location: Location, error: BlobChanged) -> None:
        self._copies.suspect(image, location, Fault(FindingKind.WRONG_DIGEST, error.reason))


def _no_good_copy(image: Image, error: StoreError | None = None) -> NoGoodCopy:
    why = "all its copies are in quarantine" if error is None else error.reason
    return NoGoodCopy(f"The bytes of image {image.id} are damaged or gone ({why}).")


def _direct_access(store: CheckedStore, location: Location, size: int | None) -> DirectAccess | None:
    """Check the size of a copy, and return direct access to it; None if its store does not offer any.

    A missing copy must be noticed here: the store or the proxy would answer 404, and the client would think
    that the image does not exist.
    """
    text = location.location or ""
    url = store.direct_url(text, _URL_EXPIRES) if store.redirect else None
    path = store.accel_path(text) if url is None else None
    if url is None and path is None:
        return None
    held = store.size(text)
    if None not in (held, size) and held != size:
        raise BlobChanged(store.name, f"it holds {held} bytes of an image of {size}")
    return DirectAccess(url, path)
