"""The conformance kit against slots in a directory. The hooks use nothing of the driver but its options."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from calotype_store_blocks import BlockStore

from calotype.testing import StoreConformance

SLOT = 128 << 10


class TestBlockStore(StoreConformance):
    """1,600 slots of 128 KiB, which is 200 MiB. Slots that no image holds count as left over."""

    part_size = SLOT

    @pytest.fixture
    def store(self, tmp_path: Path) -> BlockStore:
        options = BlockStore.Options(path=tmp_path / "blocks", slot_size=SLOT, slots=1600)
        driver = BlockStore("blocks", options)
        driver.create()
        return driver

    def leftovers(self, store: BlockStore) -> list[object]:
        store.info()  # frees the slots of deleted images whose readers are closed
        with contextlib.closing(sqlite3.connect(store.options.path / "index.sqlite")) as index:
            return index.execute(
                "SELECT id, state, number FROM blobs LEFT JOIN slots ON blob = id WHERE state != 'live'"
            ).fetchall()

    @contextlib.contextmanager
    def take_away(self, store: BlockStore) -> Iterator[None]:
        path = store.options.path
        path.rename(path.with_name("away"))
        try:
            yield
        finally:
            path.with_name("away").rename(path)

    @contextlib.contextmanager
    def full(self, store: BlockStore) -> Iterator[BlockStore]:
        """Fill all slots that are free."""
        with contextlib.closing(sqlite3.connect(store.options.path / "index.sqlite")) as index, index:
            index.execute("UPDATE slots SET blob = 0 WHERE blob IS NULL")
        yield store
        with contextlib.closing(sqlite3.connect(store.options.path / "index.sqlite")) as index, index:
            index.execute("UPDATE slots SET blob = NULL WHERE blob = 0")
