"""Passes: which copies the scrubber reads, in which order, how fast, and in which process."""

from __future__ import annotations

import datetime
import threading

import pytest
from sqlalchemy import update

from calotype.database.tables import LocationRow
from calotype.images.lifecycle import Lifecycle
from calotype.model.change import Change
from calotype.model.fields import ImageFields
from calotype.testing import Trickle
from calotype.transfers import comparing
from calotype.transfers.comparing import Interrupted, Pace
from calotype.transfers.readers import Announced
from calotype.transfers.scrubbing import COPY_COST
from core.tests.transfers.scrubbing.copies import DATA, LONG_AGO, Place
from tests.support.workbench import CALLER, Bench, make_catalog, make_settings


def test_external_copies_are_not_read(place: Place, bench: Bench) -> None:
    store = place.one
    store.schemes = ("memory",)
    store.shelf.foreign["there"] = DATA
    single = Lifecycle(place.database, make_catalog(store), make_settings())
    image = single.register(Change(CALLER, ImageFields(location="memory:there")))
    place.age(image.id)

    place.scrubber.run()

    assert store.read == []


def test_two_processes_that_want_a_store_at_once_do_not_both_get_it(place: Place) -> None:
    seen = place.database.scrubs.find("one")
    until = datetime.datetime.now(datetime.UTC)
    with place.database.unit() as unit:
        assert unit.scrubs.claim("one", "first", until, seen)
        assert unit.scrubs.release("one", "first", ended=True)
    seen = place.database.scrubs.find("one")
    with place.database.unit() as unit:
        assert unit.scrubs.claim("one", "first", until, seen)
    with place.database.unit() as unit:
        assert not unit.scrubs.claim("one", "second", until, seen)
        assert not unit.scrubs.count("one", "second", failed=False)


def test_the_wait_for_the_rate_ends_when_the_process_ends() -> None:
    ending = threading.Event()
    ending.set()

    with pytest.raises(Interrupted):
        Pace(1, ending).spend(1 << 40)


def test_a_pass_begins_with_unchecked_copies_and_continues_with_the_oldest_check(place: Place) -> None:
    ids = [place.upload() for _ in range(3)]
    row = LocationRow.__table__
    with place.database.engine.begin() as connection:
        for days, image_id in enumerate(ids[:2]):
            at = LONG_AGO + datetime.timedelta(days=days)
            connection.execute(update(row).where(row.c.image_id == image_id).values(checked_at=at))

    place.scrubber.run()

    assert place.one.read == [f"blob:{place.key(ids[number])}" for number in (2, 0, 1)]
    place.one.read.clear()
    place.scrubber.run()
    assert place.one.read == [], "copies that were just checked are not due"


def test_a_copy_that_is_minutes_old_is_not_read(place: Place) -> None:
    place.lifecycle.upload(Change(CALLER, ImageFields(store="one")), Announced(Trickle(DATA), len(DATA)))

    place.scrubber.run()

    assert place.one.read == []
    assert place.database.scrubs.all() == []


def test_one_process_at_a_time_scrubs_a_store(place: Place) -> None:
    place.upload()
    with place.database.unit() as unit:
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)
        assert unit.scrubs.claim("one", "another process", until, None)

    place.scrubber.run()

    assert place.one.read == []
    with place.database.unit() as unit:
        assert unit.scrubs.release("one", "another process")
    place.scrubber.run()
    assert len(place.one.read) == 1


def test_a_process_that_ends_releases_the_pass_and_another_continues_it(place: Place) -> None:
    for _ in range(3):
        place.upload()
    place.ending.set()

    place.scrubber.run()

    left = place.database.scrubs.find("one")
    assert (left.lease_until, left.ended_at, left.checked) == (None, None, 0)
    place.ending.clear()
    place.another().run()
    done = place.database.scrubs.find("one")
    assert (done.began_at, done.checked) == (left.began_at, 3)
    assert done.ended_at is not None


def test_the_scrubber_waits_so_that_it_reads_no_faster_than_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    ending = threading.Event()
    monkeypatch.setattr(ending, "wait", lambda seconds: waited.append(seconds))
    pace = Pace(1 << 20, ending)

    for _ in range(3):
        pace.spend(COPY_COST)

    assert waited == pytest.approx([2, 4, 6], abs=0.1)


def test_the_time_that_reading_takes_counts_towards_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a check would never reach its rate, and a pass would take longer than planned."""
    waited: list[float] = []
    ending, now = threading.Event(), 1000.0
    monkeypatch.setattr(ending, "wait", lambda seconds: waited.append(seconds))
    monkeypatch.setattr(comparing.time, "monotonic", lambda: now)
    pace = Pace(1 << 20, ending)

    for seconds in (0.5, 3):
        now += seconds
        pace.spend(1 << 20)
    pace.spend(1 << 20)

    assert waited == [0.5, 0, 1], "a slow read was made up for by a read that exceeds the rate"


def test_a_rate_too_low_for_the_period_is_logged_once_a_pass(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(bench, scrub_period=1e-9)
    place.upload()
    place.upload()
    seen = place.one.size

    def size_and_end(location: str) -> int | None:
        if len(place.one.read) == 5:
            place.ending.set()
        return seen(location)

    place.one.size = size_and_end

    place.scrubber.run()

    assert len([one for one in caplog.messages if "cannot keep to its period" in one]) == 1
    place.lifecycle.close()


def test_the_lease_of_a_pass_can_be_renewed(place: Place) -> None:
    now = datetime.datetime.now(datetime.UTC)
    with place.database.unit() as unit:
        assert unit.scrubs.claim("one", "somebody", now, None)
        unit.renew_leases(["one", "two"], "somebody", now + datetime.timedelta(minutes=1))

    assert place.database.scrubs.find("one").lease_until == now + datetime.timedelta(minutes=1)


def test_a_process_that_lost_its_lease_stops(place: Place) -> None:
    for _ in range(3):
        place.upload()
    seen = place.one.size

    def size_and_lose(location: str) -> int | None:
        with place.database.unit() as unit:
            held = place.database.scrubs.find("one")
            unit.scrubs.claim("one", "another process", datetime.datetime.now(datetime.UTC), held)
        return seen(location)

    place.one.size = size_and_lose

    place.scrubber.run()

    assert len(place.one.read) == 1
    assert place.database.scrubs.find("one").lease_until is not None, (
        "the lease of the other process was released"
    )
