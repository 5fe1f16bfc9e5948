"""The file store passes the conformance kit, in each of its ways to write."""

import contextlib
import errno
import os
from unittest import mock

import pytest

from calotype.testing import StoreConformance
from calotype_store_file import FileStore


class TestFileStore(StoreConformance):
    """Files have no name while they are written, so an upload that is killed leaves nothing."""

    leaves_attempts = False

    @pytest.fixture
    def store(self, tmp_path):
        store = FileStore("disk", FileStore.Options(path=tmp_path / "images"))
        store.create()
        return store

    def leftovers(self, store):
        return sorted(path for path in store.options.path.glob(".*") if path.name != ".calotype-store")

    @contextlib.contextmanager
    def full(self, store):
        """A quota that is smaller than the image."""
        yield FileStore(store.name, store.options.model_copy(update={"quota": 1000}))


class TestFileStoreWithoutUnnamedFiles(TestFileStore):
    leaves_attempts = True

    @pytest.fixture
    def store(self, tmp_path, without_unnamed_files):
        store = FileStore("disk", FileStore.Options(path=tmp_path / "images", fsync=False))
        store.create()
        return store

    @contextlib.contextmanager
    def full(self, store):
        """A disk that is full when the first bytes are written."""
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with mock.patch.object(os, "write", side_effect=full):
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
