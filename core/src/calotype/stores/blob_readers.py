"""Readers of a blob's bytes: held to a length, or moved forward to where a range begins."""

from __future__ import annotations

import io
from typing import TypeGuard

from calotype.stores.contract import Reader
from calotype.stores.errors import BlobChanged, named_errors
from calotype.stores.measured import BLOCK


class LimitedReader:
    """The first `length` bytes of a reader; shorter is an error, for the size is known."""

    def __init__(self, store: str, reader: Reader, length: int):
        self._store = store
        self._reader = reader
        self.remaining = length

    @property
    def file(self) -> io.IOBase | None:
        """The real file behind, positioned at the next byte, where there is one."""
        return self._reader if is_plain_file(self._reader) else None

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, b"" after the last.

        Raises:
            StoreError: the store broke off, or failed.
        """
        wanted = self.remaining if size is None or size < 0 else min(size, self.remaining)
        if wanted == 0:
            return b""
        with named_errors(self._store):
            block = self._reader.read(wanted)
        if not block:
            raise BlobChanged(self._store, f"the bytes ended {self.remaining} before their size")
        self.remaining -= len(block)
        return block

    def close(self) -> None:
        """Close the reader behind."""
        self._reader.close()


def skip(store: str, reader: Reader, offset: int) -> None:
    """Read up to where a range begins, from a reader of a store that has no ranges.

    Raises:
        BlobChanged: the bytes end before.
    """
    left = offset
    while left:
        with named_errors(store):
            block = reader.read(min(left, BLOCK))
        if not block:
            raise BlobChanged(store, f"the bytes ended {left} before the range")
        left -= len(block)


def is_plain_file(reader: object) -> TypeGuard[io.FileIO | io.BufferedReader]:
    """Return whether the reader is an open file of the system, which a server can send by itself."""
    return isinstance(reader, (io.FileIO, io.BufferedReader)) and isinstance(
        getattr(reader, "raw", reader), io.FileIO
    )
