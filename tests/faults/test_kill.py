"""The server is killed in the middle of uploads, as by a power cut, and started again.

Afterwards no active image lacks a byte, and no bytes lie under an image's name without
a row that says what they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import random
import threading
import uuid

import pytest

from tests.conftest import StartServer
from tests.running.server import OCTETS, Server, meta

UPLOADERS = 3
MOMENTS = 3


class Uploader(threading.Thread):
    """Uploads images one after the other until the server is gone; remembers what it was told."""

    def __init__(self, server: Server, seed: int):
        super().__init__()
        self._server = server
        self._random = random.Random(seed)
        #: image id -> SHA-256 of its bytes, of every upload that was begun.
        self.begun: dict[str, str] = {}
        #: The ids whose upload was answered 200.
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


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_a_kill_at_any_moment_leaves_no_lie(start_server: StartServer, moment: int) -> None:
    server = start_server()
    uploaders = [Uploader(server, 100 * moment + number) for number in range(UPLOADERS)]
    for uploader in uploaders:
        uploader.start()
    # Any moment will do; which one it was changes nothing of what must hold.
    threading.Event().wait(random.Random(moment).uniform(0.05, 1.5))
    server.kill()
    for uploader in uploaders:
        uploader.join(60)
    server.start()
    begun = {image_id: digest for uploader in uploaders for image_id, digest in uploader.begun.items()}
    answered = {image_id for uploader in uploaders for image_id in uploader.answered}
    assert_every_active_image_is_whole(server, begun, answered)
    assert_every_blob_is_written_down(server)


def assert_every_active_image_is_whole(server: Server, begun: dict[str, str], answered: set[str]) -> None:
    """Active images have the bytes that were sent; whatever was answered 200 is active."""
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


def assert_every_blob_is_written_down(server: Server) -> None:
    """A file under an image's name has a row, as the image's own, as intended, or as doomed."""
    rows = {key for (key,) in server.query("SELECT key FROM image_locations")}
    assert {blob.name for blob in server.blobs()} <= rows
