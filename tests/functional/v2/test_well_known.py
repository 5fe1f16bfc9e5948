"""Properties that the schema declares because clients know them by name."""

from __future__ import annotations

import pytest

from calotype.api.v2.patch import V20
from tests.support.v2 import Person, fresh, op

IDS = ("kernel_id", "ramdisk_id")
TEXTS = (
    "instance_uuid",
    "architecture",
    "os_distro",
    "os_version",
    "description",
    "cinder_encryption_key_id",
)
POLICY = "cinder_encryption_key_deletion_policy"


def test_r1_g1_the_schemas_declare_the_properties_that_clients_know_by_name(u1: Person) -> None:
    """r1-G1: they have the types that other services use, and are not fields of every image."""
    one = u1.get("/schemas/image").json["properties"]
    assert u1.get("/schemas/images").json["properties"]["images"]["items"]["properties"] == one
    marked = {name: schema for name, schema in one.items() if schema.get("is_base") is False}
    assert marked.keys() == {*IDS, *TEXTS, POLICY}
    assert all(schema["description"] for schema in marked.values())
    assert {name: marked[name]["type"] for name in marked} == {
        **{name: ["null", "string"] for name in IDS},
        **dict.fromkeys((*TEXTS, POLICY), "string"),
    }
    assert marked[POLICY]["enum"] == ["on_image_deletion", "do_not_delete"]


def test_r1_g1_well_known_properties_are_properties_in_every_dialect(u1: Person) -> None:
    """r1-G1: they can be set, shown, filtered, changed and removed like any other."""
    given = {
        **dict.fromkeys(TEXTS, "text"),
        "kernel_id": fresh(),
        "ramdisk_id": fresh().upper(),
        POLICY: "do_not_delete",
    }
    image_id = u1.make(**given)
    assert given.items() <= u1.show(image_id).items()
    assert u1.ids(f"?kernel_id={given['kernel_id']}") == [image_id]
    for path in (f"/images/{image_id}", f"/v1/images/{image_id}"):
        shown = u1.server.head(path, {"X-Auth-Token": u1.token}).meta
        assert {name: shown[f"property-{name}"] for name in given} == given
    listed = u1.get("/v1/images/detail").json["images"]
    assert next(image["properties"] for image in listed if image["id"] == image_id) == given
    changed = u1.patch(image_id, op("replace", "/os_distro", "debian"), op("remove", "/kernel_id")).json
    assert (changed["os_distro"], "kernel_id" in changed) == ("debian", False)


def test_r1_g1_a_property_that_is_null_is_absent(u1: Person) -> None:
    """r1-G1: v1 has the same rule."""
    image_id = u1.make(kernel_id=None, ramdisk_id=fresh())
    assert "kernel_id" not in u1.show(image_id)
    changed = u1.patch(image_id, op("add", "/kernel_id", None), op("replace", "/ramdisk_id", None))
    assert (changed.status, changed.json.keys() & set(IDS)) == (200, set())
    again = u1.patch(image_id, {"add": "/kernel_id", "value": fresh()}, media_type=V20)
    assert (again.status, "kernel_id" in again.json) == (200, True)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("kernel_id", "vmlinuz", "Invalid value for kernel_id: it must be an image's id, which is a UUID."),
        ("ramdisk_id", 5, "Invalid value for ramdisk_id: the schema asks for type null or string, not 5."),
        ("os_distro", None, "Invalid value for os_distro: the schema asks for type string, not null."),
        (
            "description",
            ["a"],
            "Invalid value for description: the schema asks for type string, not an array.",
        ),
        (
            POLICY,
            "keep",
            f"Invalid value for {POLICY}: 'keep'; one of: on_image_deletion, do_not_delete.",
        ),
    ],
)
def test_r1_g1_a_well_known_property_of_a_wrong_type_is_400(
    u1: Person, name: str, value: object, said: str
) -> None:
    """r1-G1: this holds when an image is created and when it is changed."""
    image_id = u1.make()
    for answer in (u1.create(**{name: value}), u1.patch(image_id, op("add", f"/{name}", value))):
        assert (answer.status, answer.json["error"]["message"]) == (400, said)
