"""Claiming: an operator takes a place over."""

import io

import pytest

from calotype.stores import StoreError
from calotype.stores.contract import MARKER_KEY
from calotype.testing import MemoryStore
from calotype.testing.memory import Attempt
from calotype.transfers import places as module
from calotype.transfers.markers import PlaceState
from core.tests.transfers.places.opening import open_place, put


def test_a_place_that_holds_blobs_can_be_claimed(database, options):
    location = put(options)
    place = open_place(database, MemoryStore("a", options))[1]
    place.look()

    assert place.contents() == module.Contents(1, 5, 0, (location,))
    assert place.claim(None) is PlaceState.OWN
    assert options.shelf.blobs.keys() == {"k", MARKER_KEY}


def test_a_foreign_place_can_be_claimed_and_is_then_foreign_to_its_former_owner(database, stranger, options):
    theirs = open_place(stranger, MemoryStore("a", options))[1]
    theirs.create()
    place = open_place(database, MemoryStore("a", options))[1]
    place.look()

    assert place.claim(place.marker) is PlaceState.OWN
    assert theirs.look() is PlaceState.FOREIGN


def test_a_place_that_was_marked_after_it_was_shown_cannot_be_claimed(database, stranger, options):
    put(options)
    place = open_place(database, MemoryStore("a", options))[1]
    place.look()
    theirs = open_place(stranger, MemoryStore("a", options))[1]
    theirs.look()
    theirs.claim(None)
    with pytest.raises(StoreError, match="its place was marked by another process meanwhile"):
        place.claim(None)

    assert theirs.look() is PlaceState.OWN


def test_a_place_with_an_unfinished_marker_can_be_claimed(database, options):
    put(options)
    options.shelf.attempts[1] = Attempt(MARKER_KEY, io.BytesIO(b"half"))
    place = open_place(database, MemoryStore("a", options))[1]

    assert place.claim(None) is PlaceState.OWN
    assert options.shelf.attempts == {}
