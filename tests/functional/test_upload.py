"""POST /images and PUT /images/ID with bytes."""

from __future__ import annotations

import hashlib
import socket
import uuid

import pytest

from tests.support.server import OCTETS, Server, meta
from tests.support.wire import PATIENCE, answer, head

BYTES = b"chunk00000remainder"


def killed_reason(server: Server, image_id: str) -> str:
    """Return the reason of a killed image, and check that none of its bytes are left."""
    told = server.head(f"/images/{image_id}").meta
    assert told["status"] == "killed"
    assert server.blobs(image_id) == []
    assert server.query("SELECT image_locations.key FROM image_locations WHERE image_id = ?", image_id) == []
    return told["status_reason"]


def test_check_11_an_upload_is_active(server: Server) -> None:
    answer = server.post("/images", {**OCTETS, **meta(name="up", store="file")}, BYTES)
    assert answer.status == 200
    image = answer.json["image"]
    assert (image["status"], image["size"], image["store"]) == ("active", len(BYTES), "file")
    assert image["checksum"] == hashlib.md5(BYTES).hexdigest()
    assert "location" not in answer.text


def test_check_12_the_same_bytes_come_back(server: Server) -> None:
    image = server.upload(BYTES, name="back", type="raw")
    answer = server.get(f"/images/{image['id']}")
    assert (answer.status, answer.body) == (200, BYTES)
    assert answer.headers["Content-Length"] == "19"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    told = answer.meta
    assert (told["id"], told["name"], told["type"]) == (image["id"], "back", "raw")
    assert (told["status"], told["size"]) == ("active", "19")


def test_check_13_head_has_the_same_headers_without_bytes(server: Server) -> None:
    image = server.upload(BYTES, name="head", property_arch="x86_64")
    head, get = server.head(f"/images/{image['id']}"), server.get(f"/images/{image['id']}")
    assert (head.status, head.body) == (200, b"")
    assert head.meta == get.meta
    assert head.meta["is_public"] == "False"
    assert head.meta["deleted_at"] == "None"
    assert head.meta["property-arch"] == "x86_64"


def test_check_19_an_unknown_store_with_bytes_is_400_and_nothing_is_recorded(server: Server) -> None:
    image_id = str(uuid.uuid4())
    answer = server.post("/images", {**OCTETS, **meta(id=image_id, store="bad")}, BYTES)
    assert (answer.status, answer.headers.get_content_type()) == (400, "text/plain")
    assert "There is no store 'bad'; use one of: file." in answer.text
    assert server.head(f"/images/{image_id}").status == 404


@pytest.mark.parametrize("headers", [{"Content-Type": "text/plain"}, {}, {"Content-Type": ""}])
def test_check_21_another_content_type_is_400_and_nothing_is_recorded(
    server: Server, headers: dict[str, str]
) -> None:
    image_id = str(uuid.uuid4())
    answer = server.post("/images", {**headers, **meta(id=image_id)}, BYTES)
    assert answer.status == 400
    assert answer.text.startswith("Content-Type must be application/octet-stream, because")
    assert server.head(f"/images/{image_id}").status == 404


def test_a_content_type_may_have_parameters(server: Server) -> None:
    headers = {"Content-Type": "application/octet-stream; charset=x"}
    assert server.post("/images", headers, BYTES).image["status"] == "active"


def test_check_23_chunks_without_a_size_are_counted(server: Server) -> None:
    image = server.post("/images", OCTETS, iter([b"chunk00000", b"remainder"])).image
    assert (image["status"], image["size"]) == ("active", 19)
    assert server.get(f"/images/{image['id']}").body == BYTES


@pytest.mark.parametrize("size", ["999", "18", "0"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_check_24_another_size_than_declared_is_400_and_killed(
    server: Server, size: str, chunked: bool
) -> None:
    image_id = str(uuid.uuid4())
    body = iter([BYTES]) if chunked else BYTES
    answer = server.post("/images", {**OCTETS, **meta(id=image_id, size=size)}, body)
    assert answer.status == 400
    assert "did not match" in answer.text
    assert killed_reason(server, image_id) == answer.text


def test_check_25_a_reserved_image_can_be_uploaded_once(server: Server) -> None:
    image = server.reserve(name="reserved", property_os="linux")
    path = f"/images/{image['id']}"
    done = server.put(path, {**OCTETS, **meta(name="complete")}, BYTES).image
    assert (done["status"], done["name"], done["size"]) == ("active", "complete", 19)
    assert done["properties"] == {"os": "linux"}
    again = server.put(path, {**OCTETS, **meta(name="changed?")}, b"others")
    assert again.status == 409
    assert "Cannot upload to an unqueued image" in again.text
    assert server.get(path).body == BYTES
    assert server.head(path).meta["name"] == "complete"
    assert len(server.blobs(image["id"])) == 1


def test_an_upload_must_have_the_size_of_the_reservation(server: Server) -> None:
    image_id = server.reserve(size="5")["id"]
    assert server.put(f"/images/{image_id}", OCTETS, BYTES).status == 400
    killed_reason(server, image_id)


def test_a_killed_image_refuses_bytes(server: Server) -> None:
    image_id = server.reserve(size="5")["id"]
    server.put(f"/images/{image_id}", OCTETS, BYTES)
    assert server.put(f"/images/{image_id}", OCTETS, b"12345").status == 409


def test_an_upload_to_a_reserved_image_with_an_unknown_store_leaves_it_queued(server: Server) -> None:
    image_id = server.reserve()["id"]
    assert server.put(f"/images/{image_id}", {**OCTETS, **meta(store="bad")}, BYTES).status == 400
    assert server.head(f"/images/{image_id}").meta["status"] == "queued"
    assert server.put(f"/images/{image_id}", OCTETS, BYTES).status == 200


def test_an_upload_to_a_reserved_image_with_another_content_type_leaves_it_queued(server: Server) -> None:
    image_id = server.reserve()["id"]
    assert server.put(f"/images/{image_id}", {"Content-Type": "text/plain"}, BYTES).status == 400
    assert server.head(f"/images/{image_id}").meta["status"] == "queued"


def test_a_body_takes_precedence_over_a_location(server: Server) -> None:
    image = server.upload(BYTES, location="file:///etc/passwd")
    assert (image["status"], image["store"]) == ("active", "file")
    assert server.get(f"/images/{image['id']}").body == BYTES


def test_an_upload_with_a_taken_id_does_not_change_the_image(server: Server) -> None:
    image = server.upload(BYTES)
    answer = server.post("/images", {**OCTETS, **meta(id=image["id"])}, b"others")
    assert (answer.status, "already exists" in answer.text) == (409, True)
    assert server.get(f"/images/{image['id']}").body == BYTES
    assert len(server.blobs(image["id"])) == 1


def test_a_compressed_body_is_415(server: Server) -> None:
    image_id = str(uuid.uuid4())
    headers = {**OCTETS, "Content-Encoding": "gzip", **meta(id=image_id)}
    assert server.post("/images", headers, BYTES).status == 415
    assert server.head(f"/images/{image_id}").status == 404


def test_expect_100_continue_is_answered(server: Server) -> None:
    spoken = server.speak(
        b"POST /images HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n"
        b"Content-Type: application/octet-stream\r\nContent-Length: 3\r\n\r\nabc"
    )
    assert b" 200 " in spoken
    assert b'"active"' in spoken


def test_a_body_of_many_blocks_is_returned_unchanged(server: Server) -> None:
    blocks = [hashlib.sha256(str(number).encode()).digest() * 8192 for number in range(40)]
    image = server.post("/images", OCTETS, iter(blocks)).image
    assert image["size"] == 40 * 262144
    assert image["checksum"] == hashlib.md5(b"".join(blocks)).hexdigest()
    assert server.get(f"/images/{image['id']}").body == b"".join(blocks)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/images"),
        ("PUT", "/images/{}"),
        ("POST", "/v1/images"),
        ("PUT", "/v2/images/{}/file"),
        ("PUT", "/v2/images/{}/stage"),
    ],
)
def test_an_upload_that_announces_more_than_the_cap_is_413_before_its_body(
    start_server, method: str, path: str
) -> None:
    server = start_server({"calotype.image_size_cap": "1MiB"})  # the server streams bodies of this size
    formats = meta(name="big", disk_format="raw", container_format="bare")
    image_id = server.post("/images", formats).image["id"]
    fields = {**OCTETS, **formats, "Content-Length": str((1 << 20) + 1)}
    lines = [f"{name}: {value}" for name, value in fields.items()]
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall(head(path.format(image_id), *lines, method=method))
        status, text = answer(connection)
    assert status == 413
    assert b"Denying attempt to upload image larger than 1048576 bytes." in text
    assert server.query("SELECT id, status FROM images") == [(image_id, "queued")]


def test_an_image_over_the_cap_is_413_and_leaves_nothing(start_server) -> None:
    server = start_server({"calotype.image_size_cap": "1000"})
    declared = server.post("/images", {**OCTETS, **meta(size="1001")}, b"x" * 1001)
    assert declared.status == 413
    image_id = str(uuid.uuid4())
    chunked = server.post("/images", {**OCTETS, **meta(id=image_id)}, iter([b"x" * 1001]))
    assert chunked.status == 413
    killed_reason(server, image_id)
    assert server.upload(b"x" * 1000)["status"] == "active"
    assert server.leftovers() == []
