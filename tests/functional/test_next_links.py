"""The `next` link of every list works even after its marker was deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.server import Server, meta

JSON = {"Content-Type": "application/json"}


def make_image(server: Server, name: str) -> str:
    return server.post("/images", meta(name=name, is_public="true")).image["id"]


def delete_image(server: Server, image_id: str) -> None:
    assert server.delete(f"/images/{image_id}").status == 200


def make_namespace(server: Server, name: str) -> str:
    document = json.dumps({"namespace": name, "visibility": "public"}).encode()
    assert server.post("/v2/metadefs/namespaces", JSON, document).status == 201
    return name


def delete_namespace(server: Server, name: str) -> None:
    assert server.delete(f"/v2/metadefs/namespaces/{name}").status == 204


@pytest.mark.parametrize(
    ("path", "key", "make", "delete"),
    [
        ("/v2/images?sort=name:asc&", "images", make_image, delete_image),
        ("/v1/images?sort_key=name&sort_dir=asc&", "images", make_image, delete_image),
        ("/images?", "images", make_image, delete_image),
        ("/images/detail?", "images", make_image, delete_image),
        ("/v2/metadefs/namespaces?sort_dir=asc&", "namespaces", make_namespace, delete_namespace),
    ],
)
def test_a_next_link_works_after_its_marker_was_deleted(
    fresh_server: Server,
    path: str,
    key: str,
    make: Callable[[Server, str], str],
    delete: Callable[[Server, str], None],
) -> None:
    """r1-H7: an explicit deleted marker is 400, and so is a changed link."""
    server = fresh_server
    made = [make(server, name) for name in "abcd"]
    name = "namespace" if key == "namespaces" else "id"
    page = server.get(f"{path}limit=2").json
    assert [one[name] for one in page[key]] == made[:2]
    marker = parse_qs(urlsplit(page["next"]).query)["marker"]
    assert marker == [made[1]]
    for one in made[:3]:
        delete(server, one)
    rest = server.get(page["next"])
    assert rest.status == 200, rest.text
    assert [one[name] for one in rest.json[key]] == made[3:]
    assert "next" not in rest.json
    # In v1, administrators can use deleted images as markers.
    assert server.get(f"{path}marker={made[1]}").status == (200 if path.startswith("/v1/") else 400)
    assert server.get(f"{page['next']}x").status == 400
    for one in made[3:]:
        delete(server, one)
