"""The abilities that a driver may have beyond reading and writing, each as an interface to inherit from.

They are part of the contract: see `calotype.stores.contract`.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence

from calotype.stores.values import Blob, Opened, PartReceipt, Piece, Reader, Stored


class Listing(abc.ABC):
    """The ability to list what the store holds, so that `fsck` can compare it with the database."""

    @abc.abstractmethod
    def blobs(self) -> Iterator[Blob]:
        """Yield each blob of the store once, in any order, without unfinished uploads.

        Raises:
            Unavailable: the store cannot be reached now, or the listing broke off.
        """

    @abc.abstractmethod
    def attempts(self) -> Iterator[Blob]:
        """Yield the remains of unfinished uploads: parts, segments, temporary files.

        An entry's `location` is the key for `discard`, or "" if the key is unknown. Its `modified` is the
        time of the attempt's last write, or of its start; `fsck` leaves recent attempts alone.

        Raises:
            Unavailable: see `blobs`.
        """


class External(abc.ABC):
    """The ability to accept locations that the driver did not write, such as URLs of other servers."""

    #: The URI schemes that clients may use, in lower case. An instance may have fewer.
    schemes: tuple[str, ...] = ()

    def check_uri(self, uri: str) -> None:
        """Refuse a URI that `open_uri` would always refuse, without any I/O or look-up.

        A client that requests an import gets this answer at once; a job contacts the source later. The
        default accepts every URI.

        Raises:
            BadLocation: the store does not accept this URI, or must not fetch it.
        """

    @abc.abstractmethod
    def register(self, uri: str) -> Stored:
        """Accept external bytes, which the service reads and never changes.

        The returned location must contain enough, such as an ETag, to detect a change of the source.

        Raises:
            BadLocation: the store does not accept this URI, or must not fetch it.
            BlobNotFound: there is nothing at the URI.
            Unavailable: the source cannot be reached now.
        """

    def open_uri(self, uri: str) -> Opened:
        """Open external bytes to copy them; they are read once, from start to end.

        The URI is not stored, so it may be longer than a location, and the source may answer a second request
        differently. The default registers the URI, and reads the registered location.

        Raises:
            BadLocation, BlobNotFound, Unavailable: see `register`.
        """
        stored = self.register(uri)
        return Opened(self.get(stored.location), stored.size)

    @abc.abstractmethod
    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        """See `Store.get`; it also opens registered locations."""


class DirectUrl(abc.ABC):
    """The ability to let clients read a blob directly from the store instead of through the service."""

    @abc.abstractmethod
    def direct_url(self, location: str, expires: int) -> str | None:
        """Return a URL for clients, valid for `expires` seconds; None if this blob has none."""


class LocalFiles(abc.ABC):
    """The ability to return the path of a blob's file. All blobs are files on this machine."""

    @abc.abstractmethod
    def file_path(self, location: str) -> str:
        """Return the blob's path relative to the store's directory, without any I/O.

        A proxy that serves this directory gets the path.

        Raises:
            BadLocation: the location does not have the form of this store's locations.
        """


class Parts(abc.ABC):
    """The ability to take an upload in parts: in any order, concurrently, and from several processes.

    If a store lacks this ability, the core keeps the parts in the staging store and calls `add` at the end.
    Until `finish`, the parts are an unfinished upload: `attempts` lists them, and `discard` removes them.
    """

    #: The minimum size of every part except the last, in bytes. The core reads these limits after `begin`.
    part_min: int = 1
    #: The largest size of a part in bytes, and the maximum number of parts. None: no limit. If there are no
    #: limits at all, parts may begin anywhere, and the number of a part is one more than its offset.
    part_max: int | None = None
    parts_max: int | None = None

    @abc.abstractmethod
    def begin(self, key: str, size: int | None = None) -> str:
        """Begin an upload, and return its token: text of at most 1,024 characters for the other methods.

        `size` is the total number of bytes, or None if it is unknown.

        Raises:
            Duplicate, StoreFull, TooLarge, Unavailable: see `WritableStore.add`.
        """

    @abc.abstractmethod
    def put_part(self, key: str, token: str, piece: Piece, source: Reader) -> PartReceipt:
        """Store the bytes of one part, durably. The source has the size of the piece.

        If a part is sent again, it replaces the earlier one. If this method raises, the upload still exists,
        and the part can be sent again. A call that ends after `finish` must not change the blob. Exceptions
        of `source.read` pass through.

        Raises:
            BlobNotFound: there is no such upload.
            StoreFull, Unavailable: see `WritableStore.add`.
        """

    @abc.abstractmethod
    def finish(self, key: str, token: str, parts: Sequence[PartReceipt]) -> Stored:
        """Join the parts into the blob, in the order of their numbers, and end the upload.

        The blob has exactly the bytes for which the receipts were given. If one of the parts was replaced
        since by other bytes, this raises BlobNotFound. A second call, after a crash, may raise Duplicate or
        BlobNotFound, but must not change the blob.

        Raises:
            BlobNotFound: there is no such upload, or it lacks one of the parts.
            Duplicate, StoreFull, TooLarge, Unavailable: see `WritableStore.add`.
        """

    @abc.abstractmethod
    def abort(self, key: str, token: str) -> None:
        """Remove the upload and all its parts. If there is no such upload, that is not an error.

        Raises:
            Unavailable: the store cannot be reached now.
        """

    @abc.abstractmethod
    def list_parts(self, key: str, token: str) -> Iterator[PartReceipt]:
        """Yield the receipts of all stored parts, in the order of their numbers.

        Raises:
            BlobNotFound: there is no such upload.
            Unavailable: the store cannot be reached now.
        """


#: All abilities, in the order in which operators see them.
ABILITIES: tuple[type, ...] = (Listing, External, DirectUrl, LocalFiles, Parts)
