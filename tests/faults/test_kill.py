"""Kills of a server in the middle of uploads, like a power cut, and a new start.

Afterwards no active image lacks a byte, and each blob has a row. An upload that was cut off ends like any
other failed upload.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import StartServer
from tests.support.server import OCTETS, Server, meta

UPLOADERS = 3
MOMENTS = [0, *(pytest.param(number, marks=pytest.mark.campaign) for number in (1, 2))]


class Uploader(threading.Thread):
    """A client that uploads one image after the other until the server is gone, and records the answers."""

    def __init__(self, server: Server, seed: int):
        super().__init__()
        self._server = server
        self._random = random.Random(seed)
        #: image id -> SHA-256 of its bytes, for every upload that was begun.
        self.begun: dict[str, str] = {}
        #: The ids of the images whose upload was answered with 200.
        self.answered: set[str] = set()

    def run(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                image_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
                body = self._random.randbytes(self._random.choice((10, 300_000, 3_000_000, 12_000_000)))
                self.begun[image_id] = hashlib.sha256(body).hexdigest()
                answer = self._server.post("/images", {**OCTETS, **meta(id=image_id)}, body)
                assert answer.status == 200
                self.answered.add(image_id)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_at_any_moment_leaves_only_whole_images_and_known_blobs(
    start_server: StartServer, moment: int
) -> None:
    server = start_server()
    uploaders = [Uploader(server, 100 * moment + number) for number in range(UPLOADERS)]
    for uploader in uploaders:
        uploader.start()
    # The same must hold at any moment.
    threading.Event().wait(random.Random(moment).uniform(0.05, 1.5))
    server.kill()
    for uploader in uploaders:
        uploader.join(60)
    server.start()
    begun = {image_id: digest for uploader in uploaders for image_id, digest in uploader.begun.items()}
    answered = {image_id for uploader in uploaders for image_id in uploader.answered}
    assert_every_active_image_is_whole(server, begun, answered)
    assert_every_blob_has_a_row(server)


def assert_every_active_image_is_whole(server: Server, begun: dict[str, str], answered: set[str]) -> None:
    """Check that active images have the bytes that were sent, and that answered uploads are active."""
    rows = dict(server.query("SELECT id, status FROM images"))
    active = {image_id for image_id, status in rows.items() if status == "active"}
    assert answered <= active
    for image_id in active:
        got = server.get(f"/images/{image_id}")
        assert got.status == 200
        assert hashlib.sha256(got.body).hexdigest() == begun[image_id]
    for image_id in rows.keys() - active:
        assert rows[image_id] in ("saving", "killed", "queued")
        assert server.get(f"/images/{image_id}").status == 404


def assert_every_blob_has_a_row(server: Server) -> None:
    """Check that each file has a row: as stored, intended or pending delete."""
    rows = {key for (key,) in server.query("SELECT key FROM image_locations")}
    assert {blob.name for blob in server.blobs()} <= rows


SIZE = 4_000_000
FORMATS = {"disk_format": "raw", "container_format": "bare"}
#: The upload to a queued image in each dialect, and the status in which a failure leaves the image.
UPLOADS = {
    "classic": ("PUT /images/{}", "killed"),
    "v1": ("PUT /v1/images/{}", "killed"),
    "v2": ("PUT /v2/images/{}/file", "queued"),
}


@pytest.mark.parametrize("dialect", UPLOADS)
def test_an_upload_whose_server_died_ends_like_a_failed_upload(
    start_server: StartServer, dialect: str
) -> None:
    asked, end = UPLOADS[dialect]
    server = start_server({"calotype.lease": "1", "calotype.sweep_interval": "0.2"})
    image_id = server.reserve(**FORMATS)["id"]
    with half_sent(server, asked.format(image_id)):
        wait_for(server, image_id, "saving")
        server.kill()
    server.start()
    wait_for(server, image_id, end)
    wait_until(lambda: not server.query("SELECT key FROM image_locations"))
    assert (server.blobs(image_id), server.leftovers()) == ([], [])
    method, path = asked.format(image_id).split()
    again = server.request(method, path, OCTETS, b"bytes that come again")
    if end == "queued":
        assert again.status == 204
        assert server.get(f"/v2/images/{image_id}/file").body == b"bytes that come again"
    else:
        assert again.status == 409
        reason = server.head(f"/images/{image_id}").headers["x-image-meta-status_reason"]
        assert "ended before the upload did" in reason


@contextlib.contextmanager
def half_sent(server: Server, asked: str) -> Iterator[None]:
    """Send a request with half of its body, and keep the connection open until the block ends."""
    head = f"{asked} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % SIZE + bytes(SIZE // 2))
        yield


def wait_for(server: Server, image_id: str, status: str) -> None:
    """Wait until the image has this status."""
    wait_until(lambda: server.query("SELECT status FROM images WHERE id = ?", image_id) == [(status,)])


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until it holds, but no longer than a minute."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
