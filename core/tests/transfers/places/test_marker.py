"""The marker of a place: its key, its content, and that no listing shows it."""

import dataclasses
import io

import pytest

from calotype.model.uploads import new_key
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import KEY, MARKER_KEY
from calotype.testing import MemoryStore
from calotype.testing.memory import Attempt
from calotype.transfers.markers import Marker, PlaceState
from core.tests.transfers.places.opening import open_place, put


def test_the_markers_key_is_valid_and_no_upload_ever_has_it():
    assert KEY.fullmatch(MARKER_KEY)
    assert not new_key("0" * 36).startswith(MARKER_KEY[:8])


def test_a_marker_is_read_as_it_was_written(database, options):
    place = open_place(database, MemoryStore("a", options))[1]
    place.create()

    assert place.look() is PlaceState.OWN
    assert (place.marker.database, place.marker.store) == (database.identity().id, "a")
    assert Marker.from_bytes(place.marker.to_bytes()) == place.marker


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"registry": 1}', b"x" * 9999])
def test_a_marker_that_cannot_be_read_is_foreign(database, options, data):
    put(options, MARKER_KEY, data)
    place = open_place(database, MemoryStore("a", options))[1]

    assert place.look() is PlaceState.FOREIGN
    assert "a marker that cannot be read" in place.remark()


def test_the_marker_is_never_listed(database, options):
    places, place = open_place(database, MemoryStore("a", options))
    place.create()
    store = places._stores["a"]

    assert list(store.blobs()) == list(store.attempts()) == []


def test_a_marker_is_not_listed_under_the_location_of_an_older_driver(database, options):
    """r1-A3: a new version of the driver writes another form of location."""

    class Newer(MemoryStore):
        def locate(self, key):
            return f"new:{key}"

    open_place(database, MemoryStore("a", options))[1].create()

    assert list(CheckedStore(Newer("a", options)).blobs()) == []


def test_a_marker_is_not_listed_where_locations_do_not_show_the_key(database, options):
    class Opaque(MemoryStore):
        def locate(self, key):
            return f"opaque:{key.encode().hex()}"

        def blobs(self):
            for blob in super().blobs():
                key = blob.location.removeprefix("blob:")
                yield dataclasses.replace(blob, location=self.locate(key))

    put(options, MARKER_KEY)
    put(options, "k")

    assert [blob.location for blob in CheckedStore(Opaque("a", options)).blobs()] == ["opaque:6b"]


def test_a_marker_that_was_begun_and_not_finished_is_not_listed(options):
    options.shelf.attempts[1] = Attempt(MARKER_KEY, io.BytesIO(b"half"))

    assert list(CheckedStore(MemoryStore("a", options)).attempts()) == []
