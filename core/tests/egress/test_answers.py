"""Responses: which ones are accepted, and how much of them is read."""

import socket
import time

import pytest

from calotype.egress import BadAnswer, Egress, EgressPolicy, Unreachable
from core.tests.egress.sources import LOOPBACK, issue, policy, read
from tests.support.web import Web, reply, verbatim


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "x-gzip", "identity, gzip"])
def test_an_encoded_body_is_refused(coding, source):
    source.pages["/"] = reply(body=b"x", Content_Encoding=coding)

    with pytest.raises(BadAnswer):
        Egress(policy(source)).open("GET", source.url())


@pytest.mark.parametrize("coding", ["", "identity"])
def test_an_identity_encoding_is_accepted(coding, source):
    """r1-B5: an empty Content-Encoding counts as an absent one."""
    source.pages["/"] = reply(body=b"x", Content_Encoding=coding)

    assert read(Egress(policy(source)).open("GET", source.url())) == b"x"


def test_a_transfer_coding_that_is_not_chunked_is_refused(source):
    source.pages["/"] = reply(body=b"x", Transfer_Encoding="gzip, chunked")

    with pytest.raises(BadAnswer):
        Egress(policy(source)).open("GET", source.url())


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX-A"]
)
def test_a_body_without_a_recognizable_end_is_refused(head, source):
    source.pages["/"] = verbatim(head, b"hello")

    with pytest.raises(BadAnswer):
        Egress(policy(source)).open("GET", source.url())


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"])
def test_a_body_that_ends_with_its_connection_is_read_if_the_caller_asks_for_it(head, source):
    """r1-B2: HTTP/1.0 has no other way to end a body without a length."""
    source.pages |= {
        "/": verbatim(head, b"hello"),
        "/empty": verbatim(head),
        "/cut": verbatim(head[:-4] + b"\r\nX-A"),
    }
    egress = Egress(policy(source))

    assert read(egress.open("GET", source.url(), endless=True)) == b"hello"
    source.pages["/length"] = verbatim(head[:-2] + b"content-length: 5\r\n\r\n", b"hello and more")
    assert read(egress.open("GET", source.url("/length"), endless=True)) == b"hello"
    for path in ("/empty", "/cut"):
        with pytest.raises(Unreachable, match="without a length or any bytes"):
            read(egress.open("GET", source.url(path), endless=True))


@pytest.mark.parametrize("says_so", [True, False])
def test_over_tls_a_body_without_a_length_ends_only_with_a_close_notify(says_so, certificates):
    """r1-B2: an attacker on the network can cut a connection, but cannot send the source's close_notify."""

    def page(handler):
        handler.close_connection = True
        handler.connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello")
        if says_so:
            handler.connection.unwrap()

    with Web({"/": page}, issue(certificates, "endless")) as source:
        egress = Egress(policy(source, ca_bundle=str(certificates / "ca.pem")))
        answer = egress.open("GET", source.url(), endless=True)
        if says_so:
            assert read(answer) == b"hello"
        else:
            with pytest.raises(Unreachable, match="closes the connection before the end"):
                read(answer)


def test_a_chunked_body_is_read_to_its_end(source):
    source.pages["/"] = verbatim(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"
    )

    assert read(Egress(policy(source)).open("GET", source.url())) == b"abcde"


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 10\r\n\r\nshort",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",
    ],
)
def test_a_body_shorter_than_announced_is_an_error(body, source):
    source.pages["/"] = verbatim(b"HTTP/1.1 200 OK\r\n" + body)
    opened = Egress(policy(source)).open("GET", source.url())

    with pytest.raises(Unreachable):
        read(opened)


def test_no_more_than_the_announced_length_is_read(source):
    source.pages["/"] = verbatim(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"hello and more")

    assert read(Egress(policy(source)).open("GET", source.url())) == b"hello"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
def test_a_malformed_head_is_an_error(head, source):
    source.pages["/"] = verbatim(head)

    # The error depends on how much of the head has arrived.
    with pytest.raises((Unreachable, BadAnswer)):
        Egress(policy(source)).open("GET", source.url())


@pytest.mark.parametrize(
    ("start", "drip"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"a"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a"),
    ],
)
def test_a_source_that_sends_too_slowly_is_cut_off(start, drip, source):
    """The source gives up after ten seconds, which would be another error."""

    def page(handler):
        handler.close_connection = True
        handler.wfile.write(start)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            time.sleep(0.02)
            handler.wfile.write(drip)

    source.pages["/"] = page

    with pytest.raises(Unreachable, match=r"is too slow|does not answer within"):
        read(Egress(policy(source, read_timeout=0.3, min_rate=1 << 30)).open("GET", source.url()))


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"]
)
def test_a_tls_source_that_sends_too_slowly_is_cut_off(start, certificates):
    page = verbatim(start, b"a", pause=0.02, forever=True)
    with Web({"/": page}, issue(certificates, "drip")) as source:
        egress = Egress(
            policy(source, read_timeout=0.3, min_rate=1 << 30, ca_bundle=str(certificates / "ca.pem"))
        )

        with pytest.raises(Unreachable):
            read(egress.open("GET", source.url()))


def test_a_source_that_stops_sending_is_cut_off():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]

        for scheme in ("http", "https"):
            with pytest.raises(Unreachable):
                Egress(
                    EgressPolicy(
                        ports=(port,), allowed_networks=LOOPBACK, connect_timeout=0.2, read_timeout=0.2
                    )
                ).open("GET", f"{scheme}://127.0.0.1:{port}/")


def test_a_response_can_be_closed_before_its_end_and_twice(source):
    source.pages["/"] = verbatim(
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"a" * 100_000, forever=True
    )
    opened = Egress(policy(source)).open("GET", source.url())

    assert opened.read(10) == b"a" * 10
    assert opened.read(0) == b""
    opened.close()
    opened.close()
