"""The conformance kit of the present core against a driver that was written for contract 2.0."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from calotype_store_frozen import FrozenOptions, FrozenStore

from calotype.testing import StoreConformance


class TestFrozenStore(StoreConformance):
    """Images in a folder of the test's own. Each file with a dot in front is left over."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> FrozenStore:
        driver = FrozenStore("frozen", FrozenOptions(path=tmp_path / "images"))
        driver.create()
        return driver

    def leftovers(self, store: FrozenStore) -> list[Path]:
        return sorted(store.options.path.glob(".*"))

    @contextlib.contextmanager
    def take_away(self, store: FrozenStore) -> Iterator[None]:
        away = store.options.path.with_name("away")
        store.options.path.rename(away)
        try:
            yield
        finally:
            away.rename(store.options.path)
