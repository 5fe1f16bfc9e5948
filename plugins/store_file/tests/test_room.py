"""The room of a file store: quotas, full disks, and images that can never fit."""

import contextlib
import errno
import os
import resource
from concurrent.futures import ThreadPoolExecutor

import pytest

from calotype.stores import (
    StoreFull,
    StoreInfo,
    TooLarge,
)
from calotype.testing import Endless, Trickle, pattern, read_all
from calotype_store_file import FileStore
from plugins.store_file.tests.stores import KEY, MARKER, everything_in, file_store
from tests.support import disks


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """A directory with 2 MiB of room: a tmpfs where one can be mounted, else writes that run out."""
    path = tmp_path / "small"
    path.mkdir()
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(disks.NoDisk):
            yield stack.enter_context(disks.small_disk(path, "2m"))
            return
    left, really_write = 2 << 20, os.pwrite

    def write(descriptor, data, position):
        nonlocal left
        if left < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left -= len(data)
        return really_write(descriptor, data, position)

    monkeypatch.setattr(os, "pwrite", write)
    yield path


@pytest.mark.parametrize("size", [3 << 19, None])
def test_an_upload_to_a_full_disk_gets_no_room_and_leaves_nothing(small_disk, size):
    (small_disk / MARKER).touch()
    store = file_store(small_disk)
    store.add("first", Trickle(pattern(1 << 20)))
    with pytest.raises(StoreFull, match="disk is full"):
        store.add(KEY, Trickle(pattern(3 << 19)), size)
    assert everything_in(store) == ["first"]

    assert store.add("a", Trickle(pattern(1000)), 1000).size == 1000


def test_a_part_of_the_disk_stays_free_by_default_and_the_store_says_that_it_is_full(tmp_path, monkeypatch):
    """r1-H1: the database may lie on the same disk, and a delete writes to it."""
    store = file_store(tmp_path / "images")
    store.create()
    store.check()
    really = os.fstatvfs

    def nearly_full(descriptor):
        disk = list(really(descriptor))
        disk[1], disk[2] = 1, 1 << 30  # f_frsize, f_blocks
        disk[4] = (1 << 30) // 100 - 1  # f_bavail
        return os.statvfs_result(disk)

    monkeypatch.setattr(os, "fstatvfs", nearly_full)
    with pytest.raises(StoreFull, match="disk is full"):
        store.add(KEY, Trickle(b"bytes"), 5)
    with pytest.raises(StoreFull, match="disk is full"):
        store.check()


def test_images_on_a_full_disk_can_be_read_and_deleted(tmp_path):
    """r1-H1"""
    store = file_store(tmp_path / "images")
    store.create()
    location = store.add(KEY, Trickle(b"bytes"), 5).location
    full = file_store(tmp_path / "images", min_free="1PiB")
    assert read_all(full.get(location), 10) == b"bytes"
    full.delete(location)


def test_a_freshly_mounted_file_system_is_accepted(small_disk):
    store = file_store(small_disk)
    if small_disk.is_mount():
        store.create()
    else:
        (small_disk / MARKER).write_text("disk")

    store.check()


@pytest.mark.parametrize("size", [2 << 20, None])
def test_a_file_larger_than_the_system_allows_is_too_large(store, size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    source = Trickle(pattern(2 << 20))
    try:
        assert store.info().largest == 1 << 20
        with pytest.raises(TooLarge):
            store.add(KEY, source, size)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert everything_in(store) == []
    assert source.given == 0 or size is None


def test_a_relative_path_is_refused():
    with pytest.raises(ValueError, match="must be an absolute path"):
        FileStore.Options(path="images")


def test_a_quota_can_be_used_to_its_last_byte(tmp_path):
    store = file_store(tmp_path / "images", quota=1000)
    store.create()

    assert store.add(KEY, Trickle(pattern(1000)), 1000).size == 1000
    with pytest.raises(StoreFull):
        store.add(f"{KEY}1", Trickle(b"x"), 1)


def test_concurrent_uploads_do_not_exceed_the_quota(tmp_path):
    store = file_store(tmp_path / "images", quota="1MB")
    store.create()

    def upload(number):
        try:
            return store.add(f"{number}", Trickle(pattern(300_000)), None)
        except StoreFull as refusal:
            return refusal

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(upload, range(8)))

    assert sum(not isinstance(result, StoreFull) for result in results) == 3
    assert sum(blob.size for blob in store.blobs()) == 900_000


def test_an_endless_source_stops_at_the_quota(tmp_path):
    store, source = file_store(tmp_path / "images", quota="1MB"), Endless()
    store.create()
    with pytest.raises(StoreFull):
        store.add(KEY, source, None)

    assert source.given < 1_200_000


@pytest.mark.parametrize("option", [{"quota": "999"}, {"min_free": "1PiB"}])
def test_an_image_that_can_never_fit_is_refused_before_its_first_byte(tmp_path, option):
    store, source = file_store(tmp_path / "images", **option), Trickle(pattern(1000))
    store.create()
    with pytest.raises(TooLarge, match=r"it can hold images of at most (999|0) bytes"):
        store.add(KEY, source, 1000)

    assert source.given == 0
    assert everything_in(store) == []


def test_an_image_that_fits_only_once_another_is_deleted_is_refused_before_its_first_byte(tmp_path):
    store, source = file_store(tmp_path / "images", quota="1500"), Trickle(pattern(1000))
    store.create()
    location = store.add("first", Trickle(pattern(1000)), 1000).location
    with pytest.raises(StoreFull, match="its quota is used up"):
        store.add(KEY, source, 1000)
    assert source.given == 0

    store.delete(location)
    assert store.add(KEY, source, 1000).size == 1000


def test_the_room_of_a_store_is_that_of_its_quota_and_of_its_disk(tmp_path):
    limited = file_store(tmp_path / "images", quota="1MB", min_free="0")
    limited.create()
    limited.add(KEY, Trickle(pattern(1000)), 1000)
    assert limited.info() == StoreInfo(1_000_000, 999_000, 1_000_000)

    disk = os.statvfs(tmp_path)
    whole = file_store(tmp_path / "images", min_free="0").info()
    assert whole.free <= whole.capacity == whole.largest <= disk.f_blocks * disk.f_frsize
    kept = file_store(tmp_path / "images", min_free="1GB").info()
    assert whole.capacity - kept.capacity == 1_000_000_000 or kept.capacity == 0
    usual = file_store(tmp_path / "images").info()
    assert whole.capacity - usual.capacity == min(256 << 20, disk.f_blocks * disk.f_frsize // 100)
    assert file_store(tmp_path / "images", min_free="1PiB").info() == StoreInfo(0, 0, 0)


def test_the_room_of_a_small_disk_is_its_size_without_the_bytes_to_keep_free(small_disk):
    if not small_disk.is_mount():
        pytest.skip("needs the right to mount a file system")
    (small_disk / MARKER).touch()
    store = file_store(small_disk, min_free="1MiB")
    assert store.info() == StoreInfo(1 << 20, 1 << 20, 1 << 20)

    store.add(KEY, Trickle(pattern(4096)))
    assert store.info().free <= (1 << 20) - 4096
    assert store.info().largest == 1 << 20
    with pytest.raises(TooLarge):
        store.add("a", Trickle(b""), (1 << 20) + 1)
