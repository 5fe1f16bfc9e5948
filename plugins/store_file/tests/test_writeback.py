"""The disk begins with the bytes of an upload while others still arrive."""

import ctypes
import os

import pytest

from calotype.testing import Paused, pattern
from plugins.store_file.tests.stores import KEY

MIB = 1 << 20
#: The number of the system call cachestat on all architectures.
_CACHESTAT = 451


def dirty_pages(path):
    """Return how many pages of a file the disk has not begun with, according to Linux 6.5 or later."""
    system = ctypes.CDLL(None, use_errno=True)
    whole, counts = (ctypes.c_uint64 * 2)(), (ctypes.c_uint64 * 5)()
    with path.open("rb") as file:
        if system.syscall(_CACHESTAT, file.fileno(), whole, counts, 0):
            pytest.skip(os.strerror(ctypes.get_errno()))
    return counts[1]


@pytest.fixture(autouse=True)
def disk(tmp_path):
    """Skip tests if the files are in memory, where pages stay dirty."""
    file = tmp_path / "synced"
    with file.open("wb") as written:
        written.write(b"x")
        written.flush()
        os.fsync(written.fileno())
    if dirty_pages(file):
        pytest.skip("the folder for temporary files is not on a disk")


def test_the_disk_begins_with_32_mib_before_the_upload_ends(store, without_unnamed_files):
    dirty = []

    def look():
        (path,) = store.options.path.glob(".incoming-*")
        dirty.append(dirty_pages(path) * os.sysconf("SC_PAGESIZE"))

    store.add(KEY, Paused(pattern(41 * MIB), 40 * MIB, look), 41 * MIB)

    assert dirty[0] <= 8 * MIB
