"""POST /images without bytes reserves an image."""

from __future__ import annotations

import uuid

import pytest

from tests.support.server import Server, meta


def test_check_10_a_reservation_is_queued(server: Server) -> None:
    answer = server.post("/images", meta(name="reserved", type="kernel"))
    assert answer.status == 200
    image = answer.json["image"]
    assert str(uuid.UUID(image["id"])) == image["id"]
    assert (image["name"], image["type"], image["status"], image["size"]) == (
        "reserved",
        "kernel",
        "queued",
        0,
    )
    assert image["updated_at"] is None


def test_a_trailing_slash_is_accepted(server: Server) -> None:
    assert server.post("/images/", meta(name="slash")).image["status"] == "queued"


@pytest.mark.parametrize("kind", ["machine", "kernel", "ramdisk", "raw"])
def test_a_type_is_read_back(server: Server, kind: str) -> None:
    image = server.reserve(type=kind)
    assert image["type"] == kind
    assert server.head(f"/images/{image['id']}").meta["type"] == kind


@pytest.mark.parametrize("disk_format", ["qcow2", "iso", "vmdk"])
def test_a_format_without_a_type_of_its_own_has_the_type_machine_in_the_classic_api(
    server: Server, disk_format: str
) -> None:
    assert server.reserve(disk_format=disk_format, container_format="bare")["type"] == "machine"


def test_an_image_without_formats_has_no_type(server: Server) -> None:
    image = server.reserve(name="typeless")
    assert image["type"] is None
    assert server.head(f"/images/{image['id']}").meta["type"] == "None"


def test_check_17_an_unknown_type_is_400_and_leaves_no_record(server: Server) -> None:
    image_id = str(uuid.uuid4())
    answer = server.post("/images", meta(id=image_id, type="bogus", is_public="True"))
    assert (answer.status, answer.headers.get_content_type()) == (400, "text/plain")
    assert server.head(f"/images/{image_id}").status == 404
    assert server.post("/images", meta(id=image_id)).status == 200


def test_check_18_a_given_id_is_used_and_never_reused(server: Server) -> None:
    image_id = str(uuid.uuid4())
    assert server.reserve(id=image_id)["id"] == image_id
    again = server.post("/images", meta(id=image_id))
    assert (again.status, again.text) == (
        409,
        f"An image with identifier {image_id} already exists. Use another id, or none.",
    )
    assert server.delete(f"/images/{image_id}").status == 200
    assert server.post("/images", meta(id=image_id)).status == 409


def test_an_id_in_upper_case_means_the_same_image(server: Server) -> None:
    image_id = str(uuid.uuid4())
    assert server.reserve(id=image_id.upper())["id"] == image_id
    assert server.post("/images", meta(id=image_id)).status == 409
    assert server.head(f"/images/{image_id.upper()}").meta["id"] == image_id


def test_check_20_a_reservation_with_an_unknown_store_is_refused(server: Server) -> None:
    """The first API server ignored it, so the bytes of a misspelt store went into the default one."""
    assert server.post("/images", meta(store="bad")).status == 400
    assert server.reserve(store="file")["status"] == "queued"


def test_check_28_a_propertys_name_is_folded(server: Server) -> None:
    image = server.post("/images", {"x-image-meta-property-Distro-Name": "X"}).image
    assert image["properties"] == {"distro_name": "X"}
    assert server.head(f"/images/{image['id']}").meta["property-distro_name"] == "X"


@pytest.mark.parametrize(
    "spelled", ["x-image-meta-is-public", "x-image-meta-is_public", "X-IMAGE-META-Is_Public"]
)
def test_meta_headers_can_be_written_with_dashes_or_underscores(server: Server, spelled: str) -> None:
    assert server.post("/images", {spelled: "True"}).image["is_public"] is True


def test_the_size_that_a_reservation_announces_is_recorded(server: Server) -> None:
    assert server.reserve(size="12345")["size"] == 12345


def test_the_server_owns_status_and_times(server: Server) -> None:
    image = server.reserve(
        status="active", created_at="1999-01-01T00:00:00", deleted="True", deleted_at="1999-01-01T00:00:00"
    )
    assert image["status"] == "queued"
    assert not image["created_at"].startswith("1999")
    assert (image["deleted"], image["deleted_at"]) == (False, None)
