"""CheckedStore: what it does around every driver, so that a driver can be naive."""

import dataclasses
import hashlib
import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.stores import (
    BadLocation,
    BlobChanged,
    BlobNotFound,
    Capability,
    SourceBroken,
    SourceMismatch,
    SourceTooLarge,
    Store,
    Stored,
    StoreError,
    Unavailable,
    Unsupported,
)
from calotype.stores.blob_readers import LimitedReader, is_plain_file
from calotype.stores.checked import CheckedStore
from calotype.stores.hashing import Digests
from calotype.stores.measured import BLOCK, LOCATION_MAX, Expectations, VerifyingReader
from calotype.testing import Exploding, MemoryStore, Short, Trickle, pattern

DATA = pattern(5000)


class Bent(MemoryStore):
    """A MemoryStore whose methods can be replaced one by one."""

    def __init__(self, **methods):
        super().__init__("bent", MemoryStore.Options())
        for name, method in methods.items():
            setattr(self, name, method)


def checked(**methods) -> CheckedStore:
    return CheckedStore(Bent(**methods))


def raising(error: BaseException):
    def method(*args, **kw):
        raise error

    return method


def add(store: CheckedStore, data: bytes = DATA, key: str = "k", **demands) -> str:
    return store.add(key, Trickle(data), Expectations(**demands)).location


def read(reader) -> bytes:
    return b"".join(iter(lambda: reader.read(999), b""))


# ---------------------------------------------------------------- what is not declared is refused

VERBS = {
    "add": (Capability.WRITE, lambda store: store.add("k", Trickle(DATA))),
    "discard": (Capability.WRITE, lambda store: store.discard("k")),
    "delete": (Capability.DELETE, lambda store: store.delete("blob:k")),
    "register": (Capability.EXTERNAL, lambda store: store.register("memory:x")),
    "blobs": (Capability.LISTING, lambda store: list(store.blobs())),
    "attempts": (Capability.LISTING, lambda store: list(store.attempts())),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_whose_capability_is_not_declared_is_refused_without_asking_the_driver(verb):
    capability, call = VERBS[verb]
    driver = Bent(**{verb: raising(AssertionError("the driver was asked"))})
    driver.capabilities &= ~capability
    with pytest.raises(Unsupported, match=r"^store 'bent': it "):
        call(CheckedStore(driver))


def test_a_direct_url_that_is_not_declared_is_none():
    store = checked(direct_url=lambda location, expires: "https://x")

    assert store.direct_url("blob:k", 60) is None
    store.capabilities |= Capability.DIRECT_URL
    assert store.direct_url("blob:k", 60) == "https://x"


def test_a_read_only_store_reads_and_takes_nothing():
    driver = Bent()
    location = add(CheckedStore(driver))
    store = CheckedStore(driver, read_only=True)

    assert read(store.get(location)) == DATA
    with pytest.raises(Unsupported):
        store.add("other", Trickle(DATA))
    with pytest.raises(Unsupported):
        store.delete(location)
    assert store.can(Capability.RANGES)
    assert not store.can(Capability.WRITE | Capability.DELETE)


def test_a_checked_store_shows_its_name_and_driver():
    assert repr(checked()) == "<CheckedStore bent of Bent>"


# ---------------------------------------------------------------- errors get the store's name

CALLS = {
    "add": lambda store: store.add("k", Trickle(DATA)),
    "get": lambda store: store.get("blob:k"),
    "size": lambda store: store.size("blob:k"),
    "delete": lambda store: store.delete("blob:k"),
    "discard": lambda store: store.discard("k"),
    "locate": lambda store: store.locate("k"),
    "register": lambda store: store.register("memory:x"),
    "blobs": lambda store: list(store.blobs()),
    "attempts": lambda store: list(store.attempts()),
    "create": lambda store: store.create(),
    "check": lambda store: store.check(),
}


@pytest.mark.parametrize("verb", CALLS)
def test_whatever_a_driver_raises_becomes_an_error_with_the_stores_name_and_no_more(verb):
    error = ConnectionError("https://key:hunter2@inside.example/")
    with pytest.raises(StoreError) as caught:
        CALLS[verb](checked(**{verb: raising(error)}))

    assert str(caught.value) == "store 'bent': its driver failed with ConnectionError"
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("verb", CALLS)
def test_a_drivers_own_errors_are_let_through(verb):
    error = Unavailable("bent", "away", retry_after=7)
    with pytest.raises(Unavailable) as caught:
        CALLS[verb](checked(**{verb: raising(error)}))

    assert caught.value is error


@pytest.mark.parametrize("verb", CALLS)
def test_what_ends_a_thread_is_let_through(verb):
    with pytest.raises(KeyboardInterrupt):
        CALLS[verb](checked(**{verb: raising(KeyboardInterrupt())}))


def test_discarding_what_is_not_there_is_no_error():
    checked(discard=raising(BlobNotFound("bent", "nothing there"))).discard("k")


def test_closing_closes_the_driver():
    closed = []
    checked(close=lambda: closed.append(True)).close()

    assert closed == [True]


# ---------------------------------------------------------------- uploads are measured


@pytest.mark.parametrize("algorithms", [(), ("sha256",), ("sha256", "md5")])
def test_an_upload_is_counted_and_hashed(algorithms):
    received = CheckedStore(Bent(), algorithms=algorithms).add("k", Trickle(DATA))

    assert received.size == len(DATA)
    assert received.digests == {name: hashlib.new(name, DATA).hexdigest() for name in algorithms}


@pytest.mark.parametrize(
    "key", ["", "A", "a/b", "../x", "a\n", ".a", "a..b", "a" * 61, "\N{ARABIC-INDIC DIGIT ONE}"]
)
def test_a_key_that_the_core_does_not_make_is_refused(key):
    source = Trickle(DATA)
    with pytest.raises(BadLocation, match="a key is"):
        checked().add(key, source)

    assert source.given == 0


def test_the_length_is_the_drivers_hint():
    hints = []
    driver = Bent()
    driver.add = lambda key, source, size=None: (
        hints.append(size) or MemoryStore.add(driver, key, source, size)
    )
    CheckedStore(driver).add("k", Trickle(DATA), Expectations(length=5000))
    CheckedStore(driver).add("l", Trickle(DATA), Expectations(size=5000))

    assert hints == [5000, None]


@pytest.mark.parametrize(
    ("source", "demands", "error", "sentence"),
    [
        (Short, {"length": 5000}, SourceBroken, "Only 4999 of the announced 5000 bytes came."),
        (Trickle, {"length": 4999}, SourceBroken, "More than the announced 4999 bytes came."),
        (
            Trickle,
            {"size": 5001},
            SourceMismatch,
            "Supplied size (5001) and size generated",
        ),
        (
            Trickle,
            {"size": 10},
            SourceMismatch,
            "Supplied size (10) and size generated",
        ),
        (Trickle, {"limit": 4999}, SourceTooLarge, "The image is larger than the 4999 bytes allowed here."),
        (
            Trickle,
            {"digests": {"sha256": "0"}},
            SourceMismatch,
            "Supplied checksum (0) and checksum generated",
        ),
    ],
)
def test_a_source_that_breaks_a_demand_leaves_nothing(source, demands, error, sentence):
    store = checked()
    with pytest.raises(error) as caught:
        store.add("k", source(DATA), Expectations(**demands))

    assert str(caught.value).startswith(sentence)
    assert list(store.blobs()) == []


@pytest.mark.parametrize(
    "demands",
    [
        {"length": 5000},
        {"size": 5000},
        {"limit": 5000},
        {"digests": {"sha256": hashlib.sha256(DATA).hexdigest()}},
    ],
)
def test_a_source_that_keeps_its_demands_is_stored(demands):
    store = checked()

    assert read(store.get(add(store, **demands))) == DATA


def test_a_digest_that_is_not_computed_is_not_compared():
    assert add(checked(), digests={"sha512": "0"})


def test_the_driver_sees_a_source_that_fails_as_a_broken_one():
    seen = []

    def add(key, source, size=None):
        try:
            return Stored("blob:k", len(read(source)))
        except SourceBroken as error:
            seen.append(error)
            raise

    with pytest.raises(OSError, match="/secret/place"):
        checked(add=add).add("k", Exploding(DATA, OSError(28, "/secret/place")))

    assert [str(error) for error in seen] == ["The source of the image data failed: OSError."]


@pytest.mark.parametrize("error", [SourceBroken("gone"), KeyError("ours"), Unavailable("another", "away")])
@pytest.mark.parametrize("made_of_it", [Unavailable("memory", "broke off"), ValueError("?"), None])
def test_what_the_source_raises_reaches_the_caller_whatever_the_driver_makes_of_it(error, made_of_it):
    """r1-H3: a fault of ours is neither the client's nor the store's, and nothing is kept that hides it."""
    store = checked()
    driver = store.driver

    def add(key, source, size=None):
        try:
            read(source)
        except SourceBroken:
            if made_of_it is not None:
                raise made_of_it from None
        return MemoryStore.add(driver, key, io.BytesIO(DATA), size)

    driver.add = add
    with pytest.raises(type(error)) as caught:
        store.add("k", Exploding(DATA, error))

    assert caught.value is error
    assert list(store.blobs()) == []


def stopping_early(key, source, size=None):
    return Stored("blob:k", len(source.read(10)))


def test_a_driver_that_stops_before_the_end_is_found_out():
    with pytest.raises(StoreError, match="stopped before the end of the source"):
        add(checked(add=stopping_early))


def test_a_driver_that_stops_exactly_at_the_end_is_not_accused():
    def reading_once(key, source, size=None):
        return Stored("blob:k", len(source.read(1)))

    assert checked(add=reading_once).add("k", Trickle(b"x")).size == 1


def test_a_source_that_breaks_behind_what_the_driver_read_is_found_out():
    with pytest.raises(SourceBroken):
        checked(add=lambda key, source, size=None: Stored("blob:k", len(source.read(10)))).add(
            "k", Short(b"ab"), Expectations(length=2)
        )


@pytest.mark.parametrize("size", [None, 0, 4999, 5001])
def test_a_receipt_with_another_size_is_refused_and_the_bytes_are_withdrawn(size):
    store = checked()
    driver = store.driver

    def lying(key, source, given=None):
        return Stored(MemoryStore.add(driver, key, source, given).location, size)

    driver.add = lying
    with pytest.raises(StoreError, match=f"reports {size} bytes where 5000 were sent"):
        add(store)

    assert list(store.blobs()) == []


def test_bytes_that_the_backend_counted_otherwise_are_damaged_and_withdrawn():
    store = checked()
    driver = store.driver

    def damaging(key, source, given=None):
        return dataclasses.replace(MemoryStore.add(driver, key, source, given), md5="0" * 32)

    driver.add = damaging
    with pytest.raises(Unavailable, match="damaged on their way"):
        add(store)

    assert list(store.blobs()) == []


@pytest.mark.parametrize("location", ["", "a" * (LOCATION_MAX + 1), "caf\xe9", "a\nb"])
def test_a_receipt_with_a_location_that_cannot_be_kept_is_refused(location, caplog):
    store = checked(add=lambda key, source, size=None: Stored(location, len(read(source))))
    with pytest.raises(StoreError, match="a location that cannot be kept"):
        add(store)

    assert "could not remove a refused upload" in caplog.text


def test_a_source_is_read_no_further_than_its_end():
    class Once(io.BytesIO):
        ends = 0

        def read(self, size=-1, /):
            block = super().read(size)
            self.ends += not block
            return block

    source = Once(DATA)
    with Digests(()) as digests:
        measured = VerifyingReader(source, digests, Expectations())
        assert measured.read() == DATA
        assert measured.read(0) == b""
        assert not measured.ended
        assert [measured.read(), measured.read(), measured.read(None)] == [b""] * 3
        measured.close()

    assert source.ends == 1 + 1  # one for read(0), one for the end
    assert not source.closed


# ---------------------------------------------------------------- ranges


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
        driver.capabilities &= ~Capability.RANGES
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


def test_a_range_that_lies_behind_the_end_is_refused_rather_than_read_from_somewhere():
    store = checked()
    location = add(store)
    with pytest.raises(BlobChanged):
        read(store.get(location, 6000, size=5000))


def test_a_blob_that_ends_too_early_is_changed():
    store = checked(get=lambda location: Trickle(DATA[:100]))
    reader = store.get("blob:k", size=5000)
    with pytest.raises(BlobChanged, match="the bytes ended 4900 before their size"):
        read(reader)


def test_a_blob_that_ends_before_the_range_is_changed_and_closed():
    source = Trickle(DATA)
    store = checked(get=lambda location: source)
    store.capabilities &= ~Capability.RANGES
    with pytest.raises(BlobChanged, match="the bytes ended 1000 before the range"):
        store.get("blob:k", 6000, 1)

    assert source.closed


def test_a_reader_that_fails_gets_the_stores_name():
    store = checked(get=lambda location: Exploding(b"", OSError("x")))
    reader = store.get("blob:k", size=10)
    with pytest.raises(StoreError, match="failed with OSError"):
        reader.read(5)


@pytest.mark.parametrize("held", [4999, 5001])
def test_a_file_of_another_size_is_refused_before_the_first_byte(tmp_path, held):
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
    store = checked(get=lambda location: path.open("rb"), file_path=lambda location: "blob")
    store.capabilities &= ~Capability.RANGES
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


# ---------------------------------------------------------------- register


def test_a_registered_location_that_is_too_long_is_refused():
    with pytest.raises(
        BadLocation, match=f"{LOCATION_MAX + 1} characters, and the database keeps {LOCATION_MAX}"
    ):
        checked(register=lambda uri: Stored("a" * (LOCATION_MAX + 1), 1)).register("memory:x")


def test_a_withdrawal_that_fails_is_logged_and_hides_nothing(caplog):
    store = checked(delete=raising(Unavailable("bent", "away")))
    with caplog.at_level(logging.ERROR), pytest.raises(SourceMismatch):
        add(store, digests={"md5": "0"})

    assert "store 'bent': could not remove a refused upload" in caplog.text


def test_the_block_that_the_core_copies_by_is_asked_of_the_source():
    asked = []

    class Asking(Trickle):
        def read(self, size=-1, /):
            asked.append(size)
            return super().read(size)

    with Digests(()) as digests:
        measured = VerifyingReader(Asking(DATA), digests, Expectations())
        measured.read()
        measured.read(None)
        measured.read(17)

    assert asked == [BLOCK, BLOCK, 17]


# ---------------------------------------------------------------- the contract's own defaults


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
def test_a_bare_driver_refuses_what_it_does_not_declare(call):
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


def test_the_default_discard_removes_what_locate_names():
    driver = Bent()
    location = add(CheckedStore(driver))
    Store.discard(driver, "k")
    Store.discard(driver, "k")
    with pytest.raises(BlobNotFound):
        driver.get(location)
