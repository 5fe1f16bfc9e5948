"""A driver that returns wrong values, or breaks the rules of reading, gets an error that names the store."""

import datetime
import io
import itertools
import threading
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.stores import (
    Blob,
    Extent,
    LocalFiles,
    Opened,
    Size,
    SourceBroken,
    Stored,
    StoreError,
    StoreInfo,
    StoreOptions,
    promises,
)
from calotype.stores.abilities import DirectUrl
from calotype.stores.checked import CheckedStore
from calotype.testing import MemoryStore, Trickle
from core.tests.stores.checked import DATA, Bent, add, checked, raising, read

NOW = datetime.datetime.now(datetime.UTC)


class Linked(Bent, DirectUrl, LocalFiles):
    """A driver with all abilities."""

    def direct_url(self, location, expires):
        return "https://example.com/k"

    def file_path(self, location):
        return "ab/k"


def linked(**methods):
    store = CheckedStore(Linked(**methods))
    store.accel = "/internal/"
    return store


def returning(value):
    return lambda *args, **kw: value


class Odd:
    """A reader that returns one value for ever."""

    def __init__(self, value):
        self.value = value

    def read(self, size=-1, /):
        return self.value

    def close(self):
        pass


USES = {
    "get": lambda store: read(store.get("blob:k", size=10)),
    "size": lambda store: store.size("blob:k"),
    "add": lambda store: store.add("k", Trickle(DATA)),
    "locate": lambda store: store.locate("k"),
    "register": lambda store: store.register("memory:x"),
    "open_uri": lambda store: store.open_uri("memory:x"),
    "direct_url": lambda store: store.direct_url("blob:k", 60),
    "file_path": lambda store: store.accel_path("blob:k"),
    "blobs": lambda store: list(store.blobs()),
    "attempts": lambda store: list(store.attempts()),
    "info": lambda store: store.info(),
    "extents": lambda store: list(store.extents("blob:k", 10)),
}
NEVER = (3.5, object(), types.SimpleNamespace(), ["x"])
WRONG = {
    "get": (*NEVER, None, b"bytes", Odd("text"), Odd(None), Odd(bytearray(5)), Odd(b"more than ten bytes")),
    "size": (*NEVER, -1, True, "7", 7.0),
    "add": (*NEVER, None, "blob:k", Stored(7, 5000), Stored("blob:k", "5000"), Stored("blob:k", 5000, "ABC")),
    "locate": (*NEVER, None, 7, b"blob:k"),
    "register": (*NEVER, None, Stored(None, 7), Stored("x", -1), Stored("x", "7")),
    "open_uri": (*NEVER, None, Opened(None, 7), Opened(Odd(b""), -7), Opened(Odd(b""), "7")),
    "direct_url": (
        *NEVER,
        7,
        b"https://x",
        "",
        "file:///etc/passwd",
        "https://x/\r\nSet-Cookie: a=b",
        "https://x/ y",
    ),
    "file_path": (
        *NEVER,
        None,
        "",
        "/etc/passwd",
        "../k",
        "ab/../../k",
        "ab/..",
        "a\r\nX: y",
        "a b",
        "a/./b",
    ),
    "blobs": (
        *NEVER[:3],
        [None],
        ["blob:k"],
        [Blob(None, 7, NOW)],
        [Blob("blob:k", -7, NOW)],
        [Blob("blob:k", None, NOW)],
        [Blob("blob:k", 7, None)],
        [Blob("blob:k", 7, NOW.replace(tzinfo=None))],
    ),
    "attempts": (*NEVER[:3], [Blob(None, 7, NOW)], [Blob("k", 7, "now")]),
    "info": (*NEVER, None, StoreInfo(capacity=-1), StoreInfo(free="7"), StoreInfo(largest=1.5)),
    "extents": (
        *NEVER[:3],
        [None],
        [(0, 10)],
        [Extent(0, 9)],
        [Extent(1, 9)],
        [Extent(0, 11)],
        [Extent(0, 5), Extent(4, 6)],
        [Extent(0, 10), Extent(10, 1)],
        (Extent(0, 0) for _ in iter(int, 1)),
        (Extent(at, 1) for at in itertools.count()),
    ),
}


@pytest.mark.parametrize(
    ("method", "value"), [(method, value) for method, values in WRONG.items() for value in values]
)
def test_a_wrong_value_of_a_driver_is_an_error_that_names_the_store(method, value):
    with pytest.raises(StoreError, match=r"^store 'bent': its ") as caught:
        USES[method](linked(**{method: returning(value)}))

    assert "example.com" not in str(caught.value)


def test_an_upload_with_a_wrong_receipt_is_removed():
    store = checked()
    driver = store.driver
    driver.add = lambda key, source, size=None: MemoryStore.add(driver, key, source, size).location
    with pytest.raises(StoreError, match="add returned str instead of Stored"):
        add(store)

    assert list(store.blobs()) == []


def test_a_driver_that_blames_the_source_without_reason_gets_the_blame():
    """A client would be told that its connection broke."""
    with pytest.raises(StoreError, match="blames the source, which has not failed"):
        add(checked(add=raising(SourceBroken("gone"))))


def test_a_driver_that_reads_the_source_in_two_threads_at_once_is_stopped():
    """The digests would be those of another order of the bytes."""
    entered, leave = threading.Event(), threading.Event()

    class Slow(Trickle):
        def read(self, size=-1, /):
            entered.set()
            assert leave.wait(10)
            return super().read(size)

    def twice(key, source, size=None):
        other = threading.Thread(target=source.read, args=(10,))
        other.start()
        assert entered.wait(10)
        try:
            return MemoryStore.add(store.driver, key, source, size)
        finally:
            leave.set()
            other.join()

    store = checked(add=twice)
    with pytest.raises(StoreError, match="its driver failed with RuntimeError"):
        store.add("k", Slow(DATA))


class Limited(StoreOptions):
    """Options with a size."""

    quota: Size


def test_the_value_of_an_option_is_a_size():
    """Its class is derived from int."""
    limit = Limited(quota="10MB").quota
    assert type(limit) is not int

    assert checked(info=lambda: StoreInfo(capacity=limit)).info() == StoreInfo(capacity=10_000_000)
    assert checked(size=lambda location: limit).size("blob:k") == 10_000_000


@given(st.lists(st.builds(Extent, st.integers(0, 12), st.integers(-1, 12), st.booleans()), max_size=4))
def test_accepted_extents_cover_each_byte_once(extents):
    store = checked(extents=lambda location, size: iter(extents))
    try:
        found = list(store.extents("blob:k", 10))
    except StoreError:
        covered = [at for extent in extents for at in range(extent.offset, extent.offset + extent.length)]
        assert covered != list(range(10)) or any(extent.length <= 0 for extent in extents)
    else:
        assert [at for e in found for at in range(e.offset, e.offset + e.length)] == list(range(10))


def test_after_too_many_extents_the_rest_is_data(monkeypatch):
    monkeypatch.setattr(promises, "EXTENTS_READ_MAX", 3)
    holes = [Extent(at, 1, False) for at in range(10)]

    assert checked(extents=lambda location, size: iter(holes)).extents("blob:k", 10) == [
        *holes[:3],
        Extent(3, 7),
    ]
    assert checked(extents=lambda location, size: iter(holes[:3])).extents("blob:k", 3) == holes[:3]


def test_right_values_pass():
    store = linked()
    location = add(store)

    assert store.direct_url(location, 60) == "https://example.com/k"
    assert store.accel_path(location) == "/internal/ab/k"
    assert store.info() == StoreInfo()
    assert list(store.extents(location, len(DATA))) == [Extent(0, len(DATA))]
    assert read(io.BytesIO(read(store.get(location)))) == DATA


@pytest.mark.parametrize("value", [None, b"bytes", 3.5])
def test_a_driver_whose_get_returns_no_reader_is_told_so(value):
    with pytest.raises(StoreError, match=r"get returned .* instead of a reader"):
        checked(get=returning(value)).get("blob:k")
