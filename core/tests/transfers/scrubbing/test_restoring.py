"""Restoring: how a bad copy is replaced by a good one."""

from __future__ import annotations

import pytest

from calotype.database.errors import LimitReached
from calotype.images.imports import ImportRequest, Origin
from calotype.model.change import Change
from calotype.model.fields import ImageFields
from calotype.stores import Stored, Unavailable, WritableStore
from calotype.transfers.leases import LeaseMonitor
from core.tests.transfers.scrubbing.copies import DATA, Place, read
from tests.support.workbench import CALLER, Bench


def test_a_bad_image_keeps_its_metadata_and_gets_a_reason(place: Place) -> None:
    image_id = place.upload()
    before = place.image(image_id)
    place.damage(image_id, DATA[:-1])

    place.scrubber.run()

    after = place.image(image_id)
    assert (after.status, after.updated_at, after.size) == (before.status, before.updated_at, before.size)
    assert "wrong size" in after.status_reason


def test_nothing_is_removed_if_the_other_copy_is_bad_too(place: Place) -> None:
    image_id = place.upload(twice=True)
    place.damage(image_id)
    place.damage(image_id, store="two")

    place.scrubber.run()

    assert len(place.one.shelf.blobs) == 1
    assert len(place.two.shelf.blobs) == 1
    assert place.findings() == {("wrong digest", image_id)}
    assert {one.state for one in place.database.findings().records} == {"open"}
    assert len(place.database.findings(store="two").records) == 1, "the other copy is suspect now"


def test_nothing_is_restored_into_a_read_only_store(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    image_id = place.upload(twice=True)
    place.damage(image_id)
    place.scrubber.store.withheld |= {WritableStore}

    place.scrubber.run()

    assert place.image(image_id).locations[-1].quarantined
    assert [data for data, _ in place.one.shelf.blobs.values()] == [DATA[::-1]]
    assert "could not be restored" not in caplog.text
    assert read(place, image_id) == DATA


def test_a_restore_that_fails_is_retried(place: Place) -> None:
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


def test_a_restore_that_a_sweep_took_over_is_retried(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """r1-H13: the pass used to end early, and `scrub run` ended with a traceback."""
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


def test_a_copy_is_made_from_the_good_copy(place: Place) -> None:
    """A job that copies an image also reports a bad source and uses another."""
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


def test_an_image_whose_only_good_copy_is_unavailable_gets_a_temporary_error(place: Place) -> None:
    image_id = place.upload(twice=True)
    place.damage(image_id)
    place.two.away = True
    place.scrubber.run()

    with pytest.raises(Unavailable):
        read(place, image_id)
