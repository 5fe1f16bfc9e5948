"""Expensive small requests are refused at once, in every dialect, by limits that the error names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from calotype.api.http.filters import FILTERS_MAX
from calotype.api.http.filters import VALUES_MAX as FILTER_VALUES_MAX
from calotype.api.http.json_input import SIZE_MAX, VALUES_MAX
from calotype.api.http.targets import PARAMETERS_MAX, PATH_MAX, QUERY_MAX, SEGMENTS_MAX
from tests.support.answers import Answer
from tests.support.server import Server

LISTS = pytest.mark.parametrize("path", ["/v2/images", "/v1/images/detail", "/images", "/"])
JSON = {"Content-Type": "application/json"}
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}


def send(server: Server, method: str, path: str, document: Any, **headers: str) -> Answer:
    """Send a request with a JSON document."""
    return server.request(method, path, {**JSON, **headers}, json.dumps(document).encode())


def refusal(answer: Answer, status: int) -> str:
    """Check the status of an error, and return its message from the form of its dialect."""
    assert answer.status == status, answer.text[:300]
    assert len(answer.body) < 1000
    return answer.json["error"]["message"] if answer.headers.get_content_subtype() == "json" else answer.text


# -- targets


@LISTS
def test_a_query_with_too_many_parameters_is_refused(server: Server, path: str) -> None:
    """r1-D1: `;` also separates parameters."""
    allowed = "&".join(["limit=1"] * PARAMETERS_MAX)
    assert server.get(f"{path}?{allowed}").status in (200, 300)
    for separator in "&;":
        answer = server.get(f"{path}?{allowed}{separator}limit=1")
        assert f"at most {PARAMETERS_MAX} parameters" in refusal(answer, 400)


@LISTS
def test_a_query_with_too_many_bytes_is_refused(server: Server, path: str) -> None:
    """r1-D1: decoding would copy the value once for each percent sign."""
    assert f"at most {QUERY_MAX} bytes" in refusal(server.get(f"{path}?x={'%41' * (QUERY_MAX // 3)}"), 414)


@pytest.mark.parametrize("start", ["/v2/images", "/v1/images", "/images", ""])
def test_a_path_with_too_many_bytes_or_segments_is_404(server: Server, start: str) -> None:
    """r1-D1: Pyramid caches the segments of up to a thousand paths."""
    for path in ("/" + "a" * PATH_MAX, "/a" * (SEGMENTS_MAX + 1), "/a" * 100_000):
        refusal(server.get(start + path), 404)


def test_a_path_can_contain_the_longest_names(server: Server) -> None:
    """r1-D1: the limit of paths allows every name that can be created."""
    image_id, tag = server.reserve()["id"], "%F0%9F%AA%A6" * 255
    assert server.put(f"/v2/images/{image_id}/tags/{tag}").status == 204
    assert server.delete(f"/v2/images/{image_id}/tags/{tag}").status == 204


# -- lists


def test_a_sort_key_given_hundreds_of_times_counts_once(server: Server) -> None:
    """r1-D1: with a marker, each key used to be a term of the condition."""
    word = server.reserve()["id"]
    made = {
        name: send(server, "POST", "/v2/images", {"name": name, "word": word}).json["id"] for name in "bac"
    }
    for query in (
        "sort=" + ",".join(["name:asc"] * 5000),
        "&".join(["sort_key=name"] * 200) + "&sort_dir=asc",
    ):
        listed = server.get(f"/v2/images?word={word}&marker={made['a']}&{query}").json["images"]
        assert [image["id"] for image in listed] == [made["b"], made["c"]]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/v2/images", "p{}=x"),
        ("/v2/images", "tag=t{}"),
        ("/v2/images", "size=1{}"),
        ("/v1/images", "property-p{}=x"),
    ],
)
def test_a_list_with_too_many_filters_is_refused(server: Server, path: str, form: str) -> None:
    """r1-D1: the error names the limit."""
    query = "&".join(form.format(number) for number in range(FILTERS_MAX + 1))
    assert f"at most {FILTERS_MAX} filters" in refusal(server.get(f"{path}?{query}"), 400)


def test_a_filter_with_too_many_values_is_refused(server: Server) -> None:
    """r1-D1: PostgreSQL accepts at most 65,535 parameters."""
    values = ",".join("a" * FILTER_VALUES_MAX)
    for path in ("/v2/images?name=in:", "/v2/metadefs/namespaces?resource_types="):
        assert server.get(path + values).status == 200
        assert f"at most {FILTER_VALUES_MAX} values" in refusal(server.get(f"{path}{values},a"), 400)


# -- documents


@pytest.mark.parametrize("items", [[1] * 340_000, [1] * 1000, ["a"] * 1000], ids=["many", "wrong", "equal"])
def test_too_many_tags_are_refused_without_examining_them(server: Server, items: list[Any]) -> None:
    """r1-D2: the time does not grow with their number."""
    said = refusal(send(server, "POST", "/v2/images", {"tags": items}), 413)
    assert said.endswith(f"at most {VALUES_MAX if len(items) > VALUES_MAX else 128} are allowed.")


def test_the_error_for_invalid_tags_names_the_first_of_them(server: Server) -> None:
    """r1-D2: validation stops there."""
    answer = send(server, "POST", "/v2/images", {"tags": ["a", 1, 2]})
    assert refusal(answer, 400) == "Invalid value for tags.1: the schema asks for type string, not 1."


def test_a_patch_may_replace_tags_a_thousand_times(server: Server) -> None:
    """r1-D2: the image gets the tags of the last operation."""
    image_id = server.reserve()["id"]
    changes = [{"op": "replace", "path": "/tags", "value": [f"t{number}"]} for number in range(1000)]
    answer = send(server, "PATCH", f"/v2/images/{image_id}", changes, **PATCH)
    assert (answer.status, answer.json["tags"]) == (200, ["t999"])


@pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("POST", "/v2/images", {f"k{number}": "" for number in range(1000)}),
        ("POST", "/v1/images", {"properties": {f"k{number}": "" for number in range(1000)}}),
        ("POST", "/v2/images/ID/import", {"method": {"name": "web-download"}, "stores": ["a"] * 65}),
        ("POST", "/v2/images/ID/import", {"method": {"name": "web-download"}, "stores": [1] * 40_000}),
        ("PUT", "/v1/images/ID/members", {"memberships": [{"member_id": f"{n}"} for n in range(129)]}),
        ("POST", "/v2/metadefs/namespaces", {"namespace": "n", "tags": [{"name": 1}] * 1001}),
        ("POST", "/v2/metadefs/namespaces", {"namespace": "n", "objects": [{"name": 1}] * 1001}),
        (
            "POST",
            "/v2/metadefs/namespaces",
            {"namespace": "n", "properties": dict.fromkeys(map(str, range(1001)))},
        ),
        ("POST", "/v2/images", [[]] * VALUES_MAX),
        ("POST", "/v1/images", [{}] * VALUES_MAX),
        ("POST", "/v2/tasks", [0] * (VALUES_MAX + 1)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_document_with_too_many_items_is_413_without_examining_them(
    server: Server, method: str, path: str, document: Any
) -> None:
    """r1-D2: this applies to every document that clients send."""
    path = path.replace("ID", server.reserve()["id"])
    refusal(send(server, method, path, document), 413)


def test_a_member_named_twenty_thousand_times_is_one_member(server: Server) -> None:
    """r1-D2: the service used to write the member once for each occurrence."""
    path = f"/v1/images/{server.reserve()['id']}/members"
    members = [{"member_id": "p", "can_share": False}, {"member_id": "p", "can_share": True}] * 8000
    assert send(server, "PUT", path, {"memberships": members}).status == 204
    assert server.get(path).json == {"members": [{"member_id": "p", "can_share": True}]}


HOSTILE = {
    "nested 40,000 deep": b"[" * 40_000 + b"]" * 40_000,
    "nested without an end": b"[" * 40_000,
    "nested 21 deep": b'{"a": ' + b"[" * 20 + b"]" * 20 + b"}",
    "a key that occurs twice": b'{"name": "a", "name": "b"}',
    "NaN": b'{"a": NaN}',
    "5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "a number beyond all floats": b'{"a": 1e999}',
    "no UTF-8": b'{"name": "\xff"}',
}


@pytest.mark.parametrize("path", ["/v1/images", "/v2/images", "/v2/tasks", "/v2/metadefs/namespaces"])
@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE)
def test_w_26_a_document_that_parsers_fail_on_is_refused_by_the_rule_that_it_breaks(
    server: Server, path: str, document: bytes
) -> None:
    """The message names JSON. A schema would refuse some of these values for another reason."""
    assert "JSON" in refusal(server.post(path, JSON, document), 400)


@pytest.mark.parametrize("path", ["/v1/images", "/v2/images", "/v2/tasks", "/v2/metadefs/namespaces"])
def test_w_26_a_document_larger_than_its_limit_is_refused(server: Server, path: str) -> None:
    large = b'{"name": "%s"}' % (b"x" * SIZE_MAX)
    for body in (large, iter([large])):
        assert f"longer than {SIZE_MAX} bytes" in refusal(server.post(path, JSON, body), 413)


# -- heads


@pytest.mark.parametrize(
    "ranges", ["bytes=" + " " * 200_000 + "x", "bytes=0-1" + ",0-1" * 1000], ids=["blanks", "many"]
)
def test_a_range_that_would_take_long_to_parse_is_ignored(server: Server, ranges: str) -> None:
    """r1-D1: RFC 9110 14.2 allows a server to ignore a Range header."""
    image_id = server.upload(b"bytes")["id"]
    for path in (f"/images/{image_id}", f"/v1/images/{image_id}", f"/v2/images/{image_id}/file"):
        answer = server.get(path, {"Range": ranges})
        assert (answer.status, answer.body) == (200, b"bytes")
