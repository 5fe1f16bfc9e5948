"""The sizes of the parts of an upload."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from calotype_store_s3.options import PART_MAX

#: Maximum number of parts in an S3 upload.
PARTS = 10_000
#: The largest object of S3, in bytes: 5 TiB.
OBJECT_MAX = 5 << 40
#: Default size of a part, in bytes. Each part costs a request, and three parts fit into the default memory.
START = 12 << 20
#: If the length is unknown, the size doubles after every STEP parts, up to LARGE bytes. So 5 TiB fit, even
#: if the first parts have 5 MiB.
STEP, LARGE = 700, 1 << 30


def largest() -> int:
    """Return the size of the largest object in bytes. The parts of large objects are larger."""
    return min(OBJECT_MAX, PART_MAX * PARTS)


def part_sizes(size: int | None, first: int | None) -> Iterator[int]:
    """Yield the size of each part: all the same for a known length, slowly growing for an unknown one.

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
