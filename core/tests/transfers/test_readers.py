"""What stands before a store: the meter, which never lets unreserved bytes pass, and the inspection."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.database.errors import LimitReached
from calotype.stores.errors import SourceBroken, SourceRejected, SourceTooLarge
from calotype.transfers.inspection import Inspector
from calotype.transfers.readers import RESERVED, InspectingReader, QuotaReader

BACKED = b"QFI\xfb" + (3).to_bytes(4, "big") + (104).to_bytes(8, "big") + (4).to_bytes(4, "big") + bytes(4000)


@dataclass
class SegmentBudget:
    """A project's quota with this many bytes left, and what was asked of it."""

    left: int
    reserved: int = 0
    asked: list[int] = field(default_factory=list)

    def reserve(self, total: int) -> None:
        self.asked.append(total)
        if total > self.left:
            raise LimitReached(self.left, "bytes")
        self.reserved = total


class Slices:
    """A source that gives what it was made of, slice by slice, and then breaks if told so."""

    def __init__(self, slices: list[bytes], error: Exception | None = None):
        self._slices = list(slices)
        self._error = error
        self.closed = False

    def read(self, size: int = -1, /) -> bytes:
        if self._slices:
            return self._slices.pop(0)
        if self._error is not None:
            raise self._error
        return b""

    def close(self) -> None:
        self.closed = True


def drain(reader: QuotaReader | InspectingReader, size: int = 1 << 16) -> bytes:
    return b"".join(iter(lambda: reader.read(size), b""))


def test_bytes_are_reserved_before_they_are_passed_on() -> None:
    room = SegmentBudget(1 << 40)
    assert drain(QuotaReader(Slices([b"abc", b"de"]), room.reserve)) == b"abcde"
    assert room.asked == [3 + RESERVED]


def test_a_long_source_is_reserved_for_piece_by_piece() -> None:
    block = bytes(1 << 20)
    room = SegmentBudget(1 << 40)
    metered = QuotaReader(Slices([block] * 200), room.reserve)
    count = 0
    while data := metered.read(1 << 20):
        count += len(data)
        assert count <= room.reserved
    assert len(room.asked) <= 200 * len(block) // RESERVED + 1


def test_near_the_limit_the_last_byte_still_fits() -> None:
    room = SegmentBudget(10)
    assert drain(QuotaReader(Slices([b"12345", b"67890"]), room.reserve)) == b"1234567890"
    assert room.reserved == 10


def test_one_byte_more_than_the_limit_is_not_passed_on() -> None:
    room = SegmentBudget(10)
    metered = QuotaReader(Slices([b"1234567890", b"1"]), room.reserve)
    assert metered.read() == b"1234567890"
    with pytest.raises(SourceTooLarge, match="10"):
        metered.read()


@given(
    sizes=st.lists(st.integers(0, 3 * RESERVED // 2), max_size=12),
    left=st.integers(0, 4 * RESERVED),
)
def test_no_byte_passes_that_is_not_reserved_and_none_is_held_back_that_fits(
    sizes: list[int], left: int
) -> None:
    room = SegmentBudget(left)
    passed = 0
    metered = QuotaReader(Slices([_Sized(size) for size in sizes]), room.reserve)
    for size in sizes:
        if passed + size > left:
            with pytest.raises(SourceTooLarge):
                metered.read()
            break
        passed += len(metered.read())
        assert passed <= room.reserved <= left or passed == 0


class _Sized(bytes):
    """Bytes that say they are many, without being so."""

    def __new__(cls, size: int) -> _Sized:
        made = super().__new__(cls)
        made.size = size
        return made

    def __len__(self) -> int:
        return self.size


def test_what_a_source_raises_is_passed_on() -> None:
    with pytest.raises(SourceBroken):
        drain(QuotaReader(Slices([b"a"], SourceBroken("gone")), SegmentBudget(10).reserve))
    with pytest.raises(SourceBroken):
        drain(InspectingReader(Slices([b"a"], SourceBroken("gone")), Inspector("raw"), enforce=True))


def test_both_close_their_source() -> None:
    for wrap in (
        lambda source: QuotaReader(source, SegmentBudget(1).reserve),
        lambda source: InspectingReader(source, Inspector(None), enforce=True),
    ):
        source = Slices([])
        wrap(source).close()
        assert source.closed


def test_a_sound_image_comes_through_unchanged_with_its_verdict() -> None:
    inspected = InspectingReader(io.BytesIO(b"raw bytes"), Inspector("raw"), enforce=True)
    assert drain(inspected, 4) == b"raw bytes"
    assert (inspected.verdict.format, inspected.verdict.problem) == ("raw", None)


def test_an_unsafe_image_breaks_at_its_end_and_never_ends_well() -> None:
    inspected = InspectingReader(io.BytesIO(BACKED), Inspector("qcow2"), enforce=True)
    with pytest.raises(SourceRejected, match="not safe: backing_file"):
        drain(inspected)


def test_an_unsafe_image_is_only_written_down_when_nothing_is_enforced() -> None:
    inspected = InspectingReader(io.BytesIO(BACKED), Inspector("qcow2"), enforce=False)
    assert drain(inspected) == BACKED
    assert inspected.verdict.problem == "The image is not safe: backing_file."


def test_asking_for_nothing_is_not_the_end() -> None:
    inspected = InspectingReader(io.BytesIO(b"abc"), Inspector("raw"), enforce=True)
    assert inspected.read(0) == b""
    assert inspected.verdict is None
    assert drain(inspected) == b"abc"


def test_reading_behind_the_end_again_says_the_same() -> None:
    inspected = InspectingReader(io.BytesIO(BACKED), Inspector("qcow2"), enforce=True)
    for _ in range(2):
        with pytest.raises(SourceRejected):
            drain(inspected)
