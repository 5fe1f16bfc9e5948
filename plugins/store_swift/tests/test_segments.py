"""The division of a source into segments: their sizes, and the memory that they need."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.stores import Unavailable
from calotype.stores.toolkit import PartLimits, PartReader
from calotype.testing import Trickle, pattern
from calotype_store_swift.options import OBJECT_MAX
from calotype_store_swift.segments import SEGMENT, PartBody, md5_of, segment_sizes

TIB = 1 << 40


@given(st.integers(0, 4 * TIB), st.sampled_from([None, SEGMENT, OBJECT_MAX]))
def test_a_known_size_up_to_four_tebibytes_fits_a_manifest(total: int, first: int | None) -> None:
    sizes = list(segment_sizes(first, total, 1000))

    assert len(sizes) == 1000
    assert sum(sizes) >= total
    assert set(sizes) == {sizes[0]}
    assert (first or SEGMENT) <= sizes[0] <= OBJECT_MAX


@given(st.integers(1, OBJECT_MAX), st.integers(1, 20_000))
def test_segments_of_a_source_of_unknown_size_grow_up_to_the_limit(first: int, most: int) -> None:
    sizes = list(segment_sizes(first, None, most))

    assert len(sizes) == most
    assert sizes[0] == first
    assert sizes == sorted(sizes)
    assert max(sizes) <= OBJECT_MAX
    assert all(after <= 2 * before for before, after in itertools.pairwise(sizes) if most >= 40)


def test_a_tebibyte_of_unknown_size_fits_a_manifest() -> None:
    assert sum(segment_sizes(None, None, 1000)) > TIB


def test_the_first_14_gibibytes_of_a_source_of_unknown_size_are_segments_of_the_usual_size() -> None:
    assert set(itertools.islice(segment_sizes(None, None, 1000), 450)) == {SEGMENT}


@pytest.mark.parametrize("spool", [False, True])
def test_a_part_can_be_sent_again_until_bytes_after_it_are_read(spool: bool, tmp_path) -> None:
    data = pattern(100_000)
    limits = PartLimits(1, 1000 if spool else 1 << 20, spool=True, folder=tmp_path)
    parts = PartReader("swift", Trickle(data), iter([60_000]), limits)
    part = parts.next()
    body = PartBody("swift", part, parts)

    assert part.in_memory is not spool
    assert md5_of(part) == hashlib.md5(data[:60_000]).hexdigest()
    for _ in range(2):
        assert b"".join(body.read(1000) for _ in range(60)) == data[:60_000]
        assert body.tell() == 60_000
        body.seek(0)
    assert b"".join(iter(lambda: body.read(999), b"")) == data
    with pytest.raises(Unavailable, match="connection broke"):
        body.seek(0)
    parts.close()
