"""Readers that pass a client's bytes on to a store. They inspect the bytes, or count them against a quota."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from calotype.database.errors import LimitReached
from calotype.model.images import Image
from calotype.stores.errors import SourceRejected, SourceTooLarge
from calotype.stores.values import Reader
from calotype.transfers.disk_formats import mismatch
from calotype.transfers.inspection import Inspector, Verdict
from calotype.transfers.leases import Meter

#: Bytes reserved at a time for a source of unknown length. A lower value causes more SQL statements.
RESERVED = 64 << 20


def declared_format(image: Image) -> str | None:
    """Return the disk format that an image's bytes must have, or None if the bytes are a container."""
    return image.disk_format if image.container_format in (None, "bare") else None


def redeclared(before: Image, after: Image, detected: str | None) -> str | None:
    """Return a sentence if `after` declares a new format that the bytes do not have.

    An unchanged declaration is not judged again. The inspection of the upload judged it, if there was one.
    """
    declared = declared_format(after)
    return mismatch(declared, detected) if declared != declared_format(before) else None


class Source(Reader, Protocol):
    """A reader of an image's incoming bytes. It knows what the transport announced about them."""

    @property
    def length(self) -> int | None:
        """The number of bytes that the transport announced, or None if it announced none."""

    @property
    def digests(self) -> Mapping[str, str]:
        """The digests that the transport announced: algorithm -> lower-case hex."""


class _Wrapper:
    """A reader that passes on the bytes of another reader."""

    def __init__(self, source: Reader):
        self._source = source

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        return self._source.read(size)

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class Announced(_Wrapper):
    """A source that reads from a reader. `length` is the announced number of bytes, or None."""

    def __init__(self, reader: Reader, length: int | None = None):
        super().__init__(reader)
        self.length = length
        self.digests: Mapping[str, str] = {}


class CountingReader(_Wrapper):
    """A reader that counts the bytes that it passes on, so that the progress can be shown."""

    def __init__(self, source: Reader, meter: Meter):
        super().__init__(source)
        self._meter = meter

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        block = self._source.read(size)
        self._meter.moved += len(block)
        return block


class InspectingReader(_Wrapper):
    """A reader that inspects the bytes of its source. If it refuses them, their end is an error.

    The error makes the store keep none of the bytes.
    """

    def __init__(self, source: Reader, inspector: Inspector, *, enforce: bool):
        super().__init__(source)
        self.verdict: Verdict | None = None
        self._inspector = inspector
        self._enforce = enforce

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            SourceRejected: the source has ended, and the inspection found a problem.
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


class QuotaReader(_Wrapper):
    """A reader of a source of unknown length. It reserves quota for the bytes before it passes them on.

    `reserve(total)` sets the reservation to `total` bytes, or raises LimitReached.
    """

    def __init__(self, source: Reader, reserve: Callable[[int], None]):
        super().__init__(source)
        self._reserve = reserve
        self._reserved = 0
        self._count = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            SourceTooLarge: the project's limit does not allow these bytes.
        """
        block = self._source.read(size)
        self._count += len(block)
        if self._count > self._reserved:
            self._extend()
        return block

    def _extend(self) -> None:
        """Reserve ahead. If the limit is near, reserve only the bytes that have arrived."""
        try:
            self._reserve(self._count + RESERVED)
            self._reserved = self._count + RESERVED
        except LimitReached:
            try:
                self._reserve(self._count)
                self._reserved = self._count
            except LimitReached as error:
                raise SourceTooLarge(str(error)) from None
