"""The values that the core and a driver exchange: readers, receipts, entries of listings, and sizes."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@runtime_checkable
class Reader(Protocol):
    """Bytes that are read forward, once. A reader cannot seek and has no length.

    An open file, an HTTP response, and the bodies of most client libraries are readers.
    """

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, fewer if fewer are available, b"" only at the end."""
        ...

    def close(self) -> None:
        """Release what the reader holds, such as a connection.

        The core may call this twice, and before the end. Later reads return b"" or raise an error.
        """
        ...


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
    """One entry of a listing: its location, its size in bytes, and its time of writing (aware, UTC)."""

    location: str
    size: int
    modified: datetime.datetime


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """The sizes of a store, in bytes. None: the store does not know the number, or has no such limit.

    `capacity` is the room for all blobs, `free` the room that is left, and `largest` the size of the largest
    blob that can ever fit.
    """

    capacity: int | None = None
    free: int | None = None
    largest: int | None = None


@dataclass(frozen=True, slots=True)
class Extent:
    """A range of a blob, in bytes; `is_data` is False if the range is a hole, whose zeros use no space."""

    offset: int
    length: int
    is_data: bool = True


@dataclass(frozen=True, slots=True)
class Piece:
    """The place of a part in a blob: its number, counted from 1, its offset and its size in bytes."""

    number: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class PartReceipt:
    """The receipt for one part of an upload; `token` is text that only the driver reads, such as an ETag."""

    number: int
    size: int
    token: str = ""
