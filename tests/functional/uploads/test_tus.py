"""Uploads by tus 1.0: creation, bytes, offsets, checksums, expiration, termination."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

import pytest

from tests.support.server import Server, write_ini
from tests.support.uploads import HALVES, TUS_BYTES, WHOLE, TusClient, pairs
from tests.support.waiting import wait_for
from tests.support.wire import read_refusal, reset

FIRST, SECOND = HALVES
HALF, SIZE = len(FIRST), len(WHOLE)


@pytest.fixture(scope="module")
def tus(server: Server) -> TusClient:
    return TusClient(server)


def assert_stored(tus: TusClient, path: str, data: bytes = WHOLE) -> None:
    """Check that the image of a session is active with these bytes."""
    image = tus.show(path)
    assert (image["status"], image["size"]) == ("active", len(data))
    assert image["os_hash_value"] == hashlib.sha256(data).hexdigest()
    assert image["checksum"] == hashlib.md5(data).hexdigest()
    assert tus.request_as("GET", image["file"]).body == data


def test_options_tell_what_the_server_supports_without_a_token(tus: TusClient) -> None:
    answer = tus.request_as("OPTIONS", "/uploads")
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Tus-Version"] == answer.headers["Tus-Resumable"] == "1.0.0"
    assert answer.headers["Tus-Extension"].split(",") == [
        *("creation", "creation-with-upload", "creation-defer-length", "expiration", "checksum"),
        *("termination", "concatenation"),
    ]
    assert answer.headers["Tus-Max-Size"] == f"{1 << 40}"
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha256,sha1,md5,crc32"


def test_an_upload_in_two_requests_makes_an_active_image(tus: TusClient) -> None:
    path = tus.begin(SIZE, name="debian")
    assert tus.offset(path) == 0
    assert tus.show(path)["status"] == "queued"

    first = tus.patch(path, 0, FIRST)
    assert (first.status, first.headers["Upload-Offset"], first.body) == (204, f"{HALF}", b"")
    head = tus.ask("HEAD", path)
    assert head.headers["Upload-Offset"] == f"{HALF}"
    assert head.headers["Upload-Length"] == f"{SIZE}"
    assert head.headers["Cache-Control"] == "no-store"
    assert "Upload-Defer-Length" not in head.headers

    last = tus.patch(path, HALF, SECOND)
    assert (last.status, last.headers["Upload-Offset"]) == (204, f"{SIZE}")
    assert_stored(tus, path)
    assert tus.show(path)["name"] == "debian"
    assert tus.offset(path) == SIZE


def test_a_creation_can_bring_the_first_bytes_or_all(tus: TusClient) -> None:
    answer = tus.create({"Upload-Length": f"{SIZE}"}, FIRST)
    assert (answer.status, answer.headers["Upload-Offset"]) == (201, f"{HALF}")
    path = tus.path(answer)
    assert tus.patch(path, HALF, SECOND).status == 204
    assert_stored(tus, path)

    whole = tus.create({"Upload-Length": f"{SIZE}"}, WHOLE)
    assert (whole.status, whole.headers["Upload-Offset"]) == (201, f"{SIZE}")
    assert_stored(tus, tus.path(whole))


def test_an_empty_image_is_active_when_it_is_created(tus: TusClient) -> None:
    assert_stored(tus, tus.begin(0), b"")


def test_a_length_can_be_announced_with_the_last_bytes(tus: TusClient) -> None:
    path = tus.begin(None)
    assert tus.patch(path, 0, FIRST).status == 204
    head = tus.ask("HEAD", path)
    assert (head.headers["Upload-Defer-Length"], head.headers["Upload-Length"]) == ("1", None)

    assert tus.patch(path, HALF, SECOND, Upload_Length=f"{SIZE}").status == 204
    assert_stored(tus, path)


def test_bytes_may_come_in_chunks_of_http(tus: TusClient) -> None:
    path = tus.begin(SIZE)
    assert tus.patch(path, 0, iter([FIRST, SECOND])).headers["Upload-Offset"] == f"{SIZE}"
    assert_stored(tus, path)


@pytest.mark.parametrize("cut", ["closed", "reset"])
def test_an_upload_continues_after_a_broken_connection(tus: TusClient, cut: str) -> None:
    """The bytes that arrived are kept, except those that were on their way."""
    path = tus.begin(SIZE)
    with tus.hold(path, FIRST) as connection:
        if cut == "reset":
            reset(connection)
    offset = tus.offset(path)
    assert offset <= HALF
    assert tus.show(path)["status"] == "queued"

    assert tus.patch(path, offset, WHOLE[offset:]).status == 204
    assert_stored(tus, path)


def test_a_newer_request_ends_the_older_one(tus: TusClient) -> None:
    path = tus.begin(SIZE)
    with tus.hold(path, FIRST) as older:
        offset = tus.offset(path)
        assert tus.patch(path, offset, WHOLE[offset:]).status == 204
        answer = read_refusal(older, SECOND)
    assert answer[:13] in (b"HTTP/1.1 409 ", b"HTTP/1.1 410 ")  # the upload has been continued, or has ended
    assert_stored(tus, path)


CHECKSUMS = {
    "sha256": hashlib.sha256(WHOLE).digest(),
    "sha1": hashlib.sha1(WHOLE).digest(),
    "md5": hashlib.md5(WHOLE).digest(),
    "crc32": binascii.crc32(WHOLE).to_bytes(4, "big"),
}


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_bytes_with_another_checksum_are_discarded(tus: TusClient, algorithm: str) -> None:
    path, right = tus.begin(SIZE), CHECKSUMS[algorithm]
    wrong = bytes([right[0] ^ 1]) + right[1:]

    def checksum(digest: bytes) -> str:
        return f"{algorithm} {base64.b64encode(digest).decode()}"

    refused = tus.patch(path, 0, WHOLE, Upload_Checksum=checksum(wrong))
    assert (refused.status, tus.offset(path)) == (460, 0)
    assert algorithm in refused.text
    assert tus.patch(path, 0, WHOLE, Upload_Checksum=checksum(right)).status == 204
    assert_stored(tus, path)


def test_a_terminated_upload_is_gone_and_leaves_nothing(tus: TusClient) -> None:
    path = tus.begin(SIZE)
    assert tus.patch(path, 0, FIRST).status == 204
    image_id = tus.image(path)

    assert tus.ask("DELETE", path).status == 204
    assert tus.ask("HEAD", path).status == 410
    assert tus.patch(path, HALF, SECOND).status == 410
    image = tus.request_as("GET", f"/v2/images/{image_id}").json
    assert (image["status"], image["status_reason"]) == ("killed", "The client has ended the upload.")
    files = [path for path in tus.server.leftovers() + tus.server.blobs() if image_id in path.name]
    assert files == []


def test_responses_tell_when_an_upload_expires(tus: TusClient) -> None:
    created = tus.create({"Upload-Length": f"{SIZE}"})
    path = tus.path(created)
    for answer in (created, tus.ask("HEAD", path), tus.patch(path, 0, FIRST)):
        assert parsedate_to_datetime(answer.headers["Upload-Expires"]).tzname() == "UTC"


def test_a_head_repeats_the_metadata_as_the_client_sent_it(tus: TusClient) -> None:
    metadata = f"{pairs(name='zwölf')},disk_format {base64.b64encode(b'raw').decode()},empty,blank "
    answer = tus.ask("POST", "/uploads", {"Upload-Length": "1", "Upload-Metadata": metadata})
    assert answer.status == 201, answer.text
    path = tus.path(answer)
    assert tus.ask("HEAD", path).headers["Upload-Metadata"] == metadata.strip()
    assert tus.show(path)["name"] == "zwölf"


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_client_that_can_only_post_names_the_method_in_a_header(tus: TusClient, method: str) -> None:
    path = tus.begin(4)
    given = {"X-HTTP-Method-Override": method, "Content-Type": TUS_BYTES, "Upload-Offset": "0"}
    assert tus.ask("POST", path, given, b"four" if method == "PATCH" else b"").status == 204
    assert tus.ask("HEAD", path).status == (200 if method == "PATCH" else 410)


def test_zeros_are_added_without_being_sent(tus: TusClient) -> None:
    zeros = 5 << 20
    path = tus.begin(zeros + HALF)
    added = tus.patch(path, 0, None, Upload_Zeros=f"{zeros}")
    assert (added.status, added.headers["Upload-Offset"]) == (204, f"{zeros}")
    assert tus.patch(path, zeros, FIRST).status == 204
    assert_stored(tus, path, bytes(zeros) + FIRST)


def test_an_existing_image_gets_the_bytes(tus: TusClient) -> None:
    image_id = tus.server.reserve(name="reserved", disk_format="raw", container_format="bare")["id"]
    given = {"Upload-Length": f"{SIZE}", "Upload-Metadata": pairs(image_id=image_id, filename="other.iso")}
    answer = tus.ask("POST", "/uploads", given)
    assert answer.status == 201, answer.text
    path = tus.path(answer)
    assert tus.image(path) == image_id
    assert tus.patch(path, 0, WHOLE).status == 204
    assert_stored(tus, path)
    assert tus.show(path)["name"] == "reserved"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TusClient]:
    folder = tmp_path_factory.mktemp("hasty")
    settings = {"calotype.upload_expiry": "3", "calotype.sweep_interval": "0.2"}
    running = Server(folder, write_ini(folder, settings))
    yield TusClient(running)
    running.stop()


def test_an_expired_upload_is_gone_and_its_image_says_why(hasty: TusClient) -> None:
    path = hasty.begin(SIZE)
    assert hasty.patch(path, 0, FIRST).status == 204
    image_id = hasty.image(path)
    wait_for(lambda: hasty.show_image(image_id)["status"], lambda status: status == "killed")
    assert hasty.ask("HEAD", path).status in (404, 410)
    assert "expired" in hasty.show_image(image_id)["status_reason"]
