"""The OpenAPI document is valid, names every request, and says what responses really are."""

from __future__ import annotations

import re

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.docs.sentences import read_rows
from tests.support.pages import DOCS
from tests.support.server import Server

JSON = {"Content-Type": "application/json"}
#: Requests of the page that the document leaves out: pages for people, what a setting adds, a second path.
LEFT_OUT = ("/console", "/metrics", "/v2/schemas/metadefs")


@pytest.fixture(scope="module")
def document(server: Server) -> dict:
    return server.get("/openapi.json").json


def test_the_document_is_valid(document: dict) -> None:
    OpenAPIV31SpecValidator(document).validate()
    assert document["info"]["title"] == "Calotype"


def test_the_document_has_the_address_that_the_client_used(server: Server, document: dict) -> None:
    assert document["servers"] == [{"url": server.base}]


def test_every_request_of_the_page_is_in_the_document(document: dict) -> None:
    """Another test compares the page with the views."""
    rows = read_rows((DOCS / "requests.md").read_text(), 3)
    wanted = {(row[0].strip("`"), row[1].strip("`")) for row in rows}
    wanted = {one for one in wanted if not one[1].startswith(LEFT_OUT)}

    described = {
        (method.upper(), re.sub(r"{(\w+)}", lambda match: match[1].upper(), path))
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert wanted - described == set()
    assert not [path for path in document["paths"] if path.startswith("/console")]


def test_each_request_has_a_summary_and_its_parameters(document: dict) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            named = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path)), (method, path)


def test_the_documents_of_v2_are_as_described(server: Server, document: dict) -> None:
    body = b'{"name": "described", "disk_format": "raw", "container_format": "bare", "visibility": "shared"}'
    made = server.post("/v2/images", JSON, body)
    path = f"/v2/images/{made.json['id']}"
    member = server.post(f"{path}/members", JSON, b'{"member": "friends"}')
    answers = {
        ("post", "/v2/images"): made,
        ("get", "/v2/images"): server.get("/v2/images"),
        ("get", "/v2/images/{id}"): server.get(path),
        ("post", "/v2/images/{id}/members"): member,
        ("get", "/v2/images/{id}/members"): server.get(f"{path}/members"),
        ("get", "/v2/audit"): server.get("/v2/audit"),
        ("get", "/v2/tasks"): server.get("/v2/tasks"),
    }
    for (method, described), answer in answers.items():
        content = document["paths"][described][method]["responses"]["2XX"]["content"]
        assert answer.status < 300, described
        jsonschema.validate(answer.json, {**content["application/json"]["schema"], **document})


def test_the_document_needs_no_token(start_server) -> None:
    server = start_server({"calotype.identity": "tokens"})

    assert server.get("/openapi.json").status == 200
    assert server.get("/v2/images").status == 401
