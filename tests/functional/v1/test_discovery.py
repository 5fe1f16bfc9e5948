"""Checks 1 to 8: discovering v1."""

from __future__ import annotations

import pytest

from tests.conftest import StartServer
from tests.support.server import Server
from tests.support.v1 import V1

V1_TYPE = "application/vnd.openstack.images-v1"


def test_001_the_root_lists_both_versions_with_their_links(server: Server) -> None:
    answer = server.get("/")
    assert answer.status == 300
    links = {version["id"]: version["links"][0] for version in answer.json["versions"]}
    for version in ("v1.0", "v1.1"):
        assert links[version] == {"rel": "self", "href": f"{server.base}/v1/"}


@pytest.mark.parametrize("headers", [{}, {"Accept": "unknown"}])
def test_002_the_root_ignores_the_accept_header(server: Server, headers: dict[str, str]) -> None:
    answer = server.get("/", headers)
    assert answer.status == 300
    assert answer.json["versions"] == server.get("/").json["versions"]


def test_003_versions_has_the_same_versions_as_the_root(server: Server) -> None:
    answer = server.get("/versions")
    assert answer.status == 200
    assert answer.json["versions"] == server.get("/").json["versions"]


@pytest.mark.parametrize("alias", ["v1.0", "v1.1"])
def test_004_the_minor_versions_are_aliases(v1: V1, alias: str) -> None:
    image = v1.store(name="aliased", is_public="True")
    listed = v1.server.get(f"/{alias}/images?limit=1")
    assert listed.status == 200
    assert listed.json["images"] == v1.list("limit=1", detail=False)
    assert v1.server.get(f"/{alias}/images/{image['id']}").body == b"chunk00000remainder"


@pytest.mark.parametrize("path", ["/v9/images", "/v1.a/images", "/v1.2/images", "/V1/images"])
def test_005_an_unknown_version_is_404(server: Server, path: str) -> None:
    assert server.get(path).status == 404


@pytest.mark.parametrize("accepted", [V1_TYPE, f"{V1_TYPE}.0", f"{V1_TYPE}.1"])
def test_006_the_media_type_chooses_v1_for_a_path_without_a_version(fresh: V1, accepted: str) -> None:
    image = fresh.store(name="negotiated", is_public="True")
    answer = fresh.server.get("/images", {"Accept": accepted})
    assert answer.json == {"images": fresh.list(detail=False)}
    assert set(answer.json["images"][0]) > {"disk_format"}
    assert "Etag" in fresh.server.head(f"/images/{image['id']}", {"Accept": accepted}).headers
    assert fresh.server.get("/shared-images/x", {"Accept": accepted}).json == {"shared_images": []}
    assert "disk_format" not in fresh.server.get("/images", {"Accept": "application/json"}).json["images"][0]


def test_007_the_root_of_v1_is_the_brief_list(fresh: V1) -> None:
    assert fresh.get("/").json["images"] == []
    image = fresh.store()
    for path in ("", "/"):
        answer = fresh.get(path)
        assert answer.status == 200
        assert [listed["id"] for listed in answer.json["images"]] == [image["id"]]


def test_007_the_root_of_v1_is_read_only(v1: V1) -> None:
    answer = v1.request("POST", "/")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_links_begin_with_the_public_endpoint(start_server: StartServer) -> None:
    v1 = V1(start_server({"calotype.public_endpoint": "https://images.example.com/at"}))
    answer = v1.post()
    made = f"https://images.example.com/at/v1/images/{answer.json['image']['id']}"
    assert answer.headers["Location"] == made
    assert v1.get("/").json["versions"] == v1.server.get("/versions").json["versions"]


def test_008_every_response_has_a_request_id(v1: V1) -> None:
    for answer in (v1.get("/images"), v1.post(), v1.get("/images/nosuch"), v1.post(disk_format="bad")):
        assert answer.headers["x-openstack-request-id"].startswith("req-")
