"""GET /images/ID: whole images, ranges and conditions."""

from __future__ import annotations

import hashlib

import pytest

from tests.support.server import Server

BYTES = bytes(range(256)) * 4


@pytest.fixture(scope="module")
def path(server: Server) -> str:
    return f"/images/{server.upload(BYTES, name='ranges')['id']}"


def test_a_download_has_length_type_and_etag(server: Server, path: str) -> None:
    answer = server.get(path)
    assert answer.body == BYTES
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Length"] == "1024"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"].strip('"') == hashlib.md5(BYTES).hexdigest()


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=1000-", 1000, 1023),
        ("bytes=1000-5000", 1000, 1023),
        ("bytes=-24", 1000, 1023),
        ("bytes=-5000", 0, 1023),
        ("bytes=0-1023", 0, 1023),
    ],
)
def test_a_range_is_206_with_exactly_the_requested_bytes(
    server: Server, path: str, asked: str, first: int, last: int
) -> None:
    answer = server.get(path, {"Range": asked})
    assert (answer.status, answer.body) == (206, BYTES[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/1024"
    assert answer.headers["Content-Length"] == str(last - first + 1)
    assert answer.meta["size"] == "1024"


@pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_outside_the_image_is_416_with_the_size(server: Server, path: str, asked: str) -> None:
    answer = server.get(path, {"Range": asked})
    assert answer.status == 416
    assert answer.headers["Content-Range"] == "bytes */1024"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=abc",
        "bytes=5-2",
        "bytes",
        "lines=1-2",
        "bytes=1_0-20",
        "bytes=" + "9" * 5000 + "-",
        "bytes=--1",
    ],
)
def test_an_invalid_range_is_ignored(server: Server, path: str, asked: str) -> None:
    answer = server.get(path, {"Range": asked})
    assert (answer.status, answer.body) == (200, BYTES)


def test_several_ranges_are_never_answered_with_wrong_bytes(server: Server, path: str) -> None:
    answer = server.get(path, {"Range": "bytes=0-1,5-6"})
    assert (answer.status, answer.body) in [(200, BYTES), (206, BYTES[0:2])]


def test_if_none_match_with_the_etag_is_304_without_bytes(server: Server, path: str) -> None:
    etag = server.get(path).headers["ETag"]
    for given in (etag, f'"other", {etag}', "*"):
        answer = server.get(path, {"If-None-Match": given})
        assert (answer.status, answer.body) == (304, b""), given
        assert answer.headers["ETag"] == etag
    assert server.get(path, {"If-None-Match": '"other"'}).status == 200


def test_if_range_allows_the_range_only_with_the_right_etag(server: Server, path: str) -> None:
    etag = server.get(path).headers["ETag"]
    same = server.get(path, {"Range": "bytes=0-1", "If-Range": etag})
    assert (same.status, same.body) == (206, BYTES[:2])
    other = server.get(path, {"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (other.status, other.body) == (200, BYTES)


def test_check_33_an_image_without_bytes_is_a_clean_404(server: Server) -> None:
    image_id = server.reserve()["id"]
    answer = server.get(f"/images/{image_id}")
    assert (answer.status, answer.headers.get_content_type()) == (404, "text/plain")
    assert "x-image-meta-status" not in answer.headers


def test_a_missing_file_is_an_error_before_any_byte(server: Server) -> None:
    image_id = server.upload(b"gone")["id"]
    (blob,) = server.blobs(image_id)
    blob.unlink()
    answer = server.get(f"/images/{image_id}")
    assert answer.status in (404, 502)
    assert str(server.data_dir) not in answer.text


def test_a_truncated_file_is_an_error_before_any_byte(server: Server) -> None:
    image_id = server.upload(b"whole bytes")["id"]
    (blob,) = server.blobs(image_id)
    blob.chmod(0o600)
    blob.write_bytes(b"whole")
    answer = server.get(f"/images/{image_id}")
    assert answer.status == 502
    assert b"whole" not in answer.body.splitlines()


def test_a_location_that_the_driver_no_longer_accepts_is_a_5xx(server: Server) -> None:
    """r1-E15: this happens if, for example, the operator gives the store's name to another driver."""
    image_id = server.upload(b"somewhere")["id"]
    server.execute("UPDATE image_locations SET location = 'elsewhere:x' WHERE image_id = ?", image_id)
    for path in (f"/images/{image_id}", f"/v1/images/{image_id}/file", f"/v2/images/{image_id}/file"):
        answer = server.get(path)
        assert answer.status == 502, path
        assert "does not accept the recorded location" in answer.text
        assert "elsewhere" not in answer.text
        assert server.head(path).status == 200


def test_one_connection_serves_two_downloads(server: Server, path: str) -> None:
    connection = server.connect()
    try:
        for _ in range(2):
            connection.request("GET", path)
            response = connection.getresponse()
            assert response.status == 200
            assert response.read() == BYTES
    finally:
        connection.close()


def test_a_get_with_a_body_is_answered(server: Server, path: str) -> None:
    answer = server.request("GET", path, {}, b"a body that means nothing")
    assert (answer.status, answer.body) == (200, BYTES)
