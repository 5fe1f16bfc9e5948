"""The readers before a store: one passes on only reserved bytes, one inspects them."""

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
class Quota:
    """A project's quota with this many bytes left, and the reservations that were asked for."""

    left: int
    reserved: int = 0
    asked: list[int] = field(default_factory=list)

    def reserve(self, total: int) -> None:
        self.asked.append(total)
        if total > self.left:
            raise LimitReached(self.left, "bytes")
        self.reserved = total


class Slices:
    """A source that returns its slices, and then raises its error if it has one."""

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
    quota = Quota(1 << 40)
    assert drain(QuotaReader(Slices([b"abc", b"de"]), quota.reserve)) == b"abcde"
    assert quota.asked == [3 + RESERVED]


def test_bytes_of_a_long_source_are_reserved_piece_by_piece() -> None:
    block = bytes(1 << 20)
    quota = Quota(1 << 40)
    metered = QuotaReader(Slices([block] * 200), quota.reserve)
    count = 0
    while data := metered.read(1 << 20):
        count += len(data)
        assert count <= quota.reserved
    assert len(quota.asked) <= 200 * len(block) // RESERVED + 1


def test_near_the_limit_the_last_byte_still_fits() -> None:
    quota = Quota(10)
    assert drain(QuotaReader(Slices([b"12345", b"67890"]), quota.reserve)) == b"1234567890"
    assert quota.reserved == 10


def test_one_byte_more_than_the_limit_is_not_passed_on() -> None:
    quota = Quota(10)
    metered = QuotaReader(Slices([b"1234567890", b"1"]), quota.reserve)
    assert metered.read() == b"1234567890"
    with pytest.raises(SourceTooLarge, match="10"):
        metered.read()


@given(
    sizes=st.lists(st.integers(0, 3 * RESERVED // 2), max_size=12),
    left=st.integers(0, 4 * RESERVED),
)
def test_exactly_the_bytes_that_fit_the_quota_are_reserved_and_passed_on(sizes: list[int], left: int) -> None:
    quota = Quota(left)
    passed = 0
    metered = QuotaReader(Slices([_Sized(size) for size in sizes]), quota.reserve)
    for size in sizes:
        if passed + size > left:
            with pytest.raises(SourceTooLarge):
                metered.read()
            break
        passed += len(metered.read())
        assert passed <= quota.reserved <= left or passed == 0


class _Sized(bytes):
    """Bytes that pretend to have this length."""

    def __new__(cls, size: int) -> _Sized:
        made = super().__new__(cls)
        made.size = size
        return made

    def __len__(self) -> int:
        return self.size


def test_an_error_of_the_source_is_passed_on() -> None:
    with pytest.raises(SourceBroken):
        drain(QuotaReader(Slices([b"a"], SourceBroken("gone")), Quota(10).reserve))
    with pytest.raises(SourceBroken):
        drain(InspectingReader(Slices([b"a"], SourceBroken("gone")), Inspector("raw"), enforce=True))


def test_both_readers_close_their_source() -> None:
    for wrap in (
        lambda source: QuotaReader(source, Quota(1).reserve),
        lambda source: InspectingReader(source, Inspector(None), enforce=True),
    ):
        source = Slices([])
        wrap(source).close()
        assert source.closed


def test_a_safe_image_is_passed_on_unchanged_with_its_verdict() -> None:
    inspected = InspectingReader(io.BytesIO(b"raw bytes"), Inspector("raw"), enforce=True)
    assert drain(inspected, 4) == b"raw bytes"
    assert (inspected.verdict.format, inspected.verdict.problem) == ("raw", None)


def test_an_unsafe_image_is_refused_at_its_end() -> None:
    inspected = InspectingReader(io.BytesIO(BACKED), Inspector("qcow2"), enforce=True)
    with pytest.raises(SourceRejected, match="not safe: backing_file"):
        drain(inspected)


def test_an_unsafe_image_is_only_recorded_if_inspection_is_not_enforced() -> None:
    inspected = InspectingReader(io.BytesIO(BACKED), Inspector("qcow2"), enforce=False)
    assert drain(inspected) == BACKED
    assert inspected.verdict.problem == "The image is not safe: backing_file."


def test_a_read_of_no_bytes_is_not_the_end() -> None:
    inspected = InspectingReader(io.BytesIO(b"abc"), Inspector("raw"), enforce=True)
    assert inspected.read(0) == b""
    assert inspected.verdict is None
    assert drain(inspected) == b"abc"


def test_a_rejected_source_is_refused_at_each_further_read() -> None:
    inspected = InspectingReader(io.BytesIO(BACKED), Inspector("qcow2"), enforce=True)
    for _ in range(2):
        with pytest.raises(SourceRejected):
            drain(inspected)
