"""POST /images and PUT /images/ID with a location."""

from __future__ import annotations

import uuid

import pytest

from tests.support.distributions import LENT
from tests.support.server import OCTETS, Server, meta


def test_check_22_a_location_makes_an_image_active(lending_server: Server) -> None:
    answer = lending_server.post("/images", meta(name="lent", location="memory:lent"))
    assert answer.status == 200
    image = answer.json["image"]
    assert (image["status"], image["size"], image["store"]) == ("active", len(LENT), "lending")
    assert "memory:" not in answer.text
    got = lending_server.get(f"/images/{image['id']}")
    assert (got.status, got.body) == (200, LENT)
    assert not any("memory:" in value for value in got.headers.values())


def test_a_range_of_a_lent_image_is_served(lending_server: Server) -> None:
    image_id = lending_server.post("/images", meta(location="memory:lent")).image["id"]
    got = lending_server.get(f"/images/{image_id}", {"Range": "bytes=9-12"})
    assert (got.status, got.body) == (206, LENT[9:13])


@pytest.mark.parametrize("path", ["/images", "/v1/images"])
def test_a_lent_image_has_no_checksum_that_we_did_not_compute(lending_server: Server, path: str) -> None:
    """v1 has a header for the checksum, which is kept until the bytes arrive."""
    given = meta(checksum="a" * 32, disk_format="raw", container_format="bare")
    queued = lending_server.post(path, given).json["image"]["id"]
    lent = {**given, **meta(location="memory:lent")}
    for answer in (lending_server.post(path, lent), lending_server.put(f"{path}/{queued}", lent)):
        image = answer.json["image"]
        assert (image["status"], image["checksum"]) == ("active", None)
        assert lending_server.get(f"{path}/{image['id']}").headers["ETag"] is None


def test_deleting_a_lent_image_leaves_the_bytes_to_their_owner(lending_server: Server) -> None:
    first = lending_server.post("/images", meta(location="memory:lent")).image["id"]
    second = lending_server.post("/images", meta(location="memory:lent")).image["id"]
    assert lending_server.delete(f"/images/{first}").status == 200
    assert lending_server.get(f"/images/{first}").status == 404
    assert lending_server.get(f"/images/{second}").body == LENT


def test_a_location_completes_a_reserved_image(lending_server: Server) -> None:
    image_id = lending_server.reserve(name="later")["id"]
    image = lending_server.put(f"/images/{image_id}", meta(location="memory:lent")).image
    assert (image["status"], image["name"]) == ("active", "later")
    assert lending_server.get(f"/images/{image_id}").body == LENT


def test_an_active_image_refuses_a_location(lending_server: Server) -> None:
    image_id = lending_server.upload(b"mine")["id"]
    answer = lending_server.put(f"/images/{image_id}", meta(location="memory:lent"))
    assert answer.status == 409
    assert lending_server.get(f"/images/{image_id}").body == b"mine"


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "filesystem:///etc/passwd",
        "/etc/passwd",
        "swift+config://x",
        "blob:00000000",
        "memory:../lent",
        "MEMORY:lent/..",
        "javascript:alert(1)",
        ":",
        "",
        "x" * 5000,
    ],
)
def test_check_22_a_location_that_no_store_accepts_is_400_and_nothing_is_recorded(
    lending_server: Server, location: str
) -> None:
    image_id = str(uuid.uuid4())
    answer = lending_server.post("/images", meta(id=image_id, location=location))
    assert (answer.status, answer.headers.get_content_type()) == (400, "text/plain")
    assert len(answer.text) < 300
    assert lending_server.head(f"/images/{image_id}").status == 404


def test_a_location_without_bytes_is_refused_and_nothing_is_recorded(lending_server: Server) -> None:
    image_id = str(uuid.uuid4())
    answer = lending_server.post("/images", meta(id=image_id, location="memory:nothing"))
    assert answer.status == 404
    assert lending_server.head(f"/images/{image_id}").status == 404


def test_another_size_than_that_of_the_source_is_refused(lending_server: Server) -> None:
    image_id = str(uuid.uuid4())
    answer = lending_server.post("/images", meta(id=image_id, location="memory:lent", size="5"))
    assert answer.status in (400, 409)
    assert lending_server.head(f"/images/{image_id}").status == 404


def test_without_a_suitable_store_a_location_is_refused(server: Server) -> None:
    answer = server.post("/images", meta(location="file:///etc/passwd"))
    assert answer.status == 400
    assert answer.text == "External sources are not supported: no store takes file locations"


def test_a_header_selects_the_store_of_an_upload(lending_server: Server) -> None:
    image = lending_server.post("/images", {**OCTETS, **meta(store="lending")}, b"kept in memory").image
    assert image["store"] == "lending"
    assert lending_server.blobs(image["id"]) == []
    assert lending_server.get(f"/images/{image['id']}").body == b"kept in memory"
