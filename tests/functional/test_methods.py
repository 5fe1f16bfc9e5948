"""Unknown paths, and unsupported methods on known ones."""

from __future__ import annotations

import uuid

import pytest

from tests.support.server import OCTETS, Server


@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT", "DELETE"])
def test_check_30_an_unknown_id_is_404_with_the_message_of_the_first_api_server(
    server: Server, method: str
) -> None:
    answer = server.request(method, f"/images/{uuid.uuid4()}")
    assert answer.status == 404
    assert answer.headers.get_content_type() == "text/plain"
    assert answer.body == (b"" if method == "HEAD" else b"Image not found")


def test_check_30_bytes_for_an_unknown_id_are_404_and_nothing_is_recorded(server: Server) -> None:
    image_id = str(uuid.uuid4())
    assert server.put(f"/images/{image_id}", OCTETS, b"bytes").status == 404
    assert server.query("SELECT id FROM images WHERE id = ?", image_id) == []
    assert server.blobs(image_id) == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/images", "GET, HEAD, POST"),
        ("DELETE", "/images", "GET, HEAD, POST"),
        ("PATCH", "/images", "GET, HEAD, POST"),
        ("POST", "/images/detail", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
        ("POST", "/versions", "GET, HEAD"),
        ("BREW", "/images", "GET, HEAD, POST"),
    ],
)
def test_check_33_an_unsupported_method_is_405_with_allow(
    server: Server, method: str, path: str, allowed: str
) -> None:
    answer = server.request(method, path)
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize("method", ["POST", "PATCH", "BREW"])
def test_check_33_an_unsupported_method_of_an_image_is_405_with_the_four_allowed(
    server: Server, method: str
) -> None:
    image_id = server.reserve()["id"]
    answer = server.request(method, f"/images/{image_id}")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, PUT, DELETE")


@pytest.mark.parametrize(
    "path", ["/images/new", "/images.json", "/images/1", "/images/1/edit", "/images/detail.json", "/images//"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_check_33_an_unknown_path_is_404(server: Server, method: str, path: str) -> None:
    assert server.request(method, path).status == 404


def test_a_path_below_an_image_is_404(server: Server) -> None:
    image_id = server.upload(b"leaf")["id"]
    for path in (f"/images/{image_id}/edit", f"/images/{image_id}.json", f"/images/{image_id}/file"):
        assert server.get(path).status == 404, path


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_the_method_cannot_be_overridden(server: Server, header: str) -> None:
    image_id = server.reserve()["id"]
    server.request("POST", f"/images/{image_id}?_method=DELETE", {header: "DELETE"})
    server.request("GET", f"/images/{image_id}?_method=DELETE", {header: "DELETE"})
    assert server.head(f"/images/{image_id}").status == 200
