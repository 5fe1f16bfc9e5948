"""Readers of a blob's bytes: limited to a length, or moved forward to the start of a range."""

from __future__ import annotations

import io
from typing import TypeGuard

from calotype.stores.errors import BlobChanged, named_errors
from calotype.stores.measured import BLOCK
from calotype.stores.promises import require_block
from calotype.stores.values import Reader


class LimitedReader:
    """A reader that stops after `length` bytes, and raises BlobChanged if the bytes end earlier."""

    def __init__(self, store: str, reader: Reader, length: int):
        self._store = store
        self._reader = reader
        self.remaining = length

    @property
    def file(self) -> io.IOBase | None:
        """The open file that the bytes come from, positioned at the next byte; None if there is none."""
        return self._reader if is_plain_file(self._reader) else None

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, b"" after the last.

        Raises:
            StoreError: the store failed, or the blob ended too early.
        """
        wanted = self.remaining if size is None or size < 0 else min(size, self.remaining)
        if wanted == 0:
            return b""
        with named_errors(self._store):
            block = require_block(self._store, self._reader.read(wanted), wanted)
        if not block:
            raise BlobChanged(self._store, f"the blob ended {self.remaining} bytes too early")
        self.remaining -= len(block)
        return block

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()


def skip(store: str, reader: Reader, offset: int) -> None:
    """Read and drop the bytes before a range, because the store cannot start in the middle.

    Raises:
        BlobChanged: the blob ends before the range.
    """
    left = offset
    while left:
        with named_errors(store):
            most = min(left, BLOCK)
            block = require_block(store, reader.read(most), most)
        if not block:
            raise BlobChanged(store, f"the blob ended {left} bytes before the range")
        left -= len(block)


def is_plain_file(reader: object) -> TypeGuard[io.FileIO | io.BufferedReader]:
    """Return whether the reader is an open file, which a server can send with sendfile."""
    return isinstance(reader, (io.FileIO, io.BufferedReader)) and isinstance(
        getattr(reader, "raw", reader), io.FileIO
    )
