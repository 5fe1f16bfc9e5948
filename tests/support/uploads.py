"""Clients of upload sessions: of tus 1.0, and of the IETF's resumable uploads."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.support.answers import Answer
from tests.support.callers import Caller
from tests.support.server import OCTETS, Server
from tests.support.waiting import wait_for

Body = bytes | Iterable[bytes] | None

TUS = {"Tus-Resumable": "1.0.0"}
TUS_BYTES = "application/offset+octet-stream"
PARTIAL = "application/partial-upload"
#: Two pieces that the server streams to the application, because they are large. The kernel and the server
#: hold some of their bytes.
HALVES = bytes(range(256)) * (3 << 12), bytes(reversed(range(256))) * (3 << 12)
WHOLE = b"".join(HALVES)


def pairs(**metadata: str) -> str:
    """Return Upload-Metadata with these pairs; `property_os` stands for `property-os`."""
    return ",".join(
        f"{key.replace('property_', 'property-')} {base64.b64encode(value.encode()).decode()}"
        for key, value in metadata.items()
    )


@dataclass(frozen=True)
class TusClient(Caller):
    """A client of tus. Every request has the version, unless its headers have another one."""

    server: Server
    token: str | None = None

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: Body = None
    ) -> Answer:
        """Send a request, and check that the response has the version, too."""
        answer = self.request_as(method, path, {**TUS, **(headers or {})}, body)
        assert answer.headers["Tus-Resumable"] == "1.0.0", answer.status
        return answer

    def create(self, headers: Mapping[str, str] | None = None, body: Body = None, **metadata: str) -> Answer:
        """Send a creation. By default, it makes an image whose format is raw."""
        given = {"Upload-Metadata": pairs(**{"disk_format": "raw", **metadata}), **(headers or {})}
        if body is not None:
            given = {"Content-Type": TUS_BYTES, **given}
        return self.ask("POST", "/uploads", given, body)

    def begin(self, length: int | None, headers: Mapping[str, str] | None = None, **metadata: str) -> str:
        """Begin a session, and return its path."""
        size = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": f"{length}"}
        answer = self.create({**size, **(headers or {})}, **metadata)
        assert answer.status == 201, answer.text
        return self.path(answer)

    def path(self, answer: Answer) -> str:
        """Return the path of the session that a response leads to."""
        base, found, name = answer.headers["Location"].partition("/uploads/")
        assert base == self.server.base
        return f"{found}{name}"

    def patch(self, path: str, offset: int, body: Body, **headers: str) -> Answer:
        """Send bytes; `Upload_Checksum="..."` adds a header."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        given = {"Content-Type": TUS_BYTES, "Upload-Offset": f"{offset}", **named}
        return self.ask("PATCH", path, given, body)

    def hold(self, path: str, sent: bytes) -> socket.socket:
        """Send the beginning of `WHOLE`, and return the connection once the session is being written."""
        head = (
            f"PATCH {path} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
            f"Content-Type: {TUS_BYTES}\r\nContent-Length: {len(WHOLE)}\r\n\r\n"
        )
        before = writer_of(self.server, path)
        connection = socket.create_connection(("127.0.0.1", self.server.port), timeout=15)
        connection.sendall(head.encode() + sent)
        wait_for(lambda: writer_of(self.server, path), lambda writer: writer not in (None, before))
        return connection

    def offset(self, path: str) -> int:
        """Return the offset of a session."""
        answer = self.ask("HEAD", path)
        assert answer.status == 200, answer.status
        return int(answer.headers["Upload-Offset"])

    def image(self, path: str) -> str:
        """Return the id of the image that a session fills."""
        ((image_id,),) = self.server.query(
            "SELECT image_id FROM upload_sessions WHERE id = ?", path.rpartition("/")[2]
        )
        return image_id

    def show(self, path: str) -> dict:
        """Return the image that a session fills."""
        return self.show_image(self.image(path))

    def show_image(self, image_id: str) -> dict:
        """Return an image."""
        return self.request_as("GET", f"/v2/images/{image_id}").json


@dataclass(frozen=True)
class DraftClient(Caller):
    """A client of the IETF's resumable uploads."""

    server: Server
    token: str | None = None

    def reserve(self) -> str:
        """Create a queued image, and return the path of its bytes."""
        answer = self.request_as(
            "POST",
            "/v2/images",
            {"Content-Type": "application/json"},
            b'{"disk_format": "raw", "container_format": "bare"}',
        )
        return f"/v2/images/{answer.json['id']}/file"

    def put(self, path: str, body: Body, complete: str = "?1", **headers: str) -> Answer:
        """Begin an upload; `Upload_Length="1"` adds a header."""
        return self.request_as("PUT", path, {**OCTETS, "Upload-Complete": complete, **_named(headers)}, body)

    def begin(self, body: bytes = b"", **headers: str) -> str:
        """Begin an upload whose first bytes are `body`, and return the path of its session."""
        answer = self.put(self.reserve(), body, "?0", **headers)
        assert answer.status == 201, answer.text
        return self.path(answer)

    def path(self, answer: Answer) -> str:
        """Return the path of the session that a response leads to."""
        return answer.headers["Location"].removeprefix(self.server.base)

    def patch(
        self, path: str, offset: int, body: Body = None, complete: str = "?1", **headers: str
    ) -> Answer:
        """Send bytes."""
        fields = {"Content-Type": PARTIAL, "Upload-Offset": f"{offset}", "Upload-Complete": complete}
        return self.request_as("PATCH", path, {**fields, **_named(headers)}, body)

    def head(self, path: str) -> Answer:
        """Ask where an upload continues."""
        return self.request_as("HEAD", path)


def writer_of(server: Server, path: str) -> str | None:
    """Return the name of the request that was the last to write to a session."""
    ((writer,),) = server.query("SELECT writer FROM upload_sessions WHERE id = ?", path.rpartition("/")[2])
    return writer


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): text for name, text in headers.items()}
