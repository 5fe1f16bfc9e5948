"""Files that the file store is writing, and the descriptors that it opens besides images."""

import errno
import os
import stat

import pytest

from calotype.stores import BlobChanged, Unavailable
from calotype.testing import Paused, Trickle, pattern
from plugins.store_file.tests.stores import KEY, file_store


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_only_the_owner_may_use_a_file_that_is_being_written(store, without_unnamed_files):
    modes = []

    def look():
        modes.extend(stat.S_IMODE(path.stat().st_mode) for path in store.options.path.glob(".incoming-*"))

    store.add(KEY, Paused(pattern(1000), 500, look), 1000)

    assert modes == [0o600]


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS])
def test_an_error_of_opening_a_file_without_a_name_is_the_error_of_the_upload(store, monkeypatch, code):
    really_open = os.open

    def fail(path, flags, *args, **kwargs):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(code, os.strerror(code))
        return really_open(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(Unavailable, match=os.strerror(code)):
        store.add(KEY, Trickle(b"x"), 1)


def test_files_that_are_no_images_leave_no_descriptor_open(store, blob):
    blob.unlink()
    os.mkfifo(blob)
    before = open_descriptors()
    for _ in range(3):
        with pytest.raises(BlobChanged):
            store.get(f"file:{KEY}")

    assert open_descriptors() == before


def test_new_directories_leave_no_descriptor_open(tmp_path):
    before = open_descriptors()
    for number in range(3):
        file_store(tmp_path / f"images-{number}").create()

    assert open_descriptors() == before
