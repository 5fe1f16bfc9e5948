"""GET /v2/images/ID/extents: the data and the zeros of an image."""

from __future__ import annotations

import random
from typing import Any

import pytest

from calotype.stores.extents import HOLE_MIN
from tests.support.v2 import Person

MIB = 1 << 20
DATA = random.Random(26).randbytes(MIB)


def extents(person: Person, image_id: str, query: str = "") -> list[dict[str, Any]]:
    answer = person.get(f"/images/{image_id}/extents{query}")
    assert answer.status == 200, answer.text
    return answer.json["extents"]


def one(start: int, length: int, *, zero: bool = False) -> dict[str, Any]:
    return {"start": start, "length": length, "zero": zero}


def test_the_extents_say_where_the_data_of_an_image_is(u1: Person) -> None:
    """Both the whole blocks of zeros and those inside of a block."""
    body = DATA + bytes(2 * MIB) + DATA[:HOLE_MIN] + bytes(HOLE_MIN) + DATA[: 2 * HOLE_MIN] + bytes(MIB)
    image_id = u1.active(body)

    assert extents(u1, image_id) == [
        one(0, MIB),
        one(MIB, 2 * MIB, zero=True),
        one(3 * MIB, HOLE_MIN),
        one(3 * MIB + HOLE_MIN, HOLE_MIN, zero=True),
        one(3 * MIB + 2 * HOLE_MIN, 2 * HOLE_MIN),
        one(3 * MIB + 4 * HOLE_MIN, MIB, zero=True),
    ]


def test_a_client_that_skips_the_zeros_gets_the_same_image(u1: Person) -> None:
    chance = random.Random(19)
    body = b"".join(chance.choice([DATA, bytes(MIB)])[: chance.randrange(1, MIB)] for _ in range(30))
    image_id = u1.active(body)
    copy, read = bytearray(len(body)), 0
    for extent in extents(u1, image_id):
        if not extent["zero"]:
            first, stop = extent["start"], extent["start"] + extent["length"]
            answer = u1.get(f"/images/{image_id}/file", Range=f"bytes={first}-{stop - 1}")
            assert answer.status == 206
            copy[first:stop] = answer.body
            read += extent["length"]

    assert copy == body
    assert read < len(body)


@pytest.mark.parametrize(("body", "found"), [(b"", []), (b"x", [one(0, 1)]), (bytes(9), [one(0, 9)])])
def test_small_images_have_at_most_one_extent(u1: Person, body: bytes, found: list[Any]) -> None:
    assert extents(u1, u1.active(body)) == found


def test_an_image_without_bytes_has_no_extents(u1: Person) -> None:
    answer = u1.get(f"/images/{u1.make()}/extents")
    assert (answer.status, "has no data to read" in answer.json["error"]["message"]) == (404, True)


def test_the_extents_are_those_of_the_preferred_copy(u1: Person, adm: Person) -> None:
    """A copy without holes, as another program may write it, is one extent of data."""
    body = DATA + bytes(MIB)
    image_id = u1.active(body)
    document = {"method": {"name": "copy-image"}, "stores": ["cold"]}
    assert adm.send("POST", f"/images/{image_id}/import", document).status == 202
    u1.done(image_id)
    (path,) = u1.server.blobs(image_id, "cold")
    path.write_bytes(body)

    sparse = [one(0, MIB), one(MIB, MIB, zero=True)]
    assert extents(u1, image_id) == extents(u1, image_id, "?prefer=fast,cold") == sparse
    assert extents(u1, image_id, "?prefer=cold") == [one(0, 2 * MIB)]
    assert u1.get(f"/images/{image_id}/extents?prefer=nosuch").status == 400


def test_the_extents_of_a_lost_copy_come_from_another_copy(u1: Person, adm: Person) -> None:
    image_id = u1.active(DATA)
    document = {"method": {"name": "copy-image"}, "stores": ["cold"]}
    assert adm.send("POST", f"/images/{image_id}/import", document).status == 202
    u1.done(image_id)
    for store, status in (("fast", 200), ("cold", 502)):
        (path,) = u1.server.blobs(image_id, store)
        path.unlink()
        assert u1.get(f"/images/{image_id}/extents").status == status


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_extents_can_only_be_read(u1: Person, method: str) -> None:
    answer = u1.ask(method, f"/images/{u1.active()}/extents")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
