"""The fifteen bugs of the first API server. None of them may return."""

from __future__ import annotations

import uuid

import pytest

from tests.support.distributions import LENT
from tests.support.server import OCTETS, Server, meta


def test_bug_1_an_edit_does_not_unpublish_the_image(server: Server) -> None:
    path = f"/images/{server.reserve(is_public='True')['id']}"
    assert server.put(path, meta(name="edited")).image["is_public"] is True


def test_bug_2_the_word_false_does_not_publish(server: Server) -> None:
    assert server.reserve(is_public="False")["is_public"] is False


def test_bug_3_a_property_can_be_set_again_and_the_response_is_the_image(server: Server) -> None:
    image = server.reserve(property_a="1")
    answer = server.put(f"/images/{image['id']}", meta(property_a="2"))
    assert answer.image["id"] == image["id"]
    assert answer.image["properties"] == {"a": "2"}


def test_bug_4_no_location_leaves_the_service(lending_server: Server) -> None:
    server = lending_server
    lent = server.post("/images", meta(location="memory:lent", is_public="True"))
    filed = server.post("/images", {**OCTETS, **meta(is_public="True")}, b"bytes")
    answers = [lent, filed, server.get("/images/detail?limit=1000"), server.get("/images?limit=1000")]
    for made in (lent, filed):
        path = f"/images/{made.image['id']}"
        answers += [server.head(path), server.get(path), server.put(path, meta(name="x"))]
    for answer in answers:
        everything = str(answer.headers) + answer.text
        assert "location" not in everything.lower()
        assert "memory:" not in everything
        assert str(server.data_dir) not in everything
        assert "blob:" not in everything


def test_bug_5_no_file_of_the_machine_is_read_or_deleted_through_a_location(server: Server, tmp_path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    image_id = str(uuid.uuid4())
    answer = server.post("/images", meta(id=image_id, location=precious.as_uri()))
    assert answer.status == 400
    assert server.get(f"/images/{image_id}").status == 404
    assert server.delete(f"/images/{image_id}").status == 404
    assert precious.read_text() == "keep me"


def test_bug_6_a_client_cannot_write_the_servers_fields(server: Server) -> None:
    image = server.upload(b"owned")
    path = f"/images/{image['id']}"
    for headers in (
        meta(status="killed"),
        meta(size="1"),
        meta(id=str(uuid.uuid4())),
        meta(deleted="True"),
        meta(created_at="1999-01-01T00:00:00"),
        meta(status_reason="x", checksum="0" * 32),
    ):
        server.put(path, headers)
    server.put(path, meta(location="file:///etc/passwd"))
    told = server.put(path).image
    assert {**told, "updated_at": None} == {**image, "updated_at": None}
    assert server.get(path).body == b"owned"


def test_bug_7_an_invalid_type_is_400_and_not_500(server: Server) -> None:
    assert server.post("/images", meta(type="Kernel")).status == 400
    image_id = server.reserve()["id"]
    assert server.put(f"/images/{image_id}", meta(type="nonsense")).status == 400


def test_bug_8_a_taken_id_is_409_and_not_500(server: Server) -> None:
    image_id = server.reserve()["id"]
    assert server.post("/images", meta(id=image_id)).status == 409
    assert server.post("/images", {**OCTETS, **meta(id=image_id)}, b"bytes").status == 409


def test_bug_9_every_image_can_be_deleted(lending_server: Server) -> None:
    server = lending_server
    queued = server.reserve()["id"]
    lent = server.post("/images", meta(location="memory:lent")).image["id"]
    gone = server.upload(b"gone")["id"]
    for blob in server.blobs(gone):
        blob.unlink()
    assert [server.delete(f"/images/{image_id}").status for image_id in (queued, lent, gone)] == [200] * 3
    other = server.post("/images", meta(location="memory:lent")).image["id"]
    assert server.get(f"/images/{other}").body == LENT


def test_bug_10_a_download_of_an_image_without_bytes_is_404_and_no_interrupted_200(server: Server) -> None:
    assert server.get(f"/images/{server.reserve()['id']}").status == 404


def test_bug_11_properties_have_only_headers_of_their_own(server: Server) -> None:
    image = server.reserve(property_a="1")
    told = server.head(f"/images/{image['id']}").meta
    assert told["property-a"] == "1"
    assert "properties" not in told
    assert not [key for key in image if key.startswith("property")]


def test_bug_12_a_body_is_not_held_in_memory(start_server) -> None:
    server = start_server()
    size, block = 192 << 20, bytes(1 << 20)
    server.upload(b"warm up")
    before = peak_memory(server)
    image = server.post("/images", OCTETS, (block for _ in range(size // len(block)))).image
    assert image["size"] == size
    assert peak_memory(server) - before < 48 << 20


def peak_memory(server: Server) -> int:
    """Return the server's peak resident memory in bytes."""
    with open(f"/proc/{server.process.pid}/status") as status:
        (line,) = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("size", ["many", "", "1.5", "12 bytes"])
def test_bug_13_a_size_that_is_not_a_number_is_400(server: Server, size: str) -> None:
    answer = server.post("/images", meta(size=size))
    assert answer.status == 400
    assert "size" in answer.text


def test_bug_13_a_declared_size_is_verified(server: Server) -> None:
    answer = server.post("/images", {**OCTETS, **meta(size="4")}, b"five!")
    assert answer.status == 400


def test_bug_14_bytes_and_json_have_a_type_and_a_length(server: Server) -> None:
    created = server.post("/images", OCTETS, b"typed")
    assert created.headers.get_content_type() == "application/json"
    got = server.get(f"/images/{created.image['id']}")
    assert got.headers["Content-Type"] == "application/octet-stream"
    assert got.headers["Content-Length"] == "5"
    assert server.get("/images").headers.get_content_type() == "application/json"


def test_bug_15_a_failed_upload_does_not_prevent_the_next_one(server: Server) -> None:
    image_id = str(uuid.uuid4())
    server.post("/images", {**OCTETS, **meta(id=image_id, size="99")}, b"too few")
    assert server.blobs(image_id) == []
    assert server.leftovers() == []
    assert server.upload(b"the next one")["status"] == "active"
