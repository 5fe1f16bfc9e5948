"""Leases expire by a monotonic clock, whatever the clock of the process that wrote them says."""

import datetime
import threading

import pytest

from calotype.model.fields import new_id
from calotype.model.states import Status
from calotype.stores.measured import Expectations
from calotype.testing import Trickle
from calotype.transfers.leases import LeaseMonitor, Leases
from tests.support.workbench import OWNER, begin_upload, make_bench, make_settings

LEASE = 60
HOUR = 3600


class Clock:
    """A clock that moves only when a test moves it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def monitor(clock):
    return LeaseMonitor(LEASE, clock)


def ends_in(seconds):
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)


def test_a_lease_after_one_whose_thread_could_not_start_is_renewed(template, monkeypatch):
    """A process at its limit of threads must not stop renewing for the rest of its life."""

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with make_bench(template) as bench:
        leases = Leases(bench.database, LEASE)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError), leases.held("first"):
                pass
        with leases.held("second"):
            assert "leases" in {thread.name for thread in threading.enumerate()}
        leases.close()


def test_a_lease_that_nobody_has_taken_is_free_at_once(monitor):
    assert monitor.expired({"job": None}) == {"job"}


def test_a_lease_that_looks_expired_is_watched_for_two_thirds_of_its_length(monitor, clock):
    leases = {"key": ends_in(-1)}

    assert monitor.expired(leases) == set()
    assert monitor.seconds_until_certain() == LEASE * 2 / 3
    clock.now += LEASE * 2 / 3 - 1
    assert monitor.expired(leases) == set()
    clock.now += 1
    assert monitor.expired(leases) == {"key"}
    assert monitor.seconds_until_certain() == 0


def test_a_lease_is_watched_before_its_end(monitor, clock):
    end = ends_in(0.05)
    assert monitor.expired({"key": end}) == set()
    clock.now += LEASE
    while datetime.datetime.now(datetime.UTC) <= end:
        pass

    assert monitor.expired({"key": end}) == {"key"}


def test_a_clock_set_forward_does_not_end_a_renewed_lease(monitor, clock):
    for turn in range(20):
        assert monitor.expired({"key": ends_in(-HOUR + turn)}) == set()
        clock.now += LEASE / 3


def test_a_clock_set_back_does_not_keep_a_lease_for_ever(monitor, clock):
    leases = {"key": ends_in(HOUR)}

    assert monitor.expired(leases) == set()
    assert monitor.seconds_until_certain() == LEASE
    clock.now += LEASE
    assert monitor.expired(leases) == {"key"}


def test_a_lease_with_an_end_in_the_future_is_not_doubtful(monitor):
    monitor.expired({"key": ends_in(LEASE - 1)})

    assert monitor.seconds_until_certain() == 0


def test_a_lease_that_disappeared_and_came_back_is_watched_from_the_beginning(monitor, clock):
    end = ends_in(-1)
    monitor.expired({"key": end})
    monitor.expired({})
    clock.now += LEASE

    assert monitor.expired({"key": end}) == set()


def test_an_upload_that_ends_between_a_sweeps_query_and_its_claim_keeps_its_bytes(template, monkeypatch):
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
