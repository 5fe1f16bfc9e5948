"""The service behind this server: what is refused costs no bytes, and who vanishes leaves nothing."""

from __future__ import annotations

import socket
import time
import uuid

from tests.edge.serving import PATIENCE, head, read_to_end, reset
from tests.running.answers import statuses
from tests.running.server import OCTETS, Server, meta


def upload_head(size: int, *lines: str, **fields: str) -> bytes:
    """The head of an upload of so many bytes."""
    headers = {**OCTETS, **meta(**fields), "Content-Length": str(size)}
    return head("/images", *(f"{name}: {value}" for name, value in headers.items()), *lines)


def test_an_upload_that_will_be_refused_is_not_asked_for_its_body(server: Server):
    taken = server.upload(b"bytes")["id"]
    for fields in ({"id": taken}, {"store": "nowhere"}, {"disk_format": "floppy"}):
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
            connection.sendall(upload_head(10 << 30, "Expect: 100-continue", name="big", **fields))
            (status,) = statuses(read_to_end(connection))
            assert status in (400, 409)


def test_an_upload_that_is_welcome_is_asked_for_its_body(server: Server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall(upload_head(3, "Expect: 100-continue", "Connection: close", name="small"))
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert statuses(read_to_end(connection)) == [200]


def test_an_image_whose_client_vanishes_is_killed_at_once_and_leaves_no_bytes(server: Server):
    image_id = str(uuid.uuid4())
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall(upload_head(10 << 20, id=image_id, name="lost") + b"x" * (5 << 20))
        await_status(server, image_id, "saving")
        reset(connection)
    await_status(server, image_id, "killed")
    assert server.blobs(image_id) == []


def await_status(server: Server, image_id: str, status: str) -> None:
    """Return when the image has that status."""
    end = time.monotonic() + PATIENCE
    while server.query("SELECT status FROM images WHERE id = ?", image_id) != [(status,)]:
        assert time.monotonic() < end, f"it never was {status}"
        time.sleep(0.01)
