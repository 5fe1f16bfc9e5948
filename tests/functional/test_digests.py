"""Digests in headers (RFC 9530): declared by uploads, and wanted by downloads, in every dialect."""

from __future__ import annotations

import base64
import hashlib
import random
import uuid

import pytest

from calotype.api.http.digests import FIELD_MAX
from tests.functional.test_upload_headers import FORMATS, NEW, WAITING, assert_nothing_recorded, send, shown
from tests.support.server import OCTETS, Server, meta
from tests.support.waiting import wait_for

#: More bytes than the server reads before it starts the application.
BYTES = random.Random(9530).randbytes((1 << 20) + 17)
DOWNLOADS = ["/images/{}", "/v1/images/{}", "/v1/images/{}/file", "/v2/images/{}/file"]
FIELDS = ["Content-Digest", "Repr-Digest"]
KEYS = {"sha-256": "sha256", "sha-512": "sha512", "md5": "md5"}
#: The status of an image after an upload with a wrong digest.
AFTER = {"PUT /v2/images/{}/file": "queued", "PUT /v2/images/{}/stage": "queued"}


def digest(data: bytes, key: str = "sha-256") -> str:
    """Return a member of a digest header."""
    return f"{key}=:{base64.b64encode(hashlib.new(KEYS[key], data).digest()).decode()}:"


def upload(server: Server, asked: str, headers: dict[str, str]) -> tuple[int, str, str]:
    """Upload BYTES, and return the status and the text of the response, and the image's id."""
    image_id = str(uuid.uuid4()) if asked in NEW else server.reserve(**FORMATS)["id"]
    answer = send(server, asked, image_id, headers, BYTES)
    return answer.status, answer.text, image_id


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("asked", [*NEW, *WAITING])
def test_an_upload_with_the_declared_digests_succeeds(server: Server, asked: str, field: str) -> None:
    both = f"{digest(BYTES, 'sha-512')}, {digest(BYTES)}"
    status, _, image_id = upload(server, asked, {field: both})
    assert status in (200, 201, 204)
    assert shown(server, image_id)["size"] == len(BYTES)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("key", ["sha-256", "sha-512"])
@pytest.mark.parametrize("asked", [*NEW, *WAITING])
def test_an_upload_with_another_digest_fails_and_leaves_no_bytes(
    server: Server, asked: str, key: str, field: str
) -> None:
    status, text, image_id = upload(server, asked, {field: digest(b"other bytes", key)})
    assert (status, "did not match" in text) == (400, True)
    assert hashlib.new(KEYS[key], b"other bytes").hexdigest() in text
    assert shown(server, image_id)["status"] == AFTER.get(asked, "killed")
    assert server.blobs(image_id) == []


def test_a_chunked_upload_is_compared_with_its_digest(server: Server) -> None:
    for data, status in ((BYTES, 200), (BYTES[:-1], 400)):
        headers = {**OCTETS, **meta(**FORMATS), "Repr-Digest": digest(BYTES)}
        assert server.post("/images", headers, iter([data[:500_000], data[500_000:]])).status == status


@pytest.mark.parametrize(
    "value",
    [
        "md5=:AAAA:",  # insecure, so neither compared nor measured
        digest(b"other bytes", "md5"),
        "sha-3=:AAAA:",
        "crc32c=:AAAAAA==:, x=::",
        "",
    ],
)
@pytest.mark.parametrize("asked", [*NEW, *WAITING])
def test_unknown_and_insecure_algorithms_are_ignored(server: Server, asked: str, value: str) -> None:
    assert upload(server, asked, {"Repr-Digest": value})[0] in (200, 201, 204)


@pytest.mark.parametrize(
    "value",
    [
        "nonsense",
        "sha-256",
        "sha-256=",
        "sha-256=1",
        'sha-256="abc"',
        "sha-256=:AAAA:",  # too short for this algorithm
        "sha-256=(:AAAA:)",
        digest(BYTES).rstrip(":"),
        digest(BYTES) + ",",
        digest(BYTES).upper(),
        f"{digest(BYTES)}, md5",
        f"{digest(BYTES)} sha-512=:AAAA:",
        hashlib.sha256(BYTES).hexdigest(),
        "\xff\xfe",
        f"{digest(BYTES)}, x=:{'A' * FIELD_MAX}:",  # too long
    ],
)
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("asked", ["POST /images", "PUT /v2/images/{}/file", "PUT /v2/images/{}/stage"])
def test_a_malformed_digest_is_400_and_changes_nothing(
    server: Server, asked: str, field: str, value: str
) -> None:
    image_id = str(uuid.uuid4()) if asked in NEW else server.reserve(**FORMATS)["id"]
    before = None if asked in NEW else shown(server, image_id)
    answer = send(server, asked, image_id, {field: value.encode("latin-1")}, BYTES)
    assert (answer.status, f"{field} " in answer.text) == (400, True)
    if before is None:
        assert_nothing_recorded(server, image_id)
    else:
        assert shown(server, image_id) == before


def test_digests_that_contradict_each_other_are_400_and_nothing_is_recorded(server: Server) -> None:
    headers = {"Content-Digest": digest(BYTES), "Repr-Digest": digest(b"other bytes")}
    status, text, image_id = upload(server, "POST /images", headers)
    assert (status, "contradict" in text) == (400, True)
    assert_nothing_recorded(server, image_id)


def test_staged_bytes_can_be_sent_again_after_a_wrong_digest(server: Server) -> None:
    image_id = server.reserve(**FORMATS)["id"]
    for data, status in ((b"other bytes", 400), (BYTES, 204)):
        answer = send(server, "PUT /v2/images/{}/stage", image_id, {"Content-Digest": digest(data)}, BYTES)
        assert answer.status == status
    assert shown(server, image_id)["status"] == "uploading"


@pytest.fixture(scope="module")
def image_id(server: Server) -> str:
    return server.upload(BYTES, name="digests", **FORMATS)["id"]


@pytest.mark.parametrize("wish", ["sha-256=10", "sha-256=1", "sha-512=10, sha-256=1", "md5=3,sha-256=2;x=1"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", DOWNLOADS)
def test_a_download_has_the_digests_that_are_wanted(
    server: Server, image_id: str, path: str, method: str, wish: str
) -> None:
    path = path.format(image_id)
    answer = server.request(method, path, {"Want-Repr-Digest": wish})
    assert (answer.status, answer.headers["Repr-Digest"]) == (200, digest(BYTES))
    assert "Content-Digest" not in answer.headers
    both = {"Want-Repr-Digest": wish, "Want-Content-Digest": wish}
    answer = server.request(method, path, both)
    assert [answer.headers[name] for name in FIELDS] == [digest(BYTES)] * 2


@pytest.mark.parametrize(
    "wish",
    [
        None,
        "",
        "sha-256=0",
        "sha-512=10",
        "sha-256",
        "sha-256=11",
        "sha-256=-1",
        "sha-256=1.0",
        "sha-256=:AAAA:",
        "nonsense=",
        f"sha-256=1, {'x' * FIELD_MAX}=1",
    ],
)
@pytest.mark.parametrize("path", DOWNLOADS)
def test_a_download_has_no_digest_that_is_not_wanted(
    server: Server, image_id: str, path: str, wish: str | None
) -> None:
    wishes = {} if wish is None else {"Want-Repr-Digest": wish, "Want-Content-Digest": wish}
    answer = server.get(path.format(image_id), wishes)
    assert (answer.status, [name for name in FIELDS if name in answer.headers]) == (200, [])


@pytest.mark.parametrize("path", DOWNLOADS)
def test_a_range_has_the_digest_of_the_whole_image(server: Server, image_id: str, path: str) -> None:
    wishes = {"Want-Repr-Digest": "sha-256=1", "Want-Content-Digest": "sha-256=1"}
    answer = server.get(path.format(image_id), {"Range": "bytes=5-9", **wishes})
    assert (answer.status, answer.body) == (206, BYTES[5:10])
    assert (answer.headers["Repr-Digest"], answer.headers["Content-Digest"]) == (digest(BYTES), None)


@pytest.mark.parametrize("path", DOWNLOADS)
def test_a_response_without_the_image_has_no_digest(server: Server, image_id: str, path: str) -> None:
    path = path.format(image_id)
    etag = server.head(path).headers["ETag"]
    for headers, status in (
        ({"If-None-Match": etag}, 304),
        ({"If-Match": '"other"'}, 412),
        ({"Range": "bytes=99999999-"}, 416),
    ):
        answer = server.get(path, {"Want-Repr-Digest": "sha-256=1", **headers})
        assert (answer.status, "Repr-Digest" in answer.headers) == (status, False)


def test_an_image_without_bytes_has_no_digest(server: Server) -> None:
    image_id = server.reserve()["id"]
    answer = server.head(f"/images/{image_id}", {"Want-Repr-Digest": "sha-256=1"})
    assert (answer.status, "Repr-Digest" in answer.headers) == (200, False)


def test_an_imported_image_has_a_digest(server: Server) -> None:
    image_id = server.reserve(**FORMATS)["id"]
    staged = send(server, "PUT /v2/images/{}/stage", image_id, {"Repr-Digest": digest(BYTES)}, BYTES)
    assert staged.status == 204
    document = b'{"method": {"name": "glance-direct"}}'
    json = {"Content-Type": "application/json"}
    assert server.request("POST", f"/v2/images/{image_id}/import", json, document).status == 202
    wait_for(lambda: shown(server, image_id), lambda image: image["status"] == "active")
    answer = server.head(f"/v2/images/{image_id}/file", {"Want-Repr-Digest": "sha-256=1"})
    assert answer.headers["Repr-Digest"] == digest(BYTES)
