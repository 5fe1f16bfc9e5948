"""The division of sessions into the parts that a backend demands."""

from __future__ import annotations

from calotype.model.sessions import Grid
from calotype.stores.parting import PartSizes

#: The usual size of a cell in bytes, unless the backend or the length demands another one.
CELL = 16 << 20
#: If the length is unknown, the size of cells doubles this many times at most.
_STEPS = 16


def grid_for(sizes: PartSizes, length: int | None) -> Grid | None:
    """Return the division of an upload of this length (None: unknown), or None if parts may be anywhere."""
    if sizes.are_free:
        return None
    size = max(CELL, sizes.least)
    if length is not None and sizes.count is not None:
        size *= max(1, -(-length // (size * sizes.count)))
    size = size if sizes.most is None else min(size, sizes.most)
    step = None if length is not None or sizes.count is None else max(1, sizes.count // _STEPS)
    return Grid(size, step, sizes.most)
