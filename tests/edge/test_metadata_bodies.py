"""Bodies of metadata that are sent slowly to the service: they delay no other request, and time out."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.support.answers import statuses
from tests.support.server import OCTETS, Server, write_ini
from tests.support.wire import PATIENCE, answer, head, read_to_end

CHUNKED = "Transfer-Encoding: chunked"
PATCH = "Content-Type: application/openstack-images-v2.1-json-patch"
JSON = "Content-Type: application/json"


@contextmanager
def begun(server: Server, *parts: bytes) -> Iterator[socket.socket]:
    """Return a connection with an unfinished request."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        for part in parts:
            connection.sendall(part)
        yield connection


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def documents(image_id: str) -> list[bytes]:
    """Return heads of requests with documents in each dialect; one has no Content-Type."""
    return [
        head(f"/v2/images/{image_id}", CHUNKED, PATCH, method="PATCH"),
        head("/v2/images", CHUNKED, JSON),
        head("/v2/images", CHUNKED),
        head("/v1/images", CHUNKED, JSON),
        head(f"/v1/images/{image_id}", CHUNKED, JSON, method="PUT"),
        head(f"/v1/images/{image_id}/members", CHUNKED, JSON, method="PUT"),
        head(f"/v2/images/{image_id}/members", CHUNKED),
        head("/v2/metadefs/namespaces", CHUNKED, JSON),
    ]


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that reads two uploads at a time, and waits five seconds for documents."""
    folder = tmp_path_factory.mktemp("narrow")
    narrow = {"upload_threads": "2", "kept_threads": "0", "upload_wait": "2", "document_timeout": "5"}
    running = Server(folder, write_ini(folder, server=narrow))
    yield running
    running.stop()


def reserve(server: Server) -> str:
    """Reserve an image, and return its id."""
    fields = {"name": "a", "disk_format": "raw", "container_format": "bare"}
    return server.post("/v2/images", body=json.dumps(fields).encode()).json["id"]


def test_r1_d4_metadata_that_arrives_slowly_takes_no_slot_from_uploads(narrow: Server):
    """r1-D4: while documents arrive slowly in every dialect, a large upload succeeds at once."""
    server, image_id = narrow, reserve(narrow)
    with ExitStack() as stack:
        waiting = [stack.enter_context(begun(server, one, chunk(b"["))) for one in documents(image_id)]
        time.sleep(0.2)  # so that all of them are being read
        assert server.put(f"/v2/images/{image_id}/file", OCTETS, [b"x" * 300_000] * 3).status == 204
        patch = json.dumps({"op": "replace", "path": "/name", "value": "b"}).encode()
        waiting[0].sendall(chunk(patch) + chunk(b"]") + b"0\r\n\r\n")
        assert answer(waiting[0])[0] == 200
    assert server.get(f"/v2/images/{image_id}").json["name"] == "b"


def test_r1_d4_metadata_is_bounded_in_seconds_and_bytes(narrow: Server):
    """r1-D4: a document gets 408 after its timeout, and 413 above 1 MiB, in every dialect."""
    server, image_id = narrow, reserve(narrow)
    with ExitStack() as stack:
        for waiting in [stack.enter_context(begun(server, one, chunk(b"["))) for one in documents(image_id)]:
            status, body = answer(waiting)
            assert (status, json.loads(body)["error"]["message"]) == (
                408,
                "The document arrived too slowly; send it again.",
            )
    for one in documents(image_id):
        with begun(server, one, *[chunk(b" " * 65536)] * 16, chunk(b" " * 10)) as waiting:
            assert statuses(read_to_end(waiting)) == [413], one
    assert "unexpected error" not in server.log


def test_a_client_that_disconnects_within_a_document_is_not_logged_as_an_error(narrow: Server):
    server, logged = narrow, len(narrow.log)
    with begun(server, head("/v2/images", CHUNKED, JSON), chunk(b"{")) as waiting:
        waiting.shutdown(socket.SHUT_WR)
        assert statuses(read_to_end(waiting)) == [400]
    assert "unexpected error" not in server.log[logged:]
