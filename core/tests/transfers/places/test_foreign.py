"""Foreign places, which belong to another database or store, are not used."""

import io

import pytest

from calotype.stores import Unavailable
from calotype.stores.contract import MARKER_KEY
from calotype.testing import MemoryStore
from calotype.transfers.markers import PlaceState
from core.tests.transfers.places.opening import USES, open_place, put


def test_a_place_of_another_database_is_foreign(database, stranger, options):
    """r1-A4: the case is a fresh database beside a full store."""
    open_place(stranger, MemoryStore("a", options))[1].create()
    place = open_place(database, MemoryStore("a", options))[1]

    assert place.look() is PlaceState.FOREIGN
    assert f"belongs to store 'a' of database {stranger.identity().id}" in place.remark()
    assert f"--claim a --from {stranger.identity().id}" in place.remark()


def test_a_place_of_another_store_of_the_same_database_is_foreign(database, options):
    """r1-A2: two store names whose options lead to one place."""
    open_place(database, MemoryStore("a", options))[1].create()
    place = open_place(database, MemoryStore("b", options))[1]

    assert place.look() is PlaceState.FOREIGN
    assert "its place is that of store 'a', and two stores cannot share one" in place.remark()


def test_errors_for_clients_name_no_database(database, stranger, options):
    open_place(stranger, MemoryStore("a", options))[1].create()
    places, _ = open_place(database, MemoryStore("a", options))
    with pytest.raises(Unavailable) as caught:
        places._stores["a"].check()

    assert str(caught.value) == "store 'a': its place belongs to another database or store"


@pytest.mark.parametrize("use", USES)
def test_a_foreign_place_is_not_used_at_all(database, stranger, options, use):
    open_place(stranger, MemoryStore("a", options))[1].create()
    put(options)
    places, place = open_place(database, MemoryStore("a", options))
    with pytest.raises(Unavailable, match="belongs to another database or store"):
        USES[use](places._stores["a"])

    assert options.shelf.blobs.keys() == {"k", MARKER_KEY}
    assert place.state is PlaceState.FOREIGN


@pytest.mark.parametrize("use", USES)
def test_a_store_that_returns_with_a_foreign_place_stays_unavailable(
    database, stranger, options, away, use, caplog
):
    open_place(stranger, MemoryStore("a", options))[1].create()
    put(options)
    places, place = open_place(database, away)
    places.start(named=True)
    assert place.state is PlaceState.UNKNOWN
    type(away).away = False
    for _ in range(2):
        with pytest.raises(Unavailable, match="belongs to another database or store"):
            USES[use](places._stores["a"])

    assert options.shelf.blobs.keys() == {"k", MARKER_KEY}
    assert caplog.text.count("take this one over") == 1


def test_a_store_that_returns_with_its_own_place_is_served(database, options, away):
    open_place(database, MemoryStore("a", options))[1].create()
    places, place = open_place(database, away)
    places.start(named=True)
    type(away).away = False

    assert places._stores["a"].add("k", io.BytesIO(b"x")).size == 1
    assert place.state is PlaceState.OWN


def test_a_known_place_costs_no_further_io(database, options):
    asked = []

    class Counting(MemoryStore):
        def get(self, location, offset=0, length=None):
            asked.append(location)
            return super().get(location, offset, length)

    places, place = open_place(database, Counting("a", options))
    place.create()
    asked.clear()
    store = places._stores["a"]
    store.get(store.add("k", io.BytesIO(b"x")).location).close()
    store.delete("blob:k")

    assert asked == ["blob:k"]


def test_a_place_that_an_operator_has_taken_over_is_used_again(database, stranger, options):
    open_place(stranger, MemoryStore("a", options))[1].create()
    places, place = open_place(database, MemoryStore("a", options))
    with pytest.raises(Unavailable):
        places._stores["a"].check()
    place_of_command = open_place(database, MemoryStore("a", options))[1]
    place_of_command.look()
    place_of_command.claim(place_of_command.marker)

    places._stores["a"].check()
    assert place.state is PlaceState.OWN
