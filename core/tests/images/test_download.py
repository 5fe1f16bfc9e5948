"""Opening an image's bytes, and listing its extents."""

import dataclasses

import pytest

from calotype.model.errors import Conflict, NoData
from calotype.stores import Extent
from calotype.stores.extents import HOLE_MIN, HOLES_MAX
from core.tests.images.verbs import DATA


def test_a_part_of_an_image_can_be_opened(bench):
    image = bench.upload(DATA)
    reader = bench.lifecycle.reading.open(image, 100, 50)

    assert reader.read(1000) == DATA[100:150]
    assert reader.read(1000) == b""
    reader.close()


def test_the_extents_have_a_bounded_number_of_holes(bench, monkeypatch):
    count = 4 * HOLES_MAX
    monkeypatch.setattr(
        bench.store,
        "extents",
        lambda location, size: (Extent(at * HOLE_MIN, HOLE_MIN, at % 2 == 0) for at in range(count)),
    )
    image = dataclasses.replace(bench.upload(DATA), size=count * HOLE_MIN)

    assert len(bench.lifecycle.reading.extents(image)) == 2 * HOLES_MAX + 1


def test_an_image_of_unknown_size_has_no_extents(bench):
    image = dataclasses.replace(bench.upload(DATA), size=None)
    with pytest.raises(Conflict, match=f"The size of image {image.id} is unknown"):
        bench.lifecycle.reading.extents(image)


def test_an_image_without_bytes_has_no_extents(bench):
    with pytest.raises(NoData):
        bench.lifecycle.reading.extents(bench.reserve())
