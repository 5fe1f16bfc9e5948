"""The sizes of segments, and the bodies in which they are sent."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator

from calotype.stores import Unavailable
from calotype.stores.toolkit import Part, PartReader
from calotype_store_swift.options import OBJECT_MAX

#: The size of a segment, unless an option or the length demands a larger one.
SEGMENT = 16 << 20


def segment_sizes(first: int | None, total: int | None, most: int) -> Iterator[int]:
    """Yield the sizes of at most `most` segments, in bytes.

    If the `total` is known, all have the same size, and nine tenths of `most` suffice. Otherwise the first
    45 % have the size `first`, which then doubles after each further 4.5 %, up to Swift's 5 GiB. Beginning
    with 16 MiB, 1,000 segments hold more than 1 TiB.
    """
    usual = first or SEGMENT
    usable = max(1, most * 9 // 10)
    if total is not None:
        size = min(OBJECT_MAX, max(usual, -(-total // usable)))
        yield from itertools.repeat(size, most)
        return
    steady, step = -(-usable // 2), max(1, usable // 20)
    for number in range(most):
        doublings = 0 if number < steady else 1 + (number - steady) // step
        yield min(OBJECT_MAX, usual << min(doublings, 40))


def md5_of(part: Part) -> str:
    """Return the hex MD5 of a part."""
    if isinstance(part.data, bytearray):
        return hashlib.md5(part.data, usedforsecurity=False).hexdigest()
    digest = hashlib.file_digest(part.data, lambda: hashlib.md5(usedforsecurity=False))
    part.data.seek(0)
    return digest.hexdigest()


class PartBody:
    """A part as the body of a request, followed by the `rest` of its source as it arrives.

    The request can be sent again as long as only bytes of the part were read.
    """

    def __init__(self, store: str, part: Part, rest: PartReader | None = None):
        self._store = store
        self._part = part
        self._rest = rest
        self._position = 0

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, b"" at the end. Exceptions of the source pass through."""
        data, start = self._part.data, self._position
        if start >= self._part.size:
            block = self._rest.read(size) if self._rest else b""
        elif isinstance(data, bytearray):
            block = bytes(memoryview(data)[start : start + size])
        else:
            block = data.read(size)
        self._position += len(block)
        return block

    def tell(self) -> int:
        """Return the number of bytes that were read."""
        return self._position

    def seek(self, position: int, /) -> None:
        """Go back to a position in the part, to send the request again.

        Raises:
            Unavailable: bytes after the part have been sent, and cannot be read again.
        """
        if self._position > self._part.size:
            reason = "the connection broke, and the bytes already sent cannot be read again"
            raise Unavailable(self._store, reason, retry_after=1)
        if not isinstance(self._part.data, bytearray):
            self._part.data.seek(position)
        self._position = position
