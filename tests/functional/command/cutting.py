"""A proxy that cuts connections, as a bad line does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable

_BLOCK = 1 << 16


class CuttingProxy:
    """A proxy to a local port, for a `with` block. `port` can change.

    `up` and `down` have, one after the other, the bytes after which a connection is cut, counted from the
    client and from the server. After these, connections live. A connection with fewer bytes uses up none.
    """

    def __init__(self, port: int, up: Iterable[int] = (), down: Iterable[int] = ()):
        self.port = port
        self._cuts = {"up": [*up], "down": [*down]}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.up_bytes = self.down_bytes = 0
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> CuttingProxy:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._sockets:
            _shut(connection)
        # A thread that waits at a socket keeps it open: only a shutdown ends the wait.
        _shut(self._listener)
        for thread in self._threads:
            thread.join()
        for connection in (self._listener, *self._sockets):
            connection.close()

    def _start(self, function: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.port))
                except OSError:
                    client.close()
                    continue
                self._sockets += [client, server]
                self._start(self._carry, client, server, "up")
                self._start(self._carry, server, client, "down")

    def _carry(self, source: socket.socket, target: socket.socket, way: str) -> None:
        count = 0
        with contextlib.suppress(OSError):
            while block := source.recv(_BLOCK):
                count += len(block)
                with self._lock:
                    setattr(self, f"{way}_bytes", getattr(self, f"{way}_bytes") + len(block))
                    cut = bool(self._cuts[way]) and count > self._cuts[way][0]
                    if cut:
                        self._cuts[way].pop(0)
                if cut:
                    _shut(source)
                    break
                target.sendall(block)
        _shut(target)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
