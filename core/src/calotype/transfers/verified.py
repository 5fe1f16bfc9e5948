"""A whole image that passes through this process, hashed on its way and never completed if it is wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from calotype.stores.blob_readers import LimitedReader
from calotype.stores.contract import Reader
from calotype.stores.errors import BlobChanged
from calotype.stores.hashing import Digests


class Verified:
    """A reader of a whole image that keeps the last block back until the SHA-256 of all is right.

    So whoever reads bytes that are not the image's gets fewer than were announced, and knows.
    """

    def __init__(
        self, reader: LimitedReader, sha256: str, store: str, on_mismatch: Callable[[BlobChanged], None]
    ):
        self._reader = reader
        self._sha256 = sha256
        self._store = store
        self._on_mismatch = on_mismatch
        self._open = contextlib.ExitStack()
        self._open.callback(reader.close)
        self._digests = self._open.enter_context(Digests(["sha256"]))

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            BlobChanged: these would be the last ones, and the whole is not what it should be.
            StoreError: the store broke off, or failed.
        """
        block = self._reader.read(size)
        if block:
            self._digests.update(block)
            if not self._reader.remaining and self._digests.hexdigests()["sha256"] != self._sha256:
                error = BlobChanged(self._store, "the bytes do not have the image's SHA-256")
                self._on_mismatch(error)
                raise error
        return block

    def close(self) -> None:
        """Close the reader behind, and end the thread that hashes."""
        self._open.close()


def verified(
    reader: Reader, sha256: str | None, store: str, on_mismatch: Callable[[BlobChanged], None]
) -> Reader:
    """Return a reader that holds the bytes to their SHA-256, where both that and their number are known."""
    if sha256 is None or not isinstance(reader, LimitedReader):
        return reader
    return Verified(reader, sha256, store, on_mismatch)
