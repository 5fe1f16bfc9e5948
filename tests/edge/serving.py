"""A server in a thread of the test, and ways to speak to it byte by byte."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from typing import Any

from calotype_server.server import create_server
from tests.support.wire import PATIENCE, read_to_end


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


def seen(body: bytes) -> Any:
    """What the application said it saw."""
    return json.loads(body)
