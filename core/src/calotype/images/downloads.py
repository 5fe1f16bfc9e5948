"""Reading an image's bytes: from the first of its copies that is good and can be reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from calotype.model.errors import NoData, NoGoodCopy, UnknownStore, no_store
from calotype.model.findings import FindingKind
from calotype.model.images import Image, Location, Status
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import Reader
from calotype.stores.errors import BadLocation, BlobChanged, BlobNotFound, StoreError, Unsupported
from calotype.transfers.copies import Copies, Fault
from calotype.transfers.verified import verified

#: Seconds for which a store's own URL is good: it must only begin to be used in time.
_URL_EXPIRES = 300

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class DirectAccess:
    """Either a URL that a client is sent to, or a path that the proxy in front serves."""

    url: str | None = None
    path: str | None = None


class Reading:
    """The verbs on an image's bytes; shared by all threads."""

    def __init__(self, stores: Catalog, copies: Copies):
        self._stores = stores
        self._copies = copies

    def require_data(self, image: Image) -> None:
        """Return if the image's record says that there are bytes to read; no store is asked.

        Raises:
            NoData: the image is not active.
            NoGoodCopy: each of its copies is in quarantine.
        """
        if image.status not in (Status.ACTIVE, Status.DEACTIVATED) or not image.locations:
            raise NoData(
                f"Image {image.id} is not active: it has no data to read. Its status is {image.status}."
            )
        if all(location.quarantined for location in image.locations):
            raise _no_good_copy(image)

    def preferring(self, image: Image, stores: Sequence[str]) -> Image:
        """Return the image with its copies in these stores first, in that order, and the others behind them.

        Raises:
            UnknownStore: there is no store of one of the names.
        """
        for name in stores:
            if name not in self._stores:
                raise UnknownStore(no_store(name, self._stores.entries))
        ranks = {name: rank for rank, name in reversed([*enumerate(stores)])}
        ranked = sorted(image.locations, key=lambda location: ranks.get(location.store, len(stores)))
        return replace(image, locations=tuple(ranked))

    def shortcut(self, image: Image) -> DirectAccess | None:
        """A way to an image's bytes that goes past this process, if its store has one and may give it out.

        Raises as `open`.
        """
        return self._from_any(image, lambda store, location: _shortcut(store, location, image.size))

    def open(self, image: Image, offset: int = 0, length: int | None = None) -> Reader:
        """Open an image's bytes: `length` of them from `offset`, or all from there on.

        A whole image that comes from a remote store is held to its SHA-256: see `Verified`.

        Raises:
            NoData: the image is not active.
            NoGoodCopy: each of its copies is damaged or gone.
            StoreError: a store that has a copy is away.
        """
        sha256 = image.os_hash_value if offset == 0 and length is None else None

        def read(store: CheckedStore, location: Location) -> Reader:
            reader = store.get(location.location or "", offset, length, size=image.size)
            if store.keeps_files:
                return reader
            return verified(reader, sha256, store.name, partial(self._tell_of_mismatch, image, location))

        return self._from_any(image, read)

    def _from_any(self, image: Image, read: Callable[[CheckedStore, Location], _Result]) -> _Result:
        self.require_data(image)
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
        raise _no_good_copy(image, bad) from bad

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
        except (BadLocation, Unsupported) as error:
            # These are the client's fault where it gives the location, but this one is ours.
            raise StoreError(
                store.name,
                "its driver does not take the location that is recorded for this image any more: an "
                "administrator must look at the store's driver and options",
            ) from error

    def _tell_of_mismatch(self, image: Image, location: Location, error: BlobChanged) -> None:
        self._copies.suspect(image, location, Fault(FindingKind.WRONG_DIGEST, error.reason))

    def _store(self, location: Location) -> CheckedStore:
        if location.store not in self._stores:
            raise StoreError(location.store, "it is not configured on this server")
        return self._stores[location.store]


def _no_good_copy(image: Image, error: StoreError | None = None) -> NoGoodCopy:
    why = "all its copies are in quarantine" if error is None else error.reason
    return NoGoodCopy(f"The bytes of image {image.id} are damaged or gone ({why}).")


def _shortcut(store: CheckedStore, location: Location, size: int | None) -> DirectAccess | None:
    text = location.location or ""
    if store.redirect and (url := store.direct_url(text, _URL_EXPIRES)) is not None:
        _look(store, text, size)
        return DirectAccess(url=url)
    if (path := store.accel_path(text)) is not None:
        _look(store, text, size)
        return DirectAccess(path=path)
    return None


def _look(store: CheckedStore, location: str, size: int | None) -> None:
    """See that a copy is there that somebody else is going to send, whose 404 would look like ours."""
    held = store.size(location)
    if None not in (held, size) and held != size:
        raise BlobChanged(store.name, f"it holds {held} bytes of an image of {size}")
