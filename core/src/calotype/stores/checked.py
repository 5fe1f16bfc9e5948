"""CheckedStore: the careful wrapper around every naive driver.

It refuses what is not declared, measures and hashes what flows in, holds sources
to their announced length and to the limit, checks receipts, gives ranges to drivers
that have none, and turns whatever a driver raises into an error with the store's name.
Its `Bulkhead` bounds how many calls of the driver there are at a time, and how long they are waited for.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol, TypeVar

from calotype.stores.bulkhead import Bulkhead
from calotype.stores.contract import KEY, MARKER_KEY, Blob, Capability, Opened, Reader, Store, Stored
from calotype.stores.errors import (
    BadLocation,
    BlobChanged,
    BlobNotFound,
    SourceError,
    SourceMismatch,
    StoreError,
    Unavailable,
    Unsupported,
)
from calotype.stores.hashing import Digests
from calotype.stores.measured import BLOCK, NO_DEMANDS, Expectations, UploadResult, VerifyingReader

log = logging.getLogger(__name__)

Result = TypeVar("Result")

#: The longest location that the database keeps.
LOCATION_MAX = 1024


#: Told of each operation: the store, what was done, "ok" or an error's class, and seconds.
Observer = Callable[[str, str, str, float], None]


class Gate(Protocol):
    """Decides whether a store may be used, by the owner of its place (`calotype.transfers.places`)."""

    def admit(self) -> None:
        """Return if the store may be used; called before each use of the driver, so it must be cheap.

        Raises:
            StoreError: it must not be used.
        """
        ...

    def require_own(self) -> None:
        """Look now, and return if the place has the store's own marker.

        Raises:
            StoreError: it has none, or another's, or cannot be reached.
        """
        ...


class LimitedReader:
    """The first `length` bytes of a reader; shorter is an error, for the size is known."""

    def __init__(self, store: str, reader: Reader, length: int):
        self._store = store
        self._reader = reader
        self.remaining = length

    @property
    def file(self) -> io.IOBase | None:
        """The real file behind, positioned at the next byte, where there is one."""
        return self._reader if is_plain_file(self._reader) else None

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, b"" after the last.

        Raises:
            StoreError: the store broke off, or failed.
        """
        wanted = self.remaining if size is None or size < 0 else min(size, self.remaining)
        if wanted == 0:
            return b""
        with named_errors(self._store):
            block = self._reader.read(wanted)
        if not block:
            raise BlobChanged(self._store, f"the bytes ended {self.remaining} before their size")
        self.remaining -= len(block)
        return block

    def close(self) -> None:
        """Close the reader behind."""
        self._reader.close()


class CheckedStore:
    """A configured store as the core uses it; the same verbs as the driver, kept honest."""

    def __init__(
        self,
        driver: Store,
        *,
        read_only: bool = False,
        algorithms: tuple[str, ...] = ("sha256", "md5"),
        bulkhead: Bulkhead | None = None,
    ):
        self.name = driver.name
        self.driver = driver
        self.bulkhead = bulkhead or Bulkhead(driver.name)
        #: Whether its blobs are files of this machine, to which a thread goes faster than to another thread.
        #: Whether blobs are files of this machine, which a server sends without a worker's help.
        self.keeps_files = getattr(driver.file_path, "__func__", None) is not Store.file_path
        self.schemes = driver.schemes
        writing = Capability.WRITE | Capability.DELETE
        self.capabilities = driver.capabilities & ~writing if read_only else driver.capabilities
        self.observe: Observer | None = None
        self.gate: Gate | None = None
        self.redirect = False
        self.accel: str | None = None
        self.scrub = True
        self.scrub_rate: int | None = None
        self._algorithms = algorithms

    @contextlib.contextmanager
    def _using(self) -> Iterator[None]:
        """Let the driver be used if the gate is open, and name what goes wrong in it."""
        if self.gate is not None:
            self.gate.admit()
        with named_errors(self.name):
            yield

    @contextlib.contextmanager
    def _doing(self, operation: str) -> Iterator[None]:
        """Name what goes wrong in the driver, and tell the observer how the operation went."""
        began = time.perf_counter()
        outcome = "ok"
        try:
            with self._using():
                yield
        except BaseException as error:
            outcome = type(error).__name__
            raise
        finally:
            if self.observe is not None:
                self.observe(self.name, operation, outcome, time.perf_counter() - began)

    def __repr__(self) -> str:
        return f"<CheckedStore {self.name} of {type(self.driver).__name__}>"

    def can(self, capability: Capability) -> bool:
        """Whether the store declares the capability."""
        return capability in self.capabilities

    def add(self, key: str, source: Reader, demands: Expectations = NO_DEMANDS) -> UploadResult:
        """Store a source whole, or leave nothing.

        Raises:
            SourceError: the source broke its promise.
            StoreError: the store could not take it.
            Exception: whatever else the source raises, because not every failure to read is the client's:
                the database may be away that counts the bytes, or the store that they are copied from.
        """
        self._need(Capability.WRITE, "takes no uploads")
        if not KEY.fullmatch(key):
            raise BadLocation(self.name, "a key is lower-case letters, digits, - and .")
        with Digests(self._algorithms) as digests:
            measured = VerifyingReader(source, digests, demands)
            stored = self._stored(key, measured, demands.length)
            try:
                return self._received(stored, measured, digests.hexdigests(), demands)
            except Exception:
                self._withdraw(stored.location)
                raise

    def _stored(self, key: str, measured: VerifyingReader, length: int | None) -> Stored:
        """Return the driver's receipt, or raise what the source raised, whatever the driver made of it."""
        try:
            with self._doing("add"):
                work = partial(self.driver.add, key, measured, length)
                return self.bulkhead.carry(work, measured, self._remove_late)
        except Exception:
            if measured.failure is None:
                raise
        raise measured.failure

    def _received(
        self, stored: Stored, measured: VerifyingReader, digests: dict[str, str], demands: Expectations
    ) -> UploadResult:
        if measured.failure is not None:
            raise measured.failure
        if not measured.ended and measured.read(1):
            raise StoreError(self.name, "its driver stopped before the end of the source")
        if stored.size != measured.count:
            raise StoreError(
                self.name, f"its driver reports {stored.size} bytes where {measured.count} were sent"
            )
        if not _is_location(stored.location):
            raise StoreError(self.name, "its driver gave a location that cannot be kept")
        if stored.md5 is not None and digests.get("md5", stored.md5) != stored.md5:
            raise Unavailable(self.name, "the bytes were damaged on their way to it", retry_after=1)
        for algorithm, declared in (demands.digests or {}).items():
            if digests.get(algorithm, declared) != declared:
                raise SourceMismatch(
                    f"Supplied checksum ({declared}) and checksum generated from uploaded image "
                    f"({digests[algorithm]}) did not match."
                )
        return UploadResult(stored.location, measured.count, digests)

    def _withdraw(self, location: str) -> None:
        try:
            self.bulkhead.call(partial(self.driver.delete, location))
        except Exception:
            log.exception("store '%s': could not remove a refused upload", self.name)

    def _remove_late(self, stored: Stored) -> None:
        """Remove what a driver has stored that had hung; nobody waits for it any more."""
        log.warning("store '%s': an upload that hung has ended after all; it is removed", self.name)
        self.driver.delete(stored.location)

    def get(
        self, location: str, offset: int = 0, length: int | None = None, *, size: int | None = None
    ) -> Reader:
        """Open `length` bytes from `offset`, or all from there on; never fewer, never more.

        `size` is the blob's size as the database knows it; a store that holds another
        number of bytes is refused before the first byte is given out.

        Raises:
            BlobNotFound, BlobChanged, BadLocation, Unavailable: as the driver's `get`.
        """
        if length is None and size is not None:
            length = size - offset
        ranged = offset > 0 or (length is not None and length != size)
        native = ranged and self.can(Capability.RANGES)
        with self._doing("get"):
            reader = self._open(size, location, *((offset, length) if native else ()))
        if ranged and not native:
            try:
                self._skip(reader, offset)
            except BaseException:
                reader.close()
                raise
        return reader if length is None else LimitedReader(self.name, reader, length)

    def _open(self, size: int | None, *where: object) -> Reader:
        work = partial(self._get, size, *where)
        if self.keeps_files:
            return self.bulkhead.call_here(work, lambda late: late.close())
        return self.bulkhead.open(work)

    def _get(self, size: int | None, *where: object) -> Reader:
        """A short file would be sent as if it were whole: look before the first byte."""
        reader = self.driver.get(*where)
        if size is not None and is_plain_file(reader):
            held = os.fstat(reader.fileno()).st_size
            if held != size:
                reader.close()
                raise BlobChanged(self.name, f"it holds {held} bytes of an image of {size}")
        return reader

    def read_start(self, location: str, most: int) -> bytes:
        """Return a blob's first bytes, all of them if there are fewer than `most`, as one short call.

        Raises:
            BlobNotFound, Unavailable: as the driver's `get`.
        """

        def work() -> bytes:
            data = b""
            with contextlib.closing(self.driver.get(location)) as reader:
                while len(data) < most and (block := reader.read(most - len(data))):
                    data += block
            return data

        with self._doing("get"):
            return self.bulkhead.call(work)

    def _skip(self, reader: Reader, offset: int) -> None:
        left = offset
        while left:
            with named_errors(self.name):
                block = reader.read(min(left, BLOCK))
            if not block:
                raise BlobChanged(self.name, f"the bytes ended {left} before the range")
            left -= len(block)

    def size(self, location: str) -> int | None:
        """The blob's size in bytes, None where the store cannot tell."""
        work = partial(self.driver.size, location)
        with self._doing("size"):
            return self.bulkhead.call_here(work) if self.keeps_files else self.bulkhead.call(work)

    def delete(self, location: str) -> None:
        """Remove a blob; raises BlobNotFound when it is gone already."""
        self._need(Capability.DELETE, "deletes nothing")
        with self._doing("delete"):
            self.bulkhead.call(partial(self.driver.delete, location))

    def discard(self, key: str) -> None:
        """Remove what an upload that never ended has left under the key."""
        self._need(Capability.WRITE, "takes no uploads")
        with self._using(), contextlib.suppress(BlobNotFound):
            self.bulkhead.call(partial(self.driver.discard, key))

    def locate(self, key: str) -> str | None:
        """Where `add` will put the key, when that is known."""
        with named_errors(self.name):
            return self.driver.locate(key)

    def check_uri(self, uri: str) -> None:
        """Return if a location from outside may be asked for, as far as that can be told without asking.

        Raises:
            BadLocation: it must not be fetched, whatever lies there.
        """
        self._need(Capability.EXTERNAL, "takes no locations from outside")
        with self._using():
            self.bulkhead.call_here(partial(self.driver.check_uri, uri))

    def register(self, uri: str) -> Stored:
        """Accept a location from outside; the size is None when the source does not tell."""
        self._need(Capability.EXTERNAL, "takes no locations from outside")
        with self._doing("register"):
            stored = self.bulkhead.call(partial(self.driver.register, uri))
        if not _is_location(stored.location):
            raise BadLocation(
                self.name,
                f"the location would have {len(stored.location)} characters, and the database keeps "
                f"{LOCATION_MAX}: import the image, so that its bytes are copied",
            )
        return stored

    def open_uri(self, uri: str) -> Opened:
        """Open what lies elsewhere for one reading; the reader is held to the size, if that is known.

        Raises:
            BadLocation, BlobNotFound, Unavailable: as the driver's `open_uri`.
        """
        self._need(Capability.EXTERNAL, "takes no locations from outside")
        opened: list[Opened] = []

        def work() -> Reader:
            opened.append(self.driver.open_uri(uri))
            return opened[0].reader

        with self._doing("open_uri"):
            reader = self.bulkhead.open(work)
        size = opened[0].size
        return Opened(reader if size is None else LimitedReader(self.name, reader, size), size)

    def direct_url(self, location: str, expires: int) -> str | None:
        """A URL that reads the blob without us, or None."""
        if not self.can(Capability.DIRECT_URL):
            return None
        with self._using():
            return self.bulkhead.call(partial(self.driver.direct_url, location, expires))

    def accel_path(self, location: str) -> str | None:
        """Where the proxy in front finds the blob's file, if it was told that it may."""
        path = None if self.accel is None else self._file_path(location)
        return None if path is None else f"{self.accel}{path}"

    def _file_path(self, location: str) -> str | None:
        if not self.keeps_files:
            return None
        with self._using():
            return self.bulkhead.call_here(partial(self.driver.file_path, location))

    def blobs(self) -> Iterator[Blob]:
        """Return everything the store holds but the marker of its place."""
        self._need(Capability.LISTING, "cannot list what it holds")
        with self._using():
            yield from self._without_marker(self.driver.blobs(), self.driver.locate(MARKER_KEY))

    def attempts(self) -> Iterator[Blob]:
        """Return what unfinished uploads left, but for a marker that was not finished."""
        self._need(Capability.LISTING, "cannot list what it holds")
        with self._using():
            yield from self._without_marker(self.driver.attempts(), MARKER_KEY)

    def is_empty(self) -> bool:
        """Whether the store holds nothing but the marker of its place; one short call."""
        self._need(Capability.LISTING, "cannot list what it holds")

        def work() -> bool:
            marker = self.driver.locate(MARKER_KEY)
            blobs = self._without_marker(self.driver.blobs(), marker)
            attempts = self._without_marker(self.driver.attempts(), MARKER_KEY)
            return next(itertools.chain(blobs, attempts), None) is None

        with self._using():
            return self.bulkhead.call(work)

    @staticmethod
    def _without_marker(listed: Iterator[Blob], marker: str | None) -> Iterator[Blob]:
        """Leave the marker out of a listing, also if an older version of the driver named it otherwise."""
        return (blob for blob in listed if blob.location != marker and MARKER_KEY not in blob.location)

    def create(self) -> None:
        """Make the place where blobs will lie."""
        with named_errors(self.name):
            self.driver.create()

    def check(self) -> None:
        """Return when the store can be used, raise why not otherwise."""
        with self._using():
            self.bulkhead.call(self.driver.check)

    def check_here(self) -> None:
        """As `check`, in the calling thread, however long it takes: a probe has a thread of its own."""
        with self._using():
            self.driver.check()

    def require_own(self) -> None:
        """Return if the store is there, and its place its own, so that what is not in it is really gone.

        Raises:
            StoreError: it is away, or its marker cannot be read; nothing in it may be judged.
        """
        self.check()
        if self.gate is not None:
            self.gate.require_own()

    def close(self) -> None:
        """Let go of connections, if the driver does so at once; may be called twice."""
        self.bulkhead.close(self.driver.close)

    def _need(self, capability: Capability, lack: str) -> None:
        if not self.can(capability):
            raise Unsupported(self.name, f"it {lack}")


@contextlib.contextmanager
def named_errors(store: str) -> Iterator[None]:
    """Let StoreErrors and SourceErrors through; give everything else the store's name.

    The original text stays out of the message, for it may hold hosts, paths or
    credentials; it is chained, and so reaches the log.
    """
    try:
        yield
    except (StoreError, SourceError):
        raise
    except (Exception, SystemExit) as error:
        raise StoreError(store, f"its driver failed with {type(error).__name__}") from error


def is_plain_file(reader: object) -> bool:
    """Whether the reader is an open file of the operating system, which a server can send by itself."""
    return isinstance(reader, (io.FileIO, io.BufferedReader)) and isinstance(
        getattr(reader, "raw", reader), io.FileIO
    )


def _is_location(location: str) -> bool:
    return 0 < len(location) <= LOCATION_MAX and location.isascii() and location.isprintable()
