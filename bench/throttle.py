"""A relay on the loopback address that limits the rate towards a server."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

BLOCK = 1 << 16
#: The size of the receive buffer. It is small, so that bytes wait at the sender and not in buffers.
BUFFER = 1 << 18


class Throttle:
    """A relay that runs for the block. All connections share the rate. Responses are not limited."""

    def __init__(self, host: str, port: int, rate: int):
        self._target = (host, port)
        self._rate = rate
        self._lock = threading.Lock()
        self._next = 0.0
        self._listener = socket.socket()

    @property
    def url(self) -> str:
        """The address of the relay."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Throttle:
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                for source, sink, slow in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._pump, args=(source, sink, slow), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, slow: bool) -> None:
        """Pass bytes on until one side ends, and then end the input of the other."""
        with contextlib.suppress(OSError):
            while block := source.recv(BLOCK):
                if slow:
                    self._wait(len(block))
                sink.sendall(block)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _wait(self, count: int) -> None:
        """Wait until these bytes may be sent."""
        with self._lock:
            now = time.monotonic()
            start = max(self._next, now)
            self._next = start + count / self._rate
        time.sleep(max(0.0, start - now))
