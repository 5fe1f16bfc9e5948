"""Registering an external location, where the image's bytes stay."""

import pytest

from calotype.model.change import Change
from calotype.model.errors import Conflict, NoGoodCopy, NotQueued
from calotype.model.fields import ImageFields
from calotype.stores import BadLocation, BlobNotFound
from core.tests.images.verbs import ACTIVE, DATA


def test_deleting_a_registered_image_leaves_its_source(bench, there):
    image = bench.lifecycle.register(Change(bench.caller, ImageFields(location=there)))
    bench.store.failing["delete"] = AssertionError("the bytes of others were touched")
    bench.lifecycle.delete(image, bench.caller)

    assert bench.store.shelf.foreign["there"] == DATA
    assert "delete" in bench.store.failing
    assert bench.locations() == []


def test_a_registered_source_that_changed_is_not_served(bench, there):
    image = bench.lifecycle.register(Change(bench.caller, ImageFields(location=there)))
    bench.store.shelf.foreign["there"] = DATA[::-1]
    with pytest.raises(NoGoodCopy):
        bench.lifecycle.reading.open(image)


def test_a_registered_image_is_active_and_is_read_from_its_source(bench, there):
    image = bench.lifecycle.register(Change(bench.caller, ImageFields(location=there)))

    assert (image.status, image.size, image.checksum) == (ACTIVE, len(DATA), None)
    assert image.location.external
    assert bench.read(image) == DATA


def test_a_queued_image_can_be_registered_only_once(bench, there):
    image = bench.reserve()
    done = bench.lifecycle.register(
        Change(bench.caller, ImageFields(location=there, fields={"name": "n"}), image)
    )

    assert (done.id, done.status, done.name) == (image.id, ACTIVE, "n")
    with pytest.raises(NotQueued):
        bench.lifecycle.register(Change(bench.caller, ImageFields(location=there), image))


@pytest.mark.parametrize(
    ("uri", "error"),
    [
        ("memory:nowhere", BlobNotFound),
        ("memory:NO", BadLocation),
        ("file:///etc/passwd", BadLocation),
        ("", BadLocation),
        (None, BadLocation),
    ],
)
def test_a_location_that_no_store_accepts_leaves_no_record(bench, uri, error):
    with pytest.raises(error):
        bench.lifecycle.register(Change(bench.caller, ImageFields(location=uri)))

    assert bench.images() == []


def test_a_declared_size_that_differs_from_the_sources_is_refused(bench, there):
    with pytest.raises(Conflict, match="must match"):
        bench.lifecycle.register(Change(bench.caller, ImageFields(location=there, size=1)))

    assert bench.images() == []
    assert (
        bench.lifecycle.register(Change(bench.caller, ImageFields(location=there, size=len(DATA)))).status
        is ACTIVE
    )
