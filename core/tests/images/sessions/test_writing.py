"""Bytes arrive in chunks, and become an image."""

import threading

import pytest

from calotype.model.errors import (
    Incomplete,
    Overlap,
    SessionEnded,
    WrongDigest,
    WrongOffset,
)
from calotype.model.sessions import SessionStatus
from calotype.stores import SourceBroken, SourceTooLarge
from calotype.testing import Trickle, pattern
from calotype.transfers.readers import Announced
from core.tests.images.sessions.benches import CELL, Broken

DATA = pattern(3 * CELL + 17)


@pytest.mark.parametrize("size", [1, 700, CELL, 2500, len(DATA)])
@pytest.mark.parametrize("length", [len(DATA), None], ids=["known", "unknown"])
def test_chunks_of_any_size_become_the_image(bench, size, length):
    session = bench.begin(length)
    size = max(size, len(DATA) // 20)
    for offset in range(0, len(DATA), size):
        session = bench.write(session, offset, DATA[offset : offset + size])
        assert session.offset == min(offset + size, len(DATA))
    if length is None:
        session = bench.sessions.announce(session.id, bench.caller, len(DATA))
    assert session.status is SessionStatus.COMPLETE

    bench.assert_image(bench.finish(session), DATA)


def test_an_image_is_queued_while_its_session_is_open(bench):
    session = bench.begin(len(DATA))
    bench.write(session, 0, DATA[:1500])

    assert bench.status(session.image_id) == "queued"


def test_an_image_without_bytes_needs_no_chunk(bench):
    session = bench.begin(0)

    bench.assert_image(bench.finish(session), b"")


def test_a_finished_session_returns_the_same_image_again(bench):
    session = bench.begin(5)
    bench.write(session, 0, b"hello")
    image = bench.finish(session)

    assert bench.finish(session) == image
    assert bench.state(session).status is SessionStatus.FINISHED
    with pytest.raises(SessionEnded):
        bench.write(session, 5, b"!")


def test_a_chunk_at_another_offset_is_refused_with_the_expected_one(bench):
    session = bench.begin(len(DATA))
    bench.write(session, 0, DATA[:1500])
    with pytest.raises(WrongOffset) as refused:
        bench.write(session, 0, DATA)

    assert (refused.value.expected, refused.value.offset) == (1500, 0)
    assert bench.state(session).offset == 1500


def test_a_broken_connection_keeps_the_bytes_that_have_arrived(bench):
    session = bench.begin(len(DATA))
    with pytest.raises(SourceBroken):
        bench.write(session, 0, Broken(DATA[:2345], SourceBroken("gone"), len(DATA)))
    assert bench.state(session).offset == 2345
    bench.write(session, 2345, DATA[2345:])

    bench.assert_image(bench.finish(session), DATA)


def test_a_source_that_ends_before_its_length_is_broken(bench):
    session = bench.begin(len(DATA))
    with pytest.raises(SourceBroken):
        bench.write(session, 0, Announced(Trickle(DATA[:100]), 200))

    assert bench.state(session).offset == 100


def test_a_chunk_that_exceeds_the_length_is_refused(bench):
    session = bench.begin(100)
    with pytest.raises(SourceTooLarge):
        bench.write(session, 0, Announced(Trickle(DATA[:101])))

    assert bench.state(session).offset <= 100


def test_an_incomplete_session_cannot_be_finished(bench):
    session = bench.begin(len(DATA))
    bench.write(session, 0, DATA[:1500])
    with pytest.raises(Incomplete):
        bench.finish(session)

    assert bench.status(session.image_id) == "queued"


@pytest.mark.parametrize("digests", [{"sha256": bytes(32)}, {"md5": bytes(16)}, {"crc32": bytes(4)}], ids=str)
def test_nothing_is_kept_of_a_chunk_with_another_digest(bench, digests):
    session = bench.begin(len(DATA))
    with pytest.raises(WrongDigest):
        bench.write(session, 0, DATA, digests=digests)
    assert bench.state(session).offset == 0
    bench.write(session, 0, DATA)

    bench.assert_image(bench.finish(session), DATA)


@pytest.mark.parametrize("order", [(3, 1, 0, 2), (0, 2, 1, 3), (1, 0, 3, 2)], ids=str)
def test_chunks_that_are_not_alone_may_come_in_any_order(bench, order):
    session, size = bench.begin(len(DATA)), 800
    for number in order:
        offset = number * size
        session = bench.write(session, offset, DATA[offset : offset + size], alone=False)

    bench.assert_image(bench.finish(session), DATA)


def test_the_offset_counts_only_bytes_without_a_gap(bench):
    session = bench.begin(len(DATA))
    assert bench.write(session, 1000, DATA[1000:2000], alone=False).offset == 0
    assert bench.write(session, 0, DATA[:1000], alone=False).offset == 2000


def test_the_same_bytes_may_be_sent_again(bench):
    session = bench.begin(len(DATA))
    for _ in range(2):
        bench.write(session, 1000, DATA[1000:2000], alone=False)
    bench.write(session, 0, DATA, alone=False)

    bench.assert_image(bench.finish(session), DATA)


def test_other_bytes_at_the_same_place_are_refused(bench):
    session = bench.begin(len(DATA))
    bench.write(session, 0, DATA[:1000], alone=False)
    with pytest.raises(Overlap):
        bench.write(session, 0, bytes(1000), alone=False)
    bench.write(session, 1000, DATA[1000:], alone=False)

    bench.assert_image(bench.finish(session), DATA)


def test_chunks_may_go_to_several_processes(bench):
    session, other = bench.begin(len(DATA)), bench.another_process()
    bench.write(session, 0, DATA[:1200])
    other.write(session, 1200, DATA[1200:2400])
    bench.write(session, 2400, DATA[2400:])

    bench.assert_image(other.finish(session), DATA)
    other.lifecycle.close()


def test_a_refused_chunk_leaves_no_threads_of_digests(bench):
    session = bench.begin((1 << 20) + 1)
    with pytest.raises(WrongDigest):
        bench.write(session, 0, pattern((1 << 20) + 1), digests={"crc32": bytes(4)})
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("digest-")] == []
