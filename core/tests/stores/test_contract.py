"""The defaults of the driver contract."""

import io

import pytest

from calotype.stores import (
    BlobNotFound,
    DirectUrl,
    Extent,
    External,
    Listing,
    LocalFiles,
    Parts,
    Store,
    StoreInfo,
    WritableStore,
)
from calotype.stores.checked import CheckedStore
from core.tests.stores.checked import DATA, Bent, add


class Bare(Store):
    def get(self, location, offset=0, length=None):
        return io.BytesIO(b"x")

    def size(self, location):
        return 1


def test_a_bare_driver_has_working_defaults():
    bare = Bare("bare", Store.Options())
    bare.create()
    bare.check()
    bare.close()

    assert bare.info() == StoreInfo()
    assert list(bare.extents("x", 7)) == [Extent(0, 7)]
    assert list(bare.extents("x", 0)) == []
    assert (bare.ranges, bare.withheld) == (False, frozenset())


@pytest.mark.parametrize(
    ("base", "methods"),
    [
        (Store, ["get", "size"]),
        (WritableStore, ["get", "size", "add", "delete", "locate"]),
        (Listing, ["blobs", "attempts"]),
        (External, ["get", "register"]),
        (DirectUrl, ["direct_url"]),
        (LocalFiles, ["file_path"]),
        (Parts, ["begin", "put_part", "finish", "abort", "list_parts"]),
    ],
)
def test_a_class_that_lacks_a_method_of_its_ability_cannot_be_instantiated(base, methods):
    assert base.__abstractmethods__ == frozenset(methods)
    for lacking in methods:
        own = {name: lambda self: None for name in methods if name != lacking}
        with pytest.raises(TypeError, match=f"abstract method '?{lacking}"):
            type("Lacking", (base,), own)()


def test_the_default_of_open_uri_reads_the_registered_location():
    driver = Bent()
    driver.shelf.foreign["x"] = DATA
    opened = External.open_uri(driver, "memory:x")

    assert opened.size == len(DATA)
    assert opened.reader.read() == DATA


def test_the_default_discard_removes_the_blob_that_locate_names():
    driver = Bent()
    location = add(CheckedStore(driver))
    WritableStore.discard(driver, "k")
    WritableStore.discard(driver, "k")
    with pytest.raises(BlobNotFound):
        driver.get(location)
