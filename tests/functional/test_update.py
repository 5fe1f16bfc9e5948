"""PUT /images/ID without bytes changes metadata."""

from __future__ import annotations

import json
import uuid

from tests.support.server import Server, meta


def test_check_26_a_new_name_leaves_an_image_public(server: Server) -> None:
    image = server.reserve(name="old", is_public="True", type="kernel", property_os="linux")
    answer = server.put(f"/images/{image['id']}", meta(name="new"))
    assert answer.status == 200
    changed = answer.json["image"]
    assert changed.pop("updated_at") is not None
    assert changed == {**{k: v for k, v in image.items() if k != "updated_at"}, "name": "new"}


def test_check_27_properties_are_merged(server: Server) -> None:
    path = f"/images/{server.reserve()['id']}"
    server.put(path, meta(property_a="1"))
    assert server.put(path, meta(property_b="2")).image["properties"] == {"a": "1", "b": "2"}
    assert server.put(path, meta(property_a="3")).image["properties"] == {"a": "3", "b": "2"}


def test_check_29_a_client_cannot_set_the_status(server: Server) -> None:
    path = f"/images/{server.reserve()['id']}"
    assert server.put(path, meta(status="active")).image["status"] == "queued"
    assert server.head(path).meta["status"] == "queued"


def test_check_34_an_unknown_meta_header_is_ignored(server: Server) -> None:
    path = f"/images/{server.reserve(name='kept')['id']}"
    headers = {"x-image-meta-image": json.dumps({"name": "other", "status": "active"})}
    answer = server.put(path, headers)
    assert answer.status == 200
    assert (answer.image["name"], answer.image["status"]) == ("kept", "queued")


def test_publishing_and_hiding_go_both_ways(server: Server) -> None:
    path = f"/images/{server.reserve()['id']}"
    assert server.put(path, meta(is_public="True")).image["is_public"] is True
    assert server.put(path, meta(is_public="False")).image["is_public"] is False


def test_a_put_without_any_meta_header_changes_nothing(server: Server) -> None:
    image = server.reserve(name="same", property_a="1")
    changed = server.put(f"/images/{image['id']}").image
    assert {**changed, "updated_at": None} == image


def test_metadata_of_an_active_image_can_change_but_its_bytes_and_size_cannot(server: Server) -> None:
    image = server.upload(b"fixed on metal")
    path = f"/images/{image['id']}"
    changed = server.put(path, meta(name="renamed", size="3", checksum="0" * 32)).image
    assert (changed["name"], changed["size"], changed["checksum"]) == ("renamed", 14, image["checksum"])
    assert server.get(path).body == b"fixed on metal"


def test_an_update_with_another_id_does_not_move_the_image(server: Server) -> None:
    image, other = server.reserve(name="stays"), str(uuid.uuid4())
    server.put(f"/images/{image['id']}", meta(id=other))
    assert server.head(f"/images/{image['id']}").meta["id"] == image["id"]
    assert server.head(f"/images/{other}").status == 404


def test_a_refused_update_changes_nothing(server: Server) -> None:
    image = server.reserve(name="same")
    answer = server.put(f"/images/{image['id']}", meta(name="new", type="bogus", property_a="1"))
    assert answer.status == 400
    told = server.head(f"/images/{image['id']}").meta
    assert (told["name"], told["updated_at"], "property-a" in told) == ("same", "None", False)
