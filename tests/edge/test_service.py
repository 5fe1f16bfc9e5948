"""The service behind this server: refused uploads send no bytes, and lost clients leave none."""

from __future__ import annotations

import socket
import time
import uuid

import pytest

from tests.support.answers import statuses
from tests.support.server import OCTETS, Server, meta
from tests.support.wire import PATIENCE, head, read_to_end, reset


def upload_head(size: int, *lines: str, **fields: str) -> bytes:
    """Return the head of an upload request with this Content-Length."""
    headers = {**OCTETS, **meta(**fields), "Content-Length": str(size)}
    return head("/images", *(f"{name}: {value}" for name, value in headers.items()), *lines)


def test_an_upload_that_will_be_refused_gets_no_100_continue(server: Server):
    taken = server.upload(b"bytes")["id"]
    for fields in ({"id": taken}, {"store": "nowhere"}, {"disk_format": "floppy"}):
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
            connection.sendall(upload_head(10 << 30, "Expect: 100-continue", name="big", **fields))
            (status,) = statuses(read_to_end(connection))
            assert status in (400, 409)


def test_an_upload_that_will_be_accepted_gets_100_continue(server: Server):
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


@pytest.mark.parametrize("framing", ["Content-Length: 10485760", "Transfer-Encoding: chunked"])
def test_a_client_that_disconnects_during_an_upload_is_logged_in_one_line(server: Server, framing: str):
    """r1-H10: this is not an error of the service, however the client hangs up."""
    ids = [server.reserve()["id"] for _ in range(12)]
    logged = len(server.log)
    part = b"40000\r\n" + b"x" * (1 << 18) + b"\r\n" if "chunked" in framing else b"x" * (1 << 18)
    for number, image_id in enumerate(ids):
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
            octets = "Content-Type: application/octet-stream"
            connection.sendall(head(f"/images/{image_id}", octets, framing, method="PUT") + part)
            await_status(server, image_id, "saving")
            if number % 3 == 0:
                reset(connection)
            elif number % 3 == 1:
                connection.shutdown(socket.SHUT_WR)
                assert statuses(connection.recv(1000)) == [400]
    for image_id in ids:
        await_status(server, image_id, "killed")
    end = time.monotonic() + PATIENCE
    while server.log[logged:].count("status=400") < len(ids) and time.monotonic() < end:
        time.sleep(0.01)
    lines = [line for line in server.log[logged:].splitlines() if " calotype.audit " not in line]
    assert len(lines) == len(ids), lines
    assert all(" INFO calotype.access " in line for line in lines), lines


def await_status(server: Server, image_id: str, status: str) -> None:
    """Return when the image has the status."""
    end = time.monotonic() + PATIENCE
    while server.query("SELECT status FROM images WHERE id = ?", image_id) != [(status,)]:
        assert time.monotonic() < end, f"it never was {status}"
        time.sleep(0.01)
