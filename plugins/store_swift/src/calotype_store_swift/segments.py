"""A source as Swift gets it: whole, or cut into segments, of which so many are held at a time."""

from __future__ import annotations

import hashlib
import itertools
import mmap
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from calotype.stores import Reader, Unavailable
from calotype_store_swift.options import OBJECT_MAX, SwiftOptions

#: The size of a segment where nothing asks for a larger one.
SEGMENT = 16 << 20
#: Bytes asked of the source at a time.
BLOCK = 512 << 10


def segment_sizes(first: int | None, total: int | None, most: int) -> Iterator[int]:
    """The largest size of each next segment, in bytes; at most `most` segments.

    With the `total` known all are alike, and nine tenths of `most` are enough. With
    it unknown the first 45 % have the first size; then it doubles at every further
    4.5 %, up to Swift's 5 GiB. From 16 MiB, 1,000 segments hold more than 1 TiB.
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


@dataclass(frozen=True, slots=True)
class SegmentBudget:
    """How many segments of one size may be held at once, the one being filled included, and where."""

    count: int
    on_disk: bool


def room_for(size: int, options: SwiftOptions) -> SegmentBudget:
    """Fit segments of `size` bytes into `upload_memory`; on disk when two do not fit."""
    fitting = options.upload_memory // size
    most = options.segment_concurrency + 1
    return (
        SegmentBudget(most, on_disk=True) if fitting < 2 else SegmentBudget(min(fitting, most), on_disk=False)
    )


class Body(Protocol):
    """What a request can send, and after `seek(0)` send again."""

    def read(self, size: int, /) -> bytes: ...
    def tell(self) -> int: ...
    def seek(self, position: int, /) -> object: ...


class Segment:
    """A piece of a source, in something seekable at its start: `size` bytes with that hex MD5."""

    def __init__(self, body: BinaryIO | mmap.mmap, size: int, md5: str, release: Callable[[], None]):
        self.body = body
        self.size = size
        self.md5 = md5
        self._release = [release]

    def close(self) -> None:
        """Let go of the bytes; may be called twice."""
        while self._release:
            self._release.pop()()


class SegmentReader:
    """Cuts a source into pieces that can be sent again; `ended` tells whether the last one was the last."""

    def __init__(self, source: Reader, options: SwiftOptions):
        self.ended = False
        self._source = source
        self._options = options
        self._ahead = b""
        self._spare: list[mmap.mmap] = []

    def cut(self, size: int) -> Segment:
        """The next `size` bytes, fewer at the source's end. What the source raises is let through."""
        body = self._body(size)
        try:
            return self._fill(body, size)
        except BaseException:
            body.close()
            raise

    def read(self, size: int, /) -> bytes:
        """What follows the pieces cut, as it comes: at most `size` bytes, b"" at the end."""
        if self._ahead:
            block, self._ahead = self._ahead[:size], self._ahead[size:]
            return block
        return self._source.read(min(size, BLOCK))

    def _body(self, size: int) -> BinaryIO | mmap.mmap:
        """Where a piece can lie. A closed one's memory serves again: new pages cost as much as a copy."""
        if room_for(size, self._options).on_disk:
            return _spool(self._options.spool_dir)
        while self._spare:
            body = self._spare.pop()
            if len(body) == size:
                return body
            body.close()
        # Unlike pieces of the heap a mapping goes back to the system as a whole.
        return mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def _fill(self, body: BinaryIO | mmap.mmap, size: int) -> Segment:
        digest = hashlib.md5(usedforsecurity=False)
        left = size
        body.seek(0)
        block = self._ahead or self._source.read(min(left, BLOCK))
        while block and left:
            body.write(block)
            digest.update(block)
            left -= len(block)
            block = self._source.read(min(left, BLOCK) or 1)
        self._ahead = block
        self.ended = not block
        body.seek(0)
        release = partial(self._spare.append, body) if isinstance(body, mmap.mmap) else body.close
        return Segment(body, size - left, digest.hexdigest(), release)


def _spool(folder: Path | None) -> BinaryIO:
    return tempfile.TemporaryFile(dir=folder)


class RewindableBody:
    """A source as one body: its first piece, then what follows as it comes.

    It can be sent again as long as nothing but the first piece was read.
    """

    def __init__(self, store: str, first: Segment, rest: SegmentReader):
        self._store = store
        self._first = first
        self._rest = rest
        self._position = 0

    def read(self, size: int, /) -> bytes:
        """The next bytes, b"" at the end. What the source raises is let through."""
        block = self._first.body.read(size) if self._position < self._first.size else self._rest.read(size)
        self._position += len(block)
        return block

    def tell(self) -> int:
        """How many bytes were read."""
        return self._position

    def seek(self, position: int, /) -> None:
        """Go back to the start.

        Raises:
            Unavailable: what came after the first piece is gone.
        """
        if self._position > self._first.size:
            raise Unavailable(self._store, "it broke off, and what was sent is gone", retry_after=1)
        self._first.body.seek(position)
        self._position = position
