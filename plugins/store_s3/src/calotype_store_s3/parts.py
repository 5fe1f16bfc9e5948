"""Cutting a source into parts: how large they are, and which is the last."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from calotype.stores import Reader
from calotype_store_s3.options import PART_MAX

#: S3 takes this many parts, and no more.
PARTS = 10_000
#: A part's size unless an option says otherwise: each costs a request, and three of them are held at a time.
START = 12 << 20
#: Of an unknown length, parts double after each so many, up to LARGE: 5 TiB fit, even if the first has 5 MiB.
STEP, LARGE = 700, 1 << 30
#: Bytes asked of a source at a time.
BLOCK = 512 << 10


def part_sizes(size: int | None, first: int | None) -> Iterator[int]:
    """How many bytes each part has: all the same for a known size, slowly growing for an unknown one.

    `first` is the size to begin with, in bytes; None: 12 MiB.
    """
    start = first or START
    if size is None:
        for number in range(PARTS):
            yield min(start << number // STEP, max(start, LARGE))
    else:
        needed = -(-size // PARTS)
        mebibytes = -(-needed >> 20) << 20
        yield from itertools.repeat(min(max(start, mebibytes), PART_MAX), PARTS)


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive bytes of a source; `last` if the source ended with them."""

    data: bytearray
    last: bool


class PartReader:
    """Cuts a source into parts. It looks one block ahead, to know the last part as such."""

    def __init__(self, source: Reader):
        self._source = source
        self._ahead = b""
        self._spare: list[bytearray] = []

    def part(self, size: int) -> Part:
        """The next `size` bytes, fewer at the end; what the source raises is let through."""
        data = self._buffer(size)
        filled = min(size, len(self._ahead))
        data[:filled] = self._ahead[:filled]
        self._ahead = self._ahead[filled:]
        while filled < size:
            block = self._source.read(min(BLOCK, size - filled))
            if not block:
                del data[filled:]
                return Part(data, last=True)
            data[filled : filled + len(block)] = block
            filled += len(block)
        self._ahead = self._ahead or self._source.read(BLOCK)
        return Part(data, last=not self._ahead)

    def reuse(self, part: Part) -> None:
        """Take back the memory of a part that nobody needs any more: new pages cost as much as a copy."""
        self._spare.append(part.data)

    def _buffer(self, size: int) -> bytearray:
        while self._spare:
            data = self._spare.pop()
            if len(data) == size:
                return data
        # botocore makes a file of bytes, which it then sends slowly; a bytearray it sends as it is.
        return bytearray(size)
