"""The requirements on an upload, and the source as the driver sees it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from calotype.stores.errors import (
    SourceBroken,
    SourceError,
    SourceMismatch,
    SourceTooLarge,
    StoreError,
    Unavailable,
)
from calotype.stores.hashing import Digests
from calotype.stores.promises import is_location, require_stored
from calotype.stores.values import Reader, Stored

#: Size of the core's reads, in bytes. 256 KiB were 15 % slower, 4 MiB no faster.
BLOCK = 1 << 19


@dataclass(frozen=True, slots=True)
class Expectations:
    """The requirements on an upload. A field that is None requires nothing.

    `length` is the length that the transport announces; the driver gets it as a hint. `size` is the size
    that the client declared, `limit` the maximum number of bytes, and `digests` maps an algorithm to the hex
    digest that the client declared.
    """

    length: int | None = None
    size: int | None = None
    limit: int | None = None
    digests: dict[str, str] | None = None


#: Expectations without a length, size, limit or digest.
NO_DEMANDS = Expectations()


@dataclass(frozen=True, slots=True)
class UploadResult:
    """The result of an upload: the receipt's location, the size in bytes, algorithm -> hex digest."""

    location: str
    size: int
    digests: dict[str, str]


def require_digests(declared: Mapping[str, str], digests: Mapping[str, str]) -> None:
    """Check the digests of an upload. A declared digest that was not computed is not checked.

    Raises:
        SourceMismatch: a digest differs from the declared one.
    """
    for algorithm, expected in declared.items():
        if digests.get(algorithm, expected) != expected:
            raise SourceMismatch(
                f"Supplied checksum ({expected}) and checksum generated from uploaded image "
                f"({digests[algorithm]}) did not match."
            )


class VerifyingReader:
    """A source as the driver sees it: counted, hashed, and compared with what was announced.

    `failure` is the exception of the source, of any class; the driver sees a SourceError.
    """

    def __init__(self, source: Reader, digests: Digests, demands: Expectations):
        self.count = 0
        self.ended = False
        self.failure: Exception | None = None
        #: True if this reader has raised a SourceError.
        self.has_failed = False
        self._source = source
        self._digests = digests
        self._demands = demands
        self._lock = threading.Lock()
        self._is_waiting = False
        self._is_cut = False
        self._asked = time.monotonic()

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            SourceError: the source fails, or is longer or shorter than announced, or exceeds the limit.
            RuntimeError: another thread is reading at this moment, so the order of the bytes would be lost.
        """
        if self.ended:
            return b""
        with self._lock:
            if self._is_waiting:
                raise RuntimeError("two threads read the source at the same time")
            if self._is_cut:
                self.has_failed = True
                raise SourceBroken("The upload was abandoned, because the store did not continue it.")
            self._is_waiting = True
        try:
            return self._read(size)
        except SourceError:
            self.has_failed = True
            raise
        finally:
            self._asked = time.monotonic()
            self._is_waiting = False

    def close(self) -> None:
        """Do nothing, because the code that opened the source closes it."""

    def idle(self) -> float:
        """Return the seconds since the driver last asked for bytes; 0 while it waits for the source."""
        return 0 if self._is_waiting else time.monotonic() - self._asked

    def cut(self) -> bool:
        """Read no more from the source, because its owner is about to close it.

        Return False, and change nothing, if the driver is waiting for the source at this moment.
        """
        with self._lock:
            self._is_cut = not self._is_waiting
            return self._is_cut

    def accept(self, store: str, stored: Stored) -> UploadResult:
        """Return the result of an upload if the driver's receipt agrees with the bytes that were read.

        Raises:
            SourceError: the source differs from what was announced.
            StoreError: the driver did not read all of the source, or its receipt is wrong.
        """
        if self.failure is not None:
            raise self.failure
        if not self.ended and self.read(1):
            raise StoreError(store, "its driver stopped before the end of the source")
        stored = require_stored(store, stored, "add")
        if stored.size != self.count:
            raise StoreError(store, f"its driver reports {stored.size} bytes where {self.count} were sent")
        if not is_location(stored.location):
            raise StoreError(store, "its driver gave a location that cannot be kept")
        digests = self._digests.hexdigests()
        if stored.md5 is not None and digests.get("md5", stored.md5) != stored.md5:
            raise Unavailable(store, "the bytes were damaged on their way to it", retry_after=1)
        require_digests(self._demands.digests or {}, digests)
        return UploadResult(stored.location, self.count, digests)

    def _read(self, size: int) -> bytes:
        block = self._fetch(BLOCK if size is None or size < 0 else size)
        if block:
            self.count += len(block)
            self._hold_to_most()
            self._digests.update(block)
        elif size != 0:
            self._hold_to_end()
            self.ended = True
        return block

    def _fetch(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except SourceError as error:
            self.failure = error
            raise
        except Exception as error:
            self.failure = error
            raise SourceBroken(f"The source of the image data failed: {type(error).__name__}.") from error

    def _hold_to_most(self) -> None:
        demands = self._demands
        if demands.limit is not None and self.count > demands.limit:
            raise SourceTooLarge(f"The image is larger than the {demands.limit} bytes allowed here.")
        if demands.length is not None and self.count > demands.length:
            raise SourceBroken(f"More than the announced {demands.length} bytes were sent.")
        if demands.size is not None and self.count > demands.size:
            raise SourceMismatch(
                f"Supplied size ({demands.size}) and size generated from uploaded image "
                f"(at least {self.count}) did not match."
            )

    def _hold_to_end(self) -> None:
        demands = self._demands
        if demands.length is not None and self.count < demands.length:
            raise SourceBroken(f"Only {self.count} of the announced {demands.length} bytes were sent.")
        if demands.size is not None and self.count != demands.size:
            raise SourceMismatch(
                f"Supplied size ({demands.size}) and size generated from uploaded image "
                f"({self.count}) did not match."
            )
