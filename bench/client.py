"""A client that costs as little as it can, so that what is measured is the server."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server import Server

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
BLOCK = 1 << 20


@dataclass(frozen=True)
class Head:
    """The start of an answer: status, the body's length, and what of the body came along."""

    status: int
    length: int
    begun: bytes


class Client:
    """One connection that stays open."""

    def __init__(self, server: Server):
        self._socket = server.connect()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def ask(self, method: str, path: str, **headers: str) -> bytes:
        """Send a request without a body; return the answer's body. `_` in header names stands for `-`."""
        self._socket.sendall(_request(method, path, headers))
        head = self._head()
        if head.status >= 400:
            raise SystemExit(f"{method} {path}: {head.status}")
        return b"" if method == "HEAD" else self._rest(head)

    def image(self, method: str, path: str, **headers: str) -> dict[str, Any]:
        """Send a request without a body; return the image that the answer describes."""
        return json.loads(self.ask(method, path, Content_Length="0", **headers))["image"]

    def upload(self, path: Path, **headers: str) -> dict[str, Any]:
        """Store a file as a new image."""
        fields = {
            "Content_Length": str(path.stat().st_size),
            "Content_Type": "application/octet-stream",
            **headers,
        }
        self._socket.sendall(_request("POST", "/images", fields))
        with path.open("rb") as file:
            self._socket.sendfile(file)
        head = self._head()
        body = self._rest(head)
        if head.status != 200:
            raise SystemExit(f"upload: {head.status} {body.decode()}")
        return json.loads(body)["image"]

    def download(self, image_id: str, path: Path) -> None:
        """Write an image's bytes to a file."""
        self._socket.sendall(_request("GET", f"/images/{image_id}", {}))
        head = self._head()
        buffer = memoryview(bytearray(BLOCK))
        with path.open("wb", buffering=0) as file:
            file.write(head.begun)
            left = head.length - len(head.begun)
            while left:
                count = self._socket.recv_into(buffer[: min(left, BLOCK)])
                if not count:
                    raise SystemExit("download: the connection was closed")
                file.write(buffer[:count])
                left -= count

    def _head(self) -> Head:
        got = b""
        while b"\r\n\r\n" not in got:
            got += self._some()
        head, _, begun = got.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        return Head(int(head[9:12]), int(length[1]) if length else 0, begun)

    def _rest(self, head: Head) -> bytes:
        body = head.begun
        while len(body) < head.length:
            body += self._some()
        return body

    def _some(self) -> bytes:
        block = self._socket.recv(65536)
        if not block:
            raise SystemExit("the server closed the connection")
        return block


def _request(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: bench"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()
