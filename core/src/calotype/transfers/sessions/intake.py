"""The bytes of a chunk on their way in: gathered, hashed, and stopped if a newer request takes over."""

from __future__ import annotations

import collections
import hashlib
import tempfile
import threading
import zlib
from collections.abc import Callable, Mapping
from typing import IO

from calotype.model.errors import Superseded, WrongDigest
from calotype.stores.errors import SourceBroken, SourceRejected
from calotype.stores.measured import BLOCK
from calotype.transfers.sessions.chunks import Chunk
from calotype.transfers.sessions.running import Running

#: Bytes of a piece that are held in memory, up to the end of a block.
IN_MEMORY = 16 << 20


class Gathered:
    """Bytes that have arrived and are not stored yet: `size` bytes from `start`. They are read once, forward.

    Up to IN_MEMORY bytes are kept as the blocks in which they arrived, and the rest in a temporary file.
    """

    def __init__(self, start: int):
        self.start = start
        self.size = 0
        self.sha256: str | None = None
        self._blocks: collections.deque[bytes] = collections.deque()
        self._file: IO[bytes] | None = None

    def add(self, block: bytes) -> None:
        """Add bytes at the end."""
        if self.size < IN_MEMORY:
            self._blocks.append(block)
        else:
            self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115 - see close
            self._file.write(block)
        self.size += len(block)

    def rewind(self) -> None:
        """Continue with the first byte."""
        if self._file is not None:
            self._file.seek(0)

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        if self._blocks:
            block = self._blocks.popleft()
            if 0 <= size < len(block):
                self._blocks.appendleft(block[size:])
                block = block[:size]
            return block
        return b"" if self._file is None else self._file.read(size)

    def close(self) -> None:
        """Free the memory, and remove the file."""
        self._blocks.clear()
        if self._file is not None:
            self._file.close()


class Intake:
    """The reader of one chunk.

    If the source fails, the bytes before are still returned, and `failure` is the error. If `stop` is set,
    the chunk ends as if its source had failed. The blocks are also given to the running results. If
    `enforces` is true, bytes whose inspection finds a problem are refused.
    """

    def __init__(
        self, chunk: Chunk, stop: threading.Event, running: Running | None, *, enforces: bool = False
    ):
        self.position = chunk.offset
        self.failure: Exception | None = None
        self.running = running
        self._chunk = chunk
        self._stop = stop
        self._enforces = enforces
        self._has_ended = False
        self._ahead = b""
        self._checks = {name: _DIGESTS[name]() for name in chunk.digests}

    def has_more(self) -> bool:
        """Return whether bytes are there. Wait for them if necessary."""
        if not self._ahead and not self._has_ended and self.failure is None:
            self._ahead = self._fetch()
        return bool(self._ahead)

    @property
    def is_over(self) -> bool:
        """True if it is known that no more bytes will come."""
        return not self._ahead and (self._has_ended or self.failure is not None)

    def gather(self, most: int) -> Gathered:
        """Return the next bytes, fewer than `most` only if no more will come. Close them after use.

        Raises:
            SourceRejected: the image cannot be accepted, whatever follows.
        """
        gathered = Gathered(self.position)
        # A later chunk may repeat these bytes, if chunks may arrive in any order.
        digest = None if self._chunk.alone else hashlib.sha256()
        while gathered.size < most and (block := self._next(most - gathered.size)):
            gathered.add(block)
            if digest is not None:
                digest.update(block)
        gathered.sha256 = None if digest is None else digest.hexdigest()
        gathered.rewind()
        return gathered

    def skim(self, most: int) -> tuple[int, str]:
        """Read the next bytes without keeping them, and return their number and their SHA-256 in hex."""
        digest, size = hashlib.sha256(), 0
        while size < most and (block := self._next(most - size)):
            digest.update(block)
            size += len(block)
        return size, digest.hexdigest()

    def require_digests(self) -> None:
        """Check the digests that the chunk must have.

        Raises:
            WrongDigest: one of them differs.
            SourceRejected: the image cannot be accepted, whatever follows.
        """
        for name, expected in self._chunk.digests.items():
            if self._checks[name].digest() != expected:
                raise WrongDigest(name)
        self._require_acceptable()

    def _require_acceptable(self) -> None:
        if self._enforces and self.running is not None and self.running.problem is not None:
            raise SourceRejected(self.running.problem)

    def _next(self, most: int) -> bytes:
        if not self.has_more():
            return b""
        block, self._ahead = self._ahead[:most], self._ahead[most:]
        self.position += len(block)
        for check in self._checks.values():
            check.update(block)
        if self.running is not None:
            self.running.update(block)
        if not self._checks:  # bytes with declared digests may be damaged, so these are checked first
            self._require_acceptable()
        return block

    def _fetch(self) -> bytes:
        if self._stop.is_set():
            self.failure = Superseded()
            return b""
        try:
            block = self._chunk.source.read(BLOCK)
        except Exception as error:  # noqa: BLE001 - raised once the bytes before are stored
            self.failure = error
            return b""
        if not block:
            self._end()
        return block

    def _end(self) -> None:
        announced, count = self._chunk.source.length, self.position - self._chunk.offset
        if announced is not None and count < announced:
            self.failure = SourceBroken(f"Only {count} of the announced {announced} bytes were sent.")
        self._has_ended = True


class _Crc32:
    """A CRC-32 with the interface of a digest."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, block: bytes) -> None:
        self._value = zlib.crc32(block, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


#: Name of an algorithm -> its digest. Clients may declare these.
_DIGESTS: Mapping[str, Callable[[], hashlib._Hash | _Crc32]] = {
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),  # tus 1.0 requires it
    "md5": lambda: hashlib.md5(usedforsecurity=False),
    "crc32": _Crc32,
}
ALGORITHMS = tuple(_DIGESTS)
