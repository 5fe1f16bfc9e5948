"""A client of Images v1."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.answers import Answer
from tests.support.callers import Caller
from tests.support.server import OCTETS, Server, meta
from tests.support.waiting import wait_for

#: The bytes of images whose content does not matter.
BYTES = b"chunk00000remainder"
#: An image with bytes must have both formats.
FORMATS = {"disk_format": "raw", "container_format": "ovf"}


@dataclass(frozen=True)
class V1(Caller):
    """A client of /v1, with a token or without one."""

    server: Server
    token: str | None = None

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
    ) -> Answer:
        """Send any request; `path` is relative to /v1."""
        return self.request_as(method, f"/v1{path}", headers, body)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a GET request."""
        return self.request("GET", path, headers)

    def head(self, image_id: str) -> Answer:
        """Send a HEAD request for an image."""
        return self.request("HEAD", f"/images/{image_id}")

    def delete(self, path: str) -> Answer:
        """Send a DELETE request."""
        return self.request("DELETE", path)

    def post(self, body: bytes | Iterable[bytes] | None = None, **fields: str) -> Answer:
        """Send a POST request to /images with meta headers, and a body as octets if there is one."""
        return self.request("POST", "/images", _headers(fields, body), body)

    def put(
        self,
        image_id: str,
        body: bytes | Iterable[bytes] | None = None,
        *,
        purge: bool | None = None,
        **fields: str,
    ) -> Answer:
        """Send a PUT request for an image. `purge` removes the properties that the request does not name."""
        headers = _headers(fields, body)
        if purge is not None:
            headers["x-glance-registry-purge-props"] = str(purge)
        return self.request("PUT", f"/images/{image_id}", headers, body)

    def put_json(self, path: str, document: Any) -> Answer:
        """Send a PUT request with a JSON document."""
        return self.request("PUT", path, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def make(self, body: bytes | Iterable[bytes] | None = None, **fields: str) -> dict[str, Any]:
        """Make an image and return its record."""
        return made(self.post(body, **fields))

    def store(self, body: bytes = BYTES, **fields: str) -> dict[str, Any]:
        """Store bytes as an image in formats that accept any bytes, and return the record."""
        return self.make(body, **{**FORMATS, **fields})

    def list(self, query: str = "", *, detail: bool = True) -> list[dict[str, Any]]:
        """Return the images that a list request shows."""
        answer = self.get(f"/images{'/detail' if detail else ''}{'?' if query else ''}{query}")
        assert answer.status == 200, answer.text
        return answer.json["images"]

    def ids(self, query: str = "") -> list[str]:
        """Return the ids of the images that a list request shows."""
        return [image["id"] for image in self.list(query)]

    def detail(self, image_id: str) -> dict[str, Any]:
        """Return the record of an image, which may be deleted, as an administrator sees it."""
        everything = self.list("is_public=none&limit=1000&changes-since=1970-01-01")
        (found,) = [image for image in everything if image["id"] == image_id]
        return found

    def wait(self, image_id: str, *statuses: str) -> dict[str, str]:
        """Wait until the image has one of these statuses, and return its meta headers."""
        return wait_for(
            lambda: self.head(image_id).meta, lambda seen: seen["status"] in statuses, seconds=30, pause=0.05
        )


def made(answer: Answer) -> dict[str, Any]:
    """Return the record in the response to a successful POST."""
    assert answer.status == 201, (answer.status, answer.text[:300])
    return answer.json["image"]


def changed(answer: Answer) -> dict[str, Any]:
    """Return the record in the response to a successful PUT."""
    assert answer.status == 200, (answer.status, answer.text[:300])
    return answer.json["image"]


def assert_refused(answer: Answer, status: int, *words: str) -> None:
    """Check the status, and that the error document has the same status and contains these words."""
    assert answer.status == status, (answer.status, answer.text[:300])
    error = answer.json["error"]
    assert error["code"] == status
    for word in words:
        assert word in error["message"]


def _headers(fields: Mapping[str, str], body: object) -> dict[str, str]:
    return {**(OCTETS if body is not None else {}), **meta(**fields)}
