# mypy: disable-error-code="type-abstract"
"""Copies from one store into another that a backend makes itself. They are checked like uploads."""

from __future__ import annotations

import logging
import time
from functools import partial

from calotype.stores.contract import KEY, WritableStore
from calotype.stores.errors import BadLocation, StoreError, Unavailable
from calotype.stores.guard import Guard
from calotype.stores.measured import Expectations, UploadResult
from calotype.stores.promises import is_location, require_stored
from calotype.stores.values import Stored

log = logging.getLogger(__name__)

#: The minimum rate of copies that a backend makes itself, in bytes per second. A slower copy is considered
#: hung. Its progress is unknown, because the bytes do not pass through this process.
COPY_RATE = 4 << 20


class Copier(Guard):
    """A store whose driver may copy a blob of another store inside their backend."""

    def copy_from(self, key: str, source: Guard, location: str, demands: Expectations) -> UploadResult | None:
        """Let the driver copy a blob of another store. If it cannot, change nothing and return None.

        `demands.length` is the blob's size in bytes. The core does not read the copied bytes, so the
        digests of the result are those that `demands` declares.

        Raises:
            StoreError: the copy failed, or has another size; nothing is left of it. If the blob in the source
                is missing or has changed, the error names the source.
        """
        driver, size = self._need(WritableStore), demands.length
        if size is None or type(driver).copy_from is WritableStore.copy_from:
            return None
        self._require_key(key)
        copy = partial(driver.copy_from, key, source.driver, location, size)
        with source._using(), self._using("copy_from"):
            stored = self.bulkhead.carry(copy, Patience(size), self._remove_late)
        if stored is None:
            return None
        try:
            return self._accept(stored, size, demands.digests or {})
        except StoreError:
            self._withdraw(driver, getattr(stored, "location", driver.locate(key)))
            raise

    def _accept(self, stored: Stored, size: int, digests: dict[str, str]) -> UploadResult:
        """Return the result of a copy if the driver's receipt agrees with the blob."""
        stored = require_stored(self.name, stored, "copy_from")
        if stored.size != size:
            raise StoreError(self.name, f"its driver copied {stored.size} bytes of an image of {size}")
        if not is_location(stored.location):
            raise StoreError(self.name, "its driver gave a location that cannot be kept")
        if stored.md5 is not None and digests.get("md5", stored.md5) != stored.md5:
            raise Unavailable(self.name, "the bytes were damaged while it copied them", retry_after=1)
        return UploadResult(stored.location, size, dict(digests))

    def _require_key(self, key: str) -> None:
        if not KEY.fullmatch(key):
            raise BadLocation(self.name, "a key consists of lower-case letters, digits, - and .")

    def _withdraw(self, driver: WritableStore, location: str) -> None:
        try:
            self.bulkhead.call(partial(driver.delete, location))
        except Exception:
            log.exception("store '%s': could not remove a refused upload", self.name)

    def _remove_late(self, stored: Stored | None) -> None:
        """Remove an upload that a hanging driver finished after its request was abandoned."""
        if stored is not None:
            log.warning(
                "store '%s': an upload that hung has ended after all; its bytes are removed", self.name
            )
            self._need(WritableStore).delete(stored.location)


class Patience:
    """A stand-in for unknown progress: a copy of `size` bytes counts as idle after its expected end."""

    def __init__(self, size: int):
        self._expected = time.monotonic() + size / COPY_RATE

    def idle(self) -> float:
        """Return the seconds since the expected end of the copy; 0 before."""
        return max(0.0, time.monotonic() - self._expected)

    def cut(self) -> bool:
        """Return True: there is no source that the driver could still read."""
        return True
