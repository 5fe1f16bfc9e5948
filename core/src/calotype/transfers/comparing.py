"""Compare a stored copy with its record in the database, no faster than a rate allows."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable

from calotype.database.scrubs import Copy
from calotype.model.findings import FindingKind
from calotype.model.images import StoredLocation
from calotype.stores.checked import CheckedStore
from calotype.stores.errors import named_errors
from calotype.stores.measured import BLOCK
from calotype.transfers.copies import Fault


class Interrupted(Exception):
    """The process ends, so the check that is running stops."""


class Pace:
    """A limiter that slows a thread down to at most `rate` bytes per second."""

    def __init__(self, rate: float, ending: threading.Event):
        """Start counting now. Setting `ending` interrupts a wait."""
        self.rate = rate
        self._ending = ending
        self._free_at = time.monotonic()

    def spend(self, count: int) -> None:
        """Wait until reading `count` more bytes is within the rate.

        Raises:
            Interrupted: the process ends.
        """
        now = time.monotonic()
        self._free_at = max(self._free_at + count / self.rate, now)
        if self._ending.wait(self._free_at - now):
            raise Interrupted


def compare(
    store: CheckedStore, copy: Copy | StoredLocation, spend: Callable[[int], None] | None, paid: int = 0
) -> Fault | None:
    """Return the difference between a copy and its record, or None if there is none.

    The size is always compared. If `spend` is given, the bytes are read, their SHA-256 is compared too, and
    `spend` is called with the size of each block. The first `paid` bytes are left out, because the caller has
    already spent them.

    Raises:
        StoreError: the store cannot read the copy, so the copy was not compared.
    """
    size = store.size(copy.location)
    if None not in (size, copy.size) and size != copy.size:
        return Fault(FindingKind.WRONG_SIZE, f"it has {size} bytes instead of {copy.size}")
    if spend is None:
        return None
    digest = hashlib.sha256()
    with contextlib.closing(store.get(copy.location, size=copy.size)) as reader:
        while True:
            with named_errors(store.name):
                block = reader.read(BLOCK)
            if not block:
                break
            digest.update(block)
            paid -= len(block)
            if paid < 0:
                spend(-paid)
                paid = 0
    if copy.sha256 not in (None, digest.hexdigest()):
        detail = f"its SHA-256 is {digest.hexdigest()} instead of {copy.sha256}"
        return Fault(FindingKind.WRONG_DIGEST, detail)
    return None
