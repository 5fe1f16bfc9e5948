"""GET /openapi.json describes the requests that are served, and the answers as they are."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from tests.support.answers import Answer
from tests.support.server import OCTETS, Server, meta

JSON = {"Content-Type": "application/json"}
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
TUS = {"Tus-Resumable": "1.0.0"}
RAW = {"disk_format": "raw", "container_format": "bare"}
V1_RAW = meta(name="a", **RAW)
NAMESPACE = {"namespace": "N", "objects": [{"name": "o"}], "tags": [{"name": "t"}]}

#: Requests in their order. ID is an image's id, QUEUED that of an image without bytes.
TOUR: list[tuple[str, str, dict[str, str], Any]] = [
    *(("GET", path, {}, None) for path in ("/", "/versions", "/healthz", "/healthcheck", "/readyz")),
    ("GET", "/openapi.json", {}, None),
    ("POST", "/v2/images", JSON, {**RAW, "name": "two", "tags": ["a"], "os_distro": "debian"}),
    ("POST", "/v2/images", JSON, {"name": 5}),
    ("PATCH", "/v2/images/QUEUED", PATCH, [{"op": "replace", "path": "/name", "value": "b"}]),
    ("PATCH", "/v2/images/QUEUED", JSON, []),
    ("PUT", "/v2/images/QUEUED/file", JSON, b"bytes"),
    ("PUT", "/v2/images/QUEUED/file", OCTETS, b"bytes"),
    ("PUT", "/v2/images/QUEUED/file", OCTETS, b"again"),
    *(
        ("GET", f"/v2/images{path}", {}, None)
        for path in ("", "?limit=1", "?limit=x", "/ID", "/none", "/ID/file", "/ID/extents", "/ID/progress")
    ),
    ("GET", "/v2/images/ID/file", {"Range": "bytes=0-1"}, None),
    ("GET", "/v2/images/ID/file", {"Range": "bytes=9999-"}, None),
    ("GET", "/v2/images/ID/tasks", {}, None),
    ("PUT", "/v2/images/ID/tags/t", {}, None),
    ("DELETE", "/v2/images/ID/tags/none", {}, None),
    ("POST", "/v2/images/ID/members", JSON, {"member": "p"}),
    ("GET", "/v2/images/ID/members", {}, None),
    ("PUT", "/v2/images/ID/members/p", JSON, {"status": "accepted"}),
    ("DELETE", "/v2/images/ID/members/p", {}, None),
    ("POST", "/v2/images/ID/import", JSON, {"method": {"name": "none"}}),
    ("POST", "/v2/images/ID/actions/deactivate", {}, None),
    ("POST", "/v2/images/ID/actions/reactivate", {}, None),
    ("POST", "/v2/images/ID/actions/undelete", {}, None),
    ("POST", "/v2/tasks", JSON, {"type": "import"}),
    *(
        ("GET", f"/v2{path}", {}, None)
        for path in ("", "/tasks", "/tasks/none", "/audit", "/info/import", "/info/stores", "/info/usage")
    ),
    *(("GET", f"/v2/{path}", {}, None) for path in ("info/stores/detail", "schemas/image")),
    ("DELETE", "/v2/stores/none/ID", {}, None),
    ("POST", "/v2/metadefs/namespaces", JSON, NAMESPACE),
    ("POST", "/v2/metadefs/namespaces", JSON, NAMESPACE),
    *(
        ("GET", f"/v2/metadefs/{path}", {}, None)
        for path in ("resource_types", "namespaces", "namespaces/N", "namespaces/N/objects/o")
    ),
    *(
        ("GET", f"/v2/metadefs/namespaces/N/{kind}", {}, None)
        for kind in ("objects", "properties", "tags", "resource_types")
    ),
    ("POST", "/v2/metadefs/namespaces/N/objects", JSON, {"name": "p"}),
    ("DELETE", "/v2/metadefs/namespaces/N", {}, None),
    ("POST", "/images", {**OCTETS, **meta(name="c")}, b"classic"),
    ("GET", "/images", {}, None),
    ("GET", "/images/detail", {}, None),
    ("GET", "/images/ID", {}, None),
    ("HEAD", "/images/ID", {}, None),
    ("PUT", "/images/ID", meta(min_ram="x"), None),
    ("POST", "/v1/images", {**OCTETS, **V1_RAW}, b"first"),
    ("POST", "/v1/images", meta(nmae="x"), None),
    *(
        ("GET", f"/v1{path}", {}, None)
        for path in ("", "/images", "/images/detail", "/images/ID/members", "/shared-images/p", "/images/x")
    ),
    ("PUT", "/v1/images/ID/members", JSON, {"memberships": [{"member_id": "q"}]}),
    ("DELETE", "/v1/images/ID/members/q", {}, None),
    ("OPTIONS", "/uploads", {}, None),
    ("POST", "/uploads", {**TUS, "Upload-Length": "5"}, None),
    ("POST", "/uploads", {}, None),
    ("GET", "/uploads/none", {}, None),
    ("DELETE", "/images/ID", {}, None),
]


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    return server.get("/openapi.json").json


def test_the_document_is_valid_and_describes_every_request(document: dict[str, Any]) -> None:
    validate(document)
    undescribed = [
        f"{method} {path}"
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters" and not (operation["summary"] and operation["responses"])
    ]
    assert undescribed == []
    assert len(document["paths"]) > 50
    ids = re.findall(r'"operationId": "(\w+)"', json.dumps(document))
    assert len(ids) == len(set(ids)) > 90


def test_a_client_that_has_the_document_gets_304(server: Server) -> None:
    first = server.get("/openapi.json")
    again = server.get("/openapi.json", {"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


def test_every_answer_of_a_tour_is_described(server: Server, document: dict[str, Any]) -> None:
    image_id = server.upload(b"x" * 5000, **RAW)["id"]
    queued, wrong, statuses = "", [], set()
    for method, path, headers, given in TOUR:
        asked = path.replace("ID", image_id).replace("QUEUED", queued)
        body = given if given is None or isinstance(given, bytes) else json.dumps(given).encode()
        answer = server.request(method, asked, headers, body)
        if (method, path, answer.status) == ("POST", "/v2/images", 201):
            queued = answer.json["id"]
        statuses.add(answer.status)
        wrong += [f"{method} {path}: {problem}" for problem in problems(document, method, asked, answer)]
    assert wrong == []
    assert {200, 201, 204, 206, 300, 400, 404, 409, 412, 415, 416} <= statuses


def problems(document: dict[str, Any], method: str, path: str, answer: Answer) -> list[str]:
    """Return the differences between an answer and its description."""
    operation = operation_of(document, method, path.partition("?")[0])
    described = operation["responses"].get(f"{answer.status}")
    if described is None:
        return [f"status {answer.status} is not described: {answer.body[:200]!r}"]
    if not answer.body:
        return []
    media = answer.headers["Content-Type"].partition(";")[0]
    if media not in described.get("content", {}):
        return [f"{answer.status} has the type {media}"]
    if not media.endswith("json"):
        return []
    schema = {**described["content"][media]["schema"], "components": document["components"]}
    errors = Draft202012Validator(schema).iter_errors(json.loads(answer.body))
    return [f"{error.json_path}: {error.message}" for error in errors]


def operation_of(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    """Return the description of a request. A path without variables comes before one with them."""
    for template in sorted(document["paths"], key=lambda one: one.count("{")):
        pattern = re.sub(r"{\w+}", "[^/]+", template)
        item = document["paths"][template]
        if re.fullmatch(pattern, path) and (method.lower() in item or (method == "HEAD" and "get" in item)):
            return item.get(method.lower()) or item["get"]
    raise AssertionError(f"{method} {path} is not described")
