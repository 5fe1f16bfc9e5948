"""The start of the service: places that are created, refused or examined later."""

import contextlib
import io
import logging
import threading

import pytest

from calotype.database.errors import NoIdentity
from calotype.database.tables import IdentityRow
from calotype.stores import ConfigurationError, Misconfigured
from calotype.stores.bulkhead import Bounds
from calotype.stores.errors import Overdue
from calotype.testing import MemoryStore
from calotype.transfers import places as module
from calotype.transfers.markers import PlaceState
from calotype.transfers.places import Places
from core.tests.transfers.places.opening import Away, catalog, open_place, put


def test_the_stores_own_place_logs_nothing(database, options, caplog):
    places, _ = open_place(database, MemoryStore("a", options), create=True)
    places.start(named=True)
    places.start(named=True)

    assert caplog.text == ""


def test_a_silent_store_delays_the_start_no_longer_than_its_timeout(database, options, caplog, monkeypatch):
    monkeypatch.setattr(module, "START_PATIENCE", 0.2)
    speaking = threading.Event()

    class Silent(MemoryStore):
        def get(self, location, offset=0, length=None):
            speaking.wait(30)
            return super().get(location, offset, length)

    other = MemoryStore("b", MemoryStore.Options())
    places = Places(database, catalog(Silent("a", options), other, create=True))
    with contextlib.closing(places._stores["a"]):
        places.start(named=True)
        assert places["b"].state is PlaceState.OWN
        assert places["a"].state is PlaceState.UNKNOWN
        assert "store 'a': it does not answer" in caplog.text
        speaking.set()


def test_a_database_that_lost_its_id_stops_the_start(database, options):
    with database.engine.begin() as connection:
        connection.execute(IdentityRow.__table__.delete())
    with pytest.raises(NoIdentity, match="db new-id"):
        open_place(database, MemoryStore("a", options))[0].start(named=True)


def test_a_new_id_replaces_the_old_one(database):
    before = database.identity()
    with database.unit() as unit:
        made = unit.renew_identity()

    assert database.identity() == made
    assert made.id != before.id
    with database.engine.connect() as connection:
        assert len(connection.execute(IdentityRow.__table__.select()).all()) == 1


class Wrong(MemoryStore):
    """A store whose options lead nowhere."""

    def get(self, location, offset=0, length=None):
        raise Misconfigured(self.name, "its bucket does not exist: calotype-manage stores INI --create a")


def test_a_named_misconfigured_store_stops_the_start(database, options):
    """r1-E2: the command in the reason can be copied to the command line."""
    places = Places(database, catalog(Wrong("a", options)), "x.ini data_dir=/d")
    with pytest.raises(ConfigurationError, match=r"stores x\.ini data_dir=/d --create a"):
        places.start(named=True)


def test_a_named_read_only_store_that_is_misconfigured_stops_the_start(database, options):
    """r1-E2"""

    class Wrong(MemoryStore):
        def check(self):
            raise Misconfigured(self.name, "its certificates are none")

    places = Places(database, catalog(Wrong("a", options), read_only=True))
    places.start(named=False)
    with pytest.raises(ConfigurationError, match="its certificates are none"):
        places.start(named=True)


@pytest.mark.parametrize(("named", "kind"), [(True, Away), (False, Wrong)])
def test_an_unavailable_or_unnamed_store_does_not_stop_the_start(database, options, caplog, named, kind):
    """r1-E2: a driver from before Misconfigured raises Unavailable instead, and does not stop it either."""
    places = Places(database, catalog(kind("a", options)))
    places.start(named=named)

    assert places["a"].state is PlaceState.UNKNOWN
    assert "store 'a': " in caplog.text
    assert "it is unavailable" in caplog.text


def test_only_the_places_that_the_settings_name_are_created_at_the_start(database):
    one, two = MemoryStore("a", MemoryStore.Options()), MemoryStore("b", MemoryStore.Options())
    Places(database, catalog(one, create=True)).start(named=True)
    Places(database, catalog(two)).start(named=True)

    assert (len(one.shelf.blobs), len(two.shelf.blobs)) == (1, 0)


@pytest.mark.parametrize(
    ("held", "create", "told"),
    [(False, False, "is empty and not marked"), (True, False, "--claim a"), (True, True, "--claim a")],
)
def test_a_place_that_is_not_marked_is_served_with_a_warning(database, options, caplog, held, create, told):
    if held:
        put(options)
    places, _ = open_place(database, MemoryStore("a", options), create=create)
    places.start(named=True)

    assert told in caplog.text
    assert places._stores["a"].add("new", io.BytesIO(b"x")).size == 1


def test_a_named_store_with_a_foreign_place_stops_the_start_with_one_sentence(
    database, stranger, options, caplog
):
    open_place(stranger, MemoryStore("a", options))[1].create()
    places, _ = open_place(database, MemoryStore("a", options), create=True)
    with pytest.raises(ConfigurationError) as caught:
        places.start(named=True)

    assert ("\n" in str(caught.value), caplog.text) == (False, "")
    assert str(caught.value).startswith("store 'a': its place belongs to store 'a' of database")


def test_an_unnamed_store_with_a_foreign_place_is_switched_off(database, stranger, options, caplog):
    closed = []

    class Closing(MemoryStore):
        def close(self):
            closed.append(self.name)

    open_place(stranger, MemoryStore("a", options))[1].create()
    other = MemoryStore("b", MemoryStore.Options())
    places = Places(database, catalog(Closing("a", options), other, create=True))
    places.start(named=False)

    assert list(places._stores.entries) == ["b"]
    assert "belongs to store 'a' of database" in places._stores.off["a"]
    assert closed == ["a"]
    assert caplog.text.count("belongs to store 'a' of database") == 1
    assert "a" not in places


def test_two_stores_with_one_empty_place_stop_the_start(database, options):
    """r1-A2: this applies to the very first start."""
    both = catalog(MemoryStore("a", options), MemoryStore("b", options), create=True)
    with pytest.raises(ConfigurationError, match="two stores cannot share one"):
        Places(database, both).start(named=True)


def test_a_place_that_cannot_be_created_does_not_stop_the_start(database, away, caplog):
    other = MemoryStore("b", MemoryStore.Options())
    places = Places(database, catalog(away, other, create=True))
    with caplog.at_level(logging.ERROR):
        places.start(named=True)

    assert "store 'a': away" in caplog.text
    assert list(places._stores.entries) == ["a", "b"]
    assert places["b"].state is PlaceState.OWN


def test_an_unexpected_error_of_a_driver_does_not_stop_the_start(database, options, caplog):
    class Odd(MemoryStore):
        def create(self):
            raise OSError("no")

    places, _ = open_place(database, Odd("a", options), create=True)
    places.start(named=True)

    assert "store 'a': its driver failed with OSError" in caplog.text


@pytest.mark.parametrize("method", ["blobs", "attempts", "get"])
def test_a_place_that_cannot_be_read_in_time_is_unavailable(database, options, method):
    """Each request for a missing blob reads the marker, so a driver that hangs must not block it. (r1-D3)"""
    gate = threading.Event()

    class Hanging(MemoryStore):
        def __getattribute__(self, name):
            if name == method:
                gate.wait(30)
            return super().__getattribute__(name)

    _, place = open_place(database, Hanging("a", options))
    place._driver.bulkhead.bounds = Bounds(call_timeout=0.1)
    try:
        with pytest.raises(Overdue):
            place.look()
    finally:
        gate.set()
