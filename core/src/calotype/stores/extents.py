"""Maps of a blob's data and holes that are short enough for a response."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator

from calotype.stores.values import Extent

#: Minimum length of a hole in a map, in bytes. To skip less saves no time: a request for a range costs more.
HOLE_MIN = 64 << 10
#: Maximum number of holes in a map.
HOLES_MAX = 4096


def shortened(extents: Iterable[Extent], size: int, most: int = HOLES_MAX) -> list[Extent]:
    """Return a map of a blob of `size` bytes with its `most` longest holes. Everything else is data.

    `extents` cover the blob in order. Holes of less than HOLE_MIN bytes are data, too.
    """
    holes = heapq.nlargest(most, _long_holes(extents), key=lambda hole: hole.length)
    found: list[Extent] = []
    end = 0
    for hole in sorted(holes, key=lambda hole: hole.offset):
        if hole.offset > end:
            found.append(Extent(end, hole.offset - end))
        found.append(hole)
        end = hole.offset + hole.length
    return found if end == size else [*found, Extent(end, size - end)]


def _long_holes(extents: Iterable[Extent]) -> Iterator[Extent]:
    """Yield the holes of at least HOLE_MIN bytes, with neighbours as one."""
    offset = 0
    for is_data, group in itertools.groupby(extents, lambda one: one.is_data):
        length = sum(one.length for one in group)
        if not is_data and length >= HOLE_MIN:
            yield Extent(offset, length, is_data=False)
        offset += length
