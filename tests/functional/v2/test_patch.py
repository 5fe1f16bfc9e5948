"""Checks 49 to 63: changing and deleting images."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.v2 import V20, V21, Person, op


def test_049_a_patch_in_another_media_type_gets_the_supported_ones(u1: Person) -> None:
    answer = u1.patch(u1.make(), media_type="application/json")
    assert answer.status == 415
    assert answer.headers["Accept-Patch"] == f"{V20}, {V21}"


def test_050_the_newer_add_overwrites_and_the_older_one_does_not(u1: Person) -> None:
    image_id = u1.make(name="a", prop="p")
    assert u1.patch(image_id, op("add", "/name", "b"), op("add", "/prop", "q")).json["name"] == "b"
    for path in ("/name", "/prop", "/tags"):
        assert u1.patch(image_id, {"add": path, "value": "c"}, media_type=V20).status == 409
    assert u1.show(image_id)["prop"] == "q"
    assert u1.patch(image_id, {"add": "/new", "value": "n"}, media_type=V20).json["new"] == "n"


def test_051_the_older_replace_replaces_the_value(u1: Person) -> None:
    image_id = u1.make(name="a")
    answer = u1.patch(image_id, {"replace": "/name", "value": "b"}, media_type=f"{V20}; charset=utf-8")
    assert (answer.status, answer.json["name"]) == (200, "b")


def test_052_a_missing_key_is_neither_replaced_nor_removed(u1: Person) -> None:
    image_id = u1.make(prop="p")
    assert u1.patch(image_id, op("replace", "/nosuch", "x")).status == 409
    assert u1.patch(image_id, op("remove", "/nosuch")).status == 409
    assert u1.patch(image_id, op("remove", "/name")).status == 403
    assert "prop" not in u1.patch(image_id, op("remove", "/prop")).json


@pytest.mark.parametrize(
    "key",
    [
        "id",
        "status",
        "size",
        "checksum",
        "os_hash_value",
        "created_at",
        "self",
        "schema",
        "file",
        "os_glance_x",
        "location",
        "locations",
        "deleted",
        "deleted_at",
    ],
)
@pytest.mark.parametrize("verb", ["add", "replace", "remove"])
def test_053_fields_of_the_server_cannot_be_changed(u1: Person, key: str, verb: str) -> None:
    assert u1.patch(u1.make(), op(verb, f"/{key}", "x")).status == 403


def test_053_removing_the_servers_keys_is_ignored(u1: Person) -> None:
    image_id = u1.active(prop="p")
    answer = u1.patch(image_id, op("remove", "/stores"), op("remove", "/os_glance_failed_import"))
    assert (answer.status, answer.json["stores"], answer.json["prop"]) == (200, "fast", "p")
    assert u1.patch(image_id, op("replace", "/stores", "cold")).status == 403


@pytest.mark.parametrize(
    "change",
    [
        op("move", "/name", "x"),
        op("test", "/name", "x"),
        op("replace", "/name"),
        {"op": "add", "value": "x"},
        {"path": "/name", "value": "x"},
        op("replace", "name", "x"),
        op("replace", "/name/", "x"),
        op("replace", "/name/x", "x"),
        op("add", "/a~2", "x"),
        op("add", "/a~", "x"),
        op("add", "/tags/-", "x"),
        op("add", "/", "x"),
        {"op": "add", "path": 5, "value": "x"},
        "text",
        ["list"],
    ],
)
def test_054_an_invalid_operation_is_400(u1: Person, change: Any) -> None:
    assert u1.patch(u1.make(), change).status == 400


@pytest.mark.parametrize("change", [{}, {"add": "/a", "remove": "/b", "value": "x"}, {"replace": "/name"}])
def test_054_an_older_operation_without_exactly_one_verb_and_a_value_is_400(u1: Person, change: Any) -> None:
    assert u1.patch(u1.make(), change, media_type=V20).status == 400


def test_054_a_patch_that_is_not_a_list_is_400(u1: Person) -> None:
    assert u1.send("PATCH", f"/images/{u1.make()}", {}, **{"Content-Type": V21}).status == 400


def test_055_a_path_in_a_patch_can_have_escapes(u1: Person) -> None:
    assert u1.patch(u1.make(), op("add", "/a~1b~0c", "v")).json["a/b~c"] == "v"


def test_056_an_empty_patch_changes_nothing(u1: Person) -> None:
    image_id = u1.make()
    before = u1.server.query("SELECT updated_at FROM images WHERE id = ?", image_id)
    assert u1.patch(image_id).status == 200
    assert u1.server.query("SELECT updated_at FROM images WHERE id = ?", image_id) == before


def test_056_a_patch_is_applied_completely_or_not_at_all(u1: Person) -> None:
    image_id = u1.make(name="a")
    assert u1.patch(image_id, op("replace", "/name", "b"), op("replace", "/min_ram", -1)).status == 400
    assert u1.patch(image_id, op("add", "/x", "y"), op("remove", "/nosuch")).status == 409
    assert u1.show(image_id)["name"] == "a"
    assert "x" not in u1.show(image_id)


def test_056_operations_build_upon_each_other(u1: Person) -> None:
    image_id = u1.make(prop="p")
    answer = u1.patch(
        image_id,
        op("add", "/x", "1"),
        op("replace", "/x", "2"),
        op("remove", "/prop"),
        op("add", "/prop", "q"),
    )
    assert (answer.json["x"], answer.json["prop"]) == ("2", "q")


@pytest.mark.parametrize("verb", ["add", "replace"])
def test_057_only_an_administrator_changes_the_owner(u1: Person, adm: Person, verb: str) -> None:
    image_id = u1.make()
    assert u1.patch(image_id, op(verb, "/owner", "P2")).status == 403
    assert adm.show(image_id)["owner"] == "P1"
    assert adm.patch(image_id, op(verb, "/owner", "P2")).json["owner"] == "P2"


def test_058_a_format_can_be_set_until_the_upload(u1: Person) -> None:
    image_id = u1.make()
    assert u1.patch(image_id, op("replace", "/disk_format", "iso")).status == 200
    u1.patch(image_id, op("replace", "/disk_format", "raw"))
    u1.put(image_id, b"bytes")
    assert u1.patch(image_id, op("replace", "/disk_format", "iso")).status == 403
    assert u1.patch(image_id, op("replace", "/container_format", "ovf")).status == 403


def test_059_only_writers_of_the_owning_project_change_an_image(u1: Person, u2: Person, r1: Person) -> None:
    change = op("replace", "/name", "x")
    assert u2.patch(u1.make(visibility="community"), change).status == 403
    assert u2.patch(u1.make(visibility="private"), change).status == 404
    assert r1.patch(u1.make(), change).status == 403


def test_060_values_in_a_patch_follow_the_rules_for_a_new_image(u1: Person) -> None:
    image_id = u1.make()
    assert u1.patch(image_id, op("replace", "/tags", [f"t{n}" for n in range(129)])).status == 413
    for path in ("/visibility", "/protected", "/min_disk", "/tags"):
        assert u1.patch(image_id, op("replace", path, None)).status == 400
    assert u1.patch(image_id, op("add", "/prop", 5)).status == 400
    assert u1.patch(image_id, op("replace", "/visibility", "public")).status == 403
    assert u1.patch(image_id, op("replace", "/tags", ["b", "a", "b"])).json["tags"] == ["a", "b"]
    assert u1.patch(image_id, op("replace", "/name", None)).json["name"] is None
    hidden = u1.patch(image_id, op("add", "/os_hidden", True), op("add", "/min_ram", 5)).json
    assert (hidden["os_hidden"], hidden["min_ram"]) == (True, 5)


def test_061_a_deleted_image_is_gone_for_everybody(u1: Person, adm: Person) -> None:
    image_id = u1.active()
    assert len(u1.server.blobs(image_id, "fast")) == 1
    assert u1.delete(f"/images/{image_id}").status == 204
    assert u1.server.blobs(image_id, "fast") == []
    for person in (u1, adm):
        assert person.get(f"/images/{image_id}").status == 404
        assert person.delete(f"/images/{image_id}").status == 404
    assert u1.get(f"/images/{image_id}/file").status == 404


def test_062_a_protected_image_cannot_be_deleted(u1: Person, adm: Person) -> None:
    image_id = u1.make(protected=True)
    assert u1.delete(f"/images/{image_id}").status == 403
    assert adm.delete(f"/images/{image_id}").status == 403
    u1.patch(image_id, op("replace", "/protected", False))
    assert u1.delete(f"/images/{image_id}").status == 204


def test_063_nobody_deletes_the_image_of_another_project(
    u1: Person, u2: Person, r1: Person, adm: Person
) -> None:
    assert u2.delete(f"/images/{adm.make(visibility='public')}").status == 403
    assert u2.delete(f"/images/{u1.make(visibility='community')}").status == 403
    assert u2.delete(f"/images/{u1.make(visibility='private')}").status == 404
    assert r1.delete(f"/images/{u1.make()}").status == 403
