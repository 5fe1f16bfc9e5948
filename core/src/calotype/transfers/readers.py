"""What stands between a client's bytes and a store: they are inspected, and counted against the quota."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from calotype.database.errors import LimitReached
from calotype.model.images import Image
from calotype.stores.contract import Reader
from calotype.stores.errors import SourceRejected, SourceTooLarge
from calotype.transfers.disk_formats import mismatch
from calotype.transfers.inspection import Inspector, Verdict

#: Bytes reserved at a time for a source of unknown length: few statements, little overshoot.
RESERVED = 64 << 20


def declared_format(image: Image) -> str | None:
    """Return the disk format that an image's bytes must have, None if they are not the disk itself."""
    return image.disk_format if image.container_format in (None, "bare") else None


def redeclared(before: Image, after: Image, detected: str | None) -> str | None:
    """Return a sentence if `after` declares another format than `before`, and bytes that it cannot be.

    A declaration that stays as it was has been judged with the bytes, or is older than their inspection.
    """
    declared = declared_format(after)
    return mismatch(declared, detected) if declared != declared_format(before) else None


class Source(Reader, Protocol):
    """Bytes of an image that come in, and how many were announced; None: there was no announcement."""

    @property
    def length(self) -> int | None:
        """The number of bytes that the transport announced."""


class Announced:
    """A source made of a reader and the number of its bytes that was announced."""

    def __init__(self, reader: Reader, length: int | None = None):
        self.length = length
        self._reader = reader

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        return self._reader.read(size)

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()


class InspectingReader:
    """A source whose end is held back when its bytes turn out to be what is refused.

    The store sees a source that breaks, and leaves nothing.
    """

    def __init__(self, source: Reader, inspector: Inspector, *, enforce: bool):
        self.verdict: Verdict | None = None
        self._source = source
        self._inspector = inspector
        self._enforce = enforce

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            SourceRejected: at the end, however often it is asked for, with what is wrong with the image.
        """
        block = self._source.read(size)
        if block:
            self._inspector.update(block)
        elif size != 0:
            if self.verdict is None:
                self.verdict = self._inspector.verdict()
            if self._enforce and self.verdict.problem is not None:
                raise SourceRejected(self.verdict.problem)
        return block

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class QuotaReader:
    """A source of unknown length whose bytes are reserved before they are passed on.

    `reserve(total)` makes the reservation that many bytes in all, or raises LimitReached.
    """

    def __init__(self, source: Reader, reserve: Callable[[int], None]):
        self._source = source
        self._reserve = reserve
        self._reserved = 0
        self._count = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            SourceTooLarge: the project's limit does not allow them.
        """
        block = self._source.read(size)
        self._count += len(block)
        if self._count > self._reserved:
            self._extend()
        return block

    def _extend(self) -> None:
        """Reserve ahead; near the limit, what is needed."""
        try:
            self._reserve(self._count + RESERVED)
            self._reserved = self._count + RESERVED
        except LimitReached:
            try:
                self._reserve(self._count)
                self._reserved = self._count
            except LimitReached as error:
                raise SourceTooLarge(str(error)) from None

    def close(self) -> None:
        """Close the source."""
        self._source.close()
