"""CheckedStore measures, hashes and bounds every upload."""

import dataclasses
import hashlib
import io

import pytest

from calotype.stores import (
    LOCATION_MAX,
    BadLocation,
    SourceBroken,
    SourceMismatch,
    SourceTooLarge,
    Stored,
    StoreError,
    Unavailable,
)
from calotype.stores.checked import CheckedStore
from calotype.stores.hashing import Digests
from calotype.stores.measured import BLOCK, Expectations, VerifyingReader
from calotype.testing import Exploding, MemoryStore, Short, Trickle
from core.tests.stores.checked import DATA, Bent, add, checked, read


@pytest.mark.parametrize("error", [SourceBroken("gone"), KeyError("ours"), Unavailable("another", "away")])
@pytest.mark.parametrize("made_of_it", [Unavailable("memory", "broke off"), ValueError("?"), None])
def test_an_error_of_the_source_reaches_the_caller_whatever_the_driver_raises_instead(error, made_of_it):
    """r1-H3: an error of the core is not reported as one of the client or store, and no bytes are kept."""
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


def test_bytes_that_the_backend_counted_differently_are_reported_as_damaged_and_removed():
    store = checked()
    driver = store.driver

    def damaging(key, source, given=None):
        return dataclasses.replace(MemoryStore.add(driver, key, source, given), md5="0" * 32)

    driver.add = damaging
    with pytest.raises(Unavailable, match="damaged on their way"):
        add(store)

    assert list(store.blobs()) == []


def test_the_source_is_read_in_the_block_size_of_the_core():
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
    with pytest.raises(BadLocation, match="a key consists of"):
        checked().add(key, source)

    assert source.given == 0


def test_the_driver_gets_the_length_as_a_hint():
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
        (Short, {"length": 5000}, SourceBroken, "Only 4999 of the announced 5000 bytes were sent."),
        (Trickle, {"length": 4999}, SourceBroken, "More than the announced 4999 bytes were sent."),
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
def test_a_source_that_does_not_meet_an_expectation_leaves_nothing(source, demands, error, sentence):
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
def test_a_source_that_meets_its_expectations_is_stored(demands):
    store = checked()

    assert read(store.get(add(store, **demands))) == DATA


def test_a_digest_that_is_not_computed_is_not_compared():
    assert CheckedStore(Bent(), algorithms=("sha256",)).add(
        "k", Trickle(DATA), Expectations(digests={"md5": "0"})
    )


def test_sha512_is_computed_only_if_it_is_declared():
    declared = Expectations(digests={"sha512": hashlib.sha512(DATA).hexdigest()})

    assert set(checked().add("k", Trickle(DATA), declared).digests) == {"sha256", "md5", "sha512"}
    assert set(checked().add("k", Trickle(DATA)).digests) == {"sha256", "md5"}
    with pytest.raises(SourceMismatch, match="did not match"):
        add(checked(), digests={"sha512": "0"})


def test_if_a_source_fails_the_driver_gets_source_broken():
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


def stopping_early(key, source, size=None):
    return Stored("blob:k", len(source.read(10)))


def test_a_driver_that_stops_reading_before_the_end_is_detected():
    with pytest.raises(StoreError, match="stopped before the end of the source"):
        add(checked(add=stopping_early))


def test_a_driver_may_stop_reading_exactly_at_the_end():
    def reading_once(key, source, size=None):
        return Stored("blob:k", len(source.read(1)))

    assert checked(add=reading_once).add("k", Trickle(b"x")).size == 1


def test_a_source_that_fails_after_the_driver_stopped_reading_is_noticed():
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
