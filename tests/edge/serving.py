"""A server in a thread of the test, and ways to speak to it byte by byte."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

from calotype_server.server import create_server

#: Seconds after which a test fails rather than wait on.
PATIENCE = 15


class Edge:
    """A running server."""

    def __init__(self, app: Any, **settings: Any):
        if not settings.keys() & {"sockets", "unix_socket"}:
            settings.setdefault("listen", "127.0.0.1:0")
        settings.setdefault("underscore_headers", "x-image-meta- x-glance-")  # as our ini files do
        self.app = app
        self.server = create_server(app, **settings)
        self._thread = threading.Thread(target=self.server.run, name="edge")
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return ("127.0.0.1", int(self.server.effective_port))

    def stop(self) -> None:
        """End it and wait until it has."""
        self.server.stop()
        self._thread.join(60)
        assert not self._thread.is_alive()

    @property
    def runs(self) -> bool:
        """Whether its loop still turns."""
        return self._thread.is_alive()

    def connect(self) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(self.address, timeout=PATIENCE)

    def client(self) -> http.client.HTTPConnection:
        """An HTTP connection to it."""
        return http.client.HTTPConnection(*self.address, timeout=PATIENCE)

    def get(self, path: str = "/ok") -> int:
        """The status of a GET on a connection of its own."""
        with contextlib.closing(self.client()) as client:
            client.request("GET", path)
            response = client.getresponse()
            response.read()
            return response.status

    def speak(self, *pieces: bytes, hang_up: bool = False) -> bytes:
        """Send the pieces, and return all that comes until the server closes."""
        with self.connect() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for piece in pieces:
                    connection.sendall(piece)
                if hang_up:
                    connection.shutdown(socket.SHUT_WR)
            return read_to_end(connection)


def read_to_end(connection: socket.socket) -> bytes:
    """All that comes until the server closes; TimeoutError if it does not."""
    return b"".join(_blocks(connection))


def _blocks(connection: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(ConnectionResetError):
        while block := connection.recv(65536):
            yield block


def reset(connection: socket.socket) -> None:
    """Close the connection as a client's crash does: with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """The next response on a connection that stays open: its status and body."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    body = response.read()
    return response.status, body


def seen(body: bytes) -> Any:
    """What the application said it saw."""
    return json.loads(body)


def head(path: str, *lines: str, method: str = "POST") -> bytes:
    """A request's head."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def chunks(*contents: bytes) -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%s\r\n" % (len(content), content) for content in contents) + b"0\r\n\r\n"
