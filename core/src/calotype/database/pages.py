"""A page of a list of images, read a few images at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from calotype.database.queries import position
from calotype.model.images import Image
from calotype.model.queries import SortKey

#: Maximum number of images that are read at once with their parts, which may take 500 KiB per image. Pages
#: are smaller by default, so most pages take one statement.
AT_ONCE = 50

Rows = Sequence[Row[Any]]


class ImagePage:
    """A page of a list of images. `more` is true if the list continues after it.

    At first only the rows of `images` are read. Iteration reads the other parts, for at most `AT_ONCE` images
    at a time. So a caller that stops early, or that writes the images out as they come, needs little memory.
    No connection is held between two reads.
    """

    def __init__(
        self, rows: Rows, read: Callable[[Rows], list[Image]], sort: Sequence[SortKey], *, more: bool
    ):
        self.more = more
        self.sort = sort
        self._rows = rows
        self._read = read

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[list[Image]]:
        for start in range(0, len(self._rows), AT_ONCE):
            yield self._read(self._rows[start : start + AT_ONCE])

    @property
    def last(self) -> Mapping[str, Any] | None:
        """The position of the page's last image."""
        return position(self._rows[-1], self.sort) if self._rows else None

    @property
    def images(self) -> tuple[Image, ...]:
        """All images of the page, read again on each access."""
        return tuple(image for some in self for image in some)
