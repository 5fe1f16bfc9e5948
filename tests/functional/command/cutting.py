"""A proxy that cuts connections, as a bad line does."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterable

from tests.support.wire import reset

_BLOCK = 1 << 16


class CuttingProxy:
    """A proxy to a local port, for a `with` block.

    `up` and `down` have, one after the other, the bytes after which a connection is cut, counted from the
    client and from the server. After these, connections live. A connection with fewer bytes uses up none.
    """

    def __init__(self, port: int, up: Iterable[int] = (), down: Iterable[int] = ()):
        self._target = ("127.0.0.1", port)
        self._cuts = {"up": [*up], "down": [*down]}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.up_bytes = self.down_bytes = 0

    def __enter__(self) -> CuttingProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for ends, way in (((client, server), "up"), ((server, client), "down")):
                    threading.Thread(target=self._carry, args=[*ends, way], daemon=True).start()

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
                    reset(source)
                    reset(target)
                    return
                target.sendall(block)
            target.shutdown(socket.SHUT_WR)
