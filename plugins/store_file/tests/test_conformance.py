"""The file store passes the conformance kit, in each of its ways to write."""

import contextlib

import pytest

from calotype.testing import StoreConformance
from calotype_store_file import FileStore


class TestFileStore(StoreConformance):
    @pytest.fixture
    def store(self, tmp_path):
        store = FileStore("disk", FileStore.Options(path=tmp_path / "images"))
        store.create()
        return store

    @contextlib.contextmanager
    def take_away(self, store):
        path = store.options.path
        away = path.rename(path.with_name("away"))
        yield
        away.rename(path)

    def directory(self, store):
        return store.options.path


class TestFileStoreWithoutUnnamedFiles(TestFileStore):
    """Its place goes away as a disk does that is not mounted: an empty directory remains."""

    @pytest.fixture
    def store(self, tmp_path, without_unnamed_files):
        store = FileStore("disk", FileStore.Options(path=tmp_path / "images", fsync=False))
        store.create()
        return store

    @contextlib.contextmanager
    def take_away(self, store):
        with super().take_away(store):
            store.options.path.mkdir()
            yield
            store.options.path.rmdir()


@pytest.mark.campaign
class TestFileStoreWithAQuota(TestFileStore):
    @pytest.fixture
    def store(self, tmp_path):
        options = FileStore.Options(path=tmp_path / "images", quota="1GiB", min_free="1MiB", fsync=False)
        store = FileStore("disk", options)
        store.create()
        return store
