"""Sources for tests, correct and faulty ones. None can seek, and none has a length.

Each is a `calotype.stores.Reader` and nothing more, so a driver that needs more fails at once. `read_all`
reads a result back, and ends even if the reader does not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from calotype.stores import Reader

#: The numbers of bytes that `Trickle` returns in turn: one byte, odd numbers, a page, a large block.
STEPS = (1, 4096, 977, 65_536, 7, 16_384)


def pattern(size: int, seed: int = 0) -> bytes:
    """Return `size` bytes without a period, always the same ones for the same seed."""
    return hashlib.shake_128(seed.to_bytes(8, "big")).digest(size)


def read_all(reader: Reader, limit: int, block: int = 1 << 18) -> bytes:
    """Return all bytes of a reader, and close it.

    Raises:
        AssertionError: the reader returns more bytes than requested, or more than `limit` in total.
    """
    blocks, count = [], 0
    try:
        while data := reader.read(block):
            assert len(data) <= block, f"read({block}) gave {len(data)} bytes"
            count += len(data)
            assert count <= limit, f"the reader returns more than the {limit} bytes that exist"
            blocks.append(data)
    finally:
        reader.close()
    return b"".join(blocks)


def assert_same(given: bytes, expected: bytes) -> None:
    """Assert that two byte strings are equal. The failure names their first difference."""
    if given != expected:
        both = min(len(given), len(expected))
        at = next((at for at in range(both) if given[at] != expected[at]), both)
        raise AssertionError(f"{len(given)} bytes instead of {len(expected)}; they differ from offset {at}")


class Trickle:
    """A source that returns its bytes in small, uneven pieces."""

    def __init__(self, data: bytes):
        self.given = 0
        self.closed = False
        self._data = data
        self._reads = 0

    def read(self, size: int = -1, /) -> bytes:
        step = STEPS[self._reads % len(STEPS)]
        self._reads += 1
        wanted = step if size is None or size < 0 else min(size, step)
        block = self._data[self.given : self.given + wanted]
        self.given += len(block)
        return block

    def close(self) -> None:
        self.closed = True


class Short(Trickle):
    """A source that ends `missing` bytes before the end of its data."""

    def __init__(self, data: bytes, missing: int = 1):
        super().__init__(data[: len(data) - missing])


class Exploding(Trickle):
    """A source that returns all of its bytes, and then raises `error`."""

    def __init__(self, data: bytes, error: BaseException):
        super().__init__(data)
        self._error = error

    def read(self, size: int = -1, /) -> bytes:
        block = super().read(size)
        if not block and size != 0:
            raise self._error
        return block


class Endless:
    """A source without an end. It fails after `fuse` bytes, because no driver should read that far."""

    def __init__(self, fuse: int = 64 << 20):
        self.given = 0
        self._fuse = fuse
        self._block = pattern(65_536)

    def read(self, size: int = -1, /) -> bytes:
        assert self.given < self._fuse, f"an endless source was read for more than {self._fuse} bytes"
        block = self._block if size is None or size < 0 else self._block[:size]
        self.given += len(block)
        return block

    def close(self) -> None:
        """Do nothing."""


class Flow:
    """A source of `size` bytes that are never in memory together. `sha256` covers the bytes read so far."""

    def __init__(self, size: int):
        self.left = size
        self._block = pattern(1_048_573)  # a prime, so that its end is never the end of a block or part
        self._digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        wanted = len(self._block) if size is None or size < 0 else size
        block = self._block[: min(wanted, self.left)]
        self.left -= len(block)
        self._digest.update(block)
        return block

    def close(self) -> None:
        """Do nothing."""

    def sha256(self) -> str:
        return self._digest.hexdigest()


class Paused(Trickle):
    """A source that calls `action` once, when `at` bytes were read, so that a test acts during an upload.

    A driver may read no further than the announced size. For any driver, `at` is therefore less than that.
    """

    def __init__(self, data: bytes, at: int, action: Callable[[], object]):
        super().__init__(data)
        self._at = at
        self._action: Callable[[], object] | None = action

    def read(self, size: int = -1, /) -> bytes:
        if self._action is None:
            return super().read(size)
        before = self._at - self.given
        if before <= 0:
            action, self._action = self._action, None
            action()
            return super().read(size)
        return super().read(before if size is None or size < 0 else min(size, before))


class Zeros:
    """A source of `size` bytes, zeros except for `marks`: offset -> bytes."""

    def __init__(self, size: int, marks: dict[int, bytes]):
        self.position = 0
        self._size = size
        self._marks = sorted(marks.items())
        self._block = bytes(65_536)

    def read(self, size: int = -1, /) -> bytes:
        wanted = len(self._block) if size is None or size < 0 else min(size, 1 << 20)
        start, end = self.position, min(self.position + wanted, self._size)
        self.position = end
        touched = [(at, data) for at, data in self._marks if at < end and start < at + len(data)]
        if not touched:
            if len(self._block) != end - start:
                self._block = bytes(end - start)
            return self._block
        block = bytearray(end - start)
        for at, data in touched:
            first, last = max(at, start), min(at + len(data), end)
            block[first - start : last - start] = data[first - at : last - at]
        return bytes(block)

    def close(self) -> None:
        """Do nothing."""
