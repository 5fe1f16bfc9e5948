"""The file store passes the conformance kit, on a file system with unnamed files and on one without."""

import errno
import os

import pytest

from tintype.testing import StoreConformance
from tintype_store_file import FileStore


class TestFileStore(StoreConformance):
    @pytest.fixture
    def store(self, tmp_path):
        store = FileStore("disk", FileStore.Options(path=tmp_path / "images"))
        store.create()
        return store


class TestFileStoreWithoutUnnamedFiles(TestFileStore):
    """As on NFS and FUSE: O_TMPFILE is not supported."""

    @pytest.fixture
    def store(self, tmp_path, monkeypatch):
        really_open = os.open

        def refuse(path, flags, *args, **kwargs):
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            return really_open(path, flags, *args, **kwargs)

        monkeypatch.setattr(os, "open", refuse)
        store = FileStore("disk", FileStore.Options(path=tmp_path / "images"))
        store.create()
        return store


class TestFileStoreWithAQuota(TestFileStore):
    @pytest.fixture
    def store(self, tmp_path):
        options = FileStore.Options(path=tmp_path / "images", quota="1GiB", min_free="1MiB", fsync=False)
        store = FileStore("disk", options)
        store.create()
        return store
