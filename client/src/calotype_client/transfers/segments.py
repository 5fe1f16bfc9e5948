"""Divide a file into segments to send and segments of zeros, which need not be sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from calotype_client.transfers.ranges import Range
from calotype_client.transfers.sources import BLOCK, SourceFile

#: Most bytes of a segment with data, which one request sends, and of zeros, which a server writes at once. At
#: the end of each request, the sender waits until the server has stored all of it.
DATA_MAX, ZEROS_MAX = 512 << 20, 64 << 20
#: The beginning of a block that is looked at first, because few blocks begin with zeros but are not empty.
_GLANCE = 4096
_ZEROS = bytes(BLOCK)


class Segment(NamedTuple):
    """A part of a file: bytes to send, or zeros."""

    start: int
    end: int
    is_zero: bool


def segments(source: SourceFile, start: int, end: int) -> Iterator[Segment]:
    """Yield the segments of a range of the file, in order. Segments of zeros are at least a block long."""
    for each in _joined(_blocks(source, start, end)):
        most = ZEROS_MAX if each.is_zero else DATA_MAX
        for position in range(each.start, each.end, most):
            yield Segment(position, min(position + most, each.end), each.is_zero)


def _joined(pieces: Iterator[Segment]) -> Iterator[Segment]:
    """Join neighbours of one kind, data only up to the most that a segment has."""
    current: Segment | None = None
    for piece in pieces:
        if current is None:
            current = piece
        elif piece.is_zero == current.is_zero and (piece.is_zero or piece.end - current.start <= DATA_MAX):
            current = Segment(current.start, piece.end, current.is_zero)
        else:
            yield current
            current = piece
    if current is not None:
        yield current


def _blocks(source: SourceFile, start: int, end: int) -> Iterator[Segment]:
    """Yield the blocks of a range; a hole is one piece, however long."""
    position = start
    for data in _within(source.data(), start, end):
        yield from _hole(position, data.start)
        position = data.start
        while position < data.end:
            stop = min(position + BLOCK, data.end)
            yield Segment(position, stop, _is_empty(source, position, stop))
            position = stop
    yield from _hole(position, end)


def _hole(start: int, end: int) -> Iterator[Segment]:
    if start < end:
        yield Segment(start, end, end - start >= BLOCK)


def _within(ranges: Iterator[Range], start: int, end: int) -> Iterator[Range]:
    for each in ranges:
        if each.start >= end:
            return
        if each.end > start:
            yield Range(max(each.start, start), min(each.end, end))


def _is_empty(source: SourceFile, start: int, end: int) -> bool:
    """Return True if a whole block has only zeros."""
    if end - start < BLOCK or os.pread(source.descriptor, _GLANCE, start).strip(b"\0"):
        return False
    return os.pread(source.descriptor, BLOCK, start) == _ZEROS
