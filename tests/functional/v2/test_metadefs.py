"""Metadata definitions: namespaces with objects, properties, tags and resource types."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.v2 import People, Person, fresh

ROOT = "/metadefs/namespaces"
TYPE = "OS::Glance::Image"
PROPERTY = {
    "title": "Cores",
    "type": "integer",
    "minimum": 1,
    "default": 2,
    "description": "How many.\nOr more.",
}
#: A namespace as in a file of definitions.
WHOLE: dict[str, Any] = {
    "display_name": "CPU",
    "description": "What a processor is like.",
    "visibility": "public",
    "resource_type_associations": [{"name": TYPE, "prefix": "hw_"}, {"name": "OS::Nova::Flavor"}],
    "properties": {
        "cpu_cores": PROPERTY,
        "cpu_model": {"title": "Model", "type": "string", "enum": ["a", "b"]},
    },
    "objects": [
        {"name": "CPU Limits", "description": "Limits.", "properties": {"q": PROPERTY}, "required": ["q"]},
        {"name": "Empty"},
    ],
    "tags": [{"name": "fast"}, {"name": "slow"}],
}


def make(adm: Person, /, **fields: Any) -> str:
    """Create a namespace, and return its name."""
    answer = adm.send("POST", ROOT, {"namespace": f"NS::{fresh()}", "visibility": "public", **fields})
    assert answer.status == 201, answer.text
    return answer.json["namespace"]


def names(person: Person, path: str, key: str) -> list[str]:
    """Return the names in a list, in order."""
    answer = person.get(path)
    assert answer.status == 200, answer.text
    return [one["name"] for one in answer.json[key]]


def listed(person: Person, query: str = "") -> list[str]:
    """Return the names of the namespaces on all pages of a list."""
    found, path = [], f"{ROOT}{query}"
    while path:
        answer = person.get(path)
        assert answer.status == 200, answer.text
        found += [one["namespace"] for one in answer.json["namespaces"]]
        path = answer.json.get("next")
    return found


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("namespace", "namespace"),
        ("namespaces", "namespaces"),
        ("resource_type", "resource_type_association"),
        ("resource_types", "resource_type_associations"),
        *((name, name) for name in ("object", "objects", "property", "properties", "tag", "tags")),
    ],
)
def test_088_a_schema_of_definitions_has_its_name(r1: Person, path: str, name: str) -> None:
    answer = r1.get(f"/schemas/metadefs/{path}")
    assert (answer.status, answer.json["name"]) == (200, name)
    assert answer.json["properties"]


@pytest.mark.parametrize(
    "path", ["/schemas/metadefs", "/schemas/metadefs/none", "/metadefs", "/metadefs/none"]
)
def test_unknown_paths_are_404(u1: Person, path: str) -> None:
    assert u1.get(path).status == 404


def test_a_new_database_has_resource_types(r1: Person) -> None:
    answer = r1.get("/metadefs/resource_types")
    known = {one["name"] for one in answer.json["resource_types"]}
    assert known >= {TYPE, "OS::Nova::Flavor", "OS::Cinder::Volume"}
    assert all(one["created_at"].endswith("Z") for one in answer.json["resource_types"])


def test_a_namespace_is_created_and_shown_with_its_content(adm: Person, r1: Person) -> None:
    name = f"OS::{fresh()}"
    answer = adm.send("POST", ROOT, {"namespace": name, **WHOLE})

    assert answer.status == 201
    assert answer.headers["Location"].endswith(f"/v2{ROOT}/{name}")
    shown = r1.get(f"{ROOT}/{name}").json
    assert shown == answer.json
    assert (shown["namespace"], shown["owner"], shown["protected"]) == (name, "P0", False)
    assert (shown["self"], shown["schema"]) == (f"/v2{ROOT}/{name}", "/v2/schemas/metadefs/namespace")
    assert shown["properties"] == WHOLE["properties"]
    assert shown["tags"] == WHOLE["tags"]
    limits, empty = shown["objects"]
    assert limits["self"] == f"/v2{ROOT}/{name}/objects/CPU%20Limits"
    assert limits["properties"] == {"q": PROPERTY}
    assert (empty["properties"], empty["required"]) == ({}, [])
    assert [(one["name"], one.get("prefix")) for one in shown["resource_type_associations"]] == [
        (TYPE, "hw_"),
        ("OS::Nova::Flavor", None),
    ]


def test_unset_fields_of_a_namespace_are_absent_or_default(adm: Person) -> None:
    name = f"NS::{fresh()}"
    document = adm.send("POST", ROOT, {"namespace": name}).json
    assert (document["visibility"], document["protected"]) == ("private", False)
    assert not {"description", "display_name", "objects", "properties", "tags"} & document.keys()


def test_the_name_of_a_definition_or_namespace_cannot_be_used_twice(adm: Person) -> None:
    one, other = make(adm), make(adm)
    assert adm.send("POST", ROOT, {"namespace": one}).status == 409
    assert adm.send("PUT", f"{ROOT}/{one}", {"namespace": other}).status == 409
    for kind, document in (
        ("objects", {"name": "n"}),
        ("properties", {"name": "n", **PROPERTY}),
        ("resource_types", {"name": "OS::X"}),
    ):
        assert adm.send("POST", f"{ROOT}/{one}/{kind}", document).status == 201
        assert adm.send("POST", f"{ROOT}/{one}/{kind}", document).status == 409
    assert adm.ask("POST", f"{ROOT}/{one}/tags/n").status == 201
    assert adm.ask("POST", f"{ROOT}/{one}/tags/n").status == 409


def test_names_of_definitions_are_case_sensitive(adm: Person) -> None:
    name = make(adm)
    assert adm.send("POST", ROOT, {"namespace": name.lower()}).status == 201
    for tag in ("a", "A", "a "):
        assert adm.ask("POST", f"{ROOT}/{name}/tags/{tag.replace(' ', '%20')}").status == 201
    assert sorted(names(adm, f"{ROOT}/{name}/tags", "tags")) == ["A", "a", "a "]


def test_an_update_replaces_the_fields_of_a_namespace_but_not_its_content(adm: Person, u1: Person) -> None:
    name = make(adm, **WHOLE)
    answer = adm.send("PUT", f"{ROOT}/{name}", {"namespace": name, "protected": True, "objects": []})

    assert answer.status == 200
    assert (answer.json["visibility"], answer.json["protected"]) == ("private", True)
    assert "description" not in answer.json
    assert len(adm.get(f"{ROOT}/{name}").json["objects"]) == 2
    assert u1.get(f"{ROOT}/{name}").status == 404


def test_a_namespace_can_be_renamed_with_its_content(adm: Person) -> None:
    old, new = make(adm, **WHOLE), f"NS::{fresh()}"
    # Like glance: the whole namespace as shown, without fields of the server.
    shown = adm.get(f"{ROOT}/{old}").json
    sent = {
        key: value
        for key, value in shown.items()
        if key not in ("self", "schema", "created_at", "updated_at")
    }
    assert adm.send("PUT", f"{ROOT}/{old}", {**sent, "namespace": new}).status == 200

    assert adm.get(f"{ROOT}/{old}").status == 404
    now = adm.get(f"{ROOT}/{new}").json
    assert {key: now[key] for key in ("properties", "tags", "description", "owner")} == {
        key: shown[key] for key in ("properties", "tags", "description", "owner")
    }


def test_a_prefix_is_added_to_the_properties_of_a_resource_type(adm: Person, r1: Person) -> None:
    name = make(adm, **WHOLE)
    there = f"{ROOT}/{name}"
    assert set(r1.get(f"{there}?resource_type={TYPE}").json["properties"]) == {"hw_cpu_cores", "hw_cpu_model"}
    for other in ("OS::Nova::Flavor", "OS::None"):
        assert set(r1.get(f"{there}?resource_type={other}").json["properties"]) == set(WHOLE["properties"])
    found = r1.get(f"{there}/properties/hw_cpu_cores?resource_type={TYPE}")
    assert found.json == {"name": "cpu_cores", **PROPERTY}
    assert r1.get(f"{there}/properties/cpu_cores?resource_type={TYPE}").status == 404
    assert r1.get(f"{there}/properties/cpu_cores?resource_type=OS::None").status == 200


@pytest.mark.parametrize(
    ("kind", "document", "changed"),
    [
        ("objects", {"name": "a b", "description": "x"}, {"name": "c", "required": ["r"]}),
        ("properties", {"name": "a b", **PROPERTY}, {"name": "c", "title": "t", "type": "string"}),
    ],
)
def test_objects_and_properties_can_be_added_shown_replaced_and_removed(
    adm: Person, r1: Person, kind: str, document: dict[str, Any], changed: dict[str, Any]
) -> None:
    there = f"{ROOT}/{make(adm)}/{kind}"
    made = adm.send("POST", there, document)
    assert made.status == 201
    assert document.items() <= made.json.items()
    assert r1.get(f"{there}/a%20b").json == made.json
    now = adm.send("PUT", f"{there}/a%20b", changed)
    assert now.status == 200
    assert changed.items() <= now.json.items()
    assert "description" not in now.json  # replaced as a whole
    assert r1.get(f"{there}/a%20b").status == 404
    assert r1.get(f"{there}/c").json == now.json
    (only,) = r1.get(there).json[kind]  # a list of objects, a map of properties
    assert only in ("c", now.json)
    for answer in (
        adm.send("PUT", f"{there}/none", changed),
        adm.get(f"{there}/none"),
        adm.delete(f"{there}/none"),
    ):
        assert answer.status == 404
    assert adm.delete(f"{there}/c").status == 204
    assert adm.get(f"{there}/c").status == 404
    assert adm.send("POST", there, document).status == 201
    assert adm.delete(there).status == 204
    assert not r1.get(there).json[kind]


def test_tags_can_be_set_added_renamed_and_removed(adm: Person, r1: Person) -> None:
    there = f"{ROOT}/{make(adm)}/tags"

    def send(*given: str, **headers: str) -> int:
        return adm.send("POST", there, {"tags": [{"name": name} for name in given]}, **headers).status

    assert send("a", "b") == 201
    assert send("c", **{"X-Openstack-Append": "True"}) == 201
    assert sorted(names(r1, there, "tags")) == ["a", "b", "c"]
    assert send("c", **{"X-Openstack-Append": "True"}) == 409
    assert send("x", "x") == 409
    assert send("d", "e", **{"X-Openstack-Append": "False"}) == 201
    assert sorted(names(r1, there, "tags")) == ["d", "e"]
    assert adm.send("PUT", f"{there}/d", {"name": "f"}).json["name"] == "f"
    assert adm.send("PUT", f"{there}/f", {"name": "e"}).status == 409
    assert r1.get(f"{there}/f").json.keys() == {"name", "created_at", "updated_at"}
    assert adm.delete(f"{there}/f").status == 204
    assert names(r1, there, "tags") == ["e"]
    assert adm.delete(there).status == 204
    assert names(r1, there, "tags") == []


def test_tags_are_paged_and_sorted_on_request(adm: Person) -> None:
    there = f"{ROOT}/{make(adm, tags=[{'name': name} for name in 'bdac'])}/tags"
    assert names(adm, f"{there}?sort_key=name&sort_dir=asc", "tags") == ["a", "b", "c", "d"]
    assert names(adm, f"{there}?sort_key=name&limit=2", "tags") == ["d", "c"]
    assert names(adm, f"{there}?sort_key=name&limit=2&marker=c", "tags") == ["b", "a"]
    for query in ("sort_key=x", "sort_dir=x", "limit=x", "marker=x"):
        assert adm.get(f"{there}?{query}").status == 400, query


def test_the_first_association_creates_a_resource_type(adm: Person, r1: Person) -> None:
    there, kind = f"{ROOT}/{make(adm)}/resource_types", f"My::{fresh()}"
    made = adm.send("POST", there, {"name": kind, "prefix": "p:", "properties_target": "image"})
    assert made.status == 201
    assert made.json.keys() == {"name", "prefix", "properties_target", "created_at", "updated_at"}
    assert kind in names(r1, "/metadefs/resource_types", "resource_types")
    assert names(r1, there, "resource_type_associations") == [kind]
    assert adm.delete(f"{there}/{kind}").status == 204
    assert adm.delete(f"{there}/{kind}").status == 404
    assert names(r1, there, "resource_type_associations") == []
    assert kind in names(r1, "/metadefs/resource_types", "resource_types")


def test_nothing_is_removed_from_a_protected_namespace(adm: Person) -> None:
    name = make(adm, protected=True, **WHOLE)
    there = f"{ROOT}/{name}"
    for path in (
        *("", "/objects", "/properties", "/tags", "/objects/Empty", "/properties/cpu_cores", "/tags/fast"),
        f"/resource_types/{TYPE}",
    ):
        assert adm.delete(there + path).status == 403, path
    assert adm.send("POST", f"{there}/tags", {"tags": [{"name": "other"}]}).status == 403
    shown = adm.get(there).json
    assert (len(shown["objects"]), len(shown["properties"]), len(shown["tags"])) == (2, 2, 2)
    assert adm.ask("POST", f"{there}/tags/more").status == 201
    assert adm.send("PUT", f"{there}/objects/Empty", {"name": "Empty", "description": "new"}).status == 200

    assert adm.send("PUT", there, {"namespace": name}).status == 200
    assert adm.delete(there).status == 204
    assert adm.get(there).status == 404
    assert adm.send("POST", ROOT, {"namespace": name}).status == 201  # and begins anew
    assert "objects" not in adm.get(there).json


def test_readers_and_members_cannot_change_definitions(people: People) -> None:
    name = make(people.adm, **WHOLE)
    there = f"{ROOT}/{name}"
    before = people.adm.get(there).json
    for person in (people.u1, people.r1, people.u2):
        assert person.send("POST", ROOT, {"namespace": fresh()}).status == 403
        for method, path, document in (
            ("PUT", "", {"namespace": name}),
            *(("POST", f"/{kind}", {"name": "x"}) for kind in ("objects", "properties", "resource_types")),
            ("POST", "/tags", {"tags": [{"name": "x"}]}),
            *(
                ("PUT", path, {"name": "x"})
                for path in ("/objects/Empty", "/properties/cpu_cores", "/tags/fast")
            ),
        ):
            assert person.send(method, there + path, document).status == 403, (method, path)
        for path in (
            "",
            "/objects",
            "/properties",
            "/tags",
            "/objects/Empty",
            "/tags/fast",
            f"/resource_types/{TYPE}",
        ):
            assert person.delete(there + path).status == 403, path
        assert person.ask("POST", f"{there}/tags/x").status == 403
        assert person.get(there).json == before


def test_only_the_owner_sees_a_private_namespace(people: People) -> None:
    name = make(people.adm, visibility="private", owner="P1", **{k: WHOLE[k] for k in ("objects", "tags")})
    for person, seen in ((people.adm, True), (people.u1, True), (people.r1, True), (people.u2, False)):
        for path in (
            "",
            "/objects",
            "/properties",
            "/tags",
            "/resource_types",
            "/tags/fast",
            "/objects/Empty",
        ):
            assert person.get(f"{ROOT}/{name}{path}").status == (200 if seen else 404), path
        assert (name in listed(person, "?limit=1000")) is seen
    hidden, missing = (people.u2.delete(f"{ROOT}/{which}") for which in (name, fresh()))
    assert (hidden.status, hidden.json) == (missing.status, missing.json) == (404, missing.json)
    assert people.u1.delete(f"{ROOT}/{name}").status == 403
    assert people.u2.get(f"{ROOT}?marker={name}").status == 400


def test_namespaces_are_paged_sorted_and_filtered(start_people) -> None:
    people = start_people()
    adm, u1 = people.adm, people.u1
    for name, fields in (
        ("c", {"visibility": "public", "resource_type_associations": [{"name": TYPE}]}),
        ("a", {"visibility": "public", "resource_type_associations": [{"name": "OS::B"}, {"name": TYPE}]}),
        ("b", {"visibility": "private"}),
        ("d", {"visibility": "private", "owner": "P1"}),
    ):
        assert make(adm, namespace=name, **fields) == name
    assert listed(adm) == ["d", "b", "a", "c"]
    assert listed(u1) == ["d", "a", "c"]
    assert listed(people.u2) == ["a", "c"]
    for query, found in (
        ("?limit=1", "dbac"),
        ("?limit=3&sort_dir=asc", "cabd"),
        ("?limit=1&sort_key=namespace&sort_dir=asc", "abcd"),
        ("?limit=2&sort_key=namespace", "dcba"),
        ("?limit=1&sort_key=updated_at", "dbac"),
        ("?visibility=public", "ac"),
        ("?visibility=private&limit=1", "db"),
        (f"?resource_types={TYPE}", "ac"),
        (f"?resource_types=OS::B,{TYPE}&limit=1", "ac"),
        ("?resource_types=OS::B,OS::None", "a"),
        ("?resource_types=OS::None", ""),
        ("?marker=b", "ac"),
        ("?limit=0", ""),
    ):
        assert "".join(listed(adm, query)) == found, query
    page = adm.get(f"{ROOT}?limit=1&sort_key=namespace&sort_dir=asc").json
    assert page["first"] == f"/v2{ROOT}?limit=1&sort_key=namespace&sort_dir=asc"
    assert page["schema"] == "/v2/schemas/metadefs/namespaces"
    (first,) = page["namespaces"]
    assert [one["name"] for one in first["resource_type_associations"]] == ["OS::B", TYPE]
    for query in (
        "visibility=shared",
        "sort_key=id",
        "sort_dir=up",
        "limit=-1",
        "marker=x",
        "resource_types=%2F",
    ):
        assert adm.get(f"{ROOT}?{query}").status == 400, query


@pytest.mark.parametrize(
    "document",
    [
        [],
        "text",
        {},
        {"namespace": 5},
        {"namespace": ""},
        {"namespace": "x" * 81},
        {"namespace": "a/b"},
        {"namespace": ".."},
        {"namespace": "@@x"},
        {"namespace": "a\u0000b"},
        {"namespace": "\ud800"},
        {"namespace": "ok", "visibility": "shared"},
        {"namespace": "ok", "protected": "yes"},
        {"namespace": "ok", "display_name": "x" * 81},
        {"namespace": "ok", "description": "x" * 501},
        {"namespace": "ok", "description": "\u001b[31m"},
        {"namespace": "ok", "owner": "x" * 256},
        {"namespace": "ok", "unknown": 1},
        {"namespace": "ok", "objects": {}},
        {"namespace": "ok", "objects": [{}]},
        {"namespace": "ok", "tags": [{"name": "x" * 256}]},
        {"namespace": "ok", "properties": {"p": {"title": "t"}}},
        {"namespace": "ok", "properties": {"p": {"title": "t", "type": "blob"}}},
        {"namespace": "ok", "properties": {"p/q": PROPERTY}},
        {"namespace": "ok", "properties": {"p": {**PROPERTY, "enum": ["\ud800"]}}},
        {"namespace": "ok", "resource_type_associations": [{"name": "x" * 81}]},
    ],
)
def test_an_invalid_namespace_is_refused(adm: Person, document: Any) -> None:
    assert adm.send("POST", ROOT, document).status == 400


def test_fields_of_the_server_cannot_be_set(adm: Person) -> None:
    name = make(adm)
    for key in ("self", "schema", "created_at", "updated_at"):
        assert adm.send("POST", ROOT, {"namespace": fresh(), key: "x"}).status == 403
        assert adm.send("PUT", f"{ROOT}/{name}", {"namespace": name, key: "x"}).status == 403
        assert adm.send("POST", f"{ROOT}/{name}/objects", {"name": "x", key: "x"}).status == 403


def test_the_content_of_a_namespace_is_limited(adm: Person) -> None:
    there = f"{ROOT}/{make(adm, tags=[{'name': str(number)} for number in range(1000)])}"
    assert adm.ask("POST", f"{there}/tags/more").status == 413
    large = {"name": "large", "description": "x" * 600_000}
    assert adm.send("POST", f"{there}/objects", large).status == 201
    assert adm.send("POST", f"{there}/objects", {**large, "name": "other"}).status == 413
    assert adm.send("PUT", f"{there}/objects/large", large).status == 200
    assert len(adm.get(f"{there}/tags").json["tags"]) == 1000


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/metadefs/resource_types", "GET, HEAD"),
        (ROOT, "GET, HEAD, POST"),
        (f"{ROOT}/NS", "GET, HEAD, PUT, DELETE"),
        (f"{ROOT}/NS/resource_types", "GET, HEAD, POST"),
        (f"{ROOT}/NS/resource_types/x", "DELETE"),
        (f"{ROOT}/NS/objects/x", "GET, HEAD, PUT, DELETE"),
        (f"{ROOT}/NS/tags/x", "GET, HEAD, POST, PUT, DELETE"),
    ],
)
def test_an_unsupported_method_for_definitions_is_405_with_allow(
    adm: Person, u2: Person, path: str, allowed: str
) -> None:
    name = make(adm, visibility="private")
    answer = adm.ask("PATCH", path.replace("NS", name))
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)
    if "NS" in path:
        assert u2.ask("PATCH", path.replace("NS", name)).status == 404


def test_an_unexpected_body_is_refused(adm: Person) -> None:
    there = f"{ROOT}/{make(adm, **WHOLE)}"
    for method, path in (("DELETE", ""), ("GET", ""), ("POST", "/tags/x"), ("DELETE", "/objects")):
        assert adm.send(method, there + path, {"a": 1}).status == 400, (method, path)
