"""CheckedStore: the checks around every driver, which let drivers be simple."""

import logging

import pytest

from calotype.stores import (
    LOCATION_MAX,
    BadLocation,
    BlobNotFound,
    DirectUrl,
    External,
    Listing,
    SourceMismatch,
    Stored,
    StoreError,
    Unavailable,
    Unsupported,
    WritableStore,
)
from calotype.stores.checked import CheckedStore
from calotype.testing import Trickle
from core.tests.stores.checked import DATA, Bent, add, checked, raising, read

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
def test_store_errors_of_a_driver_are_not_converted(verb):
    error = Unavailable("bent", "away", retry_after=7)
    with pytest.raises(Unavailable) as caught:
        CALLS[verb](checked(**{verb: raising(error)}))

    assert caught.value is error


@pytest.mark.parametrize("verb", CALLS)
def test_an_exception_that_ends_a_thread_is_not_converted(verb):
    with pytest.raises(KeyboardInterrupt):
        CALLS[verb](checked(**{verb: raising(KeyboardInterrupt())}))


def test_discarding_a_key_without_bytes_succeeds():
    checked(discard=raising(BlobNotFound("bent", "nothing there"))).discard("k")


def test_a_failed_removal_is_logged_and_does_not_hide_the_first_error(caplog):
    store = checked(delete=raising(Unavailable("bent", "away")))
    with caplog.at_level(logging.ERROR), pytest.raises(SourceMismatch):
        add(store, digests={"md5": "0"})

    assert "store 'bent': could not remove a refused upload" in caplog.text


VERBS = {
    "add": (WritableStore, lambda store: store.add("k", Trickle(DATA))),
    "discard": (WritableStore, lambda store: store.discard("k")),
    "delete": (WritableStore, lambda store: store.delete("blob:k")),
    "register": (External, lambda store: store.register("memory:x")),
    "blobs": (Listing, lambda store: list(store.blobs())),
    "attempts": (Listing, lambda store: list(store.attempts())),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_whose_ability_is_withheld_is_refused_without_asking_the_driver(verb):
    ability, call = VERBS[verb]
    driver = Bent(**{verb: raising(AssertionError("the driver was asked"))})
    driver.withheld = frozenset({ability})
    with pytest.raises(Unsupported, match=r"^store 'bent': it "):
        call(CheckedStore(driver))


def test_a_driver_without_direct_urls_gives_none():
    class Linked(Bent, DirectUrl):
        def direct_url(self, location, expires):
            return "https://x"

    assert checked().direct_url("blob:k", 60) is None
    linked = Linked()
    assert CheckedStore(linked).direct_url("blob:k", 60) == "https://x"
    linked.withheld = frozenset({DirectUrl})
    assert CheckedStore(linked).direct_url("blob:k", 60) is None


def test_a_read_only_store_can_be_read_but_refuses_uploads():
    driver = Bent()
    location = add(CheckedStore(driver))
    store = CheckedStore(driver, read_only=True)

    assert read(store.get(location)) == DATA
    with pytest.raises(Unsupported):
        store.add("other", Trickle(DATA))
    with pytest.raises(Unsupported):
        store.delete(location)
    assert store.driver.ranges
    assert not store.can(WritableStore)


def test_a_checked_store_shows_its_name_and_driver():
    assert repr(checked()) == "<CheckedStore bent of Bent>"


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
def test_any_exception_of_a_driver_becomes_an_error_with_only_the_stores_name(verb):
    error = ConnectionError("https://key:hunter2@inside.example/")
    with pytest.raises(StoreError) as caught:
        CALLS[verb](checked(**{verb: raising(error)}))

    assert str(caught.value) == "store 'bent': its driver failed with ConnectionError"
    assert caught.value.__cause__ is error


def test_closing_closes_the_driver():
    closed = []
    checked(close=lambda: closed.append(True)).close()

    assert closed == [True]


def test_a_registered_location_that_is_too_long_is_refused():
    with pytest.raises(
        BadLocation, match=f"{LOCATION_MAX + 1} characters, and the database keeps {LOCATION_MAX}"
    ):
        checked(register=lambda uri: Stored("a" * (LOCATION_MAX + 1), 1)).register("memory:x")
