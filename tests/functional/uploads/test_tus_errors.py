"""Every error of tus 1.0. A refused request changes nothing, and the upload can go on."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.answers import Answer
from tests.support.server import Server, write_ini
from tests.support.uploads import HALVES, TUS_BYTES, WHOLE, DraftClient, TusClient, pairs

FIRST, SECOND = HALVES
HALF, SIZE = len(FIRST), len(WHOLE)
B64 = base64.b64encode


@pytest.fixture(scope="module")
def tus(server: Server) -> TusClient:
    return TusClient(server)


def images(tus: TusClient) -> list[tuple]:
    return tus.server.query("SELECT id, status FROM images ORDER BY id")


LENGTH = {"Upload-Length": "4"}
CREATIONS = {
    "no length": ({}, b"", 400, "Send either Upload-Length"),
    "two lengths": ({**LENGTH, "Upload-Defer-Length": "1"}, b"", 400, "Send either Upload-Length"),
    "a length with a sign": ({"Upload-Length": "+4"}, b"", 400, "must be a number of bytes in digits"),
    "a negative length": ({"Upload-Length": "-4"}, b"", 400, "must be a number of bytes in digits"),
    "a deferral of 2": ({"Upload-Defer-Length": "2"}, b"", 400, "Upload-Defer-Length must be 1"),
    "too long": ({"Upload-Length": f"{1 << 41}"}, b"", 413, "larger than"),
    "of another type": ({**LENGTH, "Content-Type": "text/plain"}, b"four", 415, f"must be {TUS_BYTES}"),
    "encoded": (
        *({**LENGTH, "Content-Type": TUS_BYTES, "Content-Encoding": "gzip"}, b"four", 415),
        "Content-Encoding is not supported",
    ),
    "metadata that is not Base64": (
        {**LENGTH, "Upload-Metadata": "name deb!an"},
        b"",
        400,
        "'deb!an' is not Base64",
    ),
    "metadata without padding": ({**LENGTH, "Upload-Metadata": "name YQ"}, b"", 400, "is not Base64"),
    "metadata that is not UTF-8": (
        *({**LENGTH, "Upload-Metadata": f"name {B64(bytes([255])).decode()}"}, b"", 400),
        "is not UTF-8",
    ),
    "a key twice": ({**LENGTH, "Upload-Metadata": "name YQ==,name Yg=="}, b"", 400, "'name' twice"),
    "an empty pair": ({**LENGTH, "Upload-Metadata": "name YQ==,,"}, b"", 400, "a key in ASCII"),
    "long metadata": ({**LENGTH, "Upload-Metadata": f"name {'YWFh' * 8000}"}, b"", 413, "is longer than"),
    "no format": ({**LENGTH, "Upload-Metadata": "name YQ=="}, b"", 400, "Disk format is not specified"),
    "an unknown format": (
        {**LENGTH, "Upload-Metadata": pairs(disk_format="floppy")},
        b"",
        400,
        "Invalid disk format",
    ),
    "an unknown visibility": (
        {**LENGTH, "Upload-Metadata": pairs(disk_format="raw", visibility="all")},
        b"",
        400,
        "Invalid visibility: 'all'; one of: community, private, public, shared.",
    ),
    "a size that is no number": (
        {**LENGTH, "Upload-Metadata": pairs(disk_format="raw", min_disk="ten")},
        b"",
        400,
        "min_disk",
    ),
    "a boolean that is neither": (
        {**LENGTH, "Upload-Metadata": pairs(disk_format="raw", protected="maybe")},
        b"",
        400,
        "must be true or false",
    ),
    "a reserved property": (
        {**LENGTH, "Upload-Metadata": pairs(disk_format="raw", property_owner="me")},
        b"",
        403,
        "is reserved",
    ),
    "an unknown store": (
        {**LENGTH, "Upload-Metadata": pairs(disk_format="raw", store="cold")},
        b"",
        400,
        "There is no store 'cold'",
    ),
    "an unknown image": (
        {**LENGTH, "Upload-Metadata": pairs(image_id="00000000-0000-4000-8000-00000000dead")},
        b"",
        404,
        "Not found",
    ),
    "a field of an existing image": (
        {**LENGTH, "Upload-Metadata": pairs(image_id="IMAGE", visibility="private")},
        b"",
        400,
        "'visibility' cannot be set with image_id",
    ),
    "an unknown checksum": ({**LENGTH, "Upload-Checksum": "sha3 YQ=="}, b"", 400, "unknown algorithm"),
    "a short checksum": ({**LENGTH, "Upload-Checksum": "md5 YQ=="}, b"", 400, "has 16 bytes, not 1"),
    "more bytes than its length": ({**LENGTH, "Content-Type": TUS_BYTES}, b"fives", 413, "4 bytes"),
    "unknown parts": ({"Upload-Concat": "final;https://example.com/x"}, b"", 400, "URLs of partial uploads"),
    "no parts": ({"Upload-Concat": "final;"}, b"", 400, "URLs of partial uploads"),
    "another kind of part": ({"Upload-Concat": "whole"}, b"", 400, "must be 'partial'"),
}


@pytest.mark.parametrize("name", CREATIONS)
def test_an_invalid_creation_is_refused_and_makes_no_image(tus: TusClient, name: str) -> None:
    headers, body, status, sentence = CREATIONS[name]
    image_id = tus.server.reserve(disk_format="raw", container_format="bare")["id"]
    known = {"Upload-Metadata": pairs(disk_format="raw")}
    if "IMAGE" in name or name == "a field of an existing image":
        headers = {**headers, "Upload-Metadata": pairs(image_id=image_id, visibility="private")}
    before = images(tus)
    answer = tus.ask("POST", "/uploads", {**known, **headers}, body)
    assert (answer.status, answer.headers.get_content_type()) == (status, "text/plain"), answer.text
    assert sentence in answer.text
    left = [one for one in images(tus) if one not in before]
    assert [status for _, status in left if status not in ("killed", "queued")] == []
    if name != "more bytes than its length":
        assert left == []


@pytest.mark.parametrize("version", ["1.0.1", "0.2.2", "", None])
@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_another_version_gets_412_and_the_version_of_the_server(
    tus: TusClient, method: str, version: str | None
) -> None:
    path = tus.begin(SIZE)
    headers = {"Content-Type": TUS_BYTES, "Upload-Offset": "0", "Upload-Length": "4"}
    given = headers if version is None else {**headers, "Tus-Resumable": version}
    asked = "/uploads" if method == "POST" else path
    answer = tus.request_as(method, asked, given, b"four" if method == "PATCH" else b"")
    assert (answer.status, answer.headers["Tus-Version"]) == (412, "1.0.0")
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert tus.offset(path) == 0


PATCHES: dict[str, tuple[dict[str, str], bytes | None, int, str]] = {
    "another offset": ({"Upload-Offset": "1"}, SECOND, 409, f"continues at byte {HALF}"),
    "an offset behind": ({"Upload-Offset": f"{SIZE}"}, b"", 409, f"continues at byte {HALF}"),
    "no offset": ({"Upload-Offset": ""}, SECOND, 400, "must be a number of bytes in digits"),
    "a negative offset": ({"Upload-Offset": "-1"}, SECOND, 400, "must be a number of bytes in digits"),
    "another type": ({"Content-Type": "application/octet-stream"}, SECOND, 415, f"must be {TUS_BYTES}"),
    "no type": ({"Content-Type": ""}, SECOND, 415, "it is missing"),
    "an encoding": ({"Content-Encoding": "gzip"}, SECOND, 415, "Content-Encoding"),
    "another length": ({"Upload-Length": f"{SIZE + 1}"}, SECOND, 400, f"is {SIZE} bytes"),
    "too many bytes": ({}, SECOND + b"+", 413, f"{SIZE} bytes"),
    "an unknown checksum": ({"Upload-Checksum": "crc32c YWFhYQ=="}, SECOND, 400, "unknown algorithm"),
    "a checksum that is not Base64": ({"Upload-Checksum": "md5 !"}, SECOND, 400, "is not Base64"),
    "zeros and bytes": ({"Upload-Zeros": "1"}, SECOND, 400, "Send either a body or Upload-Zeros"),
    "zeros that are no number": ({"Upload-Zeros": "1e3"}, None, 400, "must be a number of bytes"),
    "too many zeros at a time": ({"Upload-Zeros": f"{(1 << 30) + 1}"}, None, 413, "send several requests"),
    "more zeros than its length": ({"Upload-Zeros": f"{SIZE}"}, None, 413, f"{SIZE} bytes"),
}


@pytest.mark.parametrize("name", PATCHES)
def test_invalid_bytes_are_refused_and_the_upload_goes_on(tus: TusClient, name: str) -> None:
    headers, body, status, sentence = PATCHES[name]
    path = tus.begin(SIZE)
    assert tus.patch(path, 0, FIRST).status == 204
    given = {"Content-Type": TUS_BYTES, "Upload-Offset": f"{HALF}", **headers}
    answer = tus.ask("PATCH", path, given, body)
    assert (answer.status, answer.headers.get_content_type()) == (status, "text/plain"), answer.text
    assert sentence in answer.text
    assert tus.offset(path) == HALF
    assert tus.show(path)["status"] == "queued"
    assert tus.patch(path, HALF, SECOND).status == 204
    assert tus.show(path)["status"] == "active"


def test_an_upload_that_goes_on_after_its_length_is_not_complete(tus: TusClient) -> None:
    """Nobody can know which of its bytes are the image."""
    path = tus.begin(HALF)
    answer = tus.patch(path, 0, iter([FIRST, SECOND]))
    assert (answer.status, f"{HALF} bytes" in answer.text) == (413, True)
    offset = tus.offset(path)
    assert offset < HALF
    assert tus.show(path)["status"] == "queued"
    assert tus.patch(path, offset, FIRST[offset:]).status == 204


def test_an_unknown_upload_is_404(tus: TusClient) -> None:
    for name in ("00000000-0000-4000-8000-00000000dead", "x", "..", "%2e"):
        for method in ("HEAD", "PATCH", "DELETE"):
            given = {"Content-Type": TUS_BYTES, "Upload-Offset": "0"}
            assert (
                tus.request_as(method, f"/uploads/{name}", {**given, "Tus-Resumable": "1.0.0"}).status == 404
            )


def test_other_methods_are_405(tus: TusClient) -> None:
    path = tus.begin(1)
    for method, asked in (("GET", "/uploads"), ("PUT", "/uploads"), ("PUT", path), ("POST", path)):
        answer = tus.request_as(method, asked, {"Tus-Resumable": "1.0.0"})
        assert answer.status == 405, (method, asked)
        assert answer.headers["Allow"] == ("POST" if asked == "/uploads" else "HEAD, PATCH, DELETE")


def finished(tus: TusClient) -> str:
    path = tus.begin(SIZE)
    assert tus.patch(path, 0, WHOLE).status == 204
    return path


def test_a_finished_upload_takes_no_more_bytes_and_repeats_its_end(tus: TusClient) -> None:
    path = finished(tus)
    assert tus.patch(path, 0, FIRST).status == 409
    assert tus.patch(path, SIZE, b"more").status == 410
    again = tus.patch(path, SIZE, b"")
    assert (again.status, again.headers["Upload-Offset"]) == (204, f"{SIZE}")
    assert tus.show(path)["status"] == "active"


def test_bytes_of_another_format_are_refused_and_the_image_says_why(tus: TusClient) -> None:
    header = b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(HALF)
    path = tus.begin(len(header), disk_format="iso")
    answer = tus.patch(path, 0, header)
    assert answer.status == 415, answer.text
    image = tus.show(path)
    assert image["status"] == "killed"
    assert image["status_reason"] in answer.text
    assert tus.ask("HEAD", path).status == 410


def test_an_upload_that_is_refused_for_its_format_ends_at_its_first_bytes(tus: TusClient) -> None:
    path = tus.begin(SIZE, disk_format="qcow2")
    wrong = f"sha256 {base64.b64encode(bytes(32)).decode()}"
    assert tus.patch(path, 0, FIRST, Upload_Checksum=wrong).status == 460  # the bytes may be damaged
    refused = tus.patch(path, 0, FIRST)
    assert (refused.status, "declared as qcow2, but it is raw" in refused.text) == (415, True)
    assert tus.ask("HEAD", path).status == 410
    image = tus.show(path)
    assert (image["status"], image["status_reason"]) == ("killed", refused.text.strip())


def test_a_finished_upload_can_be_ended_and_leaves_its_image(tus: TusClient) -> None:
    path = finished(tus)
    assert tus.ask("DELETE", path).status == 204
    assert (tus.ask("HEAD", path).status, tus.ask("DELETE", path).status) == (410, 410)
    assert tus.show(path)["status"] == "active"


def delete(tus: TusClient, image_id: str) -> Answer:
    return tus.request_as("DELETE", f"/v2/images/{image_id}")


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE"])
def test_the_upload_of_a_deleted_image_is_gone(tus: TusClient, method: str) -> None:
    path = tus.begin(SIZE)
    assert tus.patch(path, 0, FIRST).status == 204
    assert delete(tus, tus.image(path)).status == 204
    given = {"Content-Type": TUS_BYTES, "Upload-Offset": f"{HALF}"}
    assert tus.ask(method, path, given, SECOND if method == "PATCH" else None).status in (404, 410)


def test_an_image_with_an_open_upload_takes_no_other_bytes(tus: TusClient) -> None:
    path = tus.begin(SIZE)
    image_id = tus.image(path)
    octets = {"Content-Type": "application/octet-stream"}
    again = {"Upload-Length": "4", "Upload-Metadata": pairs(image_id=image_id)}
    for answer in (
        tus.request_as("PUT", f"/v2/images/{image_id}/file", octets, b"four"),
        tus.request_as("PUT", f"/v2/images/{image_id}/stage", octets, b"four"),
        tus.request_as("PUT", f"/v1/images/{image_id}", octets, b"four"),
        tus.request_as("PUT", f"/images/{image_id}", octets, b"four"),
        tus.ask("POST", "/uploads", again),
    ):
        assert answer.status == 409, answer.text
        assert "open upload session" in answer.text
    assert answer.headers["Location"] == f"{tus.server.base}{path}"
    assert tus.patch(path, 0, WHOLE).status == 204


def test_a_caller_who_lost_the_answer_to_a_creation_can_end_the_upload_and_begin_another(
    tus: TusClient,
) -> None:
    image_id = DraftClient(tus.server).reserve().split("/")[3]
    given = {"Upload-Length": f"{SIZE}", "Upload-Metadata": pairs(image_id=image_id)}
    assert tus.ask("POST", "/uploads", given).status == 201
    lost = tus.path(tus.ask("POST", "/uploads", given))
    assert tus.ask("DELETE", lost).status == 204
    path = tus.path(tus.ask("POST", "/uploads", given))
    assert tus.patch(path, 0, WHOLE).status == 204
    assert tus.show(path)["status"] == "active"


Start = Callable[..., TusClient]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[Server] = []

    def start(**settings: str) -> TusClient:
        given = {f"calotype.{name}": value for name, value in settings.items()}
        running.append(Server(tmp_path, write_ini(tmp_path, given)))
        return TusClient(running[-1])

    yield start
    for server in running:
        server.stop()


def test_a_project_has_a_limited_number_of_open_uploads_and_bytes(start: Start) -> None:
    tus = start(project_uploads="2", project_bytes=f"{SIZE}")
    first = tus.begin(HALF)
    tus.begin(HALF)
    assert tus.create({"Upload-Length": "0"}).status == 413
    assert tus.ask("DELETE", first).status == 204
    refused = tus.create({"Upload-Length": f"{HALF + 1}"})
    assert (refused.status, "quota" in refused.text) == (413, True)
    path = tus.begin(None)
    assert tus.patch(path, 0, WHOLE).status == 413
    assert tus.show(path)["status"] == "queued"


def test_without_the_dialect_nothing_is_served_and_a_part_is_no_image(start: Start) -> None:
    tus = start(dialects="v1 v2")
    assert tus.request_as("POST", "/uploads", {"Tus-Resumable": "1.0.0", "Upload-Length": "1"}).status == 404
    document = json.dumps({"disk_format": "raw", "container_format": "bare"}).encode()
    made = tus.request_as("POST", "/v2/images", {"Content-Type": "application/json"}, document).json
    octets = {"Content-Type": "application/octet-stream"}
    part = tus.request_as("PUT", made["file"], {**octets, "Upload-Complete": "?0"}, b"part")
    assert (part.status, "Upload-Complete must be ?1" in part.text) == (400, True)
    assert tus.request_as("PUT", made["file"], {**octets, "Upload-Complete": "?1"}, b"all").status == 204
