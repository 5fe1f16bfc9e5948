"""Places: whose a store's place is, how that is found out, and what must not be done before it is known."""

import contextlib
import dataclasses
import io
import logging
import shutil
import threading

import pytest

from calotype.database.errors import NoIdentity
from calotype.database.tables import IdentityRow
from calotype.model.uploads import new_key
from calotype.stores import Capability, ConfigurationError, Misconfigured, Store, StoreError, Unavailable
from calotype.stores.bulkhead import Bounds
from calotype.stores.catalog import Catalog, Entry
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import KEY, MARKER_KEY
from calotype.stores.core_options import CoreOptions
from calotype.stores.discovery import Driver
from calotype.stores.errors import Overdue
from calotype.testing import MemoryStore
from calotype.transfers import places as module
from calotype.transfers.markers import Marker, PlaceState
from calotype.transfers.places import Places
from tests.support.workbench import open_database

WRITING = Capability.WRITE | Capability.DELETE


@pytest.fixture
def database(template, tmp_path):
    made = open_database(shutil.copy(template, tmp_path / "one.sqlite"))
    yield made
    made.close()


@pytest.fixture
def stranger(template, tmp_path):
    """A second database, with an id of its own."""
    made = open_database(shutil.copy(template, tmp_path / "two.sqlite"))
    with made.unit() as unit:
        unit.renew_identity()
    yield made
    made.close()


@pytest.fixture
def options():
    """The options that lead to one place."""
    return MemoryStore.Options()


def catalog(*drivers: Store, create: bool = False, read_only: bool = False) -> Catalog:
    entries = {
        driver.name: Entry(
            CheckedStore(driver, read_only=read_only),
            Driver(driver.name, type(driver), "tests", "1"),
            CoreOptions(create=create),
        )
        for driver in drivers
    }
    return Catalog(entries, drivers[0].name)


def open_place(database, driver, **kw):
    places = Places(database, catalog(driver, **kw))
    return places, places[driver.name]


def put(options, key="k", data=b"bytes"):
    return MemoryStore("other", options).add(key, io.BytesIO(data)).location


class Away(MemoryStore):
    away = True

    def __getattribute__(self, name):
        if name in ("get", "check", "create", "add", "delete", "discard") and type(self).away:
            raise Unavailable("a", "away")
        return super().__getattribute__(name)


@pytest.fixture
def away(options):
    """A store that cannot be reached until its class says that it is back."""

    class Store(Away):
        pass

    return Store("a", options)


# ---------------------------------------------------------------- the marker


def test_the_markers_key_is_a_key_that_no_upload_ever_has():
    assert KEY.fullmatch(MARKER_KEY)
    assert not new_key("0" * 36).startswith(MARKER_KEY[:8])


def test_a_marker_comes_back_as_it_was_written(database, options):
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
    options.shelf.attempts[1] = (MARKER_KEY, io.BytesIO(b"half"))

    assert list(CheckedStore(MemoryStore("a", options)).attempts()) == []


# ---------------------------------------------------------------- marking


def test_an_empty_place_is_marked_when_it_is_created(database, options):
    assert open_place(database, MemoryStore("a", options))[1].create() is PlaceState.OWN
    assert open_place(database, MemoryStore("a", options))[1].create() is PlaceState.OWN


@pytest.mark.parametrize("what", ["blob", "attempt"])
def test_a_place_that_holds_anything_is_not_marked_when_it_is_created(database, options, what):
    if what == "blob":
        put(options)
    else:
        options.shelf.attempts[1] = ("k", io.BytesIO(b"half"))
    place = open_place(database, MemoryStore("a", options))[1]

    assert place.create() is PlaceState.UNMARKED
    assert "because it holds something already: to see what is there" in place.remark()
    assert place.remark().endswith("run calotype-manage stores INI --claim a")


def test_a_place_whose_driver_cannot_list_counts_as_full(database, options):
    class Blind(MemoryStore):
        capabilities = WRITING

    place = open_place(database, Blind("a", options))[1]

    assert place.create() is PlaceState.UNMARKED
    assert "its driver cannot tell whether it is empty" in place.remark()


def test_a_place_is_not_taken_for_empty_while_it_is_away(database, options):
    class Unmounted(MemoryStore):
        def check(self):
            raise Unavailable(self.name, "not mounted")

    place = open_place(database, Unmounted("a", options))[1]
    with pytest.raises(Unavailable, match="not mounted"):
        place.look()

    assert place.state is PlaceState.UNKNOWN


def test_two_processes_that_create_one_place_at_once_both_have_it(database, options):
    both = threading.Barrier(2, timeout=10)

    class Racing(MemoryStore):
        def add(self, key, source, size=None):
            both.wait()
            return super().add(key, source, size)

    ended = []
    threads = [
        threading.Thread(target=lambda: ended.append(open_place(database, Racing("a", options))[1].create()))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ended == [PlaceState.OWN, PlaceState.OWN]


def test_two_registries_that_create_one_place_at_once_do_not_both_have_it(database, stranger, options):
    both = threading.Barrier(2, timeout=10)

    class Racing(MemoryStore):
        def add(self, key, source, size=None):
            both.wait()
            return super().add(key, source, size)

    ended = []

    def create(one):
        ended.append(open_place(one, Racing("a", options))[1].create())

    threads = [threading.Thread(target=create, args=(one,)) for one in (database, stranger)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(ended) == [PlaceState.FOREIGN, PlaceState.OWN]


def test_a_marker_that_another_process_has_not_finished_yet_is_waited_for(database, options, monkeypatch):
    waits = []

    class Claimed(MemoryStore):
        def add(self, key, source, size=None):
            raise module.Duplicate(self.name, "the key is taken")

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            open_place(database, MemoryStore("a", options))[1].create()

    monkeypatch.setattr(module.time, "sleep", wait)

    assert open_place(database, Claimed("a", options))[1].create() is PlaceState.OWN
    assert len(waits) == 2


def test_a_marker_that_is_never_finished_is_an_error_with_a_command(database, options, monkeypatch):
    class Claimed(MemoryStore):
        def add(self, key, source, size=None):
            raise module.Duplicate(self.name, "the key is taken")

    monkeypatch.setattr(module, "_PAUSE", 0)
    with pytest.raises(StoreError, match=r"begun and not finished.*--create a"):
        open_place(database, Claimed("a", options))[1].create()


def test_a_driver_whose_locate_and_add_differ_is_found_out(database, options):
    class Elsewhere(MemoryStore):
        def locate(self, key):
            return f"blob:{key}.x"

    with pytest.raises(StoreError, match="locate returns another location than its add"):
        open_place(database, Elsewhere("a", options))[1].create()
    assert options.shelf.blobs == {}


# ---------------------------------------------------------------- foreign places


def test_a_place_of_another_registry_is_foreign(database, stranger, options):
    """r1-A4: a fresh database beside a full store."""
    open_place(stranger, MemoryStore("a", options))[1].create()
    place = open_place(database, MemoryStore("a", options))[1]

    assert place.look() is PlaceState.FOREIGN
    assert f"belongs to store 'a' of database {stranger.identity().id}" in place.remark()
    assert f"--claim a --from {stranger.identity().id}" in place.remark()


def test_a_place_of_another_store_of_the_same_registry_is_foreign(database, options):
    """r1-A2: two store names whose options lead to one place."""
    open_place(database, MemoryStore("a", options))[1].create()
    place = open_place(database, MemoryStore("b", options))[1]

    assert place.look() is PlaceState.FOREIGN
    assert "its place is that of store 'a', and two stores cannot share one" in place.remark()


USES = {
    "add": lambda store: store.add("k", io.BytesIO(b"x")),
    "delete": lambda store: store.delete("blob:k"),
    "discard": lambda store: store.discard("k"),
    "get": lambda store: store.get("blob:k"),
    "size": lambda store: store.size("blob:k"),
    "blobs": lambda store: list(store.blobs()),
    "attempts": lambda store: list(store.attempts()),
    "check": lambda store: store.check(),
}


@pytest.mark.parametrize("use", USES)
def test_a_foreign_place_is_not_used_at_all(database, stranger, options, use):
    open_place(stranger, MemoryStore("a", options))[1].create()
    put(options)
    places, place = open_place(database, MemoryStore("a", options))
    with pytest.raises(Unavailable, match="belongs to another database or store"):
        USES[use](places._stores["a"])

    assert options.shelf.blobs.keys() == {"k", MARKER_KEY}
    assert place.state is PlaceState.FOREIGN


def test_what_is_told_to_clients_names_no_registry(database, stranger, options):
    open_place(stranger, MemoryStore("a", options))[1].create()
    places, _ = open_place(database, MemoryStore("a", options))
    with pytest.raises(Unavailable) as caught:
        places._stores["a"].check()

    assert str(caught.value) == "store 'a': its place belongs to another database or store"


@pytest.mark.parametrize("use", USES)
def test_a_store_that_comes_back_with_a_foreign_place_stays_degraded(
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


def test_a_store_that_comes_back_with_its_own_place_is_served(database, options, away):
    open_place(database, MemoryStore("a", options))[1].create()
    places, place = open_place(database, away)
    places.start(named=True)
    type(away).away = False

    assert places._stores["a"].add("k", io.BytesIO(b"x")).size == 1
    assert place.state is PlaceState.OWN


def test_a_place_that_was_seen_costs_no_more_io(database, options):
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


def test_a_place_that_an_operator_took_over_meanwhile_is_used_again(database, stranger, options):
    open_place(stranger, MemoryStore("a", options))[1].create()
    places, place = open_place(database, MemoryStore("a", options))
    with pytest.raises(Unavailable):
        places._stores["a"].check()
    place_of_command = open_place(database, MemoryStore("a", options))[1]
    place_of_command.look()
    place_of_command.claim(place_of_command.marker)

    places._stores["a"].check()
    assert place.state is PlaceState.OWN


# ---------------------------------------------------------------- stores that cannot be used


class Wrong(MemoryStore):
    """A store whose options lead nowhere."""

    def get(self, location, offset=0, length=None):
        raise Misconfigured(self.name, "its bucket does not exist: calotype-manage stores INI --create a")


def test_a_named_store_that_is_configured_wrongly_stops_the_start(database, options):
    """r1-E2: the command in its reason is the one to type."""
    places = Places(database, catalog(Wrong("a", options)), "x.ini data_dir=/d")
    with pytest.raises(ConfigurationError, match=r"stores x\.ini data_dir=/d --create a"):
        places.start(named=True)


def test_a_named_store_without_uploads_is_looked_at_too(database, options):
    """r1-E2"""

    class Wrong(MemoryStore):
        def check(self):
            raise Misconfigured(self.name, "its certificates are none")

    places = Places(database, catalog(Wrong("a", options), read_only=True))
    places.start(named=False)
    with pytest.raises(ConfigurationError, match="its certificates are none"):
        places.start(named=True)


@pytest.mark.parametrize(("named", "kind"), [(True, Away), (False, Wrong)])
def test_a_store_that_is_away_or_that_nobody_named_does_not_stop_the_start(
    database, options, caplog, named, kind
):
    """r1-E2: a driver of before Misconfigured raises Unavailable for all of it, and stops no start either."""
    places = Places(database, catalog(kind("a", options)))
    places.start(named=named)

    assert places["a"].state is PlaceState.UNKNOWN
    assert "store 'a': " in caplog.text
    assert "it is unavailable" in caplog.text


# ---------------------------------------------------------------- claiming


def test_a_full_place_is_claimed(database, options):
    location = put(options)
    place = open_place(database, MemoryStore("a", options))[1]
    place.look()

    assert place.contents() == module.Contents(1, 5, 0, (location,))
    assert place.claim(None) is PlaceState.OWN
    assert options.shelf.blobs.keys() == {"k", MARKER_KEY}


def test_a_foreign_place_is_claimed_and_its_owner_finds_out(database, stranger, options):
    theirs = open_place(stranger, MemoryStore("a", options))[1]
    theirs.create()
    place = open_place(database, MemoryStore("a", options))[1]
    place.look()

    assert place.claim(place.marker) is PlaceState.OWN
    assert theirs.look() is PlaceState.FOREIGN


def test_a_place_that_somebody_else_marked_after_it_was_shown_is_not_claimed(database, stranger, options):
    put(options)
    place = open_place(database, MemoryStore("a", options))[1]
    place.look()
    theirs = open_place(stranger, MemoryStore("a", options))[1]
    theirs.look()
    theirs.claim(None)
    with pytest.raises(StoreError, match="somebody else has marked its place meanwhile"):
        place.claim(None)

    assert theirs.look() is PlaceState.OWN


def test_a_place_with_the_rest_of_a_broken_attempt_to_mark_it_is_claimed(database, options):
    put(options)
    options.shelf.attempts[1] = (MARKER_KEY, io.BytesIO(b"half"))
    place = open_place(database, MemoryStore("a", options))[1]

    assert place.claim(None) is PlaceState.OWN
    assert options.shelf.attempts == {}


def test_a_driver_that_deletes_nothing_can_be_claimed_but_not_taken_over(database, stranger, options):
    class Keeping(MemoryStore):
        capabilities = Capability.WRITE | Capability.LISTING

    put(options)
    theirs = open_place(stranger, Keeping("a", options))[1]
    assert theirs.claim(None) is PlaceState.OWN
    place = open_place(database, Keeping("a", options))[1]
    place.look()
    with pytest.raises(StoreError, match="its driver deletes nothing"):
        place.claim(place.marker)


# ---------------------------------------------------------------- repairing


def test_an_own_place_may_be_repaired(database, options):
    places, place = open_place(database, MemoryStore("a", options))
    place.create()

    assert places.may_repair(places._stores["a"]) is None


@pytest.mark.parametrize("held", [True, False])
def test_an_unmarked_place_may_not_be_repaired(database, options, held):
    if held:
        put(options)
    places, _ = open_place(database, MemoryStore("a", options))

    assert "not marked as this database's" in places.may_repair(places._stores["a"])


def test_a_place_that_was_taken_over_since_it_was_seen_may_not_be_repaired(database, stranger, options):
    places, place = open_place(database, MemoryStore("a", options))
    place.create()
    theirs = open_place(stranger, MemoryStore("a", options))[1]
    theirs.look()
    theirs.claim(theirs.marker)

    assert "belongs to store 'a' of database" in places.may_repair(places._stores["a"])


def test_a_store_that_is_away_may_not_be_repaired(database, away):
    places, _ = open_place(database, away)

    assert places.may_repair(places._stores["a"]) == "away"


def test_a_read_only_store_has_no_marker_and_nothing_is_removed_from_it(database, options):
    places = Places(database, catalog(MemoryStore("a", options), create=True, read_only=True))
    places.start(named=True)

    assert "a" not in places
    assert options.shelf.blobs == {}
    assert places.may_repair(places._stores["a"]) is None


def test_a_store_that_deletes_and_takes_no_uploads_may_not_be_repaired(database, options):
    class Draining(MemoryStore):
        capabilities = Capability.DELETE | Capability.LISTING

    places = Places(database, catalog(Draining("a", options)))

    assert "it takes no uploads" in places.may_repair(places._stores["a"])


# ---------------------------------------------------------------- the start


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


def test_an_own_place_is_not_worth_a_word(database, options, caplog):
    places, _ = open_place(database, MemoryStore("a", options), create=True)
    places.start(named=True)
    places.start(named=True)

    assert caplog.text == ""


def test_a_named_store_with_a_foreign_place_stops_the_start_with_one_sentence(
    database, stranger, options, caplog
):
    open_place(stranger, MemoryStore("a", options))[1].create()
    places, _ = open_place(database, MemoryStore("a", options), create=True)
    with pytest.raises(ConfigurationError) as caught:
        places.start(named=True)

    assert ("\n" in str(caught.value), caplog.text) == (False, "")
    assert str(caught.value).startswith("store 'a': its place belongs to store 'a' of database")


def test_a_store_that_nobody_named_is_off_where_its_place_is_foreign(database, stranger, options, caplog):
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


def test_of_two_names_for_one_empty_place_one_has_it_and_the_start_stops(database, options):
    """r1-A2, on the first start of all."""
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


def test_a_driver_that_fails_oddly_does_not_stop_the_start(database, options, caplog):
    class Odd(MemoryStore):
        def create(self):
            raise OSError("no")

    places, _ = open_place(database, Odd("a", options), create=True)
    places.start(named=True)

    assert "store 'a': its driver failed with OSError" in caplog.text


def test_a_silent_store_keeps_the_start_no_longer_than_it_is_waited_for(
    database, options, caplog, monkeypatch
):
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
        assert (places["a"].state, "store 'a': it says nothing" in caplog.text) == (PlaceState.UNKNOWN, True)
        speaking.set()


def test_a_registry_that_lost_its_id_stops_the_start(database, options):
    with database.engine.begin() as connection:
        connection.execute(IdentityRow.__table__.delete())
    with pytest.raises(NoIdentity, match="db new-id"):
        open_place(database, MemoryStore("a", options))[0].start(named=True)


def test_a_new_id_is_another_one_and_the_only_one(database):
    before = database.identity()
    with database.unit() as unit:
        made = unit.renew_identity()

    assert database.identity() == made
    assert made.id != before.id
    with database.engine.connect() as connection:
        assert len(connection.execute(IdentityRow.__table__.select()).all()) == 1


@pytest.mark.parametrize("method", ["blobs", "attempts", "get"])
def test_a_place_that_cannot_be_looked_at_in_time_is_away(database, options, method):
    """Each request for a blob that is gone looks there, so a driver that hangs must not keep it. (r1-D3)"""
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
