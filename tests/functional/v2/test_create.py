"""Checks 16 to 30: creating images."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.v2 import NOBODY, Person, fresh

NULL = {"name", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value"}
NULL |= {"disk_format", "container_format"}


def test_016_an_empty_document_creates_a_queued_shared_image(u1: Person) -> None:
    answer = u1.create()
    image = answer.json
    assert answer.status == 201
    assert answer.headers["Location"] == f"{u1.server.base}/v2/images/{image['id']}"
    assert answer.headers["OpenStack-image-import-methods"] == "glance-direct,web-download,copy-image"
    assert answer.headers["OpenStack-image-store-ids"] == "fast,cold,web"
    assert {name for name, value in image.items() if value is None} == NULL
    assert image["owner"] == "P1"
    assert (image["status"], image["visibility"], image["tags"]) == ("queued", "shared", [])
    assert (image["min_disk"], image["min_ram"]) == (0, 0)
    assert (image["protected"], image["os_hidden"]) == (False, False)
    assert image["self"] == f"/v2/images/{image['id']}"
    assert image["file"] == f"{image['self']}/file"
    assert image["schema"] == "/v2/schemas/image"


def test_017_a_document_needs_no_content_type(u1: Person) -> None:
    assert u1.ask("POST", "/images", b"{}").status == 201


def test_017_a_document_can_be_chunked(u1: Person) -> None:
    assert u1.ask("POST", "/images", iter([b'{"name":', b'"n"}'])).json["name"] == "n"


@pytest.mark.parametrize(
    "body", [None, b"{", b'"x"', b"[]", b"null", b"5", b"\xff", b'{"name": "a", "name": "b"}', b'{"a": NaN}']
)
def test_018_a_body_that_is_not_a_json_object_is_400(u1: Person, body: bytes | None) -> None:
    assert u1.ask("POST", "/images", body).status == 400


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "n" * 256),
        ("name", 5),
        ("name", "line\nbreak"),
        ("disk_format", "wrong"),
        ("container_format", "wrong"),
        ("container_format", 1),
        ("visibility", "x"),
        ("visibility", None),
        ("protected", "true"),
        ("os_hidden", 1),
        ("tags", "t"),
        ("tags", [1]),
        ("tags", ["t" * 256]),
        ("owner", 5),
        ("id", "abc"),
        ("id", NOBODY.upper()),
        ("id", None),
    ],
)
def test_019_a_value_of_the_wrong_kind_is_400(u1: Person, name: str, value: Any) -> None:
    assert u1.create(**{name: value}).status == 400


def test_019_a_name_can_be_null(u1: Person) -> None:
    assert u1.create(name=None).json["name"] is None


def test_020_a_given_id_cannot_be_used_again(u1: Person, u2: Person) -> None:
    image_id = fresh()
    assert u1.create(id=image_id).json["id"] == image_id
    assert u1.create(id=image_id).status == 409
    assert u2.create(id=image_id).status == 409
    u1.delete(f"/images/{image_id}")
    assert u1.create(id=image_id).status == 409


@pytest.mark.parametrize("value", [5, None, True, ["a"], {"a": "b"}, "nul\0"])
def test_021_a_property_that_is_not_a_string_is_400(u1: Person, value: Any) -> None:
    assert u1.create(prop=value).status == 400


def test_021_a_property_can_be_empty_or_have_a_strange_name(u1: Person) -> None:
    made = u1.create(**{"empty": "", "trait:X": "required", "a/b": "c"}).json
    assert (made["empty"], made["trait:X"], made["a/b"]) == ("", "required", "c")


@pytest.mark.parametrize("name", ["k" * 256, "", "a b", "naïve"])
def test_021_a_property_name_that_is_not_short_printable_ascii_is_400(u1: Person, name: str) -> None:
    assert u1.create(**{name: "v"}).status == 400


SERVERS_OWN = ["status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "created_at"]
SERVERS_OWN += ["updated_at", "self", "file", "schema", "direct_url", "stores"]


@pytest.mark.parametrize("name", SERVERS_OWN)
def test_022_fields_of_the_server_cannot_be_set(u1: Person, name: str) -> None:
    assert u1.create(**{name: "x"}).status == 403


@pytest.mark.parametrize("name", ["location", "locations", "deleted", "deleted_at", "os_glance_x"])
def test_023_reserved_names_cannot_be_set(u1: Person, name: str) -> None:
    assert u1.create(**{name: "x"}).status == 403


def test_024_only_an_administrator_creates_images_for_others(u1: Person, adm: Person) -> None:
    assert u1.create(owner="P2").status == 403
    assert u1.create(owner=None).status == 403
    assert u1.create(owner="P1").json["owner"] == "P1"
    assert adm.create(owner="P2").json["owner"] == "P2"


def test_025_only_an_administrator_creates_public_images(u1: Person, adm: Person) -> None:
    assert u1.create(visibility="public").status == 403
    assert adm.create(visibility="public").status == 201
    assert u1.create(visibility="community").status == 201


@pytest.mark.parametrize("value", [-1, "5", 2**31, True, None, 1.5])
@pytest.mark.parametrize("name", ["min_disk", "min_ram"])
def test_026_a_minimum_that_is_not_a_small_integer_is_400(u1: Person, name: str, value: Any) -> None:
    assert u1.create(**{name: value}).status == 400
    assert u1.create(**{name: 2**31 - 1}).json[name] == 2**31 - 1


def test_027_tags_and_properties_are_limited(u1: Person) -> None:
    assert u1.create(tags=[f"t{n}" for n in range(129)]).status == 413
    assert len(u1.create(tags=[f"t{n}" for n in range(128)]).json["tags"]) == 128
    assert u1.create(tags=["a", "a", "b"]).json["tags"] == ["a", "b"]
    assert u1.create(**{f"p{n}": "v" for n in range(71)}).status == 413
    assert u1.create(**{f"p{n}": "v" for n in range(70)}).status == 201


def test_028_a_reader_cannot_create_images(r1: Person) -> None:
    assert r1.create().status == 403


def test_028_any_text_can_be_the_name_of_an_image(u1: Person) -> None:
    for name in ("☃", "é" * 255, "😀"):
        assert u1.create(name=name).json["name"] == name


def test_029_the_properties_of_openstackclient_are_kept(u1: Person) -> None:
    given = {f"owner_specified.openstack.{name}": "" for name in ("md5", "sha256", "object")}
    assert u1.create(**given).json.items() >= given.items()


def test_030_every_image_has_all_keys_and_times_in_whole_seconds(u1: Person) -> None:
    image = u1.show(u1.make())
    schema = u1.get("/schemas/image").json["properties"]
    always = {name for name, one in schema.items() if one.get("is_base", True)}
    assert always - set(image) == {"stores", "status_reason"}
    for name in ("created_at", "updated_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", image[name])


def test_112_any_word_can_be_the_name_of_a_property(u1: Person) -> None:
    given = {"properties": "p", "is_public": "True", "member": "m", "metadata": "x", "type": "y"}
    assert u1.show(u1.make(**given)).items() >= given.items()
