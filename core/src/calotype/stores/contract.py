"""The driver contract, version 2: what a store promises to the core. It does not mention HTTP.

A driver is simple: it moves bytes to one place and back. `calotype.stores.checked` wraps every driver and
does what all of them would otherwise repeat: measuring, hashing, limits, checks of receipts, ranges for
drivers without them, and the store's name in every error.

An ability is an interface. A driver is a subclass of `Store` (it reads) or of `WritableStore` (it also takes
uploads), and of those interfaces of `calotype.stores.abilities` that it implements. A class that lacks a
method of its interfaces cannot be instantiated. All other methods have working defaults.
"""

from __future__ import annotations

import abc
import contextlib
import re
from collections.abc import Iterator
from typing import Any, ClassVar, Generic

from typing_extensions import TypeVar

from calotype.stores.errors import BlobNotFound
from calotype.stores.options import StoreOptions
from calotype.stores.values import Extent, Reader, Stored, StoreInfo

#: The type of a driver's options: `class TapeStore(Store[TapeOptions])` has `self.options.library`.
OptionsT = TypeVar("OptionsT", bound=StoreOptions, default=StoreOptions)

#: The contract's version. A driver of another major version is refused when it is loaded. A minor version
#: only adds methods with working defaults.
API_VERSION = (2, 0)

#: The form of a key. The core makes one for each upload attempt; no part of it comes from a client. It has at
#: most 200 characters, so that it fits into a file name with a prefix and a suffix.
KEY = re.compile(r"(?=.{1,200}\Z)[0-9a-z]{1,60}(?:[-.][0-9a-z]{1,60}){0,15}", re.ASCII)

#: The key of the marker that names the owner of a store's place: see `calotype.transfers.places`. The core
#: writes and reads it with the driver's own methods. No upload has this key, because keys of uploads begin
#: with an image's id.
MARKER_KEY = "calotype-store-marker"


#: The longest location that the database keeps, in characters.
LOCATION_MAX = 1024


class Store(abc.ABC, Generic[OptionsT]):
    """Base class of every driver. A driver that is only a Store reads blobs that other programs wrote.

    There is one instance for each configured store, and several threads may call any method at the same
    time. A location is text that the driver makes and only the driver reads: ASCII, at most 1,024
    characters, without secrets, and relative to the options, so that no row of the database changes when
    the data is moved or credentials are replaced.

    A location is kept as long as the image. A later version of the driver must read, delete and list a
    blob under the location that an earlier version returned for it; a new form of location is for new keys
    only. A location contains the key that was passed to `add`, because `fsck` uses the key to find the image
    that an object belongs to.

    One place belongs to one store of one database. The core keeps a marker there, as a blob under the key
    `MARKER_KEY`; it uses only `add`, `locate`, `get` and `delete` for it.
    """

    #: The version of the contract for which the driver was written: (major, minor). Every driver sets it,
    #: because a value inherited from the core would always fit the core.
    api_version: ClassVar[tuple[int, int]]
    #: The driver's settings.
    Options: ClassVar[type[StoreOptions]] = StoreOptions
    #: True if `get` can start at an offset without reading the bytes before it. An instance may override it.
    ranges: bool = False
    #: The interfaces of the class that this instance does not offer, because of its options. For
    #: instance, a Swift store without a key for TempURLs withholds DirectUrl.
    withheld: frozenset[type] = frozenset()

    def __init__(self, name: str, options: OptionsT):
        """Keep the name and the options. Do no I/O: connect at the first use."""
        self.name = name
        self.options = options

    @abc.abstractmethod
    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        """Open a blob for reading from `offset`, for at least `length` bytes (None: to its end).

        `offset` and `length` are only passed to drivers with `ranges`. The reader is empty if `offset` is at
        or beyond the end. It may continue past `length`, because the core stops there. A plain open file is
        the best reader. If the blob does not exist, this call itself must fail, and not only the first read.
        If the blob is deleted while a reader is open, the reader returns the blob's bytes or raises
        BlobNotFound or BlobChanged, but never ends early.

        Raises:
            BlobNotFound: there is nothing at the location.
            BlobChanged: the bytes at the location are not the registered ones.
            BadLocation: the location does not have the form of this store's locations.
            Unavailable: the store cannot be reached now, so it is unknown whether the blob exists.
        """

    @abc.abstractmethod
    def size(self, location: str) -> int | None:
        """Return the blob's size in bytes, None if the store does not know it. Raises what `get` raises."""

    def extents(self, location: str, size: int) -> Iterator[Extent]:
        """Yield the data and the holes of a blob, in order and without gaps.

        `size` is the blob's size in bytes. The default yields the whole blob as data.
        Raises what `get` raises.
        """
        if size:
            yield Extent(0, size)

    def info(self) -> StoreInfo:
        """Return the capacity and the free room of the store. The default leaves both unknown.

        Raises:
            Unavailable: the store cannot be reached now.
        """
        return StoreInfo()

    def create(self) -> None:
        """Create the place for blobs, such as a directory, a bucket or a container. Idempotent.

        Raises:
            Misconfigured: an operator must change something first.
            Unavailable: the place cannot be created now.
        """

    def check(self) -> None:
        """Raise the error that a request would get, if the store cannot be used.

        Raises:
            Misconfigured: an operator must change something, such as an option with a missing path.
            Unavailable: the store does not work now. The reason helps the operator to fix it.
            StoreFull: the store has no room, if it can find this out without much work. Its blobs can still
                be read and deleted.
        """

    def close(self) -> None:
        """Close connections and end threads. The core may call this twice."""


class WritableStore(Store[OptionsT]):
    """A store that takes uploads and deletes blobs."""

    @abc.abstractmethod
    def add(self, key: str, source: Reader, size: int | None = None) -> Stored:
        """Store all bytes of `source` under `key`, or nothing.

        `source` may return fewer bytes than requested, and cannot be read twice. One thread at a time may
        read it, not necessarily the thread that called `add`. `size` is its length, or None if that is
        unknown; the core ensures that the source has this length. When this method returns, the bytes are
        durable. When it raises, nothing is left, neither a blob nor a part. Exceptions of `source.read` pass
        through.

        Raises:
            Duplicate: there is already a blob with this key, which stays unchanged.
            StoreFull: there is no room now.
            TooLarge: a blob of this size can never fit.
            Unavailable: the store cannot be reached now.
        """

    @abc.abstractmethod
    def delete(self, location: str) -> None:
        """Remove a blob.

        Raises:
            BlobNotFound: there is nothing at the location.
            Unavailable: the store cannot be reached now.
        """

    @abc.abstractmethod
    def locate(self, key: str) -> str:
        """Return the location that `add` returns for this key, without any I/O.

        The core uses it to find the remains of an upload whose process died, and the marker of the store's
        place.
        """

    def discard(self, key: str) -> None:
        """Remove everything that an interrupted `add` of this key has left.

        The core calls this after a crash, for keys recorded before their upload began. Remove the blob
        itself, parts, segments and temporary files. If there are none, that is not an error.
        The default removes only the blob at the location that `locate` returns.

        Raises:
            Unavailable: the store cannot be reached now.
        """
        with contextlib.suppress(BlobNotFound):
            self.delete(self.locate(key))

    def copy_from(self, key: str, source: Store[Any], location: str, size: int) -> Stored | None:
        """Store a blob of another store under `key` without moving its bytes through this process.

        `size` is the blob's size in bytes. If the copy is not possible, do nothing and return None; the
        core then reads the bytes from `source` and calls `add`. The default returns None.

        Raises:
            BlobNotFound, BlobChanged: the blob in the source is missing or has changed; the error names the
                source.
            Duplicate, StoreFull, TooLarge, Unavailable: see `add`.
        """
        return None
