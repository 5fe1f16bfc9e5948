"""The file store passes the conformance kit, in each of its ways to write."""

import contextlib
import errno
import os
from unittest import mock

import pytest

from calotype.testing import StoreConformance, Trickle
from calotype_store_file import FileStore


class TestFileStore(StoreConformance):
    """Files have no name while they are written, so an upload that is killed leaves nothing."""

    leaves_attempts = False
    abilities = frozenset({"WritableStore", "Listing", "LocalFiles", "Parts", "ranges"})
    location_form = "file:{key}"

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

    def leftovers(self, store):
        return sorted(path for path in store.options.path.glob(".*") if path.name != ".calotype-store")

    @contextlib.contextmanager
    def full(self, store):
        """A quota that another image has nearly used up."""
        size = self.span()
        location = store.add("another-image.1", Trickle(bytes(size)), size).location
        yield FileStore(store.name, store.options.model_copy(update={"quota": 2 * size - 1}))
        store.delete(location)

    @contextlib.contextmanager
    def too_small(self, store):
        """A quota that is smaller than the image."""
        yield FileStore(store.name, store.options.model_copy(update={"quota": self.span() - 1}))


class TestFileStoreWithoutUnnamedFiles(TestFileStore):
    """Its place goes away as a disk does that is not mounted: an empty directory remains."""

    leaves_attempts = True

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

    @contextlib.contextmanager
    def full(self, store):
        """A disk that is full when the first bytes are written."""
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with mock.patch.object(os, "pwrite", side_effect=full):
            yield store


@pytest.mark.campaign
class TestFileStoreWithAQuota(TestFileStore):
    sparse = False

    @pytest.fixture
    def store(self, tmp_path):
        options = FileStore.Options(path=tmp_path / "images", quota="1GiB", min_free="1MiB", fsync=False)
        store = FileStore("disk", options)
        store.create()
        return store
