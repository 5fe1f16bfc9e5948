"""Judging: which copies the scrubber considers bad."""

from __future__ import annotations

import logging

import pytest

from calotype.model.errors import NoGoodCopy
from calotype.stores.errors import Busy
from core.tests.transfers.scrubbing.copies import DATA, Place, read
from tests.support.workbench import CALLER


def test_one_wrong_read_does_not_make_a_copy_bad(place: Place) -> None:
    image_id = place.upload()
    place.one.glitches = 1

    place.scrubber.run()

    assert len(place.one.read) == 2
    assert place.quarantined() == set()
    assert read(place, image_id) == DATA


def test_an_unavailable_store_has_no_bad_copies(place: Place) -> None:
    place.upload()
    place.one.away = True

    place.scrubber.run()

    assert place.quarantined() == set()
    assert place.findings() == set()


def test_a_copy_in_a_busy_store_is_no_finding_and_is_read_soon(place: Place) -> None:
    """Clients that use all slots for downloads say nothing about the bytes."""
    place.upload()
    seen = place.one.size

    def be_busy(location: str) -> int | None:
        raise Busy("one", "it is busy")

    place.one.size = be_busy
    place.scrubber.run()
    assert place.findings() == set()
    place.one.size = seen
    place.another().run()
    assert place.database.scrubs.find("one").checked == 1


def test_a_store_that_becomes_unavailable_during_a_check_has_no_bad_copies(place: Place) -> None:
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


def test_a_copy_that_cannot_be_read_is_reported_and_the_pass_continues(place: Place) -> None:
    ids = [place.upload() for _ in range(3)]
    place.one.unreadable = {f"blob:{place.key(ids[0])}"}

    place.scrubber.run()

    assert place.quarantined() == set()
    assert place.findings() == {("unreadable", ids[0])}
    assert place.database.scrubs.find("one").checked == 2
    place.one.unreadable.clear()
    place.another().run()
    assert place.findings() == set()


def test_a_bad_copy_is_reported_once_and_not_in_every_pass(
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


def test_a_copy_whose_image_is_deleted_meanwhile_is_no_finding(place: Place) -> None:
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
