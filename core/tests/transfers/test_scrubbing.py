"""The scrubber over a real database and two stores in memory: what it takes, judges, writes and leaves."""

from __future__ import annotations

import contextlib
import datetime
import logging
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import update

from calotype.database.errors import LimitReached
from calotype.database.tables import LocationRow
from calotype.images.imports import ImportRequest, Origin
from calotype.images.lifecycle import Lifecycle
from calotype.model.change import Change
from calotype.model.changes import ImageFields
from calotype.model.errors import NoGoodCopy
from calotype.model.findings import FindingState
from calotype.stores import Capability, Reader, Stored, Unavailable
from calotype.testing import Trickle, pattern
from calotype.transfers.leases import LeaseMonitor
from calotype.transfers.readers import Announced
from calotype.transfers.scrubbing import COPY_COST, Interrupted, Pace
from tests.support.workbench import CALLER, Bench, Moody, make_catalog, make_settings

DATA = pattern(3000)
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


class Watched(Moody):
    """A store that tells what is read from it, and whose reads and checks fail when they are told to."""

    def __init__(self, name: str):
        super().__init__(name)
        self.read: list[str] = []
        self.away = False
        self.unreadable: set[str] = set()
        self.glitches = 0

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        self.read.append(location)
        if self.away or location in self.unreadable:
            raise Unavailable(self.name, "it does not answer")
        if self.glitches:
            self.glitches -= 1
            return Trickle(bytes(len(self._held(location))))
        return super().get(location, offset, length)

    def check(self) -> None:
        if self.away:
            raise Unavailable(self.name, "it does not answer")


class Place:
    """A lifecycle over two stores, and the means to damage what lies in them."""

    def __init__(self, bench: Bench, **settings: object):
        self.database = bench.database
        self.one, self.two, self.three = Watched("one"), Watched("two"), Watched("three")
        given = {"scrub_rate": 1 << 40, "lease": 1, **settings}
        self.lifecycle = Lifecycle(
            bench.database, make_catalog(self.one, self.two, self.three), make_settings(**given)
        )
        self.ending = threading.Event()
        self.scrubber = self.another()

    def another(self):
        """The scrubber of the first store, as another process has it."""
        return self.lifecycle.scrubbers(self.ending, only="one")[0]

    def upload(self, data: bytes = DATA, *, twice: bool = False) -> str:
        image = self.lifecycle.upload(
            Change(CALLER, ImageFields(store="one")), Announced(Trickle(data), len(data))
        )
        if twice:
            self.lifecycle.imports.submit(
                Change(CALLER, ImageFields(), image), ImportRequest(Origin.COPY, ("two",))
            )
            assert self.lifecycle.work()
        self.age(image.id)
        return image.id

    def age(self, image_id: str) -> None:
        row = LocationRow.__table__
        with self.database.engine.begin() as connection:
            connection.execute(update(row).where(row.c.image_id == image_id).values(created_at=LONG_AGO))

    def key(self, image_id: str, store: str = "one") -> str:
        return next(one.key for one in self.image(image_id).locations if one.store == store)

    def image(self, image_id: str):
        return self.database.find(image_id)

    def damage(self, image_id: str, data: bytes = DATA[::-1], store: str = "one") -> None:
        shelf = (self.one if store == "one" else self.two).shelf
        key = self.key(image_id, store)
        shelf.blobs[key] = (data, shelf.blobs[key][1])

    def quarantined(self) -> set[str]:
        found = set()
        for store in ("one", "two"):
            rows = self.database.scrubs.quarantined(store, datetime.datetime.now(datetime.UTC))
            found |= {copy.image_id for copy in rows}
        return found

    def findings(self, state: FindingState = FindingState.OPEN) -> set[tuple]:
        return {(one.kind, one.image_id) for one in self.database.findings(state).findings}


@pytest.fixture
def place(bench: Bench) -> Iterator[Place]:
    made = Place(bench)
    yield made
    made.lifecycle.close()


def read(place: Place, image_id: str) -> bytes:
    with contextlib.closing(place.lifecycle.reading.open(place.image(image_id))) as reader:
        return b"".join(iter(lambda: reader.read(1 << 16), b""))


# ---------------------------------------------------------------- what is taken, and when


def test_copies_that_were_never_checked_come_first_and_then_the_oldest_check(place: Place) -> None:
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
    assert place.one.read == [], "what was just checked was checked again"


def test_a_copy_that_is_minutes_old_is_left_alone(place: Place) -> None:
    place.lifecycle.upload(Change(CALLER, ImageFields(store="one")), Announced(Trickle(DATA), len(DATA)))

    place.scrubber.run()

    assert place.one.read == []
    assert place.database.scrubs.all() == []


def test_what_belongs_to_somebody_else_is_not_read(place: Place, bench: Bench) -> None:
    store = place.one
    store.schemes = ("memory",)
    store.shelf.foreign["there"] = DATA
    single = Lifecycle(place.database, make_catalog(store), make_settings())
    image = single.register(Change(CALLER, ImageFields(location="memory:there")))
    place.age(image.id)

    place.scrubber.run()

    assert store.read == []


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


def test_two_that_want_a_store_at_once_do_not_both_get_it(place: Place) -> None:
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


def test_a_process_that_ends_gives_the_pass_back_and_another_goes_on(place: Place) -> None:
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


def test_the_rate_bounds_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    ending = threading.Event()
    monkeypatch.setattr(ending, "wait", lambda seconds: waited.append(seconds))
    pace = Pace(1 << 20, ending)

    for _ in range(3):
        pace.spend(COPY_COST)

    assert waited == pytest.approx([2, 4, 6], abs=0.1)


def test_a_wait_ends_with_the_process() -> None:
    ending = threading.Event()
    ending.set()

    with pytest.raises(Interrupted):
        Pace(1, ending).spend(1 << 40)


def test_a_rate_that_does_not_allow_the_period_is_warned_of_once_a_pass(
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


# ---------------------------------------------------------------- what is judged


def test_a_store_that_is_away_has_no_bad_copies(place: Place) -> None:
    place.upload()
    place.one.away = True

    place.scrubber.run()

    assert place.quarantined() == set()
    assert place.findings() == set()


def test_a_store_that_goes_away_in_the_middle_has_no_bad_copies(place: Place) -> None:
    ids = [place.upload() for _ in range(2)]
    place.one.shelf.blobs.clear()
    seen = place.one.size

    def size_and_go(location: str) -> int | None:
        place.one.away = True
        return seen(location)

    place.one.size = size_and_go

    place.scrubber.run()

    assert place.quarantined() == set()
    assert place.findings() == set()
    assert [place.image(one).status_reason for one in ids] == [None, None]


def test_a_copy_that_cannot_be_read_is_reported_and_holds_up_no_other(place: Place) -> None:
    ids = [place.upload() for _ in range(3)]
    place.one.unreadable = {f"blob:{place.key(ids[0])}"}

    place.scrubber.run()

    assert place.quarantined() == set()
    assert place.findings() == {("unreadable", ids[0])}
    assert place.database.scrubs.find("one").checked == 2
    place.one.unreadable.clear()
    place.another().run()
    assert place.findings() == set()


def test_one_wrong_look_is_not_enough(place: Place) -> None:
    image_id = place.upload()
    place.one.glitches = 1

    place.scrubber.run()

    assert len(place.one.read) == 2
    assert place.quarantined() == set()
    assert read(place, image_id) == DATA


def test_a_bad_copy_is_reported_once_and_not_at_every_pass(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    image_id = place.upload()
    place.damage(image_id)

    for _ in range(3):
        place.another().run()
        with place.database.unit() as unit:
            unit.scrubs.make_quarantined_due("one")

    assert place.findings() == {("wrong digest", image_id)}
    assert len([one for one in caplog.records if one.levelno == logging.ERROR]) == 1
    with pytest.raises(NoGoodCopy):
        read(place, image_id)


def test_a_copy_of_an_image_that_is_deleted_meanwhile_is_no_finding(place: Place) -> None:
    image_id = place.upload()
    image, seen = place.image(image_id), place.one.size

    def delete_and_size(location: str) -> int | None:
        if place.image(image_id) is not None:
            place.lifecycle.delete(image, CALLER)
        return seen(location)

    place.one.size = delete_and_size

    place.scrubber.run()

    assert place.findings() == set()


def test_findings_about_copies_that_are_gone_are_closed_at_the_end_of_a_pass(place: Place) -> None:
    image_id = place.upload()
    place.damage(image_id)
    place.scrubber.run()
    place.lifecycle.delete(place.image(image_id), CALLER)
    place.upload()

    place.scrubber.run()

    assert place.findings() == set()


# ---------------------------------------------------------------- what is restored


def test_nothing_is_removed_when_the_other_copy_is_bad_too(place: Place) -> None:
    image_id = place.upload(twice=True)
    place.damage(image_id)
    place.damage(image_id, store="two")

    place.scrubber.run()

    assert len(place.one.shelf.blobs) == 1
    assert len(place.two.shelf.blobs) == 1
    assert place.findings() == {("wrong digest", image_id)}
    assert {one.state for one in place.database.findings().findings} == {"open"}
    assert len(place.database.findings(store="two").findings) == 1, "the other copy is suspect now"


def test_nothing_is_restored_into_a_read_only_store(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    image_id = place.upload(twice=True)
    place.damage(image_id)
    place.scrubber.store.capabilities &= ~(Capability.WRITE | Capability.DELETE)

    place.scrubber.run()

    assert place.image(image_id).locations[-1].quarantined
    assert [data for data, _ in place.one.shelf.blobs.values()] == [DATA[::-1]]
    assert "could not be restored" not in caplog.text
    assert read(place, image_id) == DATA


def test_a_restore_that_fails_is_tried_again(place: Place) -> None:
    image_id = place.upload(twice=True)
    place.damage(image_id)
    place.two.away = True
    place.scrubber.run()
    assert len(place.image(image_id).locations) == 2
    assert place.image(image_id).locations[-1].quarantined
    place.two.away = False

    with place.database.unit() as unit:
        unit.scrubs.make_quarantined_due("one")
    place.another().run()

    assert not any(one.quarantined for one in place.image(image_id).locations)
    assert [data for data, _ in place.one.shelf.blobs.values()] == [DATA]


def test_a_restore_that_a_sweep_took_over_is_tried_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """r1-H13: the pass broke off, and `scrub run` with a traceback."""
    image_id, sound = place.upload(twice=True), place.upload()
    place.damage(image_id)
    add = place.one.add

    def swept(*arguments: object) -> Stored:
        monkeypatch.undo()
        stored = add(*arguments)
        with monkeypatch.context() as impatient:
            impatient.setattr(LeaseMonitor, "expired", lambda watch, ends: set(ends))
            assert place.lifecycle.sweep().ended == 1
        return stored

    monkeypatch.setattr(place.one, "add", swept)
    place.scrubber.run()
    assert place.quarantined() == {image_id}
    assert f"blob:{place.key(sound)}" in place.one.read

    with place.database.unit() as unit:
        unit.scrubs.make_quarantined_due("one")
    place.another().run()

    assert place.quarantined() == set()
    assert read(place, image_id) == DATA


def test_a_restore_does_not_need_room_within_the_projects_limit(bench: Bench) -> None:
    place = Place(bench, project_bytes=2 * len(DATA))
    image_id = place.upload(twice=True)
    place.damage(image_id)

    place.scrubber.run()

    assert [data for data, _ in place.one.shelf.blobs.values()] == [DATA]
    assert place.database.usage(CALLER.project).bytes == 2 * len(DATA)
    with pytest.raises(LimitReached):
        place.upload()
    place.lifecycle.close()


def test_a_copy_is_made_from_the_copy_that_is_good(place: Place) -> None:
    """A job that copies an image, too, reports a bad source and takes another."""
    image_id = place.upload(twice=True)
    place.damage(image_id)

    place.lifecycle.imports.submit(
        Change(CALLER, ImageFields(), place.image(image_id)), ImportRequest(Origin.COPY, ("three",))
    )
    assert place.lifecycle.work()

    assert [data for data, _ in place.three.shelf.blobs.values()] == [DATA]
    assert place.findings() == {("wrong digest", image_id)}


def test_a_copy_in_quarantine_is_not_a_source(place: Place) -> None:
    image_id = place.upload()
    place.damage(image_id)
    place.scrubber.run()

    place.lifecycle.imports.submit(
        Change(CALLER, ImageFields(), place.image(image_id)), ImportRequest(Origin.COPY, ("two",))
    )
    assert place.lifecycle.work()

    (job,) = place.database.jobs_of(image_id)
    assert job.status == "failure"
    assert "quarantine" in job.message
    assert place.two.shelf.blobs == {}


def test_an_image_whose_only_good_copy_is_away_can_come_back(place: Place) -> None:
    image_id = place.upload(twice=True)
    place.damage(image_id)
    place.two.away = True
    place.scrubber.run()

    with pytest.raises(Unavailable):
        read(place, image_id)


def test_metadata_of_a_bad_image_is_as_before_but_for_the_reason(place: Place) -> None:
    image_id = place.upload()
    before = place.image(image_id)
    place.damage(image_id, DATA[:-1])

    place.scrubber.run()

    after = place.image(image_id)
    assert (after.status, after.updated_at, after.size) == (before.status, before.updated_at, before.size)
    assert "wrong size" in after.status_reason


def test_a_pass_that_goes_on_for_long_keeps_its_lease(place: Place) -> None:
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
    assert place.database.scrubs.find("one").lease_until is not None, "the other one's lease was given back"
