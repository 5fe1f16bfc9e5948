"""Opening an image's bytes."""

from core.tests.images.verbs import DATA


def test_a_part_of_an_image_can_be_opened(bench):
    image = bench.upload(DATA)
    reader = bench.lifecycle.reading.open(image, 100, 50)

    assert reader.read(1000) == DATA[100:150]
    assert reader.read(1000) == b""
    reader.close()
