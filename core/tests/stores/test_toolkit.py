"""The toolkit for authors of drivers."""

import io
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.stores import BadLocation, BlobChanged, StoreFull, Unavailable
from calotype.stores.toolkit import (
    READ_AFTER_BREAK,
    Part,
    PartLimits,
    PartReader,
    ResumingReader,
    key_of,
    retry_after,
)
from calotype.testing import Trickle, pattern

DATA = pattern(1000)


@pytest.mark.parametrize("location", ["", "s3:", "s3:../x", "s3:K", "swift:k", "k", "s3:k\n", "xs3:k"])
def test_a_location_that_is_not_a_scheme_and_a_key_is_refused(location):
    with pytest.raises(BadLocation):
        key_of("far", location, "s3:")


def test_the_key_is_read_from_a_location_after_the_scheme():
    assert key_of("far", "s3:0a.b-c", "s3:") == "0a.b-c"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("0", 1), ("99999", 3600), ("", 30), (None, 30), ("Fri, 31 Dec 1999 23:59:59 GMT", 30)],
)
def test_retry_after_is_between_a_second_and_an_hour(value, seconds):
    assert retry_after(value) == seconds


class Breaking(ResumingReader):
    """Reads DATA over connections that end, or break, at the positions that a test names."""

    def __init__(self, ends, *, end=1000, retries=2, error=None):
        self.ends = iter(ends)
        self.error = error
        self.bodies = []
        super().__init__("far", 0, end, retries)

    def open(self):
        self.bodies.append(Body(DATA[self.position : next(self.ends)], self.error))
        return self.bodies[-1]


class Body(io.BytesIO):
    """Bytes that end, or break, at their end."""

    def __init__(self, data, error):
        super().__init__(data)
        self.error = error

    def read(self, size=-1, /):
        block = super().read(size)
        if self.error and not block:
            raise self.error
        return block


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
def test_a_download_continues_after_each_break(error):
    reader = Breaking([10, 10, 500, 1000], retries=2, error=error)

    assert reader.read() == DATA
    assert [body.closed for body in reader.bodies] == [True] * 3 + [False]
    reader.close()
    reader.close()
    assert reader.bodies[-1].closed
    assert reader.read(1) == b""


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
def test_a_download_ends_after_too_many_breaks_without_a_byte(error):
    reader = Breaking([10, 10, 10, 10], retries=2, error=error)
    with pytest.raises(Unavailable, match="the connection broke") as failed:
        reader.read()

    assert failed.value.__cause__ is error
    assert all(body.closed for body in reader.bodies)


def test_a_reader_that_cannot_notice_another_object_does_not_continue():
    reader = Breaking([10, 1000])
    reader.retries = 0
    with pytest.raises(Unavailable):
        reader.read()

    assert len(reader.bodies) == 1


def test_reads_after_a_break_grow_again():
    reader = Breaking([10, 1000])
    blocks = [reader.read(300) for _ in range(3)]

    assert [len(block) for block in blocks] == [10, 300, 300]
    assert reader._block == 4 * READ_AFTER_BREAK


def test_the_limit_of_retries_can_apply_to_the_whole_download():
    reader = Breaking([10, 20, 30, 1000], retries=2)
    reader.restores_retries = False
    with pytest.raises(Unavailable):
        reader.read()


def test_a_blob_of_unknown_size_ends_where_its_body_ends():
    assert Breaking([10, 20], end=None).read() == DATA[:10]


def test_errors_other_than_broken_connections_are_passed_on():
    with pytest.raises(BlobChanged):
        Breaking([10], error=BlobChanged("far", "another")).read()


@given(st.binary(max_size=60), st.lists(st.integers(1, 9), min_size=60, max_size=60), st.booleans())
def test_parts_add_up_to_the_source_although_their_memory_is_reused(data, sizes, spool):
    parts, cut = PartReader("far", Trickle(data), iter(sizes), PartLimits(1, 10, spool=spool)), []
    last = False
    while not last:
        part = parts.next()
        last = part.last
        cut.append(bytes(part.data) if part.in_memory else part.data.read())
        assert part.size == len(cut[-1])
        parts.release(part)

    assert b"".join(cut) == data
    assert all(len(block) == size for block, size in zip(cut[:-1], sizes, strict=False))


def test_a_part_uses_the_memory_of_one_that_was_released():
    parts = PartReader("far", Trickle(bytes(30)), iter([10, 10, 10]), PartLimits(1, 100))
    first, held = parts.next(), parts.next()
    parts.release(first)

    assert parts.next().data is first.data
    assert held.data is not first.data


def test_bytes_after_a_part_can_be_read_directly():
    parts = PartReader("far", Trickle(DATA), iter([10]), PartLimits(1, 100))
    parts.next()

    assert b"".join(iter(lambda: parts.read(7), b"")) == DATA[10:]


@given(
    size=st.integers(1, 40),
    threads=st.integers(1, 4),
    memory=st.integers(1, 200),
    spool=st.booleans(),
)
def test_sending_parts_stays_within_the_limits(size, threads, memory, spool):
    limits = PartLimits(threads, memory, spool=spool)
    parts = PartReader("far", Trickle(DATA), iter([size] * 1000), limits)
    lock, held, most, next_part = threading.Lock(), [], [0], parts.next

    def note(change):
        with lock:
            held.append(change)
            most[0] = max(most[0], sum(held))

    def counted(room=lambda size: None):
        part = next_part(room)
        note(part.size if part.in_memory else 0)
        return part

    def send(number: int, part: Part) -> tuple[int, bytes]:
        data = bytes(part.data) if part.in_memory else part.data.read()
        note(-part.size if part.in_memory else 0)
        return number, data

    parts.next = counted
    receipts = parts.send(parts.next(), send)

    assert [number for number, _ in receipts] == list(range(1, len(receipts) + 1))
    assert b"".join(data for _, data in receipts) == DATA
    assert most[0] <= max(memory, size)


def test_a_part_that_fails_ends_the_upload_and_all_threads():
    sent, parts = [], PartReader("far", Trickle(DATA), iter([10] * 100), PartLimits(2, 40))

    def send(number, part):
        if number == 3:
            raise Unavailable("far", "it broke")
        sent.append(number)

    with pytest.raises(Unavailable, match="it broke"):
        parts.send(parts.next(), send)

    assert len(sent) < 100
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("parts-far")]


def test_a_source_with_more_parts_than_sizes_names_the_option():
    parts = PartReader("far", Trickle(DATA), iter([10, 10]), PartLimits(1, 100, option="segment_size"))
    with pytest.raises(StoreFull, match=r"more than 2 parts \(set segment_size\)"):
        parts.send(parts.next(), lambda number, part: None)
