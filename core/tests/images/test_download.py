"""Opening an image's bytes."""

from calotype.model.change import Change
from calotype.model.changes import ImageFields
from calotype.testing import Trickle
from calotype.transfers.readers import Announced
from core.tests.images.verbs import DATA


def test_a_part_of_an_image_can_be_opened(bench):
    image = bench.lifecycle.upload(Change(bench.caller, ImageFields()), Announced(Trickle(DATA)))
    reader = bench.lifecycle.reading.open(image, 100, 50)

    assert reader.read(1000) == DATA[100:150]
    assert reader.read(1000) == b""
    reader.close()
