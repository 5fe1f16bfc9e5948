"""HTTP as bytes on one connection."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
from collections.abc import Iterator

#: Timeout of tests in seconds.
PATIENCE = 15


def read_to_end(connection: socket.socket) -> bytes:
    """Return everything that arrives until the server closes the connection.

    Raises:
        TimeoutError: nothing arrived for the connection's timeout, and the server did not close it.
    """
    return b"".join(_blocks(connection))


def _blocks(connection: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(ConnectionResetError):
        while block := connection.recv(65536):
            yield block


def read_refusal(connection: socket.socket, rest: bytes) -> bytes:
    """Send the rest of a body that the server may refuse, and return its response."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(rest)
    return read_to_end(connection)


def reset(connection: socket.socket) -> None:
    """Close the connection with a reset, as happens when a client crashes."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Return the status and the body of the next response on a connection that stays open."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    body = response.read()
    return response.status, body


def head(path: str, *lines: str, method: str = "POST") -> bytes:
    """Return the head of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def chunks(*contents: bytes) -> bytes:
    """Return a chunked body."""
    return b"".join(b"%x\r\n%s\r\n" % (len(content), content) for content in contents) + b"0\r\n\r\n"
