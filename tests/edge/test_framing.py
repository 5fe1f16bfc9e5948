"""Ambiguous requests are refused, and their connections closed."""

from __future__ import annotations

import pytest

from tests.edge.serving import Edge
from tests.support.answers import statuses
from tests.support.wire import answer, chunks, head, read_to_end

SMUGGLED = head("/ok", "Connection: close", method="GET")

CHUNKED = "Transfer-Encoding: chunked"

ATTACKS = {
    "W-01 bare line feed": head("/ok", "X: a\nX-Evil: 1"),
    "W-03 odd white space": head("/sum", "Transfer-Encoding:\x0bchunked"),
    "W-04 two lengths": head("/sum", "Content-Length: 3", "Content-Length: 3") + b"abc",
    "W-04 a list of lengths": head("/sum", "Content-Length: 3, 3") + b"abc",
    "W-05 backtracking": head("/ok", "Bad: " + "x" * 61440 + "\x10"),
    "W-05 backtracking over spaces": head("/ok", "Bad:" + " " * 61440 + "\x10"),
    "W-06 signed length": head("/sum", "Content-Length: +3") + b"abc",
    "W-11 chunked twice": head("/sum", CHUNKED, CHUNKED) + chunks(b"a"),
    "W-11 length and chunks": head("/sum", "Content-Length: 6", CHUNKED) + b"0\r\n\r\n",
    "W-11 two hosts": head("/ok", "Host: y"),
    "W-11 two content types": head("/ok", "Content-Type: a/b", "Content-Type: a/b"),
    "W-17 one meta header in two spellings": head("/ok", "x-image-meta-a_b: 1", "x-image-meta-a-b: 1"),
    "W-18 HTTP/0.9": b"GET /ok\r\n\r\n",
    "W-18 HTTP/1.2": b"GET /ok HTTP/1.2\r\nHost: x\r\n\r\n",
    "W-18 chunks in HTTP/1.0": b"POST /sum HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"a"),
    "W-18 no host": b"GET /ok HTTP/1.1\r\n\r\n",
    "W-18 folded header": head("/ok", "X: a", " b"),
    "W-18 endless length": head("/sum", "Content-Length: " + "9" * 5000),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_ambiguous_request_gets_400_and_no_bytes_after_it_are_run_as_a_request(edge: Edge, attack: bytes):
    said = edge.speak(attack + SMUGGLED)
    assert statuses(said) == [400]
    assert b"Connection: close" in said
    assert edge.app.paths == []
    assert edge.get() == 200


def test_w02_an_unknown_transfer_coding_gets_501(edge: Edge):
    assert statuses(edge.speak(head("/sum", "Transfer-Encoding: gzip, chunked") + SMUGGLED)) == [501]
    assert edge.app.paths == []


def test_w08_no_bytes_after_a_head_that_is_too_large_are_run_as_a_request(edge: Edge):
    said = edge.speak(head("/ok", "X: " + "a" * 300_000) + SMUGGLED)
    assert statuses(said) == [431]
    assert edge.app.paths == []


def test_w08_no_bytes_after_the_response_to_an_invalid_request_are_run_as_a_request(edge: Edge):
    with edge.connect() as connection:
        connection.sendall(head("/ok", "Host: y"))
        said = connection.recv(65536)
        connection.sendall(SMUGGLED)
        said += read_to_end(connection)
        # The server still reads what the client sends, so that the response is not lost.
        assert [edge.get("/refuse"), edge.get("/refuse")] == [409, 409]
    assert statuses(said) == [400]
    assert edge.app.paths == ["/refuse", "/refuse"]


CHUNKS = {
    "W-06 junk in an extension": b"3;a=\0\r\nabc\r\n0\r\n\r\n",
    "W-06 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "bare line feed": b"3\nabc\r\n0\r\n\r\n",
    "a chunk that is longer than it said": b"3\r\nabcd\r\n0\r\n\r\n",
    "W-12 an extension above its limit": b"3;a=" + b"x" * 300 + b"\r\nabc\r\n0\r\n\r\n",
    "W-12 trailers above their limit": b"0\r\nA: " + b"x" * 5000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("path", ["/sum", "/careless"])
@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS)
def test_malformed_chunks_get_400_even_if_the_application_ignores_the_error(
    edge: Edge, path: str, body: bytes
):
    assert statuses(edge.speak(head(path, CHUNKED) + body + SMUGGLED)) == [400]
    assert edge.app.paths == [path]
    assert edge.get() == 200


@pytest.mark.parametrize("start", [b"3;a=", b"0\r\nA: "], ids=["extension", "trailer"])
def test_w12_a_line_without_an_end_is_refused_at_once(edge: Edge, start: bytes):
    block = b"x" * 65536
    said = edge.speak(head("/sum", CHUNKED) + start, *[block] * 512)
    assert statuses(said) == [400]
    assert edge.get() == 200


def test_trailers_are_checked_and_never_become_headers(edge: Edge):
    trailers = b"0\r\nX-Image-Meta-Owner: evil\r\nContent-Length: 7\r\n\r\n"
    with edge.connect() as connection:
        connection.sendall(head("/sum", CHUNKED) + b"3\r\nabc\r\n" + trailers)
        status, body = answer(connection)
        assert status == 200
        assert b'"length": null' in body
        connection.sendall(SMUGGLED)  # the connection stands behind the trailers
        assert statuses(read_to_end(connection)) == [200]


def test_w17_a_header_with_underscores_never_counts_as_one_with_dashes(edge: Edge):
    said = edge.speak(head("/sum", "Content_Length: 3", "Transfer_Encoding: chunked", "Connection: close"))
    assert statuses(said) == [200]
    assert b'"size": 0' in said
