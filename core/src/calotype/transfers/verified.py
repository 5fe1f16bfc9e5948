"""Downloads that pass through this process: compare a whole image with its SHA-256."""

from __future__ import annotations

from collections.abc import Callable

from calotype.stores.blob_readers import LimitedReader
from calotype.stores.errors import BlobChanged
from calotype.stores.hashing import Digests
from calotype.stores.values import Reader


class Verified:
    """A reader of a whole image that passes on the last block only if the SHA-256 of all bytes is right.

    If the bytes are wrong, the client therefore gets fewer bytes than were announced, and notices the error.
    """

    def __init__(
        self, reader: LimitedReader, sha256: str, store: str, on_mismatch: Callable[[BlobChanged], None]
    ):
        self._reader = reader
        self._sha256 = sha256
        self._store = store
        self._on_mismatch = on_mismatch
        self._digests = Digests(["sha256"])

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            BlobChanged: these are the last bytes, and the SHA-256 is wrong.
            StoreError: the store failed, or ended the transfer early.
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
        """Close the reader, and end the thread that computes the digest."""
        with self._digests:
            self._reader.close()


def verified(
    reader: Reader, sha256: str | None, store: str, on_mismatch: Callable[[BlobChanged], None]
) -> Reader:
    """Return a reader that checks the SHA-256, or `reader` itself if the SHA-256 or the length is unknown."""
    if sha256 is None or not isinstance(reader, LimitedReader):
        return reader
    return Verified(reader, sha256, store, on_mismatch)
