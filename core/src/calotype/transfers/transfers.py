"""Transfers: uploads, and copies of an image's bytes from one store into another."""

from __future__ import annotations

import contextlib

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.retry import retry_on_conflict
from calotype.model.errors import ImageGone
from calotype.model.findings import FindingKind
from calotype.model.images import Image, Location
from calotype.model.uploads import UploadAttempt, new_key
from calotype.model.usage import Limits
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.errors import (
    BlobChanged,
    BlobNotFound,
    SourceError,
    SourceMismatch,
    StoreError,
    Unavailable,
)
from calotype.stores.measured import Expectations, UploadResult
from calotype.transfers.copies import Copies, Fault, fault_from
from calotype.transfers.leases import Leases, Meter
from calotype.transfers.readers import CountingReader
from calotype.transfers.uploads import Uploads


class Transfers(Uploads):
    """Uploads and copies, for one database and one catalog. All threads share an instance."""

    def __init__(
        self, database: Database, stores: Catalog, settings: Settings, leases: Leases, copies: Copies
    ):
        super().__init__(database, stores, settings, leases)
        self.copies = copies

    def copy(self, image: Image, target: CheckedStore, *, instead_of: Location | None = None) -> Image:
        """Copy an active image's bytes into one more store, and return the image.

        If the target's driver can copy the bytes inside of the backend, only their number is checked;
        otherwise they pass through this process, which checks their SHA-256. The bytes come from the first
        good copy whose store answers. `instead_of` is a bad copy in the target that the new one replaces:
        it is removed once the new copy, which is always read and hashed, is complete, and the new copy does
        not count against the project's limit meanwhile.

        Raises:
            StoreError, LimitReached: the copy failed; the image is unchanged.
            ImageGone, TakenOver: as in `run`; the image is unchanged.
        """
        if not image.locations:
            raise ImageGone(f"Image {image.id} has no data to copy.")
        error: Exception = BlobChanged(
            image.locations[0].store, f"no copy of image {image.id} is good: all are in quarantine"
        )
        away: Unavailable | None = None
        for location in image.locations:
            if not location.quarantined and location != instead_of:
                try:
                    self._stores.require(location.store)
                    return self._copy_from(location, image, target, instead_of)
                except StoreError as failure:
                    if failure.store != location.store:
                        raise
                    if isinstance(failure, Unavailable):
                        away = away or failure
                        continue
                    self.copies.suspect(image, location, self._fault_of_source(location, failure))
                    error = failure
        raise away or error  # an unavailable store may come back with a good copy

    def _fault_of_source(self, location: Location, error: StoreError) -> Fault:
        """Return the source copy's fault that `error` shows. Raise `error` if it shows none."""
        if not isinstance(error, (BlobNotFound, BlobChanged)):
            raise error
        if isinstance(error.__cause__, SourceMismatch):
            return Fault(FindingKind.WRONG_DIGEST, "a copy made from it does not have the image's SHA-256")
        return fault_from(self._stores[location.store], error)

    def _copy_from(
        self, location: Location, image: Image, target: CheckedStore, instead_of: Location | None
    ) -> Image:
        digests = {"sha256": image.os_hash_value} if image.os_hash_value else None
        limits = Limits() if instead_of is not None else None
        attempt = self._begin_copy(image, target, limits)
        with self._attempting(attempt, f"Image {image.id} was deleted while it was copied.") as meter:
            demands = Expectations(length=image.size, size=image.size, digests=digests)
            received = None
            if instead_of is None:
                # The copy that replaces a bad one is read and hashed: the source may be bad as well.
                source = self._stores[location.store]
                received = target.copy_from(attempt.key, source, location.location or "", demands)
            received = received or self._stream(location, attempt, demands, meter)
            self._keep_copy(attempt, received, instead_of)
        return self._database.find(image.id) or image

    def _stream(
        self, location: Location, attempt: UploadAttempt, demands: Expectations, meter: Meter
    ) -> UploadResult:
        """Read a copy, and write its bytes into another store."""
        target = self._stores[attempt.store]
        source = self._stores[location.store].get(location.location or "", size=demands.length)
        with contextlib.closing(source):
            try:
                return target.add(attempt.key, CountingReader(source, meter), demands)
            except SourceError as error:  # the source is one of our stores, not a client
                raise BlobChanged(location.store, "its bytes are not those of the image") from error

    @retry_on_conflict
    def _begin_copy(self, image: Image, target: CheckedStore, limits: Limits | None) -> UploadAttempt:
        with self._database.unit() as unit:
            current = unit.image(image.id)
            key, status = new_key(image.id), current.status
            return self.begin(unit, UploadAttempt(current, key, target.name, image.size, status), limits)

    @retry_on_conflict
    def _keep_copy(self, attempt: UploadAttempt, received: UploadResult, instead_of: Location | None) -> None:
        """Commit the new copy, and mark the bad one that it replaces for removal."""
        with self._database.unit() as unit:
            image = unit.image(attempt.image.id)  # raises if it was deleted
            unit.commit_location(attempt.key, self.leases.owner, received.location)
            if instead_of is not None:
                self.removal.mark(unit, image, [instead_of])
