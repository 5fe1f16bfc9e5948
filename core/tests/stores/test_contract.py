"""The defaults of the driver contract."""

import io

import pytest

from calotype.stores import BlobNotFound, Capability, Store, Unsupported
from calotype.stores.checked import CheckedStore
from calotype.testing import Trickle
from core.tests.stores.checked import DATA, Bent, add


class Bare(Store):
    def get(self, location, offset=0, length=None):
        return io.BytesIO(b"x")

    def size(self, location):
        return 1


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.add("k", Trickle(DATA)),
        lambda store: store.delete("x"),
        lambda store: store.register("x"),
        lambda store: store.blobs(),
    ],
)
def test_a_bare_driver_refuses_undeclared_operations(call):
    with pytest.raises(Unsupported):
        call(Bare("bare", Store.Options()))


def test_a_bare_driver_has_working_defaults():
    bare = Bare("bare", Store.Options())
    bare.create()
    bare.check()
    bare.close()
    bare.discard("k")

    assert (bare.locate("k"), bare.direct_url("x", 1), list(bare.attempts())) == (None, None, [])
    assert bare.capabilities == Capability.NONE


def test_the_default_discard_removes_the_blob_that_locate_names():
    driver = Bent()
    location = add(CheckedStore(driver))
    Store.discard(driver, "k")
    Store.discard(driver, "k")
    with pytest.raises(BlobNotFound):
        driver.get(location)
