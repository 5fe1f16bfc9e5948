"""Headers of an upload: each dialect refuses those that declare the body partial or encoded."""

from __future__ import annotations

import json
import uuid

import pytest

from tests.support.answers import Answer
from tests.support.server import OCTETS, Server, meta

BYTES = b"the tail of a disk"
FORMATS = {"disk_format": "raw", "container_format": "bare"}
#: The requests that upload a new image, and those that upload a reserved one.
NEW = ["POST /images", "POST /v1/images"]
WAITING = [
    "PUT /images/{}",
    "PUT /v1/images/{}",
    "PUT /v2/images/{}/file",
    "PUT /v2/images/{}/stage",
]


def send(server: Server, asked: str, image_id: str, headers: dict[str, str], body: bytes = BYTES) -> Answer:
    method, path = asked.format(image_id).split()
    fields = meta(id=image_id, **FORMATS) if method == "POST" else {}
    return server.request(method, path, {**OCTETS, **fields, **headers}, body)


def shown(server: Server, image_id: str) -> dict:
    return server.get(f"/v2/images/{image_id}").json


def assert_nothing_recorded(server: Server, image_id: str) -> None:
    assert server.query("SELECT id FROM images WHERE id = ?", image_id) == []
    assert server.blobs(image_id) == []


@pytest.mark.parametrize("asked", NEW)
@pytest.mark.parametrize("value", ["bytes 13-30/31", "bytes 0-17/18", "bytes */31", "nonsense", ""])
def test_a_part_of_an_image_is_refused_and_no_record_is_made(server: Server, asked: str, value: str) -> None:
    """r1-A1: `curl -C` sends the end of a file with Content-Range."""
    image_id = str(uuid.uuid4())
    answer = send(server, asked, image_id, {"Content-Range": value})
    assert (answer.status, "Content-Range" in answer.text) == (400, True)
    assert_nothing_recorded(server, image_id)


@pytest.mark.parametrize("asked", WAITING)
def test_a_part_of_an_image_is_refused_and_the_image_waits_as_before(server: Server, asked: str) -> None:
    """r1-A1: nothing is stored, and a whole upload succeeds afterwards."""
    image_id = server.reserve(**FORMATS)["id"]
    before = shown(server, image_id)
    answer = send(server, asked, image_id, {"Content-Range": "bytes 13-30/31"})
    assert (answer.status, "Content-Range" in answer.text) == (400, True)
    assert shown(server, image_id) == before
    assert server.blobs(image_id) == []
    assert send(server, asked, image_id, {}).status in (200, 204)


@pytest.mark.parametrize("asked", [*NEW, *WAITING])
def test_a_part_of_an_image_is_refused_before_100_continue(server: Server, asked: str) -> None:
    """r1-A1: a client that waits for `100 Continue` need not send the body."""
    image_id = str(uuid.uuid4()) if asked in NEW else server.reserve(**FORMATS)["id"]
    path = asked.format(image_id)
    head = (
        f"{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n"
        "Content-Type: application/octet-stream\r\nContent-Length: 18\r\nContent-Range: bytes 13-30/31\r\n"
        "x-image-meta-disk_format: raw\r\nx-image-meta-container_format: bare\r\n\r\n"
    )
    assert server.speak(head.encode()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "gzip, identity", "identity,deflate"])
@pytest.mark.parametrize("asked", [*NEW, *WAITING])
def test_an_encoded_body_is_415_in_every_dialect(server: Server, asked: str, coding: str) -> None:
    """r1-E17: v1 used to store compressed bytes as the image."""
    image_id = str(uuid.uuid4()) if asked in NEW else server.reserve(**FORMATS)["id"]
    answer = send(server, asked, image_id, {"Content-Encoding": coding})
    assert (answer.status, "Content-Encoding" in answer.text) == (415, True)
    if asked in NEW:
        assert_nothing_recorded(server, image_id)
    else:
        assert shown(server, image_id)["status"] == "queued"


@pytest.mark.parametrize("coding", ["", "identity", " Identity , "])
@pytest.mark.parametrize("asked", [*NEW, *WAITING])
def test_an_encoding_that_changes_nothing_is_accepted(server: Server, asked: str, coding: str) -> None:
    """r1-B5: an empty Content-Encoding counts as an absent one."""
    image_id = str(uuid.uuid4()) if asked in NEW else server.reserve(**FORMATS)["id"]
    assert send(server, asked, image_id, {"Content-Encoding": coding}).status in (200, 201, 204)


@pytest.mark.parametrize("coding", ["gzip", "identity, deflate", "utf-8"])
@pytest.mark.parametrize("path", ["/v1/images", "/v2/images"])
def test_an_encoded_document_is_415(server: Server, path: str, coding: str) -> None:
    """Both dialects used to ignore the encoding, and made an image."""
    image_id = str(uuid.uuid4())
    document = json.dumps({"id": image_id, "name": "coded"}).encode()
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    answer = server.request("POST", path, headers, document)
    told = f"Content-Encoding is not supported, and it is '{coding}'"
    assert (answer.status, told in answer.json["error"]["message"]) == (415, True)
    assert "A charset belongs in Content-Type." in answer.text
    assert_nothing_recorded(server, image_id)
