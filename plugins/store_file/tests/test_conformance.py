"""The file store passes the conformance kit, in each of its ways to write."""

import pytest

from calotype.testing import StoreConformance
from calotype_store_file import FileStore


class TestFileStore(StoreConformance):
    @pytest.fixture
    def store(self, tmp_path):
        store = FileStore("disk", FileStore.Options(path=tmp_path / "images"))
        store.create()
        return store


class TestFileStoreWithoutUnnamedFiles(TestFileStore):
    @pytest.fixture
    def store(self, tmp_path, without_unnamed_files):
        store = FileStore("disk", FileStore.Options(path=tmp_path / "images", fsync=False))
        store.create()
        return store


@pytest.mark.campaign
class TestFileStoreWithAQuota(TestFileStore):
    @pytest.fixture
    def store(self, tmp_path):
        options = FileStore.Options(path=tmp_path / "images", quota="1GiB", min_free="1MiB", fsync=False)
        store = FileStore("disk", options)
        store.create()
        return store
