"""The data and the holes of a file: written, and as its file system reports them."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator

from calotype.stores import Extent

#: The length of zeros that become a hole, in bytes; they begin at a multiple of it. Shorter holes would save
#: little space, and divide the file into more pieces.
_HOLE = 64 << 10
_ZEROS = bytes(_HOLE)


def write(descriptor: int, block: bytes, position: int, *, sparse: bool) -> None:
    """Write a block at a position in the file; with `sparse`, leave holes instead of zeros."""
    view, written = memoryview(block), 0
    for hole in _holes(block, position) if sparse else ():
        _write(descriptor, view[written : hole.start], position + written)
        written = hole.stop
    _write(descriptor, view[written:], position + written)


def _holes(block: bytes, position: int) -> Iterator[range]:
    """Yield the ranges of a block that are zeros, divided at multiples of _HOLE in the file.

    So zeros from one multiple to the next become a hole even if they arrive in several blocks.
    """
    ends = range(_HOLE - position % _HOLE, len(block), _HOLE)
    for start, stop in itertools.pairwise((0, *ends, len(block))):
        if not block[start] and block.startswith(_ZEROS[: stop - start], start):
            yield range(start, stop)


def _write(descriptor: int, data: memoryview, position: int) -> None:
    while data:
        count = os.pwrite(descriptor, data, position)
        data, position = data[count:], position + count


def extents(descriptor: int, size: int) -> Iterator[Extent]:
    """Yield the data and the holes of a file of `size` bytes, in order and without gaps.

    If the file system reports no holes, the rest of the file is data.
    """
    position = 0
    while position < size:
        data = _seek(descriptor, position, size, os.SEEK_DATA)
        if data is not None and data > position:
            yield Extent(position, data - position, False)
            position = data
            continue
        hole = None if data is None else _seek(descriptor, position, size, os.SEEK_HOLE)
        end = size if hole is None or hole <= position else hole
        yield Extent(position, end - position)
        position = end


def _seek(descriptor: int, position: int, size: int, whence: int) -> int | None:
    """Return where the next data or hole begins, at most `size`; None if that is unknown."""
    try:
        return min(os.lseek(descriptor, position, whence), size)
    except OSError as error:
        if error.errno == errno.ENXIO:  # only a hole follows
            return size
        if error.errno == errno.EINVAL:
            return None
        raise


def is_hole(descriptor: int, offset: int, size: int) -> bool:
    """Return whether no byte of a range was written yet; False if the file system does not know."""
    end = min(offset + size, os.fstat(descriptor).st_size)
    return offset >= end or _seek(descriptor, offset, end, os.SEEK_DATA) == end
