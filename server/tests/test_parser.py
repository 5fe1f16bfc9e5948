"""The parser's rules: which requests it refuses, which bytes it keeps, and which bodies it reads itself."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype_server.parser import RequestParser
from calotype_server.settings import ServerSettings

SETTINGS = ServerSettings(listen="127.0.0.1:0", underscore_headers="x-image-meta- x-glance-")


def parse(*pieces: bytes, settings: ServerSettings = SETTINGS) -> RequestParser:
    """Return a parser that has received the pieces, as far as it consumes them."""
    parser = RequestParser(settings)
    for piece in pieces:
        while piece and not parser.completed:
            piece = piece[parser.received(piece) :]
    return parser


def head(*lines: bytes, first: bytes = b"POST /images HTTP/1.1", host: bytes = b"Host: x") -> bytes:
    """Return the head of a request."""
    return b"\r\n".join([first, *([host] if host else []), *lines, b"", b""])


REFUSED = {
    "chunked twice in two headers": head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "chunked twice in one header": head(b"Transfer-Encoding: chunked, chunked"),
    "an empty coding": head(b"Transfer-Encoding: chunked,"),
    "no coding": head(b"Transfer-Encoding:", b"X: y"),
    "a length and chunks": head(b"Content-Length: 6", b"Transfer-Encoding: chunked"),
    "chunks and a length": head(b"Transfer-Encoding: chunked", b"Content-Length: 6"),
    "chunks in HTTP/1.0": head(b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0"),
    "vertical tab before chunked": head(b"Transfer-Encoding:\x0bchunked"),
    "two hosts": head(b"Host: y"),
    "two equal lengths": head(b"Content-Length: 3", b"Content-Length: 3"),
    "a list of lengths": head(b"Content-Length: 3, 3"),
    "a signed length": head(b"Content-Length: +3"),
    "a negative length": head(b"Content-Length: -1"),
    "a hexadecimal length": head(b"Content-Length: 0x3"),
    "an empty length": head(b"Content-Length:"),
    "a length of 5,000 digits": head(b"Content-Length: " + b"9" * 5000),
    "a length of 20 digits": head(b"Content-Length: " + b"0" * 19 + b"3"),
    "two content types": head(b"Content-Type: a/b", b"content-type: a/b"),
    "two tokens": head(b"X-Auth-Token: a", b"X-Auth-Token: b"),
    "two expectations": head(b"Expect: 100-continue", b"Expect: 100-continue"),
    "no host": head(host=b""),
    "a host list": head(host=b"Host: a, b"),
    "a host with a path": head(host=b"Host: a/b"),
    "a host with credentials": head(host=b"Host: a@b"),
    "HTTP/0.9": b"GET /images\r\n\r\n",
    "HTTP/1.2": head(first=b"GET / HTTP/1.2"),
    "HTTP/2.0": head(first=b"PRI * HTTP/2.0"),
    "two spaces in the first line": head(first=b"GET  / HTTP/1.1"),
    "a tab in the first line": head(first=b"GET\t/ HTTP/1.1"),
    "white space behind the first line": head(first=b"GET / HTTP/1.1 "),
    "a control character in the path": head(first=b"GET /\x00 HTTP/1.1"),
    "a method in lower case": head(first=b"get / HTTP/1.1"),
    "a space before the method": head(first=b" GET / HTTP/1.1"),
    "a folded header": head(b"X-Image-Meta-Name: a", b" b"),
    "a header folded by a tab": head(b"X-Image-Meta-Name: a", b"\tb"),
    "a space before the colon": head(b"X-Image-Meta-Name : a"),
    "no colon": head(b"X-Image-Meta-Name"),
    "no name": head(b": a"),
    "a bare line feed": head(b"X: a\nX-Evil: 1"),
    "a bare carriage return": head(b"X: a\rX-Evil: 1"),
    "NUL": head(b"X: a\x00b"),
    "escape": head(b"X: a\x1bb"),
    "delete": head(b"X: a\x7fb"),
    "a meta header twice": head(b"x-image-meta-name: a", b"X-Image-Meta-Name: a"),
    "a meta header in two spellings": head(
        b"x-image-meta-disk_format: raw", b"x-image-meta-disk-format: raw"
    ),
    "nothing but line ends": b"\r\n" * 40,
}


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED)
def test_an_ambiguous_request_is_refused_and_no_bytes_after_it_are_read(request_bytes):
    behind = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    parser = RequestParser(SETTINGS)
    assert parser.received(request_bytes + behind) == len(request_bytes + behind)
    assert parser.completed
    assert parser.error.code == 400
    assert not parser.reads_body


@pytest.mark.parametrize("value", [b"gzip, chunked", b"gzip", b"identity", b"\x85chunked", b"xchunked"])
def test_a_transfer_coding_other_than_chunked_gets_501(value):
    assert parse(head(b"Transfer-Encoding: " + value)).error.code == 501


def test_a_request_with_too_many_headers_gets_431():
    lines = [b"X-%d: 1" % number for number in range(SETTINGS.max_request_headers)]
    assert parse(head(*lines[1:])).error is None
    assert parse(head(*lines)).error.code == 431


def test_a_head_above_the_limit_gets_431():
    assert parse(head(b"X: " + b"a" * SETTINGS.max_request_header_size)).error.code == 431


@pytest.mark.parametrize("filling", [b" ", b"a", b"a ", b"\t"])
def test_a_line_that_could_make_an_expression_backtrack_is_refused(filling):
    # An expression that tries again would need minutes for this; the test's timeout would tell.
    line = b"X:" + (filling * 200_000)[:200_000] + b"\x10"
    assert parse(head(line)).error.code == 400


def test_a_single_length_and_host_are_accepted():
    parser = parse(head(b"Content-Length: 3", host=b"Host: images.example:9292") + b"abc")
    assert parser.error is None
    assert parser.get_body_stream().read() == b"abc"


@pytest.mark.parametrize("host", [b"", b"x", b"127.0.0.1:80", b"[::1]:80", b"a-b.example."])
def test_every_kind_of_host_is_accepted(host):
    assert parse(head(host=b"Host: " + host)).error is None


def test_a_request_of_http_1_0_needs_no_host():
    assert parse(b"GET / HTTP/1.0\r\n\r\n").error is None


def test_line_ends_before_a_request_are_skipped():
    parser = parse(b"\r\n", b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (parser.error, parser.path) == (None, "/")


UNDERSCORES = head(
    b"x-image-meta-disk_format: raw", b"X-Glance-API-Copy_From: y", b"X_Identity_Status: Confirmed"
)


def test_headers_with_the_prefixes_of_the_settings_may_have_underscores():
    parser = parse(UNDERSCORES)
    assert parser.headers["X_IMAGE_META_DISK_FORMAT"] == "raw"
    assert parser.headers["X_GLANCE_API_COPY_FROM"] == "y"
    assert "X_IDENTITY_STATUS" not in parser.headers


def test_no_header_may_have_underscores_by_default():
    parser = parse(UNDERSCORES, settings=ServerSettings(listen="127.0.0.1:0"))
    assert parser.error is None
    assert parser.headers == {"HOST": "x"}


def test_a_content_length_spelled_with_an_underscore_is_ignored():
    parser = parse(head(b"Content_Length: 5", b"Transfer_Encoding: chunked"))
    assert (parser.completed, parser.content_length, parser.chunked) == (True, 0, False)


def test_close_is_recognized_among_other_connection_options():
    assert parse(head(b"Connection: TE, close")).headers["CONNECTION"] == "close"


STREAMED = {
    "chunks": (b"Transfer-Encoding: chunked",),
    "Chunks": (b"Transfer-Encoding: Chunked",),
    "a long body": (b"Content-Length: %d" % (SETTINGS.stream_over + 1),),
    "a body that is waited for": (b"Content-Length: 3", b"Expect: 100-continue"),
}


@pytest.mark.parametrize("lines", STREAMED.values(), ids=STREAMED)
def test_a_streamed_request_is_complete_with_its_head_and_keeps_the_bytes_after_it(lines):
    parser = RequestParser(SETTINGS)
    request = head(*lines) + b"the body"
    assert parser.received(request) == len(request)
    assert (parser.completed, parser.reads_body, parser.surplus) == (True, True, b"the body")
    assert not parser.expect_continue  # waitress would answer it before the application is asked


def test_the_application_sees_that_a_body_is_chunked_and_has_no_length():
    parser = parse(head(b"Transfer-Encoding: chunked"))
    assert parser.headers["TRANSFER_ENCODING"] == "chunked"
    assert "CONTENT_LENGTH" not in parser.headers


def test_a_short_body_is_read_completely_before_the_application_runs():
    parser = parse(head(b"Content-Length: %d" % SETTINGS.stream_over))
    assert not parser.completed
    assert not parser.streamed


def test_an_expectation_without_a_body_is_ignored():
    parser = parse(head(b"Expect: 100-continue"))
    assert (parser.completed, parser.reads_body, parser.expect_continue) == (True, False, False)


def test_a_body_above_the_limit_is_refused_by_its_length():
    small = ServerSettings(listen="127.0.0.1:0", max_request_body_size=1000)
    parser = parse(head(b"Content-Length: 1000") + b"x", settings=small)
    assert (parser.error.code, parser.reads_body) == (413, False)


@given(st.lists(st.integers(0, 200), max_size=6))
def test_a_head_that_arrives_in_pieces_is_parsed_like_a_whole_one(cuts):
    request = head(b"x-image-meta-name: a b", b"Content-Length: 5") + b"12345"
    edges = [0, *sorted(min(cut, len(request)) for cut in cuts), len(request)]
    parser = parse(*(request[a:b] for a, b in itertools.pairwise(edges)))
    assert parser.error is None
    assert parser.headers["X_IMAGE_META_NAME"] == "a b"
    assert parser.get_body_stream().read() == b"12345"


def test_the_deadline_of_a_head_comes_before_that_of_a_body():
    waiting = parse(b"GET / HTTP/1.1\r\n")
    receiving = parse(head(b"Content-Length: 2048") + b"x")
    assert waiting.deadline == waiting.started + SETTINGS.header_timeout
    body = SETTINGS.body_timeout + 2048 / SETTINGS.min_rate
    assert receiving.deadline == receiving.started + SETTINGS.header_timeout + body


DOCUMENTS = {
    "JSON": (b"Content-Type: application/json", True),
    "JSON with a charset": (b"Content-Type: application/json; charset=utf-8", True),
    "a patch": (b"Content-Type: application/openstack-images-v2.1-json-patch", True),
    "a form": (b"Content-Type: application/x-www-form-urlencoded", True),
    "bytes": (b"Content-Type: application/octet-stream", False),
    "bytes in capitals": (b"Content-Type: Application/Octet-Stream; x=y", False),
    "nothing said": (b"X: y", False),
    "an empty type": (b"Content-Type:", False),
}


@pytest.mark.parametrize(("line", "is_document"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_r1_d4_a_body_is_a_document_by_its_content_type(line, is_document):
    """r1-D4: the server tells metadata from uploads before the application runs."""
    parser = parse(head(line, b"Transfer-Encoding: chunked"))
    assert (parser.reads_body, parser.is_document) == (True, is_document)


def test_a_request_without_a_body_is_not_a_document():
    assert not parse(head(b"Content-Type: application/json")).is_document


def test_r1_d4_a_short_document_has_its_own_deadline():
    """r1-D4: metadata is bounded in seconds however it is read."""
    receiving = parse(head(b"Content-Length: 2048", b"Content-Type: application/json") + b"x")
    assert receiving.deadline == receiving.started + SETTINGS.header_timeout + SETTINGS.document_timeout


def test_callers_are_distinguished_by_tokens_which_cannot_be_recovered():
    def caller(*lines):
        return parse(head(*lines)).token

    assert caller(b"X-Auth-Token: one") == caller(b"x-auth-token: one")
    assert caller(b"X-Auth-Token: one") != caller(b"X-Auth-Token: two")
    assert caller(b"Authorization: Bearer one") != caller(b"Authorization: Bearer two")
    assert caller(b"X: y") is None
    assert "secret" not in str(caller(b"X-Auth-Token: secret"))
