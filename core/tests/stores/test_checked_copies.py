"""Copies that a driver makes inside its backend: their limits, and the checks of what it returns."""

from __future__ import annotations

import threading
import time

import pytest

from calotype.stores import (
    BadLocation,
    BlobChanged,
    Stored,
    StoreError,
    Unavailable,
    Unsupported,
    WritableStore,
    copying,
)
from calotype.stores import bulkhead as bulkheads
from calotype.stores.bulkhead import Bounds, Bulkhead
from calotype.stores.checked import CheckedStore
from calotype.stores.errors import Overdue
from calotype.stores.measured import Expectations, UploadResult
from calotype.testing import MemoryStore
from core.tests.stores.checked import DATA, add, checked, raising

SIZE = len(DATA)
DEMANDS = Expectations(length=SIZE, size=SIZE, digests={"sha256": "ab", "md5": "0" * 32})
SOON = 0.2


class Cloud(MemoryStore):
    """A store that copies from others of its kind inside their backend."""

    def copy_from(self, key, source, location, size):
        if not isinstance(source, Cloud):
            return None
        with self.shelf.lock:
            self._keep(key, source._held(location))
        return Stored(self.locate(key), size)


def cloud(**methods) -> CheckedStore:
    driver = Cloud("cloud", Cloud.Options())
    for name, method in methods.items():
        setattr(driver, name, method)
    return CheckedStore(driver)


@pytest.fixture
def source() -> CheckedStore:
    """A store with a blob at `blob:k`, which no test may read."""
    store = CheckedStore(Cloud("source", Cloud.Options()))
    add(store)
    store.driver.get = raising(AssertionError("it was read"))
    return store


def test_a_driver_copies_a_blob_that_nobody_reads(source):
    target = cloud()

    assert target.copy_from("k2", source, "blob:k", DEMANDS) == UploadResult("blob:k2", SIZE, DEMANDS.digests)
    assert target.size("blob:k2") == SIZE


@pytest.mark.parametrize("target", [cloud, checked], ids=["it cannot from there", "it never can"])
def test_a_driver_that_cannot_copy_is_none(target):
    other = checked()
    add(other)
    store = target()

    assert store.copy_from("k2", other, "blob:k", DEMANDS) is None
    assert list(store.blobs()) == []


def test_a_blob_of_unknown_size_is_not_copied(source):
    assert cloud().copy_from("k2", source, "blob:k", Expectations()) is None


@pytest.mark.parametrize("bad", ["", "Upper", "a/b"])
def test_a_key_that_the_core_does_not_make_is_refused(source, bad):
    with pytest.raises(BadLocation):
        cloud().copy_from(bad, source, "blob:k", DEMANDS)


def test_a_read_only_store_takes_no_copies(source):
    target = cloud()
    target.withheld |= {WritableStore}
    with pytest.raises(Unsupported):
        target.copy_from("k2", source, "blob:k", DEMANDS)


@pytest.mark.parametrize(
    ("stored", "sentence"),
    [
        (Stored("blob:k2", SIZE - 1), f"copied {SIZE - 1} bytes of an image of {SIZE}"),
        (Stored("blob:k2", None), "copied None bytes"),
        (Stored("blob:k2\n", SIZE), "a location that cannot be kept"),
        (Stored("blob:k2", SIZE, "1" * 32), "damaged"),
        (Stored("blob:k2", SIZE, "MD5"), "MD5"),
        ("blob:k2", "copy_from returned str"),
        (True, "copy_from returned bool"),
    ],
)
def test_a_copy_with_a_wrong_receipt_is_refused_and_removed(source, stored, sentence):
    removed = []
    target = cloud(copy_from=lambda *_: stored, delete=removed.append)
    with pytest.raises(StoreError, match=sentence):
        target.copy_from("k2", source, "blob:k", DEMANDS)

    assert removed == [getattr(stored, "location", "blob:k2")]


def test_an_error_about_the_source_keeps_its_name(source):
    target = cloud(copy_from=raising(BlobChanged("source", "it was replaced")))
    with pytest.raises(BlobChanged) as caught:
        target.copy_from("k2", source, "blob:k", DEMANDS)

    assert caught.value.store == "source"


def test_any_other_exception_gets_the_name_of_the_target(source):
    with pytest.raises(StoreError, match=r"store 'cloud': its driver failed with OSError"):
        cloud(copy_from=raising(OSError("secret"))).copy_from("k2", source, "blob:k", DEMANDS)


@pytest.mark.parametrize("whose", ["source", "target"])
def test_neither_store_is_used_unless_its_place_is_its_own(source, whose):
    class Foreign:
        def admit(self):
            raise Unavailable(whose, "its place belongs to another database")

    target = cloud(copy_from=raising(AssertionError("it was used")))
    {"source": source, "target": target}[whose].gate = Foreign()
    with pytest.raises(Unavailable, match=f"store '{whose}': its place"):
        target.copy_from("k2", source, "blob:k", DEMANDS)


def test_a_copy_is_observed_under_its_own_name(source):
    seen, target = [], cloud()
    target.observe = lambda store, operation, outcome, seconds: seen.append((store, operation, outcome))
    target.copy_from("k2", source, "blob:k", DEMANDS)

    assert seen == [("cloud", "copy_from", "ok")]


@pytest.fixture
def hurried(monkeypatch):
    """Bulkheads that look often; a copy may take 0.2 seconds."""
    for name, seconds in (("LOOK", 0.02), ("STALLED", 0.05), ("BRIEF", 0.02), ("QUEUE", 0.05)):
        monkeypatch.setattr(bulkheads, name, seconds)
    monkeypatch.setattr(copying, "COPY_RATE", SIZE / SOON)


def test_a_copy_may_take_longer_than_a_call_and_the_longer_the_larger_it_is(source, hurried):
    def slow(key, origin, location, size):
        time.sleep(4 * SOON)
        return Cloud.copy_from(target.driver, key, origin, location, size)

    target = cloud(copy_from=slow)
    target.bulkhead = Bulkhead("cloud", Bounds(call_timeout=SOON, stall_timeout=10 * SOON))

    assert target.copy_from("k2", source, "blob:k", DEMANDS) is not None


def late(target, source, result):
    """Let a copy hang until it was abandoned, and then return `result`; return the removed locations."""
    gate, removed = threading.Event(), []

    def hang(*_):
        assert gate.wait(30)
        return result

    target.driver.copy_from, target.driver.delete = hang, removed.append
    target.bulkhead = Bulkhead("cloud", Bounds(stall_timeout=SOON))
    began = time.monotonic()
    with pytest.raises(Overdue, match="it has not answered"):
        target.copy_from("k2", source, "blob:k", DEMANDS)
    assert time.monotonic() - began >= 2 * SOON
    assert target.bulkhead.hanging == 1
    gate.set()
    while target.bulkhead.hanging:
        assert time.monotonic() - began < 10
    time.sleep(0.1)
    return removed


def test_a_copy_that_hangs_is_abandoned_and_removed_when_it_ends(source, hurried):
    assert late(cloud(), source, Stored("blob:k2", SIZE)) == ["blob:k2"]


def test_an_abandoned_copy_that_was_not_made_leaves_nothing_to_remove(source, hurried, caplog):
    assert late(cloud(), source, None) == []
    assert "cleared away" not in caplog.text
