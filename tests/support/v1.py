"""A client of Images v1: one caller's requests to a running server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.answers import Answer
from tests.support.server import OCTETS, Server, meta

#: The bytes that the checks speak of.
BYTES = b"chunk00000remainder"
#: The two formats that an image with bytes must have.
FORMATS = {"disk_format": "raw", "container_format": "ovf"}


@dataclass(frozen=True)
class V1:
    """Requests under /v1, with a caller's token if it has one."""

    server: Server
    token: str | None = None

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
    ) -> Answer:
        """Any request; `path` begins behind /v1."""
        token = {"X-Auth-Token": self.token} if self.token else {}
        return self.server.request(method, f"/v1{path}", {**token, **(headers or {})}, body)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET"""
        return self.request("GET", path, headers)

    def head(self, image_id: str) -> Answer:
        """HEAD of an image."""
        return self.request("HEAD", f"/images/{image_id}")

    def delete(self, path: str) -> Answer:
        """DELETE"""
        return self.request("DELETE", path)

    def post(self, body: bytes | Iterable[bytes] | None = None, **fields: str) -> Answer:
        """POST /images with meta headers; a body is typed as octets."""
        return self.request("POST", "/images", _headers(fields, body), body)

    def put(
        self,
        image_id: str,
        body: bytes | Iterable[bytes] | None = None,
        *,
        purge: bool | None = None,
        **fields: str,
    ) -> Answer:
        """PUT of an image; `purge` becomes the header that says what happens to other properties."""
        headers = _headers(fields, body)
        if purge is not None:
            headers["x-glance-registry-purge-props"] = str(purge)
        return self.request("PUT", f"/images/{image_id}", headers, body)

    def put_json(self, path: str, document: Any) -> Answer:
        """PUT of a JSON document."""
        return self.request("PUT", path, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def make(self, body: bytes | Iterable[bytes] | None = None, **fields: str) -> dict[str, Any]:
        """POST what must go well, and return the record."""
        return made(self.post(body, **fields))

    def store(self, body: bytes = BYTES, **fields: str) -> dict[str, Any]:
        """Store bytes in formats that take any, and return the record."""
        return self.make(body, **{**FORMATS, **fields})

    def list(self, query: str = "", *, detail: bool = True) -> list[dict[str, Any]]:
        """The images of a list."""
        answer = self.get(f"/images{'/detail' if detail else ''}{'?' if query else ''}{query}")
        assert answer.status == 200, answer.text
        return answer.json["images"]

    def ids(self, query: str = "") -> list[str]:
        """The ids of a list."""
        return [image["id"] for image in self.list(query)]

    def detail(self, image_id: str) -> dict[str, Any]:
        """The whole record of one image, read by an admin; tombstones too."""
        everything = self.list("is_public=none&limit=1000&changes-since=1970-01-01")
        (found,) = [image for image in everything if image["id"] == image_id]
        return found

    def wait(self, image_id: str, *statuses: str) -> dict[str, str]:
        """Wait until the image has one of these statuses, and return its headers."""
        end = time.monotonic() + 30
        while (seen := self.head(image_id).meta)["status"] not in statuses:
            assert time.monotonic() < end, seen
            time.sleep(0.05)
        return seen


def made(answer: Answer) -> dict[str, Any]:
    """The record in the answer to a POST that went well."""
    assert answer.status == 201, (answer.status, answer.text[:300])
    return answer.json["image"]


def changed(answer: Answer) -> dict[str, Any]:
    """The record in the answer to a PUT that went well."""
    assert answer.status == 200, (answer.status, answer.text[:300])
    return answer.json["image"]


def assert_refused(answer: Answer, status: int, *words: str) -> None:
    """The status, and a nested JSON error that says so in these words."""
    assert answer.status == status, (answer.status, answer.text[:300])
    error = answer.json["error"]
    assert error["code"] == status
    for word in words:
        assert word in error["message"]


def _headers(fields: Mapping[str, str], body: object) -> dict[str, str]:
    return {**(OCTETS if body is not None else {}), **meta(**fields)}
