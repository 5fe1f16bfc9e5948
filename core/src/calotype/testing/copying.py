"""Cases for `copy_from`: it makes a correct, independent copy, or returns None and changes nothing."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from calotype.stores import BlobNotFound, Duplicate, Store, Stored, WritableStore
from calotype.testing.harness import Harness, needs
from calotype.testing.memory import MemoryOptions, MemoryStore
from calotype.testing.readers import Trickle, assert_same, pattern


class Copying(Harness):
    """A driver that never copies passes, because the core then reads the bytes and calls `add`."""

    @needs(WritableStore)
    def test_a_copy_is_right_or_not_made(self, size: int) -> None:
        data, key, twin = pattern(size, seed=5), self.key(), self.twin()
        location = self.put(data)
        stored = self._copy(key, twin, location, size)

        if stored is not None:
            assert stored.location == self.writable.locate(key)
            assert stored.size in (size, None)
            assert_same(self.read(stored.location, size), data)
        assert_same(self.read(location, size), data)

    @needs(WritableStore)
    def test_a_copy_outlives_its_source(self) -> None:
        data, key = pattern(2 * self.span()), self.key()
        location = self.put(data)
        stored = self._copy(key, self.driver, location, len(data))
        self.writable.delete(location)

        if stored is not None:
            assert_same(self.read(stored.location, len(data)), data)

    @needs(WritableStore)
    def test_a_copy_from_a_store_of_another_kind_is_right_or_not_made(self) -> None:
        data, key, source = pattern(1000), self.key(), MemoryStore("memory", MemoryOptions())
        stored = self._copy(key, source, source.add("of-another.1", Trickle(data)).location, len(data))

        if stored is not None:
            assert_same(self.read(stored.location, len(data)), data)

    @needs(WritableStore)
    def test_a_copy_of_a_missing_blob_is_not_made(self) -> None:
        key, missing = self.key(), self.missing()
        stored = None
        with contextlib.suppress(BlobNotFound):
            stored = self._copy(key, self.driver, missing, 10)

        assert stored is None
        self.assert_nothing_under(key)

    @needs(WritableStore)
    def test_a_copy_to_a_taken_key_changes_nothing(self) -> None:
        data, key = pattern(1000), self.key()
        taken, location = self.add(key, Trickle(data)).location, self.put(pattern(2000, seed=1))
        stored = None
        with contextlib.suppress(Duplicate):
            stored = self.writable.copy_from(key, self.driver, location, 2000)

        assert stored is None
        assert_same(self.read(taken, len(data)), data)
        assert self.left_behind() == []

    def _copy(self, key: str, source: Store[Any], location: str, size: int) -> Stored | None:
        """Return the receipt of the copy. If the driver returns None, assert that it has stored nothing."""
        stored = self.writable.copy_from(key, source, location, size)
        if stored is None:
            with pytest.raises(BlobNotFound):
                self.driver.size(self.writable.locate(key))
            assert self.left_behind() == []
        return stored
