# mypy: disable-error-code="type-abstract"
"""Uploads in parts, checked like whole uploads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from calotype.stores.abilities import Parts
from calotype.stores.contract import WritableStore
from calotype.stores.copying import Copier, Patience
from calotype.stores.errors import SourceError, StoreError
from calotype.stores.hashing import Digests
from calotype.stores.measured import Expectations, VerifyingReader
from calotype.stores.promises import is_location, is_text, require, require_stored
from calotype.stores.values import PartReceipt, Piece, Reader, Stored

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class PartSizes:
    """The sizes of parts that a backend accepts: the least and the most bytes, and the most parts."""

    least: int
    most: int | None
    count: int | None

    @property
    def are_free(self) -> bool:
        """True if a part may have any size, and an upload any number of parts."""
        return self.least <= 1 and self.most is None and self.count is None


@dataclass(frozen=True, slots=True)
class BegunParts:
    """An upload in parts that a driver has begun: the driver's token, and the sizes that parts must have."""

    token: str
    sizes: PartSizes


class PartTaker(Copier):
    """A store whose driver may take uploads in parts."""

    def begin_parts(self, key: str, size: int | None) -> BegunParts:
        """Begin an upload in parts.

        Raises:
            Duplicate, StoreFull, TooLarge, Unavailable: see `Parts.begin`.
        """
        driver = self._need_parts()
        self._require_key(key)

        def work() -> BegunParts:
            token = driver.begin(key, size)
            return BegunParts(token, PartSizes(driver.part_min, driver.part_max, driver.parts_max))

        with self._using("begin"):
            begun = self.bulkhead.call(work, lambda late: driver.abort(key, late.token))
        if not is_location(begun.token):
            raise StoreError(self.name, "its driver gave a token that cannot be kept")
        return begun

    def put_part(self, key: str, token: str, piece: Piece, source: Reader) -> PartReceipt:
        """Store the bytes of one part. If this raises, the part can be sent again.

        Raises:
            BlobNotFound, StoreFull, Unavailable: see `Parts.put_part`.
            Exception: the source raised it.
        """
        put = self._need_parts().put_part
        with Digests(()) as unhashed:
            measured = VerifyingReader(source, unhashed, Expectations(length=piece.size))
            work = partial(put, key, token, piece, measured)
            receipt = self._carried("put_part", work, measured, lambda late: None)
        require(self.name, receipt, PartReceipt, "put_part")
        if measured.count != piece.size or (receipt.number, receipt.size) != (piece.number, piece.size):
            raise StoreError(self.name, "its driver's receipt is not for the part that was sent")
        if not is_text(receipt.token):
            raise StoreError(self.name, "its driver gave a receipt that cannot be kept")
        return receipt

    def finish_parts(self, key: str, token: str, parts: Sequence[PartReceipt]) -> Stored:
        """Join the parts of an upload into the blob. The core has not read it, so its digests are unknown.

        Raises:
            BlobNotFound: there is no such upload, or it lacks one of the parts.
            Duplicate, StoreFull, TooLarge, Unavailable: see `Parts.finish`.
            StoreError: the blob does not have the size of the parts.
        """
        work, size = partial(self._need_parts().finish, key, token, parts), sum(part.size for part in parts)
        with self._using("finish"):
            # If the driver is late, the blob stays: the next attempt finds it.
            stored = self.bulkhead.carry(work, Patience(size), lambda late: None)
        stored = require_stored(self.name, stored, "finish")
        if stored.size != size or not is_location(stored.location):
            raise StoreError(self.name, f"its driver joined {stored.size} bytes from parts of {size}")
        return stored

    def abort_parts(self, key: str, token: str) -> None:
        """Remove an upload in parts. If there is none, that is not an error."""
        driver = self._need_parts()
        with self._using("abort"):
            self.bulkhead.call(partial(driver.abort, key, token))

    def _need_parts(self) -> Parts:
        self._need(WritableStore)
        return self._need(Parts)

    def _carried(
        self,
        operation: str,
        work: Callable[[], Result],
        measured: VerifyingReader,
        drop: Callable[[Result], object],
    ) -> Result:
        """Return the driver's receipt. If the source failed, raise the source's error, not the driver's."""
        try:
            with self._using(operation):
                return self.bulkhead.carry(work, measured, drop)
        except Exception as error:
            if measured.failure is None:
                if isinstance(error, SourceError) and not measured.has_failed:
                    raise StoreError(
                        self.name, "its driver blames the source, which has not failed"
                    ) from error
                raise
        raise measured.failure
