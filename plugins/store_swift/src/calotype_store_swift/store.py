"""SwiftStore: the driver."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import io
import itertools
import threading
from collections.abc import Iterator, Sequence

from calotype.stores import (
    Blob,
    BlobNotFound,
    DirectUrl,
    Duplicate,
    Listing,
    Misconfigured,
    PartReceipt,
    Parts,
    Piece,
    Reader,
    Stored,
    StoreError,
    StoreInfo,
    TooLarge,
    Unavailable,
    WritableStore,
)
from calotype.stores.contract import KEY
from calotype.stores.toolkit import key_of
from calotype_store_swift.account import Account
from calotype_store_swift.options import MISSING, OBJECT_MAX, SwiftOptions
from calotype_store_swift.parted import PartedUpload
from calotype_store_swift.reader import SwiftReader
from calotype_store_swift.room import MANIFEST_MAX, Limits, measure
from calotype_store_swift.segments import SEGMENT, segment_sizes
from calotype_store_swift.upload import Place, Upload

PREFIX = "swift:"


class SwiftStore(WritableStore[SwiftOptions], Listing, DirectUrl, Parts):
    """Images as objects of one Swift account; a location is `swift:<key>`.

    The object is in `container`, and its segments, if it has any, in `<container>_segments`. With `shards`,
    both names end with `_` and the first hex digits of the key's SHA-256.
    """

    api_version = (2, 0)
    Options = SwiftOptions
    ranges = True
    part_max, parts_max = OBJECT_MAX, MANIFEST_MAX

    def __init__(self, name: str, options: SwiftOptions):
        super().__init__(name, options)
        if options.temp_url_key is None:
            self.withheld = frozenset({DirectUrl})
        self._lock = threading.Lock()
        self._opened: Account | None = None
        self._adding: set[str] = set()
        self._known_limits: Limits | None = None

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        """Open an object, which may be an SLO or a DLO; see `Store.get`."""
        key = self._key(location)
        if length == 0:
            self._head(key)
            return io.BytesIO()
        try:
            with self._needing_container(key):
                return SwiftReader(self._account, self._container(key), key, offset, length)
        except StoreError as error:
            if self._account.status_of(error) == 416:
                return io.BytesIO()
            raise

    def size(self, location: str) -> int | None:
        """Return the size in bytes; None for a DLO with so many segments that Swift does not add them up."""
        length = self._head(self._key(location)).get("content-length")
        return None if length is None else int(length)

    def add(self, key: str, source: Reader, size: int | None = None) -> Stored:
        """Store a source; see `Store.add`.

        While one upload of a key is running in this process, others of the same key raise Duplicate, because
        Swift's own `If-None-Match` does not decide a race.
        """
        place = self._place(key)
        with self._lock:
            if key in self._adding:
                raise Duplicate(self.name, "the key is being written")
            self._adding.add(key)
        try:
            return Upload(self._account, place).run(source, size, self._sizes(size))
        finally:
            with self._lock:
                self._adding.discard(key)

    def delete(self, location: str) -> None:
        """Remove an object and its static segments. Of a DLO, which others made, remove only the manifest."""
        self._remove(self._key(location))

    def discard(self, key: str) -> None:
        """Remove the object, and the segments of all uploads of the key."""
        self._key(self.locate(key))
        with contextlib.suppress(BlobNotFound):
            self._remove(key)
        self._sweep(key)

    def locate(self, key: str) -> str:
        """Return `swift:<key>`."""
        return PREFIX + key

    def direct_url(self, location: str, expires: int) -> str | None:
        """Return a TempURL for GET and HEAD; None without the option `temp_url_key`."""
        key = self._key(location)
        if self.options.temp_url_key is None:
            return None
        return self._account.temp_url(self._container(key), key, expires)

    def blobs(self) -> Iterator[Blob]:
        """Yield the objects whose names are keys. The size of an SLO is the total size of its segments."""
        for shard in self._shards():
            for entry in self._account.listing(self.options.container + shard):
                if KEY.fullmatch(entry["name"]):
                    yield Blob(PREFIX + entry["name"], entry["bytes"], _time(entry))

    def attempts(self) -> Iterator[Blob]:
        """Yield each key that has segments but no object, with the total size of its segments."""
        for shard in self._shards():
            entries = self._account.listing(f"{self.options.container}_segments{shard}")
            for key, group in itertools.groupby(entries, lambda entry: entry["name"].partition("/")[0]):
                segments = list(group)
                if KEY.fullmatch(key) and not self._exists(key):
                    size = sum(entry["bytes"] for entry in segments)
                    yield Blob(key, size, max(map(_time, segments)))

    def begin(self, key: str, size: int | None = None) -> str:
        """Begin an upload in parts; see `Parts.begin`. From then on, `parts_max` is Swift's own limit."""
        limits = self._limits()
        if size is not None:
            self._admit(size, limits)
        self.parts_max = limits.segments_max
        return PartedUpload(self._account, self._place(key)).begin()

    def put_part(self, key: str, token: str, piece: Piece, source: Reader) -> PartReceipt:
        """Store a part as a segment."""
        return PartedUpload(self._account, self._place(key), token).put(piece, source)

    def finish(self, key: str, token: str, parts: Sequence[PartReceipt]) -> Stored:
        """Write the manifest of the segments."""
        return PartedUpload(self._account, self._place(key), token).finish(parts)

    def abort(self, key: str, token: str) -> None:
        """Remove the segments."""
        with contextlib.suppress(BlobNotFound):
            PartedUpload(self._account, self._place(key), token).abort()

    def list_parts(self, key: str, token: str) -> Iterator[PartReceipt]:
        """Yield the receipts of the segments."""
        return iter(PartedUpload(self._account, self._place(key), token).parts())

    def create(self) -> None:
        """Create the missing containers."""
        account = self._account
        account.for_each(lambda name: account.call("put_container", name), self._all())

    def info(self) -> StoreInfo:
        """Return the room that the quotas of the account and the containers leave, if there are any."""
        account = self._account
        return measure(account.quota(), account.quotas(self._all()), self._limits().largest)

    def check(self) -> None:
        """Send a HEAD for every container, and try the TempURL key; see `Store.check`."""
        account = self._account
        try:
            account.for_each(lambda name: account.call("head_container", name), self._all())
        except BlobNotFound as error:
            raise Misconfigured(self.name, MISSING) from error.__cause__
        if self.options.temp_url_key is None:
            return
        if not account.accepts(account.temp_url(self._all()[0], "probe", 60)):
            raise Misconfigured(
                self.name,
                "it refuses our TempURLs (options temp_url_key, temp_url_digest; the account's Temp-URL-Key)",
            )

    def close(self) -> None:
        """Close the connections; may be called twice."""
        if self._opened is not None:
            self._opened.close()

    @property
    def _account(self) -> Account:
        with self._lock:
            if self._opened is None:
                self._opened = Account(self.name, self.options)
            return self._opened

    def _place(self, key: str) -> Place:
        location = self.locate(key)
        self._key(location)
        return Place(location, key, self._container(key), self._segments(key))

    def _key(self, location: str) -> str:
        return key_of(self.name, location, PREFIX)

    def _shard(self, key: str) -> str:
        digits = self.options.shards
        return "_" + hashlib.sha256(key.encode()).hexdigest()[:digits] if digits else ""

    def _shards(self) -> list[str]:
        digits = self.options.shards
        return [f"_{number:0{digits}x}" for number in range(16**digits)] if digits else [""]

    def _container(self, key: str) -> str:
        return self.options.container + self._shard(key)

    def _segments(self, key: str) -> str:
        return f"{self.options.container}_segments{self._shard(key)}"

    def _all(self) -> list[str]:
        name = self.options.container
        return [name + kind + shard for shard in self._shards() for kind in ("", "_segments")]

    def _sizes(self, size: int | None) -> Iterator[int]:
        """Yield the sizes of segments. Only if one is not enough, ask Swift for its limits."""
        first = self.options.segment_size or SEGMENT
        if size is None or size <= max(first, self.options.single_object_max):
            yield first
            yield from itertools.islice(segment_sizes(first, None, self._limits().segments_max), 1, None)
            return
        limits = self._limits()
        self._admit(size, limits)
        yield from segment_sizes(first, size, limits.segments_max)

    def _admit(self, size: int, limits: Limits) -> None:
        if size > limits.largest:
            raise TooLarge(
                self.name,
                f"the image has {size} bytes, and it can hold images of at most {limits.largest} bytes",
            )

    def _limits(self) -> Limits:
        """Return the limits of objects. Read /info only once."""
        if self._known_limits is None:
            self._known_limits = self._account.limits()
        return self._known_limits

    @contextlib.contextmanager
    def _needing_container(self, key: str) -> Iterator[None]:
        """Raise Misconfigured instead of BlobNotFound if the container of the object is missing, too."""
        try:
            yield
        except BlobNotFound:
            self._account.call("head_container", self._container(key), writing=True)
            raise

    def _head(self, key: str) -> dict[str, str]:
        with self._needing_container(key):
            return self._account.call("head_object", self._container(key), key)

    def _exists(self, key: str) -> bool:
        with contextlib.suppress(BlobNotFound):
            self._head(key)
            return True
        return False

    def _remove(self, key: str) -> None:
        static = "x-static-large-object" in self._head(key)
        query = "multipart-manifest=delete" if static else None
        self._account.call("delete_object", self._container(key), key, query_string=query)
        if static:
            # Swift answers 200 even if parts remain, and swiftclient drops the body that reports them.
            if self._exists(key):
                raise Unavailable(self.name, "it did not remove all of the object")
            self._sweep(key)

    def _sweep(self, key: str) -> None:
        """Remove everything under the key in the container of segments."""
        account, container = self._account, self._segments(key)

        def remove(entry: dict) -> None:
            with contextlib.suppress(BlobNotFound):
                account.call("delete_object", container, entry["name"])

        account.for_each(remove, account.listing(container, prefix=f"{key}/"))


def _time(entry: dict) -> datetime.datetime:
    return datetime.datetime.fromisoformat(entry["last_modified"]).replace(tzinfo=datetime.UTC)
