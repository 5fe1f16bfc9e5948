"""Sets of byte ranges: what is still missing of a file."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Range(NamedTuple):
    """The bytes from `start` up to, but not including, `end`."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Return the number of bytes."""
        return self.end - self.start


class RangeSet:
    """Disjoint ranges in ascending order; ranges that touch are joined."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()):
        self._ranges: list[Range] = []
        for start, end in ranges:
            self.add(start, end)

    def __iter__(self) -> Iterator[Range]:
        return iter(self._ranges)

    def __bool__(self) -> bool:
        return bool(self._ranges)

    @property
    def total(self) -> int:
        """Return the number of bytes in all ranges."""
        return sum(each.length for each in self._ranges)

    @property
    def first(self) -> int | None:
        """Return the first byte, or None if the set is empty."""
        return self._ranges[0].start if self._ranges else None

    def add(self, start: int, end: int) -> None:
        """Add a range."""
        if start >= end:
            return
        low = bisect_left(self._ranges, start, key=lambda each: each.end)
        high = low
        while high < len(self._ranges) and self._ranges[high].start <= end:
            high += 1
        if low < high:
            start = min(start, self._ranges[low].start)
            end = max(end, self._ranges[high - 1].end)
        self._ranges[low:high] = [Range(start, end)]

    def remove(self, start: int, end: int) -> None:
        """Remove a range, as far as it is in the set."""
        if start >= end:
            return
        low = bisect_left(self._ranges, start + 1, key=lambda each: each.end)
        high = low
        while high < len(self._ranges) and self._ranges[high].start < end:
            high += 1
        rest = [(each.start, start) for each in self._ranges[low:high] if each.start < start]
        rest += [(end, each.end) for each in self._ranges[low:high] if each.end > end]
        self._ranges[low:high] = [Range(*each) for each in rest]

    def take(self, most: int) -> Range | None:
        """Remove the first range, or its first `most` bytes, and return it; None if the set is empty."""
        if not self._ranges:
            return None
        start, end = self._ranges[0]
        end = min(end, start + most)
        self.remove(start, end)
        return Range(start, end)
