"""Deleting an image and its bytes."""

import pytest

from calotype.database.errors import ImageNotFound
from calotype.model.errors import Protected
from calotype.model.fields import ImageFields
from calotype.model.images import LocationState
from calotype.stores import StoreError, Unavailable
from core.tests.images.verbs import DATA, DELETED


def test_a_delete_whose_store_fails_leaves_the_row_pending_delete(bench):
    image = bench.upload(DATA)
    bench.store.failing["delete"] = Unavailable("memory", "away")
    bench.lifecycle.delete(image, bench.caller)
    (row,) = bench.locations()

    assert bench.database.find(image.id) is None
    assert (row.state, set(bench.blobs)) == (LocationState.PENDING_DELETE, {f"blob:{row.key}"})


def test_an_image_protected_during_the_request_is_not_deleted(bench):
    image = bench.upload(DATA)
    bench.update(image, ImageFields(fields={"protected": True}))
    with pytest.raises(Protected):
        bench.lifecycle.delete(image, bench.caller)

    assert bench.read(bench.database.find(image.id)) == DATA


def test_an_image_whose_bytes_are_missing_can_be_deleted(bench):
    image = bench.upload(DATA)
    bench.store.shelf.blobs.clear()
    bench.lifecycle.delete(image, bench.caller)

    assert (bench.status(image.id), bench.locations()) == (DELETED, [])


def test_a_second_delete_is_not_found(bench):
    image = bench.reserve()
    bench.lifecycle.delete(image, bench.caller)
    with pytest.raises(ImageNotFound):
        bench.lifecycle.delete(image, bench.caller)


def test_an_image_of_a_store_that_is_no_longer_configured_can_be_deleted_but_not_read(bench):
    image = bench.upload(DATA)
    del bench.stores.entries["memory"]
    with pytest.raises(StoreError, match="not configured"):
        bench.lifecycle.reading.open(image)
    bench.lifecycle.delete(image, bench.caller)

    assert bench.status(image.id) is DELETED
    assert [row.state for row in bench.locations()] == [LocationState.PENDING_DELETE]
