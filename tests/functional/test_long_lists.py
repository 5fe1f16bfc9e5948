"""Lists of large documents: short pages in v2, complete pages in classic and v1."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest

from tests.support.server import Server, write_ini

COUNT = 60
ROOM = 8192
NAMESPACES = "/v2/metadefs/namespaces"


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server with short pages and with images of a kilobyte or more."""
    folder = tmp_path_factory.mktemp("long")
    running = Server(folder, write_ini(folder, {"calotype.list_bytes": f"{ROOM}"}))
    with contextlib.ExitStack() as stack:
        stack.callback(running.stop)
        for number in range(COUNT):
            running.reserve(name=f"{number:02}", is_public="True", property_p="v" * (1 + 20 * number))
        yield running


def test_a_page_of_v2_ends_where_its_bytes_do_and_its_link_leads_on(long: Server) -> None:
    """r1-D6: no image is missing, and none occurs twice."""
    names, path = [], "/v2/images?limit=1000&sort=name:asc"
    while path:
        answer = long.get(path)
        page = answer.json
        names += [image["name"] for image in page["images"]]
        assert len(answer.body) < ROOM + 1000
        path = page.get("next")
    assert names == [f"{number:02}" for number in range(COUNT)]


def test_a_page_of_v2_has_at_least_one_image(long: Server) -> None:
    """r1-D6"""
    heavy = long.reserve(name="heavy", property_a="a" * 4096, property_b="b" * 4096, property_c="c" * 4096)
    page = long.get("/v2/images?name=heavy").json
    assert [image["id"] for image in page["images"]] == [heavy["id"]]
    assert "next" not in page
    assert long.delete(f"/images/{heavy['id']}").status == 200


@pytest.mark.parametrize(
    "path", ["/v1/images/detail?limit=1000", "/v1/images?limit=1000", "/images", "/images/detail", "/"]
)
def test_pages_of_classic_and_v1_are_never_cut(long: Server, path: str) -> None:
    """r1-D6: clients of classic and v1 assume that a page shorter than requested is the last one."""
    answer = long.get(path)
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.headers["Content-Type"] == "application/json"
    listed = answer.json
    assert sorted(image["name"] for image in listed["images"]) == [f"{number:02}" for number in range(COUNT)]
    assert "next" not in listed
    assert ("versions" in listed) == (path == "/")


@pytest.mark.parametrize("path", ["/v1/images/detail", "/images/detail"])
@pytest.mark.parametrize("limit", [1, 25, 26, 50, 59])
def test_a_streamed_list_has_as_many_images_as_requested(long: Server, path: str, limit: int) -> None:
    """r1-D6: the link to the next page follows the images."""
    listed = long.get(f"{path}?limit={limit}").json
    assert len(listed["images"]) == limit
    rest = long.get(listed["next"]).json["images"]
    assert {image["name"] for image in listed["images"]}.isdisjoint(image["name"] for image in rest)


def test_a_head_of_a_streamed_list_has_no_body(long: Server) -> None:
    """r1-D6"""
    answer = long.head("/")
    assert (answer.status, answer.body) == (300, b"")


def test_a_page_of_namespaces_ends_at_the_byte_limit(long: Server) -> None:
    """r1-D6: the content of a few namespaces is read at a time."""
    for number in range(4):
        types = [{"name": f"type{type_number:070}"} for type_number in range(40)]
        document = {"namespace": f"n{number}", "visibility": "public", "resource_type_associations": types}
        made = long.post(NAMESPACES, {"Content-Type": "application/json"}, json.dumps(document).encode())
        assert made.status == 201
    names, path = [], f"{NAMESPACES}?limit=1000&sort_key=namespace&sort_dir=asc"
    while path:
        page = long.get(path).json
        assert len(page["namespaces"]) == 1
        names += [one["namespace"] for one in page["namespaces"]]
        path = page.get("next")
    assert names == [f"n{number}" for number in range(4)]
