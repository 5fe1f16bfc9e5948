"""Commits that fail, or whose answer is lost, leave no record without bytes and no bytes without a record."""

import pytest

from calotype.database.errors import DatabaseUnavailable
from calotype.model.change import Change
from calotype.model.fields import ImageFields, new_id
from calotype.model.images import LocationState
from calotype.model.states import Status
from calotype.stores import SourceBroken
from calotype.testing import Exploding, Trickle
from calotype.transfers.readers import Announced
from core.tests.images.verbs import ACTIVE, DATA, DELETED, KILLED, SAVING


def test_if_the_database_fails_when_the_image_is_killed_the_attempt_stays_recorded(bench, doors):
    doors["commits"] = 1
    with pytest.raises(SourceBroken):  # the first error is reported
        bench.upload(Exploding(DATA, SourceBroken("gone")))
    (image_id,) = bench.images()

    assert bench.status(image_id) is SAVING
    assert [row.state for row in bench.locations()] == [LocationState.INTENDED]


def test_if_the_database_fails_from_activation_on_the_attempt_stays_recorded(bench, doors):
    doors |= {"commits": 1, "fails": 2}
    with pytest.raises(DatabaseUnavailable):
        bench.upload(DATA)
    (row,) = bench.locations()

    assert row.state == LocationState.INTENDED
    assert set(bench.blobs) == {f"blob:{row.key}"}


def test_if_the_row_of_a_removed_blob_cannot_be_deleted_it_stays_pending_delete(bench, doors):
    image = bench.upload(DATA)
    doors["commits"] = 1  # the delete succeeds, and removing its location row fails
    bench.lifecycle.delete(image, bench.caller)

    assert bench.blobs == {}
    assert [row.state for row in bench.locations()] == [LocationState.PENDING_DELETE]


def test_f9_a_unit_of_work_that_raises_keeps_neither_record_nor_bytes(bench):
    class ViewFailed(Exception):
        pass

    def work():
        with bench.database.unit() as unit:
            unit.add_image(new_id(), {}, {})
            raise ViewFailed

    with pytest.raises(ViewFailed):
        work()

    assert bench.images() == []


def test_f9_bytes_are_removed_if_their_commit_fails(bench, doors):
    doors["commits"] = 1  # the reservation succeeds, and the activation fails
    with pytest.raises(DatabaseUnavailable):
        bench.upload(DATA)
    (image_id,) = bench.images()

    assert bench.status(image_id) is KILLED
    assert "not available" in bench.row(image_id).status_reason
    assert (bench.blobs, bench.locations()) == ({}, [])


def test_f9_bytes_are_kept_if_only_the_answer_to_their_commit_is_lost(bench, doors):
    doors |= {"commits": 1, "after": True}
    image = bench.upload(DATA)

    assert image.status is ACTIVE
    assert bench.status(image.id) is ACTIVE
    assert bench.read(image) == DATA


def test_f9_staged_bytes_are_kept_if_only_the_answer_to_their_commit_is_lost(bench, doors):
    image = bench.reserve()
    doors |= {"commits": 1, "after": True}
    with pytest.raises(DatabaseUnavailable):
        bench.lifecycle.imports.stage(Change(bench.caller, ImageFields(), image), Announced(Trickle(DATA)))

    assert bench.status(image.id) is Status.UPLOADING
    assert [row.state for row in bench.locations(image.id)] == [LocationState.STAGED]
    assert [row.counted for row in bench.locations(image.id)] == [len(DATA)]
    assert list(bench.blobs.values()) == [DATA]


def test_f9_bytes_are_kept_if_their_commit_is_still_running_when_it_is_checked(bench, doors, monkeypatch):
    doors |= {"commits": 1, "after": True}
    # A read that does not wait for the commit returns the image as it was before.
    monkeypatch.setattr(bench.database, "find", lambda image_id: None)
    with pytest.raises(DatabaseUnavailable):
        bench.upload(DATA)
    monkeypatch.undo()
    (image_id,) = bench.images()

    assert bench.status(image_id) is ACTIVE
    assert bench.read(bench.database.find(image_id)) == DATA


def test_f9_a_commit_that_succeeds_keeps_the_bytes(bench):
    image = bench.upload(DATA)

    assert list(bench.blobs.values()) == [DATA]
    assert [row.state for row in bench.locations(image.id)] == [LocationState.STORED]


def test_f9_a_delete_whose_commit_fails_keeps_the_bytes(bench, doors):
    image = bench.upload(DATA)
    doors["commits"] = 0
    with pytest.raises(DatabaseUnavailable):
        bench.lifecycle.delete(image, bench.caller)

    assert bench.status(image.id) is ACTIVE
    assert bench.read(bench.database.find(image.id)) == DATA


def test_f9_a_committed_delete_removes_the_bytes(bench):
    image = bench.upload(DATA)
    bench.lifecycle.delete(image, bench.caller)

    assert bench.status(image.id) is DELETED
    assert bench.row(image.id).deleted_at is not None
    assert (bench.blobs, bench.locations()) == ({}, [])
