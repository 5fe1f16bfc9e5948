"""Bodies are read exactly as they were sent, however the connection splits them."""

from __future__ import annotations

import io
import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype_server.body import (
    CHUNK_LINE,
    TRAILERS,
    BodyTooLong,
    ClientGone,
    ClientTooSlow,
    MalformedBody,
    RequestBody,
    SocketReader,
)
from calotype_server.settings import ServerSettings

SETTINGS = ServerSettings(listen="127.0.0.1:0")
HASTY = ServerSettings(listen="127.0.0.1:0", body_timeout=1)
BEHIND = b"GET / HTTP/1.1\r\n\r\n"


@contextmanager
def body_of(
    came: bytes,
    *sent: bytes,
    length: int | None = None,
    hang_up: bool = True,
    longest: int = 1 << 20,
    settings: ServerSettings = SETTINGS,
    invited: list[str] | None = None,
) -> Iterator[RequestBody]:
    """Return a body of which `came` arrived with the head; the client sends the rest, and hangs up."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        invite = None if invited is None else lambda: invited.append("invited")
        body = RequestBody(SocketReader(ours, came, settings, invite), length, longest)

        def send() -> None:
            for piece in sent:
                theirs.sendall(piece)
            if hang_up:
                theirs.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            yield body
        finally:
            sender.join()


def framed(chunks: list[bytes], extension: bytes = b"", trailers: bytes = b"") -> bytes:
    """Return the framing of chunks."""
    lines = (b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    return b"".join(lines) + b"0\r\n" + trailers + b"\r\n"


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """Strategies for data in pieces, the first of which arrives with the head."""
    edges = [0, *sorted(at % (len(data) + 1) for at in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def read_all(body: RequestBody, size: int) -> bytes:
    """Return the body, read in pieces of this size through a buffer, as applications read it."""
    reader = io.BufferedReader(body, 16)
    return b"".join(iter(lambda: reader.read(size), b""))


CUTS = st.lists(st.integers(0, 1000), max_size=8)


@given(st.binary(max_size=300), CUTS, st.integers(1, 400), st.sampled_from([b"", BEHIND]))
def test_a_body_of_known_length_is_read_to_the_byte(content, cuts, size, behind):
    pieces = cut(content + behind, cuts)
    with body_of(*pieces, length=len(content)) as body:
        assert read_all(body, size) == content
        assert body.finished
        # What was not taken from the socket is still there, for the loop to read.
        assert behind.startswith(body.rest)


@given(
    st.lists(st.binary(min_size=1, max_size=120), max_size=5),
    CUTS,
    st.integers(1, 400),
    st.sampled_from([b"", b";a=b", b';name="quoted \\" text"']),
    st.sampled_from([b"", b"X-Image-Meta-Owner: evil\r\n", b"A: 1\r\nB:\r\n"]),
)
def test_chunks_are_read_to_the_byte(chunks, cuts, size, extension, trailers):
    wire = framed(chunks, extension, trailers)
    pieces = cut(wire + BEHIND, cuts)
    with body_of(*pieces) as body:
        assert read_all(body, size) == b"".join(chunks)
        assert body.finished
        assert BEHIND.startswith(body.rest)


@given(st.integers(1, 60))
def test_chunks_that_end_early_are_never_accepted_as_complete(missing):
    wire = framed([b"some bytes", b"and some more of them", b"!"])
    with body_of(wire[: max(len(wire) - missing, 0)]) as body, pytest.raises(ClientGone):
        read_all(body, 100)
    assert not body.finished
    assert body.rest == b""


def test_a_body_that_ends_early_is_never_accepted_as_complete():
    with body_of(b"123", b"456", length=7) as body, pytest.raises(ClientGone):
        read_all(body, 100)


def test_a_failed_body_keeps_failing():
    with body_of(b"", length=7) as body:
        for _ in range(3):
            with pytest.raises(ClientGone):
                body.read(1)


def test_an_empty_chunked_body_is_at_its_end_at_once():
    with body_of(b"0\r\n\r\n") as body:
        assert body.read() == b""


MALFORMED = {
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "a signed size": b"+3\r\nabc\r\n0\r\n\r\n",
    "0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "a space behind the size": b"3 \r\nabc\r\n0\r\n\r\n",
    "a space before the size": b" 3\r\nabc\r\n0\r\n\r\n",
    "an underscore": b"1_0\r\nabcdefghijklmnop\r\n0\r\n\r\n",
    "a bare line feed": b"3\nabc\r\n0\r\n\r\n",
    "a size of 16 digits": b"0000000000000003\r\nabc\r\n0\r\n\r\n",
    "NUL in an extension": b"3;a=\0\r\nabc\r\n0\r\n\r\n",
    "a bare line feed in an extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "a chunk longer than said": b"3\r\nabcd\r\n0\r\n\r\n",
    "a chunk shorter than said": b"4\r\nabc\r\n0\r\n\r\n",
    "a line feed behind the chunk": b"3\r\nabc\n0\r\n\r\n",
    "a folded trailer": b"0\r\nA: 1\r\n 2\r\n\r\n",
    "NUL in a trailer": b"0\r\nA: \0\r\n\r\n",
    "a trailer without a colon": b"0\r\nA\r\n\r\n",
}


@pytest.mark.parametrize("wire", MALFORMED.values(), ids=MALFORMED)
def test_malformed_chunks_are_refused(wire):
    with body_of(wire) as body, pytest.raises(MalformedBody):
        read_all(body, 100)


@pytest.mark.parametrize(
    ("start", "limit"), [(b"3;a=", CHUNK_LINE), (b"0\r\nA: ", TRAILERS)], ids=["extension", "trailer"]
)
def test_a_line_without_an_end_is_refused_once_it_exceeds_the_limit(start, limit):
    came = start + b"x" * (limit + 2 - len(start.rpartition(b"\n")[2]))
    with body_of(came, hang_up=False) as body, pytest.raises(MalformedBody):
        read_all(body, 100)


def test_trailers_have_one_limit_for_all_of_them():
    with body_of(framed([], trailers=b"A: 12345\r\n" * (TRAILERS // 10))) as body:
        assert read_all(body, 100) == b""
    with body_of(framed([], trailers=b"A: 12345\r\n" * (TRAILERS // 10 + 1))) as body:
        with pytest.raises(MalformedBody):
            read_all(body, 100)


def test_chunks_may_not_add_up_to_more_than_the_limit():
    with body_of(framed([b"12345", b"67890"]), longest=10) as body:
        assert read_all(body, 100) == b"1234567890"
    with body_of(framed([b"12345", b"678901"]), longest=10) as body, pytest.raises(BodyTooLong):
        read_all(body, 100)


def test_only_the_first_read_sends_100_continue():
    invited: list[str] = []
    with body_of(b"", b"123456", length=6, invited=invited) as body:
        assert invited == []
        assert body.read(3) + body.read(3) == b"123456"
    assert invited == ["invited"]


def test_a_client_that_has_begun_to_send_gets_no_100_continue():
    invited: list[str] = []
    with body_of(b"123", b"456", length=6, invited=invited) as body:
        assert read_all(body, 2) == b"123456"
    assert invited == []


def test_a_client_that_sends_nothing_times_out():
    with body_of(b"123", length=6, hang_up=False, settings=HASTY) as body, pytest.raises(ClientTooSlow):
        read_all(body, 100)


def test_a_client_that_sends_too_slowly_times_out():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        body = RequestBody(SocketReader(ours, b"", HASTY), 1000, 1 << 20)
        done = threading.Event()

        def drip() -> None:
            while not done.wait(0.05):
                theirs.sendall(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            with pytest.raises(ClientTooSlow):
                read_all(body, 100)
        finally:
            done.set()
            dripping.join()


def test_no_byte_is_read_twice_or_beyond_the_body():
    with body_of(b"12", b"345" + BEHIND, length=5) as body:
        assert io.BufferedReader(body, 4096).read(1000) == b"12345"
        assert body.read(10) == b""
        assert body.rest == b""
