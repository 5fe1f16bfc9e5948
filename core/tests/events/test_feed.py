"""The feed: limits, listeners that take nothing, waiters, and a database that fails in between."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from calotype.database.errors import DatabaseUnavailable
from calotype.events.feed import Ask, Feed, Subscription, TooManyListeners, TooManyOfCaller
from calotype.model.policy import Caller
from calotype.model.states import Status
from tests.support.workbench import CALLER, Bench

NEVER = float("inf")


class Woken:
    """A function that counts its calls."""

    count = 0

    def __call__(self) -> None:
        self.count += 1


def listen(feed: Feed, wake: Callable[[], object] | None = None, **given: object) -> Subscription:
    ask = Ask(**{"caller": CALLER, "counts_as": "a", "most": 10, **given})
    return feed.subscribe(ask, wake or Woken(), NEVER)


@pytest.fixture
def feed(bench: Bench) -> Feed:
    return Feed(bench.database, 2)


def test_a_caller_has_a_limit_of_its_own_and_the_process_has_one_for_all(feed: Feed) -> None:
    first = listen(feed)
    listen(feed)
    with pytest.raises(TooManyOfCaller):
        listen(feed)
    with pytest.raises(TooManyListeners):
        listen(feed, counts_as="b", most=2)
    feed.end(first)
    feed.end(first)  # a second call does nothing
    listen(feed)
    with pytest.raises(TooManyOfCaller):
        listen(feed)


def test_a_listener_that_takes_nothing_is_overrun_and_others_are_not(
    feed: Feed, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calotype.events.feed._WAITING_MAX", 3)
    lazy, eager = listen(feed), listen(feed)
    for _ in range(5):
        bench.reserve()
        feed.run()
        assert len(eager.take()) == 1
    assert (lazy.is_overrun, eager.is_overrun) == (True, False)


def test_a_waiter_is_woken_only_by_events_that_may_end_its_wait(feed: Feed, bench: Bench) -> None:
    image, woken = bench.reserve(), Woken()
    listen(feed, woken, image_id=image.id, wanted=Status.ACTIVE)
    with bench.database.unit() as unit:
        unit.change(image.id, {Status.QUEUED}, {"name": "n"})
    bench.reserve()
    feed.run()
    assert woken.count == 0
    with bench.database.unit() as unit:
        unit.move(image.id, {Status.QUEUED}, Status.ACTIVE)
    feed.run()
    assert woken.count == 1


def test_no_event_is_lost_if_the_database_fails_before_it_is_passed_on(
    feed: Feed, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = listen(feed)
    before = feed.position
    image = bench.reserve()

    def fail(image_ids: object) -> None:
        raise DatabaseUnavailable("The image database is not available at the moment.")

    with monkeypatch.context() as failing:
        failing.setattr(bench.database, "audiences", fail)
        feed.run()
    assert subscription.take() == []
    assert feed.position == before
    feed.run()
    assert [news.event.image_id for news in subscription.take()] == [image.id]
    assert feed.position > before


def test_a_caller_without_rights_gets_nothing(feed: Feed, bench: Bench) -> None:
    woken = Woken()
    listen(feed, woken, caller=Caller("u", "another"))
    bench.reserve()
    feed.run()
    assert woken.count == 0
