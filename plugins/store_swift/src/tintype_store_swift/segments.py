"""Cutting a source into segments: how large they are, and how many of them are held at a time."""

from __future__ import annotations

import hashlib
import itertools
import mmap
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tintype.stores import Reader
from tintype_store_swift.options import OBJECT_MAX, SwiftOptions

#: The size of a segment where nothing asks for a larger one.
SEGMENT = 16 << 20
#: Bytes asked of the source at a time.
BLOCK = 1 << 20


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
class Room:
    """How many segments of one size may be held at once, the one being filled included, and where."""

    count: int
    on_disk: bool


def room_for(size: int, options: SwiftOptions) -> Room:
    """Fit segments of `size` bytes into `upload_memory`; on disk when two do not fit."""
    fitting = options.upload_memory // size
    most = options.segment_concurrency + 1
    return Room(most, on_disk=True) if fitting < 2 else Room(min(fitting, most), on_disk=False)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a source, in something seekable at its start: `size` bytes with that hex MD5."""

    body: BinaryIO | mmap.mmap
    size: int
    md5: str

    def close(self) -> None:
        """Let go of the bytes."""
        self.body.close()


class Cutter:
    """Cuts a source into pieces that can be sent again; `ended` tells whether the last one was the last."""

    def __init__(self, source: Reader, options: SwiftOptions):
        self.ended = False
        self._source = source
        self._options = options
        self._ahead = b""

    def cut(self, size: int) -> Piece:
        """The next `size` bytes, fewer at the source's end. What the source raises is let through."""
        on_disk = room_for(size, self._options).on_disk
        # A mapping goes back to the system when it is closed; of a heap's pieces much would stay.
        body = _spool(self._options.spool_dir) if on_disk else mmap.mmap(-1, size)
        try:
            return self._fill(body, size)
        except BaseException:
            body.close()
            raise

    def _fill(self, body: BinaryIO | mmap.mmap, size: int) -> Piece:
        digest = hashlib.md5(usedforsecurity=False)
        left = size
        block = self._ahead or self._source.read(min(left, BLOCK))
        while block and left:
            body.write(block)
            digest.update(block)
            left -= len(block)
            block = self._source.read(min(left, BLOCK) or 1)
        self._ahead = block
        self.ended = not block
        body.seek(0)
        return Piece(body, size - left, digest.hexdigest())


def _spool(folder: Path | None) -> BinaryIO:
    return tempfile.TemporaryFile(dir=folder)
