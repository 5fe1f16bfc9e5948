"""Places in which fsck may remove objects."""

import pytest

from calotype.testing import MemoryStore
from calotype.transfers.places import Places
from core.tests.transfers.places.opening import catalog, open_place, put


def test_the_stores_own_place_may_be_repaired(database, options):
    places, place = open_place(database, MemoryStore("a", options))
    place.create()

    assert places.may_repair(places._stores["a"]) is None


@pytest.mark.parametrize("held", [True, False])
def test_an_unmarked_place_may_not_be_repaired(database, options, held):
    if held:
        put(options)
    places, _ = open_place(database, MemoryStore("a", options))

    assert "not marked as this database's" in places.may_repair(places._stores["a"])


def test_a_place_that_was_taken_over_meanwhile_may_not_be_repaired(database, stranger, options):
    places, place = open_place(database, MemoryStore("a", options))
    place.create()
    theirs = open_place(stranger, MemoryStore("a", options))[1]
    theirs.look()
    theirs.claim(theirs.marker)

    assert "belongs to store 'a' of database" in places.may_repair(places._stores["a"])


def test_an_unavailable_store_may_not_be_repaired(database, away):
    places, _ = open_place(database, away)

    assert places.may_repair(places._stores["a"]) == "away"


def test_a_read_only_store_has_no_marker_and_nothing_is_removed_from_it(database, options):
    places = Places(database, catalog(MemoryStore("a", options), create=True, read_only=True))
    places.start(named=True)

    assert "a" not in places
    assert options.shelf.blobs == {}
    assert places.may_repair(places._stores["a"]) is None
