"""Framing of requests: the server refuses any form that two servers could read differently.

The names of cases begin with the row of the threat catalogue that they replay.
"""

from __future__ import annotations

import time

import pytest

from tests.support.answers import statuses
from tests.support.server import Server

GET = b"GET /images HTTP/1.1\r\n"
POST = b"POST /images HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
HOST = b"Host: localhost\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

AMBIGUOUS = {
    "W-01 a bare LF ends a header line": GET + HOST + b"X: a\nX-Evil: 1\r\n\r\n",
    "W-01 a bare LF ends the first line": b"GET /images HTTP/1.1\nHost: localhost\r\n\r\n",
    "W-01 a bare CR in a value": GET + HOST + b"X: a\rb\r\n\r\n",
    "W-02 two codings": POST + b"Transfer-Encoding: gzip, chunked\r\nContent-Length: 3\r\n\r\nabc",
    "W-02 a coding that is not chunked": POST + b"Transfer-Encoding: gzip\r\n\r\nabc",
    "W-03 VT before chunked": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "W-03 NEL before chunked": POST + b"Transfer-Encoding:\x85chunked\r\n\r\n0\r\n\r\n",
    "W-03 chunked with something behind": POST + b"Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n",
    "W-04 two lengths, the same": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "W-04 two lengths, different": POST + b"Content-Length: 3\r\nContent-Length: 30\r\n\r\nabc",
    "W-04 a list of lengths": POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "W-06 a length with a sign": POST + b"Content-Length: +3\r\n\r\nabc",
    "W-06 a negative length": POST + b"Content-Length: -3\r\n\r\nabc",
    "W-06 a length in hexadecimal": POST + b"Content-Length: 0x3\r\n\r\nabc",
    "W-06 a length with a grouping mark": POST + b"Content-Length: 1_0\r\n\r\nabcdefghij",
    "W-06 an empty length": POST + b"Content-Length: \r\n\r\n",
    "W-06 a chunk size in 0x": POST + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "W-06 a chunk size with a sign": POST + b"Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
    "W-06 junk in a chunk extension": POST
    + b"Transfer-Encoding: chunked\r\n\r\n3;a=\x00\r\nabc\r\n0\r\n\r\n",
    "W-11 chunked twice": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "W-11 chunked, chunked": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "W-11 length and chunked": POST
    + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "W-11 chunked and length": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "W-11 two hosts": GET + b"Host: a\r\nHost: b\r\n\r\n",
    "W-11 two content types": POST + b"Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc",
    "W-18 HTTP/0.9": b"GET /images\r\n\r\n",
    "W-18 HTTP/1.2": b"GET /images HTTP/1.2\r\nHost: localhost\r\n\r\n",
    "W-18 HTTP/2.0": b"GET /images HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "W-18 chunked on HTTP/1.0": POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "W-18 no host": b"GET /images HTTP/1.1\r\n\r\n",
    "W-18 a folded header": GET + HOST + b"X: a\r\n b\r\n\r\n",
    "W-18 a blank before the colon": GET + HOST + b"X-Image-Meta-Name : a\r\n\r\n",
    "W-18 a length of 5,000 digits": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nabc",
    "W-18 a header without a name": GET + HOST + b": a\r\n\r\n",
    "W-18 NUL in a header": GET + HOST + b"X: a\x00b\r\n\r\n",
}


@pytest.mark.parametrize("sent", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_an_ambiguous_request_is_refused_and_the_connection_closed(server: Server, sent: bytes) -> None:
    before = server.query("SELECT count(*) FROM images WHERE status <> 'killed'")
    spoken = server.speak(sent)  # returns only when the server closes
    assert statuses(spoken) in ([400], [501], [505])
    assert b"Traceback" not in spoken
    # An error in a chunk is found after the image is recorded, so the image is killed.
    assert server.query("SELECT count(*) FROM images WHERE status <> 'killed'") == before
    assert server.leftovers() == []


def test_w_05_a_header_that_makes_a_pattern_backtrack_is_refused_at_once(server: Server) -> None:
    began = time.monotonic()
    spoken = server.speak(GET + HOST + b"Bad: " + b"x" * 60_000 + b"\x10\r\n\r\n")
    assert statuses(spoken) == [400]
    assert time.monotonic() - began < 10


def test_headers_without_an_end_are_refused(server: Server) -> None:
    spoken = server.speak(GET + HOST + b"X: y\r\n" * 200_000)
    assert statuses(spoken) in ([400], [431])


def test_two_valid_requests_on_one_connection_are_both_served(server: Server) -> None:
    first = b"GET /versions HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert statuses(server.speak(first + first.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))) == [
        200,
        200,
    ]


def test_http_1_0_is_still_served(server: Server) -> None:
    assert statuses(server.speak(b"GET /images HTTP/1.0\r\n\r\n")) == [200]


@pytest.mark.parametrize("name", ["X-Image-Meta-Name", "x_image_meta_name", "X_Image-Meta_Name"])
def test_w_17_only_a_header_with_the_complete_prefix_is_a_meta_header(server: Server, name: str) -> None:
    image = server.post("/images", {name: "given"}).image
    assert image["name"] == ("given" if name == "X-Image-Meta-Name" else None)


def test_w_17_a_header_with_an_underscore_never_counts_as_another_header(server: Server) -> None:
    answer = server.post("/images", {"Content_Type": "application/octet-stream"}, b"bytes")
    assert answer.status == 400
    assert "Content-Type must be application/octet-stream" in answer.text


@pytest.mark.parametrize("chunk", [b"3\r\nabc\r\n", b""], ids=["bytes", "empty"])
def test_a_trailer_never_becomes_metadata(server: Server, chunk: bytes) -> None:
    """The service reads an empty body, and its trailers, before it reads the metadata."""
    spoken = server.speak(
        POST
        + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunk
        + b"0\r\nX-Image-Meta-Name: evil\r\nX-Image-Meta-Property-Note: evil\r\n\r\n"
    )
    assert statuses(spoken) == [200]
    assert b'"name": null' in spoken
    assert b"evil" not in spoken
