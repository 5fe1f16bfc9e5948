"""Interim responses of an application, which the server sends before the final one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest

from tests.edge.serving import Edge
from tests.support.wire import chunks, head, read_to_end

KEY = "calotype_server.send_interim"


class Announcing:
    """An application that sends interim responses around its reading of the body."""

    def __init__(self, *interim: tuple[str, list[tuple[str, str]]]):
        self.interim = interim
        self.error: Exception | None = None
        self.could = False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.could = KEY in environ
        if self.could:
            try:
                for status, headers in self.interim:
                    environ[KEY](status, headers)
            except ValueError as error:
                self.error = error
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Length", f"{len(body)}")])
        return [body]


def speak(app: Announcing, sent: bytes) -> bytes:
    edge = Edge(app)
    try:
        with edge.connect() as connection:
            connection.sendall(sent)
            return read_to_end(connection)
    finally:
        edge.stop()


EARLY = ("103 Early Hints", [("Link", "</x>; rel=preload")])
RESUMABLE = ("104 Upload Resumption Supported", [("Location", "/uploads/1"), ("Upload-Limit", "max-age=1")])


def test_interim_responses_come_in_order_before_the_final_one() -> None:
    said = speak(Announcing(EARLY, RESUMABLE), head("/", "Content-Length: 4", "Connection: close") + b"body")
    assert said.startswith(
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"
        b"HTTP/1.1 104 Upload Resumption Supported\r\nLocation: /uploads/1\r\nUpload-Limit: max-age=1\r\n\r\n"
        b"HTTP/1.1 200 OK\r\n"
    )
    assert said.endswith(b"\r\n\r\nbody")


def test_a_client_that_waits_for_its_invitation_gets_both() -> None:
    sent = head("/", "Transfer-Encoding: chunked", "Expect: 100-continue", "Connection: close")
    said = speak(Announcing(RESUMABLE), sent + chunks(b"body"))
    assert re.findall(rb"HTTP/1.1 (\d+) ", said)[0] == b"104"
    assert said.endswith(b"body")


def test_the_next_request_on_the_connection_has_interim_responses_of_its_own() -> None:
    first, last = head("/", "Content-Length: 1"), head("/", "Content-Length: 1", "Connection: close")
    said = speak(Announcing(RESUMABLE), first + b"a" + last + b"b")
    assert re.findall(rb"HTTP/1.1 (\d+) ", said) == [b"104", b"200", b"104", b"200"]


def test_a_client_of_http_1_0_gets_none() -> None:
    app = Announcing(RESUMABLE)
    said = speak(app, b"POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\na")
    assert (app.could, b" 104 " in said) == (False, False)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200 OK", []),
        ("100 Continue", []),
        ("101 Switching Protocols", []),
        ("104", []),
        ("104 Upload\r\nX: y", []),
        ("104 Upload", [("Location", "x\r\nSet-Cookie: a=b")]),
        ("104 Upload", [("X\n", "y")]),
    ],
)
def test_anything_else_is_refused_and_nothing_of_it_is_sent(
    status: str, headers: list[tuple[str, str]]
) -> None:
    app = Announcing((status, headers))
    said = speak(app, head("/", "Content-Length: 1", "Connection: close") + b"a")
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert isinstance(app.error, ValueError)


def test_a_client_that_has_left_is_noticed_only_when_the_body_is_read() -> None:
    app = Announcing(*[RESUMABLE] * 50)
    edge = Edge(app)
    try:
        connection = edge.connect()
        connection.sendall(head("/", f"Content-Length: {1 << 20}") + b"a")
        connection.close()
    finally:
        edge.stop()
    assert app.error is None


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("method", ["PATCH", "HEAD", "GET"])
def test_a_connection_stays_open_after_a_response_that_has_no_body(status: str, method: str) -> None:
    """H4: a chunk of an upload would otherwise cost a connection."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["wsgi.input"].read()
        start_response(status, [("Upload-Offset", "1")])
        return [b""]

    edge = Edge(app)
    sent = head("/", "Content-Length: 1", method=method) + b"a"
    last = head("/", "Content-Length: 1", "Connection: close", method=method) + b"a"
    try:
        with edge.connect() as connection:
            connection.sendall(sent + sent + last)
            said = read_to_end(connection)
    finally:
        edge.stop()
    assert re.findall(rb"HTTP/1.1 (\d+) ", said) == [status[:3].encode()] * 3
    assert said.count(b"Connection: close") == 1


def test_bodies_of_resumable_uploads_are_no_documents() -> None:
    """A document has 30 seconds to arrive, and an upload may take hours."""
    seen: list[int] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen.append(len(environ["wsgi.input"].read()))
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    edge = Edge(app, document_timeout=1, body_timeout=30)
    try:
        for media_type in ("application/offset+octet-stream", "application/partial-upload"):
            with edge.connect() as connection:
                lines = (f"Content-Type: {media_type}", f"Content-Length: {1 << 20}", "Connection: close")
                connection.sendall(head("/", *lines, method="PATCH") + bytes(1 << 19))
                connection.settimeout(2)
                with pytest.raises(TimeoutError):
                    connection.recv(1)
                connection.settimeout(15)
                connection.sendall(bytes(1 << 19))
                assert read_to_end(connection).startswith(b"HTTP/1.1 200 OK\r\n")
    finally:
        edge.stop()
    assert seen == [1 << 20, 1 << 20]
