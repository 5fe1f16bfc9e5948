"""The data and the holes of images, as the file system keeps them."""

import contextlib
import errno
import io
import os
import random

import pytest

from calotype.stores import BlobChanged, BlobNotFound, Extent
from calotype.stores.checked import CheckedStore
from calotype.stores.extents import shortened
from calotype.testing import Trickle, pattern
from calotype_store_file import FileStore

KEY = "0f3a9c11-5d6e-4f70-8a9b-0c1d2e3f4a5b.1"
MIB = 1 << 20
HOLE = 64 << 10


@pytest.fixture
def store(tmp_path):
    store = FileStore("disk", FileStore.Options(path=tmp_path / "images"))
    store.create()
    return store


class Blocks(io.BytesIO):
    """A source that returns at most `most` bytes at a time, like a slow connection."""

    def __init__(self, data, most):
        super().__init__(data)
        self._most = most

    def read(self, size=-1, /):
        return super().read(self._most if size < 0 else min(size, self._most))


def stored(store, data, most=MIB):
    """Store the bytes, and return their extents as the core gets them, without short holes."""
    location = store.add(KEY, Blocks(data, most)).location
    found = CheckedStore(store).extents(location, len(data))
    return shortened(found, len(data))


@pytest.mark.parametrize("size", [1, 4095, 4096, 3 * MIB + 17])
def test_an_image_without_zeros_is_one_extent_of_data(store, size):
    assert stored(store, b"x" * size) == [Extent(0, size)]


def test_an_empty_image_has_no_extents(store):
    assert stored(store, b"") == []


@pytest.mark.parametrize(
    ("pieces", "extents"),
    [
        ([MIB, -MIB], [Extent(0, MIB), Extent(MIB, MIB, False)]),
        ([-MIB, MIB], [Extent(0, MIB, False), Extent(MIB, MIB)]),
        ([-MIB], [Extent(0, MIB, False)]),
        (
            [MIB, -2 * MIB, MIB, -MIB],
            [
                Extent(0, MIB),
                Extent(MIB, 2 * MIB, False),
                Extent(3 * MIB, MIB),
                Extent(4 * MIB, MIB, False),
            ],
        ),
    ],
)
def test_zeros_that_were_not_written_are_holes(store, pieces, extents):
    data = b"".join(b"x" * size if size > 0 else bytes(-size) for size in pieces)

    assert stored(store, data) == extents


@pytest.mark.parametrize("most", [1000, HOLE - 1, HOLE, HOLE + 1, MIB])
def test_64_kib_of_zeros_at_a_multiple_of_64_kib_are_a_hole_in_whatever_blocks_they_arrive(store, most):
    data = b"x" * HOLE + bytes(HOLE) + b"x" * 5 * HOLE + bytes(3 * HOLE) + b"x"

    assert stored(store, data, most) == [
        Extent(0, HOLE),
        Extent(HOLE, HOLE, False),
        Extent(2 * HOLE, 5 * HOLE),
        Extent(7 * HOLE, 3 * HOLE, False),
        Extent(10 * HOLE, 1),
    ]


@pytest.mark.parametrize("most", [1, 100, 4096, HOLE + 7, MIB])
def test_bytes_between_holes_are_read_as_they_were_written(store, most):
    chance = random.Random(most)
    data = b"".join(
        chance.choice([bytes, pattern])(chance.choice([1, 4095, 4096, HOLE, HOLE + 1])) for _ in range(40)
    )[: 2000 if most == 1 else None]
    location = store.add(KEY, Blocks(data, most)).location

    with contextlib.closing(store.get(location)) as reader:
        assert reader.read() == data


def test_without_the_option_zeros_are_written(tmp_path):
    store = FileStore("disk", FileStore.Options(path=tmp_path / "images", sparse=False))
    store.create()

    assert stored(store, bytes(MIB)) == [Extent(0, MIB)]


def test_everything_but_zeros_is_in_an_extent_of_data(store):
    chance = random.Random(17)
    for number in range(20):
        pieces = [(chance.random() < 0.5, chance.randrange(1, MIB)) for _ in range(8)]
        data = b"".join(pattern(size, seed=number) if full else bytes(size) for full, size in pieces)
        for extent in stored(store, data):
            if not extent.is_data:
                assert not data[extent.offset : extent.offset + extent.length].strip(b"\0")
        store.delete(f"file:{KEY}")


@pytest.mark.parametrize("whence", [os.SEEK_DATA, os.SEEK_HOLE])
def test_an_image_on_a_file_system_that_reports_no_holes_is_one_extent_of_data(store, monkeypatch, whence):
    really = os.lseek

    def seek(descriptor, offset, how):
        if how == whence:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return really(descriptor, offset, how)

    monkeypatch.setattr(os, "lseek", seek)

    assert stored(store, b"x" * MIB + bytes(MIB)) == [Extent(0, 2 * MIB)]


def test_the_extents_of_a_missing_image_are_an_error(store):
    with pytest.raises(BlobNotFound):
        list(store.extents(f"file:{KEY}", 1))


@pytest.mark.parametrize("size", [9, 11])
def test_an_image_of_another_size_has_changed(store, size):
    location = store.add(KEY, Trickle(pattern(10))).location
    with pytest.raises(BlobChanged):
        list(store.extents(location, size))


def test_no_descriptor_stays_open_if_the_extents_are_not_read_to_the_end(store):
    location = store.add(KEY, Trickle(b"x" * MIB + bytes(MIB) + b"x" * MIB)).location
    before = os.listdir("/proc/self/fd")
    for _ in range(10):
        next(store.extents(location, 3 * MIB))

    assert len(os.listdir("/proc/self/fd")) == len(before)
