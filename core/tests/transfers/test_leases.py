"""Leases are told by a clock that nobody sets, whatever the clocks of those say who wrote them down."""

import datetime

import pytest

from calotype.model.changes import new_id
from calotype.model.images import Status
from calotype.stores.measured import Expectations
from calotype.testing import Trickle
from calotype.transfers.leases import LeaseMonitor
from tests.support.workbench import OWNER, begin_upload, make_bench, make_settings

LEASE = 60
HOUR = 3600


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watch(clock):
    return LeaseMonitor(LEASE, clock)


def ends_in(seconds):
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)


def test_what_was_never_taken_is_free_at_once(watch):
    assert watch.expired({"job": None}) == {"job"}


def test_a_lease_that_is_over_by_the_registry_is_watched_for_two_thirds_of_it(watch, clock):
    leases = {"key": ends_in(-1)}

    assert watch.expired(leases) == set()
    assert watch.seconds_until_certain() == LEASE * 2 / 3
    clock.now += LEASE * 2 / 3 - 1
    assert watch.expired(leases) == set()
    clock.now += 1
    assert watch.expired(leases) == {"key"}
    assert watch.seconds_until_certain() == 0


def test_the_watch_begins_before_the_end(watch, clock):
    end = ends_in(0.05)
    assert watch.expired({"key": end}) == set()
    clock.now += LEASE
    while datetime.datetime.now(datetime.UTC) <= end:
        pass

    assert watch.expired({"key": end}) == {"key"}


def test_a_clock_that_was_set_forwards_ends_no_lease_that_is_renewed(watch, clock):
    for turn in range(20):
        assert watch.expired({"key": ends_in(-HOUR + turn)}) == set()
        clock.now += LEASE / 3


def test_a_clock_that_was_set_back_keeps_no_lease_for_ever(watch, clock):
    leases = {"key": ends_in(HOUR)}

    assert watch.expired(leases) == set()
    assert watch.seconds_until_certain() == LEASE
    clock.now += LEASE
    assert watch.expired(leases) == {"key"}


def test_what_looks_alive_is_in_no_doubt(watch):
    watch.expired({"key": ends_in(LEASE - 1)})

    assert watch.seconds_until_certain() == 0


def test_what_was_not_seen_in_between_is_seen_for_the_first_time(watch, clock):
    end = ends_in(-1)
    watch.expired({"key": end})
    watch.expired({})
    clock.now += LEASE

    assert watch.expired({"key": end}) == set()


def test_an_upload_that_ends_between_a_sweeps_look_and_its_claim_keeps_its_bytes(template, monkeypatch):
    with make_bench(template, settings=make_settings(lease=1.0)) as bench:
        image_id, key = new_id(), f"{new_id()}.attempt"
        with bench.database.unit() as unit:
            unit.add_image(image_id, {"owner": "default"}, {})
            unit.move(image_id, {Status.QUEUED}, Status.SAVING)
            begin_upload(unit, image_id, key, "memory")
            unit.renew_leases([key], OWNER, ends_in(-1))
        looked = bench.database.leased_locations(ends_in(0), 10)
        received = bench.stores["memory"].add(key, Trickle(b"bytes"), Expectations())
        with bench.database.unit() as unit:
            unit.move(image_id, {Status.SAVING}, Status.ACTIVE)
            unit.commit_location(key, OWNER, received.location)
        monkeypatch.setattr(bench.database, "leased_locations", lambda now, limit: looked)

        swept = bench.lifecycle.sweep(once=True)

        assert (swept.ended, swept.removed) == (0, 0)
        assert [(row.key, row.state) for row in bench.locations()] == [(key, "stored")]
        assert len(bench.blobs) == 1
