"""MemoryStore: the reference driver in the simplest code, and a test double."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import io
import re
import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import Field, PrivateAttr

from calotype.stores import (
    BadLocation,
    Blob,
    BlobChanged,
    BlobNotFound,
    Duplicate,
    External,
    Listing,
    PartReceipt,
    Parts,
    Piece,
    Reader,
    Stored,
    StoreFull,
    StoreOptions,
    Unavailable,
    WritableStore,
)

_OWN = re.compile(r"blob:([0-9a-z.-]{1,1000})", re.ASCII)
_FOREIGN = re.compile(r"memory:([0-9a-z.-]{1,900})#([0-9a-f]{64})", re.ASCII)
_URI = re.compile(r"memory:([0-9a-z.-]{1,900})", re.ASCII)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _receipt(number: int, data: bytes) -> PartReceipt:
    return PartReceipt(number, len(data), hashlib.sha256(data).hexdigest())


@dataclass
class Uploading:
    """An upload in parts: its key, its parts by number, and when it began."""

    key: str
    parts: dict[int, bytes] = field(default_factory=dict)
    begun: datetime.datetime = field(default_factory=_now)


@dataclass
class Attempt:
    """An `add` that is running: its key, its bytes, and when it began."""

    key: str
    buffer: io.BytesIO
    begun: datetime.datetime = field(default_factory=_now)


@dataclass
class Shelf:
    """The bytes in memory: blobs, unfinished uploads, and external bytes."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    blobs: dict[str, tuple[bytes, datetime.datetime]] = field(default_factory=dict)
    attempts: dict[int, Attempt] = field(default_factory=dict)
    foreign: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, Uploading] = field(default_factory=dict)
    #: True if every use of the shelf fails, as if its place could not be reached.
    is_away: bool = False


class MemoryOptions(StoreOptions):
    """The options of MemoryStore. They own the blobs, so stores with the same options object share blobs."""

    capacity: int | None = Field(None, ge=0, description="maximum bytes of all blobs; unset: no limit")
    _shelf: Shelf = PrivateAttr(default_factory=Shelf)

    @property
    def shelf(self) -> Shelf:
        return self._shelf


class MemoryStore(WritableStore[MemoryOptions], Listing, External, Parts):
    """A driver that keeps blobs in a dictionary. `memory:NAME` is an external location in `shelf.foreign`."""

    api_version = (2, 0)
    Options = MemoryOptions
    schemes = ("memory",)
    ranges = True

    @property
    def shelf(self) -> Shelf:
        """The shelf that the options name; raises Unavailable while it is away."""
        if self.options.shelf.is_away:
            raise Unavailable(self.name, "its memory cannot be reached")
        return self.options.shelf

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        return io.BytesIO(self._held(location)[offset:])

    def size(self, location: str) -> int | None:
        return len(self._held(location))

    def add(self, key: str, source: Reader, size: int | None = None) -> Stored:
        shelf, buffer = self.shelf, io.BytesIO()
        with shelf.lock:
            if key in shelf.blobs:
                raise Duplicate(self.name, "the key is taken")
            shelf.attempts[id(buffer)] = Attempt(key, buffer)
        try:
            while block := source.read(1 << 20):
                buffer.write(block)
            with shelf.lock:
                self._keep(key, buffer.getvalue())
        finally:
            with shelf.lock:
                shelf.attempts.pop(id(buffer), None)
        return Stored(f"blob:{key}", buffer.tell())

    def delete(self, location: str) -> None:
        key = self._key(location)
        with self.shelf.lock:
            if self.shelf.blobs.pop(key, None) is None:
                raise BlobNotFound(self.name, "there is no such blob")

    def discard(self, key: str) -> None:
        with self.shelf.lock:
            for number, attempt in list(self.shelf.attempts.items()):
                if attempt.key == key:
                    del self.shelf.attempts[number]
            for token, upload in list(self.shelf.uploads.items()):
                if upload.key == key:
                    del self.shelf.uploads[token]
        with contextlib.suppress(BlobNotFound):
            self.delete(f"blob:{key}")

    def locate(self, key: str) -> str:
        return f"blob:{key}"

    def check_uri(self, uri: str) -> None:
        self._named(uri)

    def register(self, uri: str) -> Stored:
        name = self._named(uri)
        data = self.shelf.foreign.get(name)
        if data is None:
            raise BlobNotFound(self.name, "there are no external bytes with this name")
        return Stored(f"memory:{name}#{hashlib.sha256(data).hexdigest()}", len(data))

    def blobs(self) -> Iterator[Blob]:
        with self.shelf.lock:
            held = list(self.shelf.blobs.items())
        for key, (data, modified) in held:
            yield Blob(f"blob:{key}", len(data), modified)

    def attempts(self) -> Iterator[Blob]:
        with self.shelf.lock:
            found = [Blob(one.key, one.buffer.tell(), one.begun) for one in self.shelf.attempts.values()]
            for one in self.shelf.uploads.values():
                found.append(Blob(one.key, sum(map(len, one.parts.values())), one.begun))
        yield from found

    def begin(self, key: str, size: int | None = None) -> str:
        token = secrets.token_hex(8)
        with self.shelf.lock:
            if key in self.shelf.blobs:
                raise Duplicate(self.name, "the key is taken")
            self.shelf.uploads[token] = Uploading(key)
        return token

    def put_part(self, key: str, token: str, piece: Piece, source: Reader) -> PartReceipt:
        data = b"".join(iter(lambda: source.read(1 << 20), b""))
        self._upload(token).parts[piece.number] = data
        return _receipt(piece.number, data)

    def finish(self, key: str, token: str, parts: Sequence[PartReceipt]) -> Stored:
        held = self._upload(token).parts
        if any(part != _receipt(part.number, held.get(part.number, b"")) for part in parts):
            raise BlobNotFound(self.name, "a part of the upload is missing, or was replaced")
        data = b"".join(held[part.number] for part in parts)
        with self.shelf.lock:
            self._keep(key, data)
            del self.shelf.uploads[token]
        return Stored(f"blob:{key}", len(data))

    def abort(self, key: str, token: str) -> None:
        with self.shelf.lock:
            self.shelf.uploads.pop(token, None)

    def list_parts(self, key: str, token: str) -> Iterator[PartReceipt]:
        held = self._upload(token).parts
        return iter([_receipt(number, held[number]) for number in sorted(held)])

    def check(self) -> None:
        self.shelf  # noqa: B018 - raises an error while it is away

    def _upload(self, token: str) -> Uploading:
        upload = self.shelf.uploads.get(token)
        if upload is None:
            raise BlobNotFound(self.name, "there is no such upload")
        return upload

    def _named(self, uri: str) -> str:
        match = _URI.fullmatch(uri)
        if not match:
            raise BadLocation(self.name, "not an external location of this store (use memory:NAME)")
        return match[1]

    def _keep(self, key: str, data: bytes) -> None:
        blobs = self.shelf.blobs
        if key in blobs:
            raise Duplicate(self.name, "the key is taken")
        capacity = self.options.capacity
        if capacity is not None and sum(len(held) for held, _ in blobs.values()) + len(data) > capacity:
            raise StoreFull(self.name, f"it holds at most {capacity} bytes")
        blobs[key] = (data, _now())

    def _held(self, location: str) -> bytes:
        if match := _FOREIGN.fullmatch(location):
            return self._unchanged(match[1], match[2])
        with self.shelf.lock:
            held = self.shelf.blobs.get(self._key(location))
        if held is None:
            raise BlobNotFound(self.name, "there is no such blob")
        return held[0]

    def _unchanged(self, name: str, digest: str) -> bytes:
        data = self.shelf.foreign.get(name)
        if data is None:
            raise BlobNotFound(self.name, "the external bytes do not exist any more")
        if hashlib.sha256(data).hexdigest() != digest:
            raise BlobChanged(self.name, "the external bytes have changed")
        return data

    def _key(self, location: str) -> str:
        match = _OWN.fullmatch(location)
        if not match:
            raise BadLocation(self.name, "not a location of this store")
        return match[1]
