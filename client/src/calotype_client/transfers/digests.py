"""Compute the digest of a file in a thread beside its transfer."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

from calotype_client.errors import ChecksumMismatch, NotSupported
from calotype_client.images import Image

Block = TypeVar("Block", bytes, memoryview, bytes | memoryview)
_BLOCK = 256 << 10


class FileDigest:
    """The digest of a file's first `size` bytes, computed by a thread that follows the transfer.

    The thread reads the file itself, up to the limit that the transfer sets: bytes that were just transferred
    are still in the page cache. So the order in which connections deliver parts does not matter.
    """

    def __init__(self, descriptor: int, size: int, algorithm: str):
        self.algorithm = algorithm
        self._digest = new_digest(algorithm)
        self._descriptor = descriptor
        self._size = size
        self._limit = 0
        self._error: OSError | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="digest", daemon=True)
        self._thread.start()

    def allow(self, limit: int) -> None:
        """Let the thread read the bytes below the limit, which are final."""
        with self._changed:
            if limit > self._limit:
                self._limit = min(limit, self._size)
                self._changed.notify()

    def result(self) -> str:
        """Wait for the whole file, and return the digest in hex; raises OSError."""
        self.allow(self._size)
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._digest.hexdigest()

    def stop(self) -> None:
        """End the thread before the file is closed."""
        with self._changed:
            self._size = self._limit = 0
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        block = bytearray(_BLOCK)
        view = memoryview(block)
        position = 0
        try:
            while (limit := self._wait_beyond(position)) > position:
                count = os.preadv(self._descriptor, [view[: limit - position]], position)
                if count == 0:  # the file has become shorter, which the transfer notices
                    return
                self._digest.update(view[:count])
                position += count
        except OSError as error:
            self._error = error

    def _wait_beyond(self, position: int) -> int:
        """Return a limit above the position, or the end of the file when it has been reached."""
        with self._changed:
            self._changed.wait_for(lambda: self._limit > position or position >= self._size)
            return self._limit


class StreamDigest:
    """The digest of blocks that pass once."""

    def __init__(self, algorithm: str):
        self.algorithm = algorithm
        self.size = 0
        self._digest = new_digest(algorithm)

    def following(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield the blocks, and add each one to the digest."""
        for block in blocks:
            self._digest.update(block)
            self.size += len(block)
            yield block

    def result(self) -> str:
        """Return the digest in hex."""
        return self._digest.hexdigest()


def check_digest(image: Image, found: str) -> None:
    """Compare a digest in hex with that of the image; raises ChecksumMismatch."""
    if image.hash_value and found != image.hash_value.lower():
        raise ChecksumMismatch(
            f"The bytes of image {image.label} differ: their {image.hash_algorithm} is {found}, "
            f"and the server says {image.hash_value}.",
            advice="Transfer it again; if that does not help, the bytes were damaged at their source.",
        )


def new_digest(algorithm: str) -> hashlib._Hash:
    """Return a digest without bytes; raises NotSupported."""
    try:
        return hashlib.new(algorithm, usedforsecurity=False)
    except ValueError:
        raise NotSupported(f"This Python has no digest {algorithm!r}, which the server uses.") from None
