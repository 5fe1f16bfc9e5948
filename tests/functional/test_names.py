"""Names across dialects: reserved names, names that are equal in headers; and hidden images."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calotype.model.property_names import is_reserved
from tests.support.server import Server, meta

RESERVED = (
    *("direct_url", "location", "locations", "deleted", "deleted_at", "stores", "status", "checksum", "name"),
    *("os_glance_import_task", "os_glance_x", "owner", "tags", "id", "self", "os_hash_value"),
)
JSON = {"Content-Type": "application/json"}
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
RAW = {"disk_format": "raw", "container_format": "bare"}


def make(server: Server, **document: object) -> str:
    """Create an image through v2, and return its id."""
    answer = server.post("/v2/images", JSON, json.dumps(document).encode())
    assert answer.status == 201, answer.text
    return answer.json["id"]


def properties_of(server: Server, image_id: str, known: Iterable[str]) -> dict[str, str]:
    """Return the properties with these names in v2."""
    document = server.get(f"/v2/images/{image_id}").json
    return {name: document[name] for name in known if name in document}


# ---------------------------------------------------------------- reserved names


@pytest.mark.parametrize("name", RESERVED)
def test_r1_c3_no_dialect_lets_a_property_have_the_name_of_a_field(server: Server, name: str) -> None:
    """r1-C3: the response is 403 with the name, for new and existing images."""
    image_id = make(server)
    headers = {f"x-image-meta-property-{name}": "forged"}
    told = json.dumps({"properties": {name: "forged"}}).encode()
    answers = [
        server.post("/images", headers),
        server.put(f"/images/{image_id}", headers),
        server.post("/v1/images", headers),
        server.put(f"/v1/images/{image_id}", headers),
        server.post("/v1/images", JSON, told),
        server.put(f"/v1/images/{image_id}", JSON, told),
    ]
    if name not in ("name", "owner", "tags", "id"):  # these fields can be set
        operation = [{"op": "add", "path": f"/{name}", "value": "forged"}]
        answers += [
            server.post("/v2/images", JSON, json.dumps({name: "forged"}).encode()),
            server.request("PATCH", f"/v2/images/{image_id}", PATCH, json.dumps(operation).encode()),
        ]
    assert [answer.status for answer in answers] == [403] * len(answers)
    assert all(name in answer.text.lower() for answer in answers)
    assert server.query("SELECT name FROM image_properties WHERE image_id = ?", image_id) == []


def test_r1_c3_a_task_makes_no_image_with_a_reserved_property(server: Server) -> None:
    """r1-C3: the properties are the `image_properties` of POST /v2/tasks."""
    given = {"import_from": "http://192.0.2.1/x", "import_from_format": "raw"}
    for name in ("direct_url", "locations", "stores", "os_glance_x"):
        document = {"type": "import", "input": {**given, "image_properties": {**RAW, name: "forged"}}}
        answer = server.post("/v2/tasks", JSON, json.dumps(document).encode())
        assert (answer.status, name in answer.text) == (403, True)


def test_r1_c3_reserved_properties_of_an_earlier_version_can_be_read_and_sent_back_but_are_no_fields(
    server: Server,
) -> None:
    """r1-C3: such rows break neither reads nor updates, and may be sent back. v2 hides them."""
    image_id = make(server, color="red")
    for name in ("direct_url", "os_glance_x", "stores"):
        server.execute(
            "INSERT INTO image_properties (image_id, name, value) VALUES (?, ?, 'old')", image_id, name
        )
    document = server.get(f"/v2/images/{image_id}").json
    assert not {"direct_url", "os_glance_x", "stores"} & document.keys()
    assert document["color"] == "red"
    for path in (f"/images/{image_id}", f"/v1/images/{image_id}"):
        shown = server.head(path).meta
        assert shown["property-direct_url"] == "old"
        headers = {
            f"x-image-meta-{name}": text for name, text in shown.items() if name.startswith("property-")
        }
        assert server.put(path, headers).status == 200
        assert server.head(path).meta["property-direct_url"] == "old"
        changed = server.put(path, {**headers, "x-image-meta-property-direct_url": "new"})
        assert changed.status == 403
    operation = b'[{"op": "replace", "path": "/color", "value": "blue"}]'
    assert server.request("PATCH", f"/v2/images/{image_id}", PATCH, operation).json["color"] == "blue"
    assert server.head(f"/v1/images/{image_id}").meta["property-stores"] == "old"  # changes by v2 keep it
    assert server.put(f"/v1/images/{image_id}", meta(name="x")).status == 200  # and not v1's purge
    assert server.query("SELECT name FROM image_properties WHERE image_id = ?", image_id) == []


# ---------------------------------------------------------------- names that headers fold


@pytest.mark.parametrize("path", ["/images", "/v1/images"])
def test_r1_c4_properties_with_names_equal_in_headers_are_shown_under_distinct_names(
    server: Server, path: str
) -> None:
    """r1-C4: `Foo` and `foo`, `distro` and `distro:x`, `a-b` and `a_b`. They can be sent back."""
    given = {"Foo": "1", "foo": "2", "distro": "3", "distro:x": "4", "a-b": "5", "a_b": "6", "Alone": "7"}
    image_id = make(server, **given)
    fields = server.head(f"{path}/{image_id}").headers.items()
    shown = {name.lower(): value for name, value in fields if "-property-" in name.lower()}
    assert shown == {
        "x-image-meta-property-foo": "2",
        "x-image-meta-property-%46oo": "1",
        "x-image-meta-property-distro": "3",
        "x-image-meta-property-distro%3ax": "4",
        "x-image-meta-property-a_b": "6",
        "x-image-meta-property-a%2db": "5",
        "x-image-meta-property-alone": "7",
    }
    assert server.put(f"{path}/{image_id}", shown).status == 200
    assert properties_of(server, image_id, given) == given
    change = {"x-image-meta-property-%46oo": "8", "x-image-meta-property-alone": "9"}
    assert server.put(f"{path}/{image_id}", {**shown, **change}).status == 200
    assert properties_of(server, image_id, given) == {**given, "Foo": "8", "Alone": "9"}


NAMES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=8)
SPELLINGS = st.sampled_from(["Foo", "foo", "FOO", "f-o", "f_o", "f:o", "f%o", "%46oo", "f/o", "f~o", "f(o"])
VALUES = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=10)
PROPERTIES = st.dictionaries(
    (NAMES | SPELLINGS).filter(lambda name: not is_reserved(name)), VALUES, max_size=6
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(properties=PROPERTIES)
def test_r1_c4_properties_go_through_all_three_dialects_and_come_back(
    server: Server, properties: dict[str, str]
) -> None:
    """r1-C4: v2 sets them, clients of classic and of v1 (with a purge) send them back, and v2 reads them."""
    image_id = make(server, **properties)
    for path in (f"/images/{image_id}", f"/v1/images/{image_id}"):
        fields = server.head(path).headers.items()
        back = [(name, value.encode("latin-1")) for name, value in fields if "-property-" in name.lower()]
        answer = server.put(path, back)
        assert answer.status == 200, answer.text
        assert properties_of(server, image_id, properties) == properties
        assert answer.image["properties"] == properties
    assert server.delete(f"/v2/images/{image_id}").status == 204


# ---------------------------------------------------------------- hidden images


@pytest.fixture(scope="module")
def hidden(server: Server) -> Iterator[str]:
    """Yield the id of a public hidden image with members."""
    image_id = make(server, visibility="shared", os_hidden=True, name=f"hidden-{uuid.uuid4()}")
    assert server.put(f"/v1/images/{image_id}/members/friend").status == 204
    change = b'[{"op": "replace", "path": "/visibility", "value": "public"}]'
    assert server.request("PATCH", f"/v2/images/{image_id}", PATCH, change).status == 200
    yield image_id
    server.delete(f"/v2/images/{image_id}")


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/images", "/images/detail", "/v1", "/v1/images", "/v1/images/detail", "/v1.0/images"),
        *("/v1/images/detail?is_public=none", "/v1/images?name=NAME", "/v1/images/detail?status=queued"),
        *("/v1/images/detail?changes-since=2020-01-01", "/v1/shared-images/friend", "/v2/images"),
    ],
)
def test_r1_c5_a_hidden_image_is_in_no_list(server: Server, hidden: str, path: str) -> None:
    """r1-C5: this is v2's default, and holds for everybody. The image can still be read by its id."""
    name = server.get(f"/v2/images/{hidden}").json["name"]
    joined = "&" if "?" in path else "?"
    answer = server.get(f"{path.replace('NAME', name)}{joined}limit=1000")
    assert answer.status in (200, 300), answer.text
    assert hidden not in answer.text
    assert hidden in server.get("/v2/images?os_hidden=true&limit=1000").text
    assert server.head(f"/v1/images/{hidden}").status == 200


def test_r1_c5_a_hidden_image_can_still_be_where_a_page_of_a_list_begins(server: Server, hidden: str) -> None:
    """r1-C5: paging continues after an image that was hidden between two pages."""
    for path in ("/images", "/v1/images"):
        assert server.get(f"{path}?marker={hidden}").status == 200
