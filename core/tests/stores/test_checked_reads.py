"""CheckedStore returns the requested range, or raises an error."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.stores import BlobChanged, StoreError
from calotype.stores.blob_readers import LimitedReader, is_plain_file
from calotype.stores.checked import CheckedStore
from calotype.stores.measured import BLOCK
from calotype.testing import Exploding, Trickle, pattern
from core.tests.stores.checked import DATA, Bent, add, checked, read


@given(
    size=st.integers(0, 60),
    offset=st.integers(0, 70),
    length=st.none() | st.integers(0, 70),
    native=st.booleans(),
    known=st.booleans(),
    step=st.integers(1, 20),
)
def test_a_range_is_a_slice_whether_the_driver_has_ranges_or_not(size, offset, length, native, known, step):
    data, driver = pattern(size), Bent()
    location = add(CheckedStore(driver), data)
    if not native:
        driver.ranges = False
        driver.get = lambda location, *range_: (
            Trickle(data) if not range_ else pytest.fail("a range was asked for")
        )
    expected = data[offset:] if length is None else data[offset : offset + length]
    store = CheckedStore(driver)
    try:
        reader = store.get(location, offset, length, size=size if known else None)
        found = b"".join(iter(lambda: reader.read(step), b""))
    except BlobChanged:
        # Never fewer bytes than were asked for, without saying so.
        assert offset > size or offset + (length or 0) > size
    else:
        assert found == expected


def test_a_range_beyond_the_end_is_refused():
    store = checked()
    location = add(store)
    with pytest.raises(BlobChanged):
        read(store.get(location, 6000, size=5000))


def test_a_blob_that_ends_too_early_is_reported_as_changed():
    store = checked(get=lambda location: Trickle(DATA[:100]))
    reader = store.get("blob:k", size=5000)
    with pytest.raises(BlobChanged, match="the blob ended 4900 bytes too early"):
        read(reader)


def test_a_blob_that_ends_before_the_range_is_reported_as_changed_and_closed():
    source = Trickle(DATA)
    store = checked(get=lambda location: source)
    store.driver.ranges = False
    with pytest.raises(BlobChanged, match="the blob ended 1000 bytes before the range"):
        store.get("blob:k", 6000, 1)

    assert source.closed


@pytest.mark.parametrize(("length", "at_once"), [(BLOCK, True), (BLOCK + 1, False)])
def test_a_short_range_is_read_in_the_call_that_opens_it(length: int, at_once: bool):
    source = Trickle(pattern(length))
    store = checked(get=lambda *range_: source)
    reader = store.get("blob:k", 100, length, size=10 * BLOCK)

    assert source.closed is at_once
    assert b"".join(iter(lambda: reader.read(BLOCK), b"")) == pattern(length)


def test_a_reader_that_fails_gets_the_stores_name():
    store = checked(get=lambda location: Exploding(b"", OSError("x")))
    reader = store.get("blob:k", size=10)
    with pytest.raises(StoreError, match="failed with OSError"):
        reader.read(5)


@pytest.mark.parametrize("held", [4999, 5001])
def test_a_file_of_the_wrong_size_is_refused_before_the_first_byte(tmp_path, held):
    path = tmp_path / "blob"
    path.write_bytes(bytes(held))
    opened = []

    def get(location, *range_):
        opened.append(path.open("rb"))
        return opened[0]

    with pytest.raises(BlobChanged, match=f"it holds {held} bytes of an image of 5000"):
        checked(get=get).get("blob:k", size=5000)

    assert opened[0].closed


def test_a_plain_file_behind_a_range_is_given_to_the_server(tmp_path):
    path = tmp_path / "blob"
    path.write_bytes(DATA)
    store = checked(get=lambda location: path.open("rb"))
    store.keeps_files = True
    store.driver.ranges = False
    reader = store.get("blob:k", 100, 50, size=5000)

    assert isinstance(reader, LimitedReader)
    assert reader.file.tell() == 100
    assert reader.read() == DATA[100:150]
    reader.close()
    assert reader.file.closed


def test_only_files_of_the_operating_system_are_plain(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"x")
    with path.open("rb") as buffered, path.open("rb", buffering=0) as raw:
        assert is_plain_file(buffered)
        assert is_plain_file(raw)
    assert not is_plain_file(io.BytesIO())
    assert not is_plain_file(io.BufferedReader(io.BytesIO()))
    assert not is_plain_file(Trickle(b""))
    assert LimitedReader("s", Trickle(b""), 1).file is None
