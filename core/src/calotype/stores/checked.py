# mypy: disable-error-code="type-abstract"
"""CheckedStore: the wrapper that checks every driver.

It hashes uploads, checks receipts, and implements ranges for drivers without them. Its `Guard` refuses
operations for which the driver lacks the ability, and names the store in errors. Its `Bulkhead` limits the
number and duration of calls.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
from collections.abc import Callable, Iterator
from functools import partial

from calotype.stores.abilities import DirectUrl, External, Listing, LocalFiles
from calotype.stores.blob_readers import LimitedReader, is_plain_file, skip
from calotype.stores.contract import LOCATION_MAX, MARKER_KEY, WritableStore
from calotype.stores.errors import (
    BadLocation,
    BlobChanged,
    BlobNotFound,
    named_errors,
)
from calotype.stores.hashing import ON_DEMAND, Digests
from calotype.stores.measured import (
    BLOCK,
    NO_DEMANDS,
    Expectations,
    UploadResult,
    VerifyingReader,
)
from calotype.stores.parting import PartTaker
from calotype.stores.promises import (
    is_location,
    require,
    require_block,
    require_extents,
    require_info,
    require_listed,
    require_opened,
    require_path,
    require_reader,
    require_size,
    require_stored,
    require_url,
)
from calotype.stores.values import Blob, Extent, Opened, Reader, Stored, StoreInfo


class CheckedStore(PartTaker):
    """A configured store as the core uses it: the verbs of the driver, checked."""

    def add(self, key: str, source: Reader, demands: Expectations = NO_DEMANDS) -> UploadResult:
        """Store all bytes of a source, or leave nothing.

        Raises:
            SourceError: the source failed, or its bytes do not meet the demands.
            StoreError: the store could not store the bytes.
            Exception: the source raised it. Not every failure to read is the client's fault: the
                database that counts the bytes, or the store that they are copied from, may be unavailable.
        """
        driver = self._need(WritableStore)
        self._require_key(key)
        demanded = ON_DEMAND.intersection(demands.digests or ())
        with Digests((*self.algorithms, *demanded)) as digests:
            measured = VerifyingReader(source, digests, demands)
            work = partial(driver.add, key, measured, demands.length)
            stored = self._carried("add", work, measured, self._remove_late)
            try:
                return measured.accept(self.name, stored)
            except Exception:
                self._withdraw(driver, getattr(stored, "location", driver.locate(key)))
                raise

    def get(
        self, location: str, offset: int = 0, length: int | None = None, *, size: int | None = None
    ) -> Reader:
        """Open a reader for `length` bytes from `offset`, or for the rest of the blob.

        The rest is read if `length` is None. `size` is the blob's size according to the database, None if
        that is unknown. If a file has a different size, the download is refused before its first byte.

        Raises:
            BlobNotFound, BlobChanged, BadLocation, Unavailable: see `Store.get`.
        """
        if length is None and size is not None:
            length = size - offset
        ranged = offset > 0 or (length is not None and length != size)
        native = ranged and self.driver.ranges
        get = partial(self.driver.get, location)
        if native and length is not None and length <= BLOCK and not self.keeps_files:
            data = self._read_at_once(partial(get, offset, length), length)
            return LimitedReader(self.name, io.BytesIO(data), length)
        with self._using("get"):
            reader = self._open(partial(get, offset, length) if native else get, size)
        if ranged and not native:
            try:
                skip(self.name, reader, offset)
            except BaseException:
                reader.close()
                raise
        return reader if length is None else LimitedReader(self.name, reader, length)

    def _open(self, get: Callable[[], Reader], size: int | None) -> Reader:
        """Open a reader. Check a file's size now, because the server may bypass the reader."""

        def work() -> Reader:
            reader = require_reader(self.name, get())
            held = os.fstat(reader.fileno()).st_size if is_plain_file(reader) else size
            if size is not None and held != size:
                reader.close()
                raise BlobChanged(self.name, f"it holds {held} bytes of an image of {size}")
            return reader

        if self.keeps_files:
            return self.bulkhead.call_here(work, lambda late: late.close())
        return self.bulkhead.open(work)

    def read_start(self, location: str, most: int) -> bytes:
        """Return a blob's first `most` bytes, or all of a shorter blob, in one call of the bulkhead.

        Raises:
            BlobNotFound, Unavailable: see `Store.get`.
        """
        return self._read_at_once(lambda: self.driver.get(location), most)

    def _read_at_once(self, get: Callable[[], Reader], most: int) -> bytes:
        """Open a reader, read up to `most` bytes and close it, in one call of the bulkhead.

        Three calls would be three changes of threads, which take longer on a busy machine than the read.
        """

        def work() -> bytes:
            blocks, left = [], most
            with contextlib.closing(require_reader(self.name, get())) as reader:
                while left and (block := reader.read(left)):
                    blocks.append(require_block(self.name, block, left))
                    left -= len(block)
            return b"".join(blocks)

        with self._using("get"):
            return self.bulkhead.call(work)

    def size(self, location: str) -> int | None:
        """Return the blob's size in bytes; None if the store does not know it."""
        work = partial(self.driver.size, location)
        with self._using("size"):
            size = self.bulkhead.call_here(work) if self.keeps_files else self.bulkhead.call(work)
        return require_size(self.name, size)

    def delete(self, location: str) -> None:
        """Remove a blob; raises BlobNotFound if it is gone already."""
        driver = self._need(WritableStore)
        with self._using("delete"):
            self.bulkhead.call(partial(driver.delete, location))

    def discard(self, key: str) -> None:
        """Remove everything that an unfinished upload left under the key."""
        driver = self._need(WritableStore)
        with self._using(), contextlib.suppress(BlobNotFound):
            self.bulkhead.call(partial(driver.discard, key))

    def locate(self, key: str) -> str | None:
        """Return the location that `add` returns for the key; None if the store takes no uploads."""
        if not isinstance(self.driver, WritableStore):
            return None
        with named_errors(self.name):
            return require(self.name, self.driver.locate(key), str, "locate")

    def check_uri(self, uri: str) -> None:
        """Raise an error if the form of an external location forbids fetching it. Send nothing to it.

        Raises:
            BadLocation: the location must not be fetched.
        """
        driver = self._need(External)
        with self._using():
            self.bulkhead.call_here(partial(driver.check_uri, uri))

    def register(self, uri: str) -> Stored:
        """Accept an external location; the size is None if the source does not announce it."""
        driver = self._need(External)
        with self._using("register"):
            stored = require_stored(self.name, self.bulkhead.call(partial(driver.register, uri)), "register")
        if not is_location(stored.location):
            raise BadLocation(
                self.name,
                f"the location would have {len(stored.location)} characters, and the database keeps "
                f"{LOCATION_MAX}: import the image, so that its bytes are copied",
            )
        return stored

    def open_uri(self, uri: str) -> Opened:
        """Open external bytes to read them once. The reader enforces their size if it is known.

        Raises:
            BadLocation, BlobNotFound, Unavailable: see `Store.open_uri`.
        """
        driver = self._need(External)
        opened: list[Opened] = []

        def work() -> Reader:
            opened.append(require_opened(self.name, driver.open_uri(uri)))
            return opened[0].reader

        with self._using("open_uri"):
            reader = self.bulkhead.open(work)
        size = opened[0].size
        return Opened(reader if size is None else LimitedReader(self.name, reader, size), size)

    def direct_url(self, location: str, expires: int) -> str | None:
        """Return a URL by which a client reads the blob directly from the store; None if there is none."""
        if not self.can(DirectUrl):
            return None
        driver = self._need(DirectUrl)
        with self._using():
            return require_url(self.name, self.bulkhead.call(partial(driver.direct_url, location, expires)))

    def accel_path(self, location: str) -> str | None:
        """Return the path at which the front proxy serves the blob's file; None if the proxy does not."""
        if self.accel is None or not self.can(LocalFiles):
            return None
        driver = self._need(LocalFiles)
        with self._using():
            path = self.bulkhead.call_here(partial(driver.file_path, location))
        return f"{self.accel}{require_path(self.name, path)}"

    def info(self) -> StoreInfo:
        """Return how much the store can hold, as far as its driver knows."""
        with self._using("info"):
            return require_info(self.name, self.bulkhead.call(self.driver.info))

    def extents(
        self, location: str, size: int, shorten: Callable[[Iterator[Extent]], list[Extent]] = list
    ) -> list[Extent]:
        """Return the data and the holes of a blob of `size` bytes, as `shorten` returns them.

        Raises:
            StoreError: the driver's extents do not cover the blob, or the store is unavailable.
        """

        def work() -> list[Extent]:
            return shorten(require_extents(self.name, self.driver.extents(location, size), size))

        with self._using("extents"):
            return self.bulkhead.call(work)

    def blobs(self) -> Iterator[Blob]:
        """Yield all blobs of the store except the marker of its place."""
        driver = self._need(Listing)
        with self._using():
            yield from self._without_marker(driver.blobs(), "blobs", self.locate(MARKER_KEY))

    def attempts(self) -> Iterator[Blob]:
        """Yield the remains of unfinished uploads, except those of a marker."""
        driver = self._need(Listing)
        with self._using():
            yield from self._without_marker(driver.attempts(), "attempts", MARKER_KEY)

    def is_empty(self) -> bool:
        """Return whether the store is empty except for the marker of its place, in one short call."""
        driver = self._need(Listing)

        def work() -> bool:
            marker = self.locate(MARKER_KEY)
            listed = itertools.chain(driver.blobs(), driver.attempts())
            return next(self._without_marker(listed, "blobs", marker), None) is None

        with self._using():
            return self.bulkhead.call(work)

    def _without_marker(self, listed: Iterator[Blob], method: str, marker: str | None) -> Iterator[Blob]:
        """Filter out the marker, even if an older version of the driver gave it another location."""
        blobs = require_listed(self.name, listed, method)
        return (blob for blob in blobs if blob.location != marker and MARKER_KEY not in blob.location)

    def create(self) -> None:
        """Create the place for the blobs."""
        with named_errors(self.name):
            self.driver.create()

    def check(self) -> None:
        """Raise the error that a request would get, if the store cannot be used."""
        with self._using():
            self.bulkhead.call(self.driver.check)

    def check_here(self) -> None:
        """Check the store in the calling thread, without a timeout: each probe has its own thread.

        Raises:
            Overdue, Busy: the store answers, but has no free slot for an upload or for a download.
            StoreError: the store cannot be used.
        """
        with self._using():
            self.driver.check()
        self.bulkhead.require_free()

    def require_own(self) -> None:
        """Raise an error unless the store is available and its place is its own.

        Only then does a missing blob mean that its bytes are lost.

        Raises:
            StoreError: the store is unavailable, or its marker cannot be read.
        """
        self.check()
        if self.gate is not None:
            self.gate.require_own()

    def close(self) -> None:
        """Close connections, without waiting for a driver that hangs. May be called twice."""
        self.bulkhead.close(self.driver.close)
