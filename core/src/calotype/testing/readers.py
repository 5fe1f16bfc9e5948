"""Sources that behave, and sources that do not: none can seek, and none has a length.

Every one of them is a `calotype.stores.Reader` and no more, so a driver that asks for
more fails at once. Reading back goes through `read_all`, which has an end even when
the reader has none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from calotype.stores import Reader

#: How many bytes `Trickle` gives at a time, in turn: one byte, odd numbers, a page, a large block.
STEPS = (1, 4096, 977, 65_536, 7, 16_384)


def pattern(size: int, seed: int = 0) -> bytes:
    """Return `size` bytes that are the same each time and repeat nowhere; another seed, other bytes."""
    return hashlib.shake_128(seed.to_bytes(8, "big")).digest(size)


def read_all(reader: Reader, limit: int, block: int = 1 << 18) -> bytes:
    """Read to the end and close.

    Raises:
        AssertionError: the reader gives more than was asked, or more than `limit` bytes in all.
    """
    blocks, count = [], 0
    try:
        while data := reader.read(block):
            assert len(data) <= block, f"read({block}) gave {len(data)} bytes"
            count += len(data)
            assert count <= limit, f"the reader goes on past the {limit} bytes that are there"
            blocks.append(data)
    finally:
        reader.close()
    return b"".join(blocks)


def assert_same(given: bytes, expected: bytes) -> None:
    """See that two byte strings are equal; the failure says where they part, and prints neither."""
    if given != expected:
        both = min(len(given), len(expected))
        at = next((at for at in range(both) if given[at] != expected[at]), both)
        raise AssertionError(f"{len(given)} bytes instead of {len(expected)}, other ones from offset {at} on")


class Trickle:
    """Gives its bytes in small, uneven pieces: less than asked, and never nothing before the end."""

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
    """Ends `missing` bytes before the end of its data."""

    def __init__(self, data: bytes, missing: int = 1):
        super().__init__(data[: len(data) - missing])


class Exploding(Trickle):
    """Gives all of its bytes, and raises `error` where the end would be."""

    def __init__(self, data: bytes, error: BaseException):
        super().__init__(data)
        self._error = error

    def read(self, size: int = -1, /) -> bytes:
        block = super().read(size)
        if not block and size != 0:
            raise self._error
        return block


class Endless:
    """Never ends by itself; after `fuse` bytes it fails, for nobody should have read that far."""

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
        """Nothing to let go of."""


class Flow:
    """`size` bytes that never lie in memory together; `sha256()` tells what was given so far."""

    def __init__(self, size: int):
        self.left = size
        self._block = pattern(1_048_573)  # a prime: no block or part ends where it ends
        self._digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        wanted = len(self._block) if size is None or size < 0 else size
        block = self._block[: min(wanted, self.left)]
        self.left -= len(block)
        self._digest.update(block)
        return block

    def close(self) -> None:
        """Nothing to let go of."""

    def sha256(self) -> str:
        return self._digest.hexdigest()


class Paused(Trickle):
    """Does `action` once, when at least `at` bytes were given: a slow source without sleep."""

    def __init__(self, data: bytes, at: int, action: Callable[[], object]):
        super().__init__(data)
        self._at = at
        self._action: Callable[[], object] | None = action

    def read(self, size: int = -1, /) -> bytes:
        if self._action is not None and self.given >= self._at:
            action, self._action = self._action, None
            action()
        return super().read(size)
