"""Cases for the bytes of a blob: runs of zeros, and sizes and offsets at which integers may overflow."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from calotype.stores import LocalFiles, WritableStore
from calotype.stores.measured import BLOCK
from calotype.testing.harness import Harness, needs
from calotype.testing.readers import Flow, Trickle, Zeros, assert_same, pattern, read_all

#: Name -> (start, end) of the zeros in a blob of the given size.
ZEROS: dict[str, Callable[[int], tuple[int, int]]] = {
    "everywhere": lambda size: (0, size),
    "the-first-byte": lambda size: (0, 1),
    "the-last-byte": lambda size: (size - 1, size),
    "all-but-the-first-byte": lambda size: (1, size),
    "all-but-the-last-byte": lambda size: (0, size - 1),
    "at-the-start": lambda size: (0, size // 2),
    "in-the-middle": lambda size: (size // 4, size - size // 4),
    "at-the-end": lambda size: (size // 2, size),
}
#: The maximum length of a key, in characters.
LONGEST_KEY = 200
#: A size in bytes whose offsets do not fit into 24 bits.
LARGE = (17 << 20) + 13
#: A size whose offsets do not fit into 32 bits, and the offsets of the bytes in it that are not zero.
HUGE = (4 << 30) + (2 << 20) + 13
MARKS = {
    at: pattern(16, seed=at % 97)
    for at in (0, (16 << 20) - 8, (2 << 30) - 8, (4 << 30) - 8, (4 << 30) + (1 << 20) + 5, HUGE - 16)
}


class Contents(Harness):
    """Every byte is read back as it was written, whatever its value and offset."""

    @needs(WritableStore)
    @pytest.mark.parametrize("place", ZEROS)
    @pytest.mark.parametrize("source", [Trickle, io.BytesIO], ids=["small-reads", "large-reads"])
    def test_zeros_are_bytes(self, place: str, source: Callable[[bytes], Trickle]) -> None:
        for size in (1, 1000, 4 * BLOCK, self.span()):
            start, end = ZEROS[place](size)
            data = bytearray(pattern(size))
            data[start:end] = bytes(end - start)
            stored = self.writable.add(self.key(), source(bytes(data)), size)

            assert stored.size == size
            assert self.driver.size(stored.location) in (size, None)
            assert_same(self.read(stored.location, size), bytes(data))

    @needs(WritableStore)
    def test_keys_that_differ_in_their_last_character_are_two(self) -> None:
        base = f"{self.key()[:8]}{'-0123456789abcdefghi' * 10}"[:LONGEST_KEY]
        for length in (41, 65, 101, 129, LONGEST_KEY):
            keys = [f"{base[: length - 1]}{last}" for last in "xy"]
            self._keys.extend(keys)
            blobs = [pattern(100, seed=length + number) for number in range(2)]
            locations = [
                self.writable.add(key, Trickle(data), 100).location
                for key, data in zip(keys, blobs, strict=True)
            ]
            assert [self.read(location, 100) for location in locations] == blobs

    @needs(WritableStore)
    @pytest.mark.parametrize("announced", [True, False], ids=["announced", "of-unknown-size"])
    def test_a_large_blob_is_whole_and_right_at_its_offsets(self, announced: bool) -> None:
        data = pattern(LARGE, seed=5)
        location = self.writable.add(self.key(), io.BytesIO(data), LARGE if announced else None).location

        assert self.driver.size(location) in (LARGE, None)
        assert_same(self.read(location, LARGE), data)
        for offset in ((16 << 20) - 5, 16 << 20, (16 << 20) + 1, LARGE - 1):
            reader = self.checked.get(location, offset, size=LARGE)
            assert_same(read_all(reader, limit=LARGE - offset), data[offset:])

    @needs(WritableStore)
    @pytest.mark.parametrize("announced", [True, False], ids=["announced", "of-unknown-size"])
    def test_a_blob_larger_than_one_request_is_whole(self, announced: bool) -> None:
        if self.request_max is None:
            pytest.skip(f"{type(self).__name__} sets no request_max")
        size = self.request_max + 1
        source, copy = Flow(size), Flow(size)
        location = self.writable.add(self.key(), source, size if announced else None).location
        reader = self.driver.get(location)
        try:
            while block := reader.read(BLOCK):
                assert_same(block, copy.read(len(block)))
        finally:
            reader.close()
        assert copy.left == 0

    @needs(WritableStore, ranges=True)
    def test_a_blob_of_more_than_4_gib_is_right_at_its_offsets(self) -> None:
        if not (isinstance(self.driver, LocalFiles) if self.sparse is None else self.sparse):
            pytest.skip(f"{type(self).__name__} is not sparse: 4 GiB of zeros would take too long")
        stored = self.writable.add(self.key(), Zeros(HUGE, MARKS), HUGE)

        assert (stored.size, self.driver.size(stored.location)) == (HUGE, HUGE)
        for at, mark in MARKS.items():
            reader = self.checked.get(stored.location, at, 16, size=HUGE)
            assert_same(read_all(reader, limit=16), mark)
