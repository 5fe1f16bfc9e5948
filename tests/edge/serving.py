"""A server in a thread of the test, and ways to send it single bytes."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
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
        """The address at which it listens."""
        return ("127.0.0.1", int(self.server.effective_port))

    def stop(self) -> None:
        """Stop the server, and wait until it has ended."""
        self.server.stop()
        self._thread.join(60)
        assert not self._thread.is_alive()

    @property
    def runs(self) -> bool:
        """Whether its loop is running."""
        return self._thread.is_alive()

    @property
    def loop_seconds(self) -> float:
        """The processor time that its loop has used, in seconds."""
        assert self._thread.ident is not None
        return time.clock_gettime(time.pthread_getcpuclockid(self._thread.ident))

    def connect(self) -> socket.socket:
        """Return a connection to it."""
        return socket.create_connection(self.address, timeout=PATIENCE)

    def client(self) -> http.client.HTTPConnection:
        """Return an HTTP connection to it."""
        return http.client.HTTPConnection(*self.address, timeout=PATIENCE)

    def get(self, path: str = "/ok") -> int:
        """Return the status of a GET on a new connection."""
        with contextlib.closing(self.client()) as client:
            client.request("GET", path)
            response = client.getresponse()
            response.read()
            return response.status

    def speak(self, *pieces: bytes, hang_up: bool = False) -> bytes:
        """Send the pieces, and return everything that the server sends until it closes the connection."""
        with self.connect() as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for piece in pieces:
                    connection.sendall(piece)
                if hang_up:
                    connection.shutdown(socket.SHUT_WR)
            return read_to_end(connection)


def seen(body: bytes) -> Any:
    """Return what the application has recorded."""
    return json.loads(body)
