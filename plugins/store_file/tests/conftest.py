"""Fixtures of the file store's tests."""

import errno
import os

import pytest

from calotype.testing import Trickle, pattern
from plugins.store_file.tests.stores import KEY, file_store


@pytest.fixture
def without_unnamed_files(monkeypatch):
    """A file system without O_TMPFILE, as NFS and FUSE are."""
    really_open = os.open

    def refuse(path, flags, *args, **kwargs):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return really_open(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)


@pytest.fixture
def store(tmp_path):
    store = file_store(tmp_path / "images")
    store.create()
    return store


@pytest.fixture
def blob(store):
    """The path of an image of 1,000 bytes, stored under KEY."""
    store.add(KEY, Trickle(pattern(1000)), 1000)
    return store.options.path / "0f" / KEY
