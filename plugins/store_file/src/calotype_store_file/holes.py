"""The data and the holes of a file, as its file system reports them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from calotype.stores import Extent


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
