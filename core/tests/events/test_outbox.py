"""Reading the outbox: no event is lost or read twice, although transactions commit in any order."""

from __future__ import annotations

import datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from calotype.database.events import Kept
from calotype.events.outbox import OutboxReader, forget_old
from calotype.model.events import Event, EventKind
from calotype.model.states import Status
from tests.support.workbench import Bench

#: Seconds within which every transaction of this test ends. A reader keeps its position longer than that.
LONGEST = 15.0


def event(number: int) -> Event:
    at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    return Event(number, f"e{number}", EventKind.CHANGED, "i", Status.ACTIVE, None, at)


class Database:
    """The outbox of a database server: numbers are given in order, and transactions commit in any order."""

    def __init__(self) -> None:
        self.newest = 0
        self.visible: set[int] = set()

    def after(self, number: int, limit: int) -> list[Event]:
        return [event(one) for one in sorted(self.visible) if one > number][:limit]

    def kept(self) -> Kept:
        return Kept(min(self.visible, default=0), max(self.visible, default=0))


class Reading(RuleBasedStateMachine):
    """A reader beside transactions that begin, commit and are rolled back."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.database = Database()
        self.reader = OutboxReader(self.database, lambda: self.now)  # type: ignore[arg-type]
        self.reader.start()
        #: The numbers of open transactions, with the time at which each must have ended.
        self.open: dict[int, float] = {}
        self.read: list[int] = []

    @rule(count=st.integers(1, 3))
    def begin(self, count: int) -> None:
        for _ in range(count):
            self.database.newest += 1
            self.open[self.database.newest] = self.now + LONGEST

    @rule(data=st.data(), commits=st.booleans())
    def end(self, data: st.DataObject, commits: bool) -> None:
        if self.open:
            number = data.draw(st.sampled_from(sorted(self.open)))
            del self.open[number]
            if commits:
                self.database.visible.add(number)

    @rule(seconds=st.sampled_from([0.25, 5.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for number, until in list(self.open.items()):
            if until <= self.now:  # the database server ends it
                del self.open[number]

    @rule()
    def look(self) -> None:
        self.read += [one.number for one in self.reader.read()]

    @invariant()
    def the_position_is_before_every_event_that_may_still_appear(self) -> None:
        assert all(self.reader.position < number for number in self.open)
        assert all(number in self.read for number in self.database.visible if number <= self.reader.position)

    @invariant()
    def no_event_is_read_twice(self) -> None:
        assert len(set(self.read)) == len(self.read)

    def teardown(self) -> None:
        self.look()
        assert sorted(self.read) == sorted(self.database.visible)


Reading.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestReading = Reading.TestCase


def test_a_gap_that_stays_empty_does_not_hold_the_position_back_for_ever() -> None:
    now, database = 0.0, Database()
    reader = OutboxReader(database, lambda: now)  # type: ignore[arg-type]
    database.visible = {1, 2, 4}
    assert [one.number for one in reader.read()] == [1, 2, 4]
    assert reader.position == 2
    now = 31
    assert reader.read() == []
    assert reader.position == 4


def test_a_new_reader_begins_with_the_next_event_but_sees_a_gap_filled() -> None:
    database = Database()
    database.visible = {1, 2, 4}
    reader = OutboxReader(database, lambda: 0.0)  # type: ignore[arg-type]
    reader.start()
    assert reader.read() == []
    database.visible |= {3, 5}
    assert [one.number for one in reader.read()] == [3, 5]
    assert reader.position == 5


def test_numbers_with_gaps_everywhere_as_in_a_cluster_are_followed() -> None:
    now, database = 0.0, Database()
    reader = OutboxReader(database, lambda: now)  # type: ignore[arg-type]
    for number in range(1, 3000, 3):
        now += 0.1
        database.visible.add(number)
        assert [one.number for one in reader.read()] == [number]
    assert database.newest - reader.position < 3000
    assert reader.position > 1000


def test_the_newest_event_is_kept_so_that_the_numbers_are_known(bench: Bench) -> None:
    for _ in range(3):
        bench.reserve()
    before = bench.database.events.kept()
    assert not forget_old(bench.database, -1)
    kept = bench.database.events.kept()
    assert kept == Kept(before.newest, before.newest)
    assert before.oldest < before.newest


def test_old_events_are_removed_in_batches(bench: Bench, monkeypatch) -> None:
    monkeypatch.setattr("calotype.events.outbox._FORGOTTEN_AT_ONCE", 2)
    for _ in range(4):
        bench.reserve()
    assert forget_old(bench.database, -1)
    while forget_old(bench.database, -1):
        pass
    assert len(bench.database.events.after(0, 100)) == 1
