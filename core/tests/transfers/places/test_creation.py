"""Creation: when a place is marked."""

import io
import threading

import pytest

from calotype.stores import Listing, StoreError, Unavailable
from calotype.testing import MemoryStore
from calotype.testing.memory import Attempt
from calotype.transfers import places as module
from calotype.transfers.markers import PlaceState
from core.tests.transfers.places.opening import open_place, put


def test_two_databases_that_create_one_place_at_once_do_not_both_get_it(database, stranger, options):
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


def test_an_empty_place_is_marked_on_creation(database, options):
    assert open_place(database, MemoryStore("a", options))[1].create() is PlaceState.OWN
    assert open_place(database, MemoryStore("a", options))[1].create() is PlaceState.OWN


@pytest.mark.parametrize("what", ["blob", "attempt"])
def test_a_place_that_holds_anything_is_not_marked_on_creation(database, options, what):
    if what == "blob":
        put(options)
    else:
        options.shelf.attempts[1] = Attempt("k", io.BytesIO(b"half"))
    place = open_place(database, MemoryStore("a", options))[1]

    assert place.create() is PlaceState.UNMARKED
    assert "because it holds something already: to see what is there" in place.remark()
    assert place.remark().endswith("run calotype-manage stores INI --claim a")


def test_a_place_whose_driver_cannot_list_is_not_marked_on_creation(database, options):
    class Blind(MemoryStore):
        withheld = frozenset({Listing})

    place = open_place(database, Blind("a", options))[1]

    assert place.create() is PlaceState.UNMARKED
    assert "its driver cannot report whether it is empty" in place.remark()


def test_an_unavailable_place_is_not_considered_empty(database, options):
    class Unmounted(MemoryStore):
        def check(self):
            raise Unavailable(self.name, "not mounted")

    place = open_place(database, Unmounted("a", options))[1]
    with pytest.raises(Unavailable, match="not mounted"):
        place.look()

    assert place.state is PlaceState.UNKNOWN


def test_two_processes_that_create_one_place_at_once_can_both_use_it(database, options):
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


def test_the_start_waits_for_a_marker_that_another_process_is_writing(database, options, monkeypatch):
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
    with pytest.raises(StoreError, match=r"begun but not finished.*--create a"):
        open_place(database, Claimed("a", options))[1].create()


def test_a_driver_whose_locate_and_add_differ_is_refused(database, options):
    class Elsewhere(MemoryStore):
        def locate(self, key):
            return f"blob:{key}.x"

    with pytest.raises(StoreError, match="locate and add return different locations"):
        open_place(database, Elsewhere("a", options))[1].create()
    assert options.shelf.blobs == {}
