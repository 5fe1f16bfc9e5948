"""Jobs whose process died, was frozen or lost its database are run again."""

import contextlib
import datetime
import time

import pytest

from calotype.database.errors import DatabaseUnavailable
from calotype.model.audit import Actor
from calotype.model.errors import TakenOver
from calotype.model.fields import new_id
from calotype.model.jobs import JobKind
from calotype.model.uploads import Lease, UploadAttempt
from calotype.transfers.jobs import JobSpec
from core.tests.images.verbs import (
    ACTIVE,
    DATA,
    IMPORTING,
    KILLED,
    LEASE,
    QUEUED,
    SAVING,
    doors_of_the_database,
    sweep_during_the_next_add,
)


@pytest.mark.parametrize("asked", [None, {"image_properties": {"name": "x"}}])
def test_a_job_spec_is_read_back_unchanged_and_only_those_of_tasks_have_fields_unknown_to_older_versions(
    asked,
):
    order = JobSpec(("memory",), source="web", uri="http://example.com/", asked=asked)

    assert JobSpec.from_json(order.to_json()) == order
    assert ("asked" in order.to_json()) is (asked is not None)


def test_a_job_that_lost_the_database_is_run_again(hasty, monkeypatch):
    bench, doors = hasty, doors_of_the_database(hasty, monkeypatch)
    # On a slow machine, the renewal of a lease would be the commit that fails.
    monkeypatch.setattr(bench.lifecycle._leases, "renew", lambda: None)
    source = bench.upload(DATA)
    image = bench.reserve()
    order = JobSpec(("memory",), source="memory", location=source.location.location, size=len(DATA))
    with bench.database.unit() as unit:
        unit.add_job(JobKind.FETCH, image, order.to_json(), Actor())
    doors["commits"] = 2  # taking and beginning the job succeed, and ending it fails
    with pytest.raises(DatabaseUnavailable):
        bench.lifecycle.work()
    assert bench.status(image.id) is QUEUED
    with contextlib.closing(bench.raw()) as database:
        database.execute("UPDATE jobs SET lease_until = '2020-01-01 00:00:00.000000'")

    assert not bench.lifecycle.work()  # its process may be alive, with a clock that differs
    time.sleep(LEASE * 2 / 3)
    assert bench.lifecycle.work()
    assert bench.read(bench.database.find(image.id)) == DATA


def test_a_job_of_a_dead_process_is_run_again_only_after_its_attempt_is_swept(hasty):
    bench = hasty
    image_id, key = new_id(), f"{new_id()}.attempt"
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
    with bench.database.unit() as unit:
        unit.add_image(image_id, {"owner": "default"}, {})
        unit.add_job(JobKind.FETCH, unit.image(image_id), JobSpec(("memory",)).to_json(), Actor())
        unit.move(image_id, {QUEUED}, SAVING)
        attempt = UploadAttempt(unit.image(image_id), key, "memory", None, KILLED)
        unit.begin_upload(attempt, Lease("dead", past))

    assert not bench.lifecycle.work()
    assert bench.status(image_id) is SAVING
    assert bench.lifecycle.sweep(once=True).ended == 1
    assert bench.status(image_id) is QUEUED
    assert bench.lifecycle.work()


@pytest.mark.parametrize("before", [QUEUED, IMPORTING])
def test_a_job_whose_bytes_were_swept_while_its_process_was_frozen_is_run_again(hasty, monkeypatch, before):
    bench = hasty
    source = bench.upload(DATA)
    image = bench.reserve()
    order = JobSpec(("memory",), source="memory", location=source.location.location, size=len(DATA))
    with bench.database.unit() as unit:
        unit.add_job(JobKind.FETCH, image, order.to_json(), Actor())
        if before is IMPORTING:
            unit.move(image.id, {QUEUED}, IMPORTING)
    sweep_during_the_next_add(bench, monkeypatch)

    with pytest.raises(TakenOver):
        bench.lifecycle.work()
    assert bench.status(image.id) is before
    with contextlib.closing(bench.raw()) as database:
        database.execute("UPDATE jobs SET lease_until = NULL")
    assert bench.lifecycle.work()
    assert bench.status(image.id) is ACTIVE
    assert bench.read(bench.database.find(image.id)) == DATA
    assert len(bench.blobs) == 2
