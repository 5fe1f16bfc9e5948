"""Checks 63 to 69: reading an image."""

from __future__ import annotations

import hashlib
import uuid

import pytest

from tests.support.v1 import BYTES, V1, assert_refused

MD5 = hashlib.md5(BYTES).hexdigest()
UNKNOWN = [str(uuid.UUID(int=7)), "42", "nosuch", "-1", f"{uuid.UUID(int=7)}0", "%00", "x" * 500]


def test_063_head_has_all_fields_except_null(v1: V1) -> None:
    image = v1.store(is_public="True", min_ram="5", property_os="linux")
    answer = v1.head(image["id"])
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers.get_content_type() == "text/html"
    assert answer.headers["ETag"] == MD5
    told = answer.meta
    assert (told["is_public"], told["protected"], told["deleted"]) == ("True", "False", "False")
    assert (told["disk_format"], told["container_format"], told["min_ram"]) == ("raw", "ovf", "5")
    assert (told["property-os"], told["size"], told["checksum"]) == ("linux", "19", MD5)
    assert not {"name", "deleted_at"} & set(told)
    assert "X-Image-Meta-Is_public" in answer.headers.keys()  # noqa: SIM118 - its spelling counts here


def test_063_an_image_without_bytes_has_no_etag(v1: V1) -> None:
    assert v1.head(v1.make()["id"]).headers["ETag"] is None


def test_064_get_has_the_type_and_length_of_the_bytes(v1: V1) -> None:
    name = "Bücher \U0001f4da"
    image = v1.store(name=name.encode().decode("latin-1"))
    answer = v1.get(f"/images/{image['id']}")
    assert (answer.status, answer.body) == (200, BYTES)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert (answer.headers["Content-Length"], answer.headers["ETag"]) == ("19", MD5)
    assert answer.meta["name"] == name == image["name"]


def test_a_part_of_the_bytes_can_be_read(v1: V1) -> None:
    part = v1.get(f"/images/{v1.store()['id']}", {"Range": "bytes=5-9"})
    assert (part.status, part.body, part.headers["Content-Length"]) == (206, BYTES[5:10], "5")


@pytest.mark.parametrize("image_id", UNKNOWN)
def test_065_a_missing_image_is_404_for_every_method(v1: V1, image_id: str) -> None:
    assert v1.head(image_id).status == 404
    assert_refused(v1.get(f"/images/{image_id}"), 404)
    assert_refused(v1.put(image_id, name="x"), 404)
    assert_refused(v1.delete(f"/images/{image_id}"), 404)


def test_065_the_message_for_a_missing_image_names_its_id(v1: V1) -> None:
    image_id = str(uuid.uuid4())
    assert_refused(v1.get(f"/images/{image_id}"), 404, f"Image with identifier {image_id} not found")


def test_066_an_image_without_bytes_cannot_be_read(v1: V1) -> None:
    queued, killed = v1.make()["id"], str(uuid.uuid4())
    assert v1.post(BYTES, id=killed, size="1", disk_format="raw", container_format="bare").status == 400
    for image_id in (queued, killed):
        assert_refused(v1.get(f"/images/{image_id}"), 404, "is not active")


def test_067_an_unsupported_method_of_an_image_is_405_with_the_four_allowed(v1: V1) -> None:
    image_id = v1.make()["id"]
    for method in ("POST", "PATCH"):
        answer = v1.request(method, f"/images/{image_id}")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, PUT, DELETE")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/images", "GET, HEAD, POST"),
        ("DELETE", "/images", "GET, HEAD, POST"),
        ("POST", "/images/detail", "GET, HEAD"),
        ("GET", "/images/{}/members/x", "PUT, DELETE"),
        ("POST", "/images/{}/members", "GET, HEAD, PUT"),
        ("POST", "/shared-images/x", "GET, HEAD"),
    ],
)
def test_067_an_unsupported_method_of_each_resource_is_405_with_the_allowed_ones(
    v1: V1, method: str, path: str, allowed: str
) -> None:
    answer = v1.request(method, path.format(v1.make()["id"]))
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize(
    "path", ["/images.xxx", "/images/detail.xxx", "/images/new", "/image", "/shared-images"]
)
def test_068_an_unknown_path_is_404(v1: V1, path: str) -> None:
    assert_refused(v1.get(path), 404)


def test_068_a_delete_without_an_id_is_404(v1: V1) -> None:
    assert_refused(v1.delete("/images/"), 404)


def test_069_a_get_cannot_delete(v1: V1) -> None:
    image_id = v1.store()["id"]
    assert v1.get(f"/images/{image_id}?_method=DELETE").body == BYTES
    v1.request("POST", f"/images/{image_id}?_method=DELETE", {"X-HTTP-Method-Override": "DELETE"})
    assert v1.head(image_id).status == 200
