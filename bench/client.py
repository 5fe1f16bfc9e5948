"""A client that uses little processor time, so that the figures are those of the server."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

BLOCK = 1 << 20
_EMPTY = frozenset({204, 304})


class Listening(Protocol):
    """A server to which a client can connect."""

    def connect(self) -> socket.socket:
        """Return a new connection, which the caller closes."""


@dataclass(frozen=True)
class Head:
    """The head of a response, and the first bytes of its body."""

    status: int
    fields: bytes
    begun: bytes

    def field(self, name: str) -> str | None:
        """Return a header's value, or None if the header is missing."""
        found = re.search(rb"\r\n%b: *([^\r]*)" % re.escape(name.encode()), self.fields, re.I)
        return found and found[1].decode()

    @property
    def length(self) -> int | None:
        """The length of the body, or None if the head does not have it."""
        if self.status in _EMPTY:
            return 0
        length = self.field("content-length")
        return None if length is None else int(length)

    @property
    def chunked(self) -> bool:
        """True if the body is chunked."""
        return self.field("transfer-encoding") == "chunked"

    @property
    def last(self) -> bool:
        """True if the server closes the connection after this response."""
        said = (self.field("connection") or "").lower()
        if self.length is None and not self.chunked:
            return True
        return said == "close" or (self.fields.startswith(b"HTTP/1.0") and said != "keep-alive")


@dataclass(frozen=True)
class Answer:
    """A complete response."""

    head: Head
    body: bytes

    @property
    def status(self) -> int:
        """The status of the response."""
        return self.head.status


@dataclass(frozen=True)
class Slice:
    """A part of a file as the body of a request: `size` bytes from `start`."""

    path: Path
    start: int
    size: int


class Client:
    """A connection that stays open until the server closes it."""

    def __init__(self, server: Listening):
        self._server = server
        self._socket: socket.socket | None = server.connect()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def send(self, method: str, path: str, body: Path | Slice | bytes = b"", **headers: str) -> Answer:
        """Send a request and return the response. `_` in header names stands for `-`."""
        head = self._begin(method, path, body, headers)
        rest = b"" if method == "HEAD" else self._rest(head)
        if head.last:
            self._close()
        return Answer(head, rest)

    def ask(self, method: str, path: str, body: Path | Slice | bytes = b"", **headers: str) -> Answer:
        """Send a request that must succeed."""
        answer = self.send(method, path, body, **headers)
        if answer.status >= 400:
            raise SystemExit(
                f"{method} {path}: {answer.status} {answer.body[:1000].decode(errors='replace')}"
            )
        return answer

    def image(self, method: str, path: str, **headers: str) -> dict[str, Any]:
        """Send a request without a body, and return the image in the response."""
        return json.loads(self.ask(method, path, **headers).body)["image"]

    def upload(self, path: Path, **headers: str) -> dict[str, Any]:
        """Store a file as a new image."""
        fields = {"Content_Type": "application/octet-stream", **headers}
        return json.loads(self.ask("POST", "/images", path, **fields).body)["image"]

    def download(self, image_id: str, path: Path) -> None:
        """Write an image's bytes to a file."""
        with path.open("wb", buffering=0) as file:
            self.fetch(f"/images/{image_id}", file.write)

    def fetch(self, path: str, write: Callable[[Any], object] = len) -> int:
        """Read a body of known length, pass it to `write` if given, and return its length."""
        head = self._begin("GET", path, b"", {})
        if head.status != 200:
            raise SystemExit(f"GET {path}: {head.status}")
        write(head.begun)
        buffer = memoryview(bytearray(BLOCK))
        left = head.length - len(head.begun)
        while left:
            count = self._socket.recv_into(buffer[: min(left, BLOCK)])
            if not count:
                raise SystemExit(f"GET {path}: the connection was closed")
            write(buffer[:count])
            left -= count
        if head.last:
            self._close()
        return head.length

    def _begin(self, method: str, path: str, body: Path | Slice | bytes, headers: dict[str, str]) -> Head:
        """Send a request, and read the response up to its body."""
        if self._socket is None:
            self._socket = self._server.connect()
        if isinstance(body, Path):
            body = Slice(body, 0, body.stat().st_size)
        if isinstance(body, Slice):
            self._socket.sendall(request(method, path, body.size, headers))
            # If the server refuses the body, its answer is there although the connection breaks.
            with body.path.open("rb") as file, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._socket.sendfile(file, body.start, body.size)
        else:
            length = len(body) if body or method in ("POST", "PUT", "PATCH") else None
            self._socket.sendall(request(method, path, length, headers) + body)
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._some()
        fields, _, begun = got.partition(b"\r\n\r\n")
        return Head(int(fields[9:12]), fields, begun)

    def _rest(self, head: Head) -> bytes:
        body = head.begun
        if head.chunked:
            while not body.endswith(b"0\r\n\r\n"):
                body += self._some()
            return b"".join(_chunks(body))
        if head.length is None:
            while block := self._socket.recv(65536):
                body += block
            return body
        while len(body) < head.length:
            body += self._some()
        return body

    def _some(self) -> bytes:
        block = self._socket.recv(65536)
        if not block:
            raise SystemExit("the server closed the connection")
        return block

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def request(method: str, path: str, length: int | None, headers: dict[str, str]) -> bytes:
    """Return the head of a request, with the length of its body if it has one."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def _chunks(body: bytes) -> list[bytes]:
    chunks = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        chunks.append(rest[: int(size, 16)])
        body = rest[int(size, 16) + 2 :]
    return chunks
