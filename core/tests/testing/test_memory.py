"""MemoryStore passes the conformance kit, except for the cases that limit its memory."""

import contextlib
from typing import ClassVar

import pytest

from calotype.testing import MemoryStore, StoreConformance


class TestMemoryStore(StoreConformance):
    part_size = 70_001
    listing_size = 1001
    survives_processes = False
    known_gaps: ClassVar = {
        "test_a_large_blob_is_never_whole_in_memory": "memory is where it keeps its bytes",
        "test_a_large_blob_never_fills_the_process": "memory is where it keeps its bytes",
    }

    @pytest.fixture
    def store(self):
        return MemoryStore("memory", MemoryStore.Options())

    def plant(self, store, data):
        name = f"planted-{len(store.shelf.foreign)}"
        store.shelf.foreign[name] = data
        return f"memory:{name}"

    def replant(self, store, planted, data):
        store.shelf.foreign[planted.removeprefix("memory:")] = data

    def uproot(self, store, planted):
        del store.shelf.foreign[planted.removeprefix("memory:")]

    @contextlib.contextmanager
    def take_away(self, store):
        store.options.shelf.is_away = True
        yield
        store.options.shelf.is_away = False

    @contextlib.contextmanager
    def full(self, store):
        yield MemoryStore(store.name, store.options.model_copy(update={"capacity": 10}))
