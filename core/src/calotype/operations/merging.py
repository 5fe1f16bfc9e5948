"""Lists by time whose records come from several tables."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Protocol, TypeVar

from calotype.database.keysets import Page
from calotype.model.overviews import Position


class Placed(Protocol):
    """A record that has a position in a list."""

    @property
    def position(self) -> Position: ...


Record = TypeVar("Record", bound=Placed)


def merge(pages: Iterable[Page[Record]], limit: int, *, newest_first: bool = False) -> Page[Record]:
    """Return the first `limit` records of several pages that begin after the same position."""
    read = list(pages)
    records = sorted(
        chain.from_iterable(page.records for page in read),
        key=lambda record: record.position,
        reverse=newest_first,
    )
    more = len(records) > limit or any(page.more for page in read)
    return Page(tuple(records[:limit]), more)
