"""Checks 1 to 15: discovering v2, and rules for every request."""

from __future__ import annotations

import json

import pytest

from tests.support.server import Server
from tests.support.v2 import NOBODY, People, Person, fresh


def first_link(server: Server) -> str:
    """Return the link of the first version for a client that used another host name."""
    spoken = server.speak(b"GET /versions HTTP/1.1\r\nHost: foo:99\r\nConnection: close\r\n\r\n")
    return json.loads(spoken.partition(b"\r\n\r\n")[2])["versions"][0]["links"][0]["href"]


def test_001_the_root_lists_the_versions_without_a_token(people: People) -> None:
    answer = people.server.get("/")
    versions = answer.json["versions"]
    assert answer.status == 300
    assert [v["status"] for v in versions].count("CURRENT") == 1
    assert {v["id"] for v in versions} >= {"v2.0", "v2.12", "v2.15"}
    assert all(v["links"][0]["href"].endswith(("/v2/", "/v1/")) for v in versions)
    assert answer.json["images"] == []


def test_002_versions_returns_the_document_of_the_root_with_200(people: People) -> None:
    answer = people.server.get("/versions")
    assert answer.status == 200
    assert answer.json["versions"] == people.server.get("/").json["versions"]


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_003_the_root_of_v2_returns_the_version_document(people: People, path: str) -> None:
    answer = people.server.get(path)
    assert answer.status == 200
    assert answer.json["versions"] == people.server.get("/versions").json["versions"]


def test_004_each_advertised_version_is_an_alias(u1: Person) -> None:
    image_id = u1.make()
    for version in u1.server.get("/versions").json["versions"]:
        if version["id"].startswith("v2"):
            assert u1.get(f"/{version['id']}/images/{image_id}").json["id"] == image_id


@pytest.mark.parametrize("path", ["/v2.99/images", "/v3", "/v2.14/images"])
def test_004_an_unsupported_version_gets_404(people: People, path: str) -> None:
    assert people.server.get(path, {"X-Auth-Token": people.u1.token}).status == 404


def test_005_links_use_the_host_of_the_request(people: People) -> None:
    assert first_link(people.server).startswith("http://foo:99/")


def test_005_a_public_endpoint_takes_precedence_over_the_host(start_people) -> None:
    found = start_people(**{"calotype.public_endpoint": "https://images.example.com/glance"})
    assert first_link(found.server) == "https://images.example.com/glance/v2/"
    location = found.u1.create().headers["Location"]
    assert location.startswith("https://images.example.com/glance/v2/images/")


@pytest.mark.parametrize("path", ["/v2/images", "/v2/schemas/image", f"/v2/images/{NOBODY}", "/v2/nosuch"])
@pytest.mark.parametrize("headers", [{}, {"X-Auth-Token": "wrong"}])
def test_007_a_request_without_a_valid_token_gets_401(
    people: People, path: str, headers: dict[str, str]
) -> None:
    answer = people.server.get(path, headers)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"]
    assert answer.json["error"]["code"] == 401


def test_008_with_identity_none_a_token_is_ignored(server: Server) -> None:
    assert server.get("/v2/images", {"X-Auth-Token": "notused"}).status == 200
    assert server.get("/v2/images").status == 200


def test_009_an_unsupported_method_gets_405_with_the_allowed_methods(u1: Person) -> None:
    image_id = u1.make()
    for method, path, allowed in (
        ("PUT", f"/images/{image_id}", "GET, HEAD, PATCH, DELETE"),
        ("POST", f"/images/{image_id}/file", "GET, HEAD, PUT"),
        ("PUT", "/images", "GET, HEAD, POST"),
        ("GET", f"/images/{image_id}/actions/deactivate", "POST"),
        ("DELETE", "/schemas/image", "GET, HEAD"),
    ):
        answer = u1.server.request(method, f"/v2{path}", {"X-Auth-Token": u1.token})
        assert (answer.status, answer.headers["Allow"]) == (405, allowed), path


def test_009_an_unsupported_method_on_an_invisible_image_gets_404(u1: Person, u2: Person) -> None:
    image_id = u1.make(visibility="private")
    assert u2.ask("POST", f"/images/{image_id}").status == 404


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("path", ["/images/", "/nosuch", "/images//", "/schemas", "/schemas/none"])
def test_010_an_unknown_path_gets_404(u1: Person, method: str, path: str) -> None:
    assert u1.ask(method, path).status == 404


def test_010_the_path_of_an_image_with_a_trailing_slash_gets_404(u1: Person) -> None:
    assert u1.get(f"/images/{u1.make()}/").status == 404


@pytest.mark.parametrize("image_id", ["a%2Fb", "a" * 300, "abc", "%00", "..", "{" + NOBODY + "}"])
def test_011_an_invalid_id_gets_404(u1: Person, image_id: str) -> None:
    assert u1.get(f"/images/{image_id}").status == 404


@pytest.mark.parametrize("accept", ["*/*", "text/html", "application/json", ""])
def test_013_every_error_is_nested_json(u1: Person, accept: str) -> None:
    answer = u1.get(f"/images/{fresh()}", Accept=accept)
    assert answer.json == {
        "error": {"code": 404, "title": "Not Found", "message": answer.json["error"]["message"]}
    }


@pytest.mark.parametrize("given", ["req-mine", "r" * 70])
def test_014_each_response_has_its_own_request_id(u1: Person, given: str) -> None:
    answer = u1.get("/images", **{"X-Openstack-Request-Id": given})
    assert answer.status == 200
    assert answer.headers["X-Openstack-Request-Id"].startswith("req-")


def test_015_an_unexpected_body_gets_400(u1: Person) -> None:
    image_id = u1.make()
    for method, path in (
        ("GET", f"/images/{image_id}"),
        ("GET", f"/images/{image_id}/file"),
        ("DELETE", f"/images/{image_id}"),
        ("PUT", f"/images/{image_id}/tags/t"),
        ("DELETE", f"/images/{image_id}/tags/t"),
        ("POST", f"/images/{image_id}/actions/deactivate"),
        ("GET", "/schemas/image"),
        ("GET", "/info/import"),
        ("GET", "/info/stores"),
    ):
        assert u1.send(method, path, {"a": 1}).status == 400, (method, path)
    assert u1.show(image_id)["tags"] == []
