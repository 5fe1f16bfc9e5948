"""The driver contract: what a store promises to the core, and nothing about HTTP.

A driver is naive: it moves bytes to one place and back. `calotype.stores.checked`
stands around every driver and does what all of them would otherwise repeat:
measuring, hashing, limits, checking of receipts and capabilities, the slow way to
a range, and the store's name in every error.

Two methods make a driver (`get`, `size`), three more a writable one (`add`, `locate`, `delete`).
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

#: The contract's version. A driver of another major version is refused at load; a
#: minor version only adds methods with working defaults.
API_VERSION = (1, 1)

#: What a key looks like: made by the core, one for each upload attempt, never by a client.
#: At most 200 characters, so that it fits into a file name with room for a prefix and a suffix.
KEY = re.compile(r"(?=.{1,200}\Z)[0-9a-z]{1,60}(?:[-.][0-9a-z]{1,60}){0,15}", re.ASCII)

#: The key of the marker that says whose a store's place is: see `calotype.transfers.places`. The core keeps
#: it through the driver's own methods. No upload ever has this key, because that begins with an image's id.
MARKER_KEY = "calotype-store-marker"


@runtime_checkable
class Reader(Protocol):
    """Bytes that are read forward, once. It cannot seek, and it has no length.

    An open file, an HTTP response and most client libraries' bodies already are readers.
    """

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, fewer if fewer are at hand, b"" only at the end."""
        ...

    def close(self) -> None:
        """Let go of what lies behind; may be called twice, and before the end."""
        ...


class Capability(enum.Flag):
    """What a driver can do beyond reading a blob from its start."""

    NONE = 0
    WRITE = enum.auto()  #: `add` and `locate`
    DELETE = enum.auto()  #: `delete`
    RANGES = enum.auto()  #: `get` with an offset costs no reading from the start
    EXTERNAL = enum.auto()  #: `register`: takes locations that it did not write
    DIRECT_URL = enum.auto()  #: `direct_url`
    LISTING = enum.auto()  #: `blobs`, and `attempts` for what unfinished uploads left


@dataclass(frozen=True, slots=True)
class Stored:
    """The receipt for a blob: where it lies, and how many bytes it has (None: the store cannot say).

    `md5` is for a backend that itself says what it received: its MD5, in lower-case hex,
    as the backend counted it. The core holds it against its own; the driver then need
    not compute one.
    """

    location: str
    size: int | None
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """Bytes that lie elsewhere, opened to be read once, and how many they are (None: nobody knows yet)."""

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

    One instance for each configured store, shared by all threads: every method may
    be called by several threads at once. A location is text that the driver makes
    and only the driver reads: ASCII, at most 1,024 characters, without secrets, and
    relative to the options, so that moving the data or changing keys changes no row.

    A location is kept for as long as the image. A later version of the driver must read, delete
    and list a blob under the location that an earlier version gave out for it; a new form of
    location is for new keys only. A location contains the key that `add` was given, because
    `fsck` finds out by the key which image an object belongs to.

    One place belongs to one store of one database. The core keeps a marker there, as a blob under
    the key `MARKER_KEY`, and for that needs nothing but `add`, `locate`, `get` and `delete`.
    """

    #: The contract version the driver was written for: (major, minor).
    api_version: ClassVar[tuple[int, int]] = API_VERSION
    #: The driver's settings.
    Options: ClassVar[type[StoreOptions]] = StoreOptions
    #: For EXTERNAL drivers: URI schemes that a client may name, in lower case; an instance may narrow them.
    schemes: tuple[str, ...] = ()
    #: What the driver can do; an instance may narrow it when its options say so.
    capabilities: Capability = Capability.NONE

    def __init__(self, name: str, options: OptionsT):
        """Keep name and options. No I/O and no network: connect when first used."""
        self.name = name
        self.options = options

    @abc.abstractmethod
    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        """Open a blob for reading from `offset`, for at least `length` bytes (None: to its end).

        `offset` and `length` are only given to drivers with RANGES. The reader may go
        on past `length`: the core stops there. A plain open file is the best reader.
        It is this call that fails, not the reader, when the blob is not there.

        Raises:
            BlobNotFound: nothing lies at the location.
            BlobChanged: what lies there is not what was registered.
            BadLocation: not a location of this store.
            Unavailable: the store cannot be reached now.
        """

    @abc.abstractmethod
    def size(self, location: str) -> int | None:
        """The blob's size in bytes; None if the store cannot tell. Raises as `get`."""

    def add(self, key: str, source: Reader, size: int | None = None) -> Stored:
        """Store all bytes of `source` under `key`; all or nothing (WRITE).

        `source` gives less than asked at times, and cannot be read twice. `size` is
        its length when that is known; the core sees to it that the source keeps it.
        When this returns, the bytes are durable. When it raises, nothing is left:
        no blob, no part of one. What `source.read` raises is let through.

        Raises:
            Duplicate: the key holds bytes already; they are untouched.
            StoreFull: no room.
            Unavailable: the store cannot be reached now.
        """
        raise Unsupported(self.name, "it takes no uploads")

    def delete(self, location: str) -> None:
        """Remove a blob (DELETE).

        Raises:
            BlobNotFound: it is gone already.
            Unavailable: the store cannot be reached now.
        """
        raise Unsupported(self.name, "it deletes nothing")

    def discard(self, key: str) -> None:
        """Remove whatever an `add` of this key that never returned has left behind.

        Called after a crash, for keys written down before their upload began: the
        blob itself, parts, segments, temporary files. Nothing there is no error.
        The default removes the blob that `locate` names.
        """
        location = self.locate(key)
        if location is not None:
            with contextlib.suppress(BlobNotFound):
                self.delete(location)

    def locate(self, key: str) -> str | None:
        """Return the location that `add` returns for this key, without any I/O (WRITE).

        A driver that declares WRITE must implement it: the core finds by it what an upload left whose
        process died, and the marker of the store's place. A driver without WRITE returns None.
        """
        return None

    def check_uri(self, uri: str) -> None:
        """Refuse a URI that `open_uri` would refuse in any case, without any I/O and any look-up (EXTERNAL).

        A client that orders an import gets this answer at once; the source itself is asked by a job. The
        default lets everything through.

        Raises:
            BadLocation: not a URI this store takes, or one it must not fetch.
        """

    def register(self, uri: str) -> Stored:
        """Accept bytes that lie elsewhere and belong to somebody else (EXTERNAL).

        The returned location holds what is needed to notice a change of the source.

        Raises:
            BadLocation: not a URI this store takes, or one it must not fetch.
            BlobNotFound: nothing is there.
            Unavailable: the source cannot be reached now.
        """
        raise Unsupported(self.name, "it takes no locations from outside")

    def open_uri(self, uri: str) -> Opened:
        """Open bytes that lie elsewhere to copy them: they are read once, from start to end (EXTERNAL).

        Nothing of it is kept, so the URI may be longer than a location, and the source need not answer a
        second request as it did the first. The default registers the URI, and reads what was registered.

        Raises:
            BadLocation, BlobNotFound, Unavailable: as `register`.
        """
        stored = self.register(uri)
        return Opened(self.get(stored.location), stored.size)

    def direct_url(self, location: str, expires: int) -> str | None:
        """A URL by which a client reads the blob without us, good for `expires` seconds (DIRECT_URL).

        None if there is none for this blob.
        """
        return None

    def file_path(self, location: str) -> str | None:
        """Return the path, below the store's directory, at which the blob would lie; no I/O.

        A proxy that serves that directory itself gets it. None for drivers that keep no files.
        """
        return None

    def blobs(self) -> Iterator[Blob]:
        """Everything that lies in the store, in any order (LISTING)."""
        raise Unsupported(self.name, "it cannot list what it holds")

    def attempts(self) -> Iterator[Blob]:
        """What unfinished uploads left: parts, segments, temporary files (LISTING).

        An entry's `location` is the key to give to `discard`, or "" when the key is lost.
        """
        return iter(())

    def create(self) -> None:
        """Make the place where blobs will lie: a directory, a bucket, a container. Idempotent.

        Raises:
            Misconfigured: an operator has to change something first.
            Unavailable: it cannot be made now.
        """

    def check(self) -> None:
        """Return when the store can be used; otherwise raise what a request would get.

        Raises:
            Misconfigured: an operator has to change something, as options that lead nowhere.
            Unavailable: with what is wrong, in words that help to fix it.
            StoreFull: it takes no bytes; what it has can be read and deleted.
        """

    def close(self) -> None:
        """Let go of connections and threads; may be called twice."""
