"""GET / and GET /versions, the first requests of a client."""

from __future__ import annotations

import pytest

from tests.support.server import Server


@pytest.mark.parametrize("headers", [{}, {"Accept": "unknown"}, {"Accept": "application/json"}])
def test_the_root_answers_300_with_versions_and_images(server: Server, headers: dict[str, str]) -> None:
    answer = server.get("/", headers)
    assert answer.status == 300
    assert {"versions", "images"} <= set(answer.json)
    assert answer.headers["Location"] is None


def test_the_roots_images_are_those_of_the_brief_list(server: Server) -> None:
    image_id = server.reserve(name="at the root", is_public="True")["id"]
    listed = server.get("/?limit=1000").json["images"]
    assert listed == server.get("/images?limit=1000").json["images"]
    assert image_id in [image["id"] for image in listed]


def test_the_roots_next_page_is_reached_by_its_link(fresh_server: Server) -> None:
    made = [fresh_server.reserve(is_public="True")["id"] for _ in range(3)]
    first = fresh_server.get("/?limit=2").json
    second = fresh_server.get(first["next"]).json
    assert [image["id"] for image in first["images"] + second["images"]] == made


def test_versions_answers_200_with_the_document_of_the_root(server: Server) -> None:
    answer = server.get("/versions")
    assert answer.status == 200
    assert answer.json == {"versions": server.get("/").json["versions"]}


def test_head_of_the_root_has_no_body(server: Server) -> None:
    answer = server.head("/")
    assert (answer.status, answer.body) == (300, b"")


@pytest.mark.parametrize("path", ["/nothing", "/favicon.ico", "/image", "/imagess", "/versions/1", "/Images"])
def test_an_unknown_path_is_404_in_plain_words(server: Server, path: str) -> None:
    answer = server.get(path)
    assert answer.status == 404
    assert "Traceback" not in answer.text
    assert len(answer.text) < 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/versions"), ("GET", "/images"), ("GET", "/nothing"), ("PUT", "/images")],
)
def test_every_response_carries_a_request_id_of_ours(server: Server, method: str, path: str) -> None:
    given = server.request(method, path, {"x-openstack-request-id": "req-mine"})
    other = server.request(method, path)
    ids = [answer.headers["x-openstack-request-id"] for answer in (given, other)]
    assert all(request_id.startswith("req-") for request_id in ids)
    assert "req-mine" not in ids
    assert ids[0] != ids[1]
