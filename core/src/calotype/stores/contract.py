"""The driver contract: what a store promises to the core. It does not mention HTTP.

A driver is simple: it moves bytes to one place and back. `calotype.stores.checked` wraps every driver and
does what all of them would otherwise repeat: measuring, hashing, limits, checks of receipts and
capabilities, ranges for drivers without them, and the store's name in every error.

A driver needs two methods (`get`, `size`). If it writes, it needs three more (`add`, `locate`, `delete`).
"""

from __future__ import annotations

import abc
import contextlib
import datetime
import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, runtime_checkable

from typing_extensions import TypeVar

from calotype.stores.errors import BlobNotFound, Unsupported
from calotype.stores.options import StoreOptions

#: The type of a driver's options: `class TapeStore(Store[TapeOptions])` has `self.options.library`.
OptionsT = TypeVar("OptionsT", bound=StoreOptions, default=StoreOptions)

#: The contract's version. A driver of another major version is refused when it is loaded. A minor version
#: only adds methods with working defaults.
API_VERSION = (1, 1)

#: The form of a key. The core makes one for each upload attempt; no part of it comes from a client. It has at
#: most 200 characters, so that it fits into a file name with a prefix and a suffix.
KEY = re.compile(r"(?=.{1,200}\Z)[0-9a-z]{1,60}(?:[-.][0-9a-z]{1,60}){0,15}", re.ASCII)

#: The key of the marker that names the owner of a store's place: see `calotype.transfers.places`. The core
#: writes and reads it with the driver's own methods. No upload has this key, because keys of uploads begin
#: with an image's id.
MARKER_KEY = "calotype-store-marker"


@runtime_checkable
class Reader(Protocol):
    """Bytes that are read forward, once. A reader cannot seek and has no length.

    An open file, an HTTP response, and the bodies of most client libraries are readers.
    """

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, fewer if fewer are available, b"" only at the end."""
        ...

    def close(self) -> None:
        """Release what the reader holds, such as a connection. May be called twice, and before the end."""
        ...


class Capability(enum.Flag):
    """The things that a driver can do, beyond reading a blob from its start."""

    NONE = 0
    WRITE = enum.auto()  #: `add` and `locate`
    DELETE = enum.auto()  #: `delete`
    RANGES = enum.auto()  #: `get` starts at an offset without reading from the start
    EXTERNAL = enum.auto()  #: `register`: accepts locations that it did not write
    DIRECT_URL = enum.auto()  #: `direct_url`
    LISTING = enum.auto()  #: `blobs`, and `attempts` for the remains of unfinished uploads


@dataclass(frozen=True, slots=True)
class Stored:
    """The receipt for a blob: its location, and its size in bytes (None: the store does not know it).

    `md5` is the MD5 in lower-case hex, if the backend itself returns the MD5 of the bytes it received. The
    core compares it with its own MD5, so a driver need not compute one.
    """

    location: str
    size: int | None
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A reader of external bytes, which can be read once, and their number (None: unknown)."""

    reader: Reader
    size: int | None


@dataclass(frozen=True, slots=True)
class Blob:
    """One entry of a listing: its location, its size in bytes, and when it was written (aware, UTC)."""

    location: str
    size: int
    modified: datetime.datetime


class Store(abc.ABC, Generic[OptionsT]):
    """Base class of every driver.

    There is one instance for each configured store, and several threads may call any method at the same
    time. A location is text that the driver makes and only the driver reads: ASCII, at most 1,024
    characters, without secrets, and relative to the options, so that no row of the database changes when
    the data is moved or keys are replaced.

    A location is kept as long as the image. A later version of the driver must read, delete and list a
    blob under the location that an earlier version returned for it; a new form of location is for new keys
    only. A location contains the key that `add` was given, because `fsck` uses the key to find the image
    that an object belongs to.

    One place belongs to one store of one database. The core keeps a marker there, as a blob under the key
    `MARKER_KEY`; it uses only `add`, `locate`, `get` and `delete` for it.
    """

    #: The contract version the driver was written for: (major, minor).
    api_version: ClassVar[tuple[int, int]] = API_VERSION
    #: The driver's settings.
    Options: ClassVar[type[StoreOptions]] = StoreOptions
    #: The URI schemes that clients may use, in lower case (EXTERNAL). An instance may have fewer.
    schemes: tuple[str, ...] = ()
    #: The driver's capabilities. An instance may have fewer, if its options say so.
    capabilities: Capability = Capability.NONE

    def __init__(self, name: str, options: OptionsT):
        """Keep the name and the options. Do no I/O: connect at the first use."""
        self.name = name
        self.options = options

    @abc.abstractmethod
    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        """Open a blob for reading from `offset`, for at least `length` bytes (None: to its end).

        `offset` and `length` are only passed to drivers with RANGES. The reader may continue past `length`,
        because the core stops there. A plain open file is the best reader. If the blob does not exist, this
        call must fail, not the first read.

        Raises:
            BlobNotFound: there is nothing at the location.
            BlobChanged: the bytes at the location are not the registered ones.
            BadLocation: the location does not have the form of this store's locations.
            Unavailable: the store cannot be reached now.
        """

    @abc.abstractmethod
    def size(self, location: str) -> int | None:
        """Return the blob's size in bytes, None if the store does not know it. Raises what `get` raises."""

    def add(self, key: str, source: Reader, size: int | None = None) -> Stored:
        """Store all bytes of `source` under `key`, or nothing (WRITE).

        `source` may return fewer bytes than requested, and cannot be read twice. `size` is its length if that
        is known; the core ensures that the source has this length. When this method returns, the bytes are
        durable. When it raises, nothing is left, neither a blob nor a part. Exceptions of `source.read` pass
        through.

        Raises:
            Duplicate: the key already has bytes, which are untouched.
            StoreFull: there is no room.
            Unavailable: the store cannot be reached now.
        """
        raise Unsupported(self.name, "it takes no uploads")

    def delete(self, location: str) -> None:
        """Remove a blob (DELETE).

        Raises:
            BlobNotFound: there is nothing at the location.
            Unavailable: the store cannot be reached now.
        """
        raise Unsupported(self.name, "it deletes nothing")

    def discard(self, key: str) -> None:
        """Remove everything that an `add` of this key left, if it never returned (WRITE).

        The core calls this after a crash, for keys recorded before their upload began. Remove the blob
        itself, parts, segments and temporary files. If there are none, that is not an error.
        The default removes the blob that `locate` names.
        """
        location = self.locate(key)
        if location is not None:
            with contextlib.suppress(BlobNotFound):
                self.delete(location)

    def locate(self, key: str) -> str | None:
        """Return the location that `add` returns for this key, without any I/O (WRITE).

        A driver that declares WRITE must implement it, because the core uses it to find the remains of an
        upload whose process died, and the marker of the store's place. A driver without WRITE returns None.
        """
        return None

    def check_uri(self, uri: str) -> None:
        """Refuse a URI that `open_uri` would always refuse, without any I/O or look-up (EXTERNAL).

        A client that requests an import gets this answer at once; a job contacts the source later. The
        default accepts every URI.

        Raises:
            BadLocation: the store does not accept this URI, or must not fetch it.
        """

    def register(self, uri: str) -> Stored:
        """Accept external bytes, which the service reads and never changes (EXTERNAL).

        The returned location must contain enough, such as an ETag, to detect a change of the source.

        Raises:
            BadLocation: the store does not accept this URI, or must not fetch it.
            BlobNotFound: there is nothing at the URI.
            Unavailable: the source cannot be reached now.
        """
        raise Unsupported(self.name, "it accepts no external locations")

    def open_uri(self, uri: str) -> Opened:
        """Open external bytes to copy them; they are read once, from start to end (EXTERNAL).

        The URI is not stored, so it may be longer than a location, and the source may answer a second request
        differently. The default registers the URI, and reads the registered location.

        Raises:
            BadLocation, BlobNotFound, Unavailable: see `register`.
        """
        stored = self.register(uri)
        return Opened(self.get(stored.location), stored.size)

    def direct_url(self, location: str, expires: int) -> str | None:
        """Return a URL for clients, valid for `expires` seconds; None if there is none (DIRECT_URL).

        The client reads the bytes from the store itself, and not through the service.
        """
        return None

    def file_path(self, location: str) -> str | None:
        """Return the blob's path relative to the store's directory, without any I/O; None if it has none.

        A proxy that serves this directory gets the path.
        """
        return None

    def blobs(self) -> Iterator[Blob]:
        """Yield all blobs of the store, in any order (LISTING)."""
        raise Unsupported(self.name, "it cannot list what it holds")

    def attempts(self) -> Iterator[Blob]:
        """Yield the remains of unfinished uploads: parts, segments, temporary files (LISTING).

        An entry's `location` is the key for `discard`, or "" if the key is unknown.
        """
        return iter(())

    def create(self) -> None:
        """Create the place for blobs, such as a directory, a bucket or a container. Idempotent.

        Raises:
            Misconfigured: an operator must change something first.
            Unavailable: the place cannot be created now.
        """

    def check(self) -> None:
        """Raise the error that a request would get, if the store cannot be used.

        Raises:
            Misconfigured: an operator must change something, such as an option that leads nowhere.
            Unavailable: the store does not work now; the reason helps to fix it.
            StoreFull: the store accepts no bytes; its blobs can be read and deleted.
        """

    def close(self) -> None:
        """Close connections and end threads. May be called twice."""
