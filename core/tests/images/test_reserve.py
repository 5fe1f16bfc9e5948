"""Reserving an image, whose record waits for its bytes."""

import pytest

from calotype.model.fields import ImageFields, InvalidRequest
from calotype.model.images import Visibility
from calotype.testing import Trickle
from core.tests.images.verbs import DATA, QUEUED, begin


def test_a_reserved_image_waits_for_its_bytes(bench):
    image = bench.reserve(ImageFields(fields={"name": "a"}, size=7, properties={"k": "v"}))

    assert (image.status, image.name, image.size, image.properties) == (QUEUED, "a", 7, {"k": "v"})
    assert image.visibility is Visibility.PRIVATE
    assert bench.database.find(image.id) == image


def test_an_image_belongs_to_its_creators_project_unless_the_fields_name_an_owner(bench):
    assert bench.reserve().owner == "default"
    assert bench.reserve(ImageFields(fields={"owner": "other"})).owner == "other"


@pytest.mark.parametrize("verb", ["reserve", "upload", "register"])
def test_invalid_fields_leave_no_record(bench, verb):
    draft, source = ImageFields(fields={"disk_format": "floppy"}, location="memory:there"), Trickle(DATA)
    with pytest.raises(InvalidRequest):
        begin(bench.lifecycle, verb, draft, source)

    assert bench.images() == []
    assert source.given == 0
