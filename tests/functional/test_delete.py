"""DELETE /images/ID."""

from __future__ import annotations

from tests.support.server import OCTETS, Server, meta


def test_check_31_a_delete_removes_the_image_and_its_bytes(server: Server) -> None:
    image_id = server.upload(b"soon gone", is_public="True")["id"]
    assert len(server.blobs(image_id)) == 1
    answer = server.delete(f"/images/{image_id}")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == "0"
    assert "json" not in answer.headers.get("Content-Type", "")
    for method in ("HEAD", "GET", "DELETE", "PUT"):
        assert server.request(method, f"/images/{image_id}").status == 404, method
    assert image_id not in server.get("/images?limit=1000").text
    assert image_id not in server.get("/images/detail?limit=1000").text
    assert server.blobs(image_id) == []
    assert server.query("SELECT image_locations.key FROM image_locations WHERE image_id = ?", image_id) == []


def test_check_32_a_queued_image_can_be_deleted(server: Server) -> None:
    image_id = server.reserve()["id"]
    assert server.delete(f"/images/{image_id}").status == 200
    assert server.head(f"/images/{image_id}").status == 404


def test_check_32_an_image_whose_file_vanished_can_be_deleted(server: Server) -> None:
    image_id = server.upload(b"vanishing")["id"]
    (blob,) = server.blobs(image_id)
    blob.unlink()
    assert server.delete(f"/images/{image_id}").status == 200
    assert server.head(f"/images/{image_id}").status == 404
    assert server.query("SELECT image_locations.key FROM image_locations WHERE image_id = ?", image_id) == []


def test_a_killed_image_can_be_deleted(server: Server) -> None:
    image_id = server.reserve(size="9")["id"]
    server.put(f"/images/{image_id}", OCTETS, b"short")
    assert server.delete(f"/images/{image_id}").status == 200


def test_a_protected_image_can_be_deleted_after_unprotecting_it(server: Server) -> None:
    image_id = server.upload(b"kept", protected="True")["id"]
    refused = server.delete(f"/images/{image_id}")
    assert refused.status == 403
    assert "protected" in refused.text
    assert server.get(f"/images/{image_id}").body == b"kept"
    assert server.put(f"/images/{image_id}", meta(protected="False")).status == 200
    assert server.delete(f"/images/{image_id}").status == 200


def test_a_deleted_images_record_stays_as_a_tombstone(server: Server) -> None:
    image_id = server.reserve(name="was here")["id"]
    server.delete(f"/images/{image_id}")
    assert server.query("SELECT status, deleted_at IS NULL FROM images WHERE id = ?", image_id) == [
        ("deleted", 0)
    ]
