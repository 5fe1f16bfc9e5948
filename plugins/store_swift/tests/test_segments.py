"""How a source is cut: the arithmetic of sizes, and the memory it takes."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import mmap

from hypothesis import given
from hypothesis import strategies as st

from calotype.testing import Trickle, pattern
from calotype_store_swift.options import OBJECT_MAX, SwiftOptions
from calotype_store_swift.segments import SEGMENT, SegmentReader, room_for, segment_sizes

TIB = 1 << 40


def options(**given: object) -> SwiftOptions:
    return SwiftOptions(auth_url="http://swift.invalid", auth_version="1", user="a:b", key="c", **given)


@given(st.integers(0, 4 * TIB), st.sampled_from([None, SEGMENT, OBJECT_MAX]))
def test_a_known_size_up_to_four_tebibytes_fits_a_manifest(total: int, first: int | None) -> None:
    sizes = list(segment_sizes(first, total, 1000))

    assert len(sizes) == 1000
    assert sum(sizes) >= total
    assert set(sizes) == {sizes[0]}
    assert (first or SEGMENT) <= sizes[0] <= OBJECT_MAX


@given(st.integers(1, OBJECT_MAX), st.integers(1, 20_000))
def test_segments_of_an_unknown_size_grow_and_never_over_the_limit(first: int, most: int) -> None:
    sizes = list(segment_sizes(first, None, most))

    assert len(sizes) == most
    assert sizes[0] == first
    assert sizes == sorted(sizes)
    assert max(sizes) <= OBJECT_MAX
    assert all(after <= 2 * before for before, after in itertools.pairwise(sizes) if most >= 40)


def test_a_tebibyte_of_unknown_size_fits_a_manifest() -> None:
    assert sum(segment_sizes(None, None, 1000)) > TIB


def test_the_first_14_gibibytes_of_unknown_size_go_in_the_usual_segments() -> None:
    assert set(itertools.islice(segment_sizes(None, None, 1000), 450)) == {SEGMENT}


@given(st.integers(1, OBJECT_MAX), st.integers(1, 1 << 32), st.integers(1, 64))
def test_what_is_held_in_memory_keeps_its_bound(size: int, memory: int, concurrency: int) -> None:
    room = room_for(size, options(upload_memory=memory, segment_concurrency=concurrency))

    assert 2 <= room.count <= concurrency + 1
    assert room.on_disk or room.count * size <= memory


@given(st.binary(max_size=40), st.lists(st.integers(1, 7), min_size=40, max_size=40))
def test_the_pieces_of_a_source_are_the_source(data: bytes, sizes: list[int]) -> None:
    cutter, pieces = SegmentReader(Trickle(data), options()), []
    for size in sizes:
        with contextlib.closing(cutter.cut(size)) as piece:
            pieces.append(piece.body.read(piece.size))
        assert len(pieces[-1]) <= size
        if cutter.ended:
            break

    assert cutter.ended
    assert b"".join(pieces) == data
    assert all(len(piece) == size for piece, size in zip(pieces[:-1], sizes, strict=False))


def test_a_segment_that_does_not_fit_into_memory_waits_on_disk(tmp_path) -> None:
    data = pattern(100_000)
    cutter = SegmentReader(Trickle(data), options(upload_memory=1000, spool_dir=tmp_path))
    with contextlib.closing(cutter.cut(200_000)) as piece:
        assert not isinstance(piece.body, mmap.mmap)
        assert piece.size == len(data)
        assert piece.md5 == hashlib.md5(data).hexdigest()
        assert piece.body.read() == data
