"""Maps of data and holes, shortened for a response."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.stores.extents import HOLE_MIN, HOLES_MAX, shortened
from calotype.stores.values import Extent

LENGTHS = st.integers(1, 4 * HOLE_MIN) | st.integers(-8 * HOLE_MIN, -1)


def a_map(*lengths: int) -> list[Extent]:
    """Return extents of these lengths; a negative one is that of a hole."""
    ends = itertools.accumulate(map(abs, lengths))
    return [
        Extent(end - abs(length), abs(length), length > 0) for end, length in zip(ends, lengths, strict=True)
    ]


def size_of(extents: list[Extent]) -> int:
    return sum(extent.length for extent in extents)


@pytest.mark.parametrize(
    ("extents", "found"),
    [
        (a_map(), a_map()),
        (a_map(5), a_map(5)),
        (a_map(-HOLE_MIN), a_map(-HOLE_MIN)),
        (a_map(1 - HOLE_MIN), a_map(HOLE_MIN - 1)),
        (a_map(5, -1, 7), a_map(13)),
        (a_map(5, -HOLE_MIN, 7), a_map(5, -HOLE_MIN, 7)),
        (a_map(5, 6, -HOLE_MIN, -1, 7), a_map(11, -HOLE_MIN - 1, 7)),
        (a_map(-HOLE_MIN // 2, -HOLE_MIN // 2, 7), a_map(-HOLE_MIN, 7)),
    ],
)
def test_neighbours_are_joined_and_short_holes_become_data(
    extents: list[Extent], found: list[Extent]
) -> None:
    assert shortened(extents, size_of(extents)) == found


@given(st.lists(LENGTHS, max_size=60), st.integers(1, 20))
def test_a_shortened_map_covers_the_blob_and_has_no_new_holes(lengths: list[int], most: int) -> None:
    extents = a_map(*lengths)
    found = shortened(extents, size_of(extents), most)

    assert found == a_map(*(one.length if one.is_data else -one.length for one in found))
    assert size_of(found) == size_of(extents)
    assert all(one.is_data is not other.is_data for one, other in itertools.pairwise(found))
    holes = [one for one in found if not one.is_data]
    assert len(holes) <= most
    for hole in holes:
        inside = [one for one in extents if 0 <= one.offset - hole.offset < hole.length]
        assert not any(one.is_data for one in inside)
        assert size_of(inside) == hole.length >= HOLE_MIN


def test_the_longest_holes_remain() -> None:
    lengths = [-HOLE_MIN, 1, -3 * HOLE_MIN, 1, -2 * HOLE_MIN, 1, -HOLE_MIN, 1, -4 * HOLE_MIN]
    found = shortened(a_map(*lengths), 11 * HOLE_MIN + 4, 3)

    assert found == a_map(HOLE_MIN + 1, -3 * HOLE_MIN, 1, -2 * HOLE_MIN, HOLE_MIN + 2, -4 * HOLE_MIN)


def test_a_map_has_a_bounded_number_of_holes() -> None:
    count = 3 * HOLES_MAX
    found = shortened(a_map(*[1, -HOLE_MIN] * count), count * (1 + HOLE_MIN))

    assert len(found) == 2 * HOLES_MAX + 1
