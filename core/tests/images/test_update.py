"""Updating an image's metadata."""

import pytest

from calotype.database.errors import ImageNotFound
from calotype.model.fields import ImageFields, RequestTooLarge
from core.tests.images.verbs import DATA
from tests.support.workbench import make_bench, make_settings


def test_an_update_changes_only_the_fields_that_it_names(bench):
    image = bench.reserve(ImageFields(fields={"name": "a", "min_ram": 5}, properties={"k": "1", "l": "2"}))
    after = bench.update(image, ImageFields(fields={"name": "b"}, properties={"l": "3", "m": "4"}))

    assert (after.name, after.min_ram) == ("b", 5)
    assert after.properties == {"k": "1", "l": "3", "m": "4"}
    assert after.updated_at > image.updated_at
    assert after.created_at == image.created_at


def test_an_update_of_metadata_never_changes_the_bytes(bench):
    image = bench.upload(DATA)
    after = bench.update(image, ImageFields(size=1, fields={"name": "b"}))

    assert (after.size, after.checksum, after.location) == (image.size, image.checksum, image.location)
    assert bench.read(after) == DATA


def test_an_update_that_adds_up_to_too_many_properties_is_refused(template):
    with make_bench(template, settings=make_settings(max_properties=2)) as bench:
        image = bench.reserve(ImageFields(properties={"a": "1", "b": "2"}))
        with pytest.raises(RequestTooLarge):
            bench.update(image, ImageFields(properties={"c": "3"}))

        assert bench.update(image, ImageFields(properties={"a": "9"})).properties["a"] == "9"


def test_a_deleted_image_cannot_be_updated(bench):
    image = bench.reserve()
    bench.lifecycle.delete(image, bench.caller)
    with pytest.raises(ImageNotFound):
        bench.update(image, ImageFields(fields={"name": "b"}))
