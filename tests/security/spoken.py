"""Requests in two halves: the head, which the server checks first, and the body, which a test sends later."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from tests.security.writes import Write
from tests.support.answers import statuses


class Spoken:
    """A request on its own connection. It is `held` while the server waits for the body."""

    def __init__(self, port: int, write: Write, path: str, headers: dict[str, str]):
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=30)
        framing = {} if write.body is None else {"Transfer-Encoding": "chunked", "Expect": "100-continue"}
        if write.body is None and write.method != "DELETE":
            framing = {"Content-Length": "0"}
        fields = {"Host": "x", "Connection": "close", **framing, **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._connection.sendall(f"{write.method} {path} HTTP/1.1\r\n{head}\r\n".encode())
        self.said = self._read(lambda said: b"\r\n\r\n" in said)

    @property
    def held(self) -> bool:
        return self.said.startswith(b"HTTP/1.1 100 ") and len(statuses(self.said)) == 1

    def begin(self, piece: bytes) -> None:
        """Send the first part of the body, for which the server must be waiting."""
        assert self.held
        self._connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))

    def finish(self, body: bytes = b"") -> int:
        """Send the body if the server waits for it, and return the status of the response."""
        if self.held:
            self._connection.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        self.said += self._read(lambda said: False)
        self._connection.close()
        return statuses(self.said)[-1]

    def _read(self, enough: Callable[[bytes], bool]) -> bytes:
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while not enough(said) and (block := self._connection.recv(65536)):
                said += block
        return said
