"""Fixtures of the file store's tests."""

import errno
import os

import pytest


@pytest.fixture
def without_unnamed_files(monkeypatch):
    """A file system without O_TMPFILE, as NFS and FUSE are."""
    really_open = os.open

    def refuse(path, flags, *args, **kwargs):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return really_open(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
