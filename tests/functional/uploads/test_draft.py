"""Uploads by the IETF's draft "Resumable Uploads for HTTP", interop version 8. Tests follow its sections."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator

import pytest

from tests.support.answers import Answer
from tests.support.server import OCTETS, Server, meta, write_ini
from tests.support.uploads import HALVES, WHOLE, DraftClient, writer_of
from tests.support.waiting import wait_for
from tests.support.wire import read_refusal, read_to_end

FIRST, SECOND = HALVES
HALF, SIZE = len(FIRST), len(WHOLE)
FORMATS = meta(disk_format="raw", container_format="bare")


@pytest.fixture(scope="module")
def draft(server: Server) -> DraftClient:
    return DraftClient(server)


def shown(draft: DraftClient, image_id: str) -> dict:
    return draft.request_as("GET", f"/v2/images/{image_id}").json


def assert_stored(draft: DraftClient, image_id: str, data: bytes = WHOLE) -> None:
    """Check that the image is active with these bytes."""
    image = shown(draft, image_id)
    assert (image["status"], image["size"]) == ("active", len(data))
    assert image["os_hash_value"] == hashlib.sha256(data).hexdigest()
    assert draft.request_as("GET", image["file"]).body == data


def limits(answer: Answer) -> dict[str, int]:
    """Return the members of Upload-Limit."""
    members = (member.split("=") for member in answer.headers["Upload-Limit"].split(", "))
    return {name: int(value) for name, value in members}


def image_of(file: str) -> str:
    return file.split("/")[3]


# ---------------------------------------------------------------- 4.1.4 Limits


@pytest.mark.parametrize(
    "path", ["/images", "/images/ID", "/v1/images", "/v1/images/ID", "/v2/images/ID/file"]
)
def test_options_tell_the_limits_of_each_resource_that_takes_uploads(draft: DraftClient, path: str) -> None:
    image_id = image_of(draft.reserve())
    answer = draft.request_as("OPTIONS", path.replace("ID", image_id))
    assert (answer.status, answer.body) == (204, b"")
    assert limits(answer) == {"max-size": 1 << 40, "max-age": 86400}


# ---------------------------------------------------------------- 4.2 Upload creation


def test_a_whole_upload_gets_the_response_of_the_resource(draft: DraftClient) -> None:
    file = draft.reserve()
    answer = draft.put(file, WHOLE, Upload_Length=f"{SIZE}")
    assert (answer.status, answer.body, answer.headers["Upload-Complete"]) == (204, b"", "?1")
    assert_stored(draft, image_of(file))


def test_a_whole_upload_may_have_no_known_length(draft: DraftClient) -> None:
    file = draft.reserve()
    assert draft.put(file, iter(HALVES)).status == 204
    assert_stored(draft, image_of(file))


def test_a_part_gets_201_and_the_url_where_it_continues(draft: DraftClient) -> None:
    file = draft.reserve()
    answer = draft.put(file, FIRST, "?0", Upload_Length=f"{SIZE}")
    assert (answer.status, answer.body) == (201, b"")
    assert answer.headers["Upload-Complete"] == "?0"
    assert answer.headers["Upload-Offset"] == f"{HALF}"
    assert answer.headers["Location"].startswith(f"{draft.server.base}/uploads/")
    assert limits(answer)["max-size"] == 1 << 40
    assert 86000 < limits(answer)["max-age"] <= 86400
    assert shown(draft, image_of(file))["status"] == "queued"

    last = draft.patch(draft.path(answer), HALF, SECOND)
    assert (last.status, last.body, last.headers["Upload-Complete"]) == (204, b"", "?1")
    assert_stored(draft, image_of(file))


def test_an_upload_can_begin_without_bytes_to_learn_its_url(draft: DraftClient) -> None:
    """This is the way behind a proxy that drops status 104."""
    path = draft.begin()
    head = draft.head(path)
    assert (head.status, head.headers["Upload-Offset"], head.headers["Upload-Complete"]) == (204, "0", "?0")
    assert head.headers["Upload-Length"] is None
    assert draft.patch(path, 0, WHOLE).status == 204


def test_an_empty_image_is_complete_with_its_creation(draft: DraftClient) -> None:
    file = draft.reserve()
    assert draft.put(file, b"", Upload_Length="0").headers["Upload-Complete"] == "?1"
    assert_stored(draft, image_of(file), b"")


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [("/images", 200, None), ("/v1/images", 201, "/v1/images/")],
)
def test_the_older_dialects_answer_the_last_part_as_they_answer_an_upload(
    draft: DraftClient, path: str, status: int, location: str | None
) -> None:
    begun = draft.request_as("POST", path, {**OCTETS, **FORMATS, "Upload-Complete": "?0"}, FIRST)
    assert (begun.status, begun.headers["Upload-Complete"]) == (201, "?0")
    last = draft.patch(draft.path(begun), HALF, SECOND)
    assert (last.status, last.headers["Upload-Complete"]) == (status, "?1")
    image = last.json["image"]
    assert (image["status"], image["size"]) == ("active", SIZE)
    assert location is None or last.headers["Location"].endswith(f"{location}{image['id']}")
    assert_stored(draft, image["id"])


@pytest.mark.parametrize("path", ["/images/ID", "/v1/images/ID"])
def test_the_older_dialects_complete_a_reserved_image_in_parts(draft: DraftClient, path: str) -> None:
    image_id = image_of(draft.reserve())
    begun = draft.put(path.replace("ID", image_id), FIRST, "?0")
    assert begun.status == 201, begun.text
    last = draft.patch(draft.path(begun), HALF, SECOND)
    assert (last.status, last.json["image"]["status"]) == (200, "active")
    assert_stored(draft, image_id)


@pytest.mark.parametrize("path", ["/v2/images/ID/file", "/images/ID", "/v1/images/ID"])
def test_other_values_of_the_headers_are_refused(draft: DraftClient, path: str) -> None:
    """H8: if they were ignored, a part would become the image."""
    image_id = image_of(draft.reserve())
    asked = path.replace("ID", image_id)
    for headers in (
        *({"Upload-Complete": value} for value in ("1", "false", "?2", "?0, ?0", "?0,", "?0 ;a", "")),
        {"Upload-Complete": "?1", "Upload-Length": "abc"},
        {"Upload-Length": "100"},
        {"Upload-Offset": "7"},
    ):
        answer = draft.request_as("PUT", asked, {**OCTETS, **headers}, b"half")
        assert (answer.status, shown(draft, image_id)["status"]) == (400, "queued"), headers


def test_parameters_of_a_value_are_ignored(draft: DraftClient) -> None:
    part = draft.put(draft.reserve(), b"half", '?0;a="x;y"')
    assert (part.status, part.headers["Upload-Complete"]) == (201, "?0")
    parameters = draft.put(draft.reserve(), b"bytes", "?1;comment=x; y")
    assert (parameters.status, parameters.headers["Upload-Complete"]) == (204, "?1")


# ---------------------------------------------------------------- 5 Status code 104


def spoken(draft: DraftClient, *lines: str, version: str = "1.1") -> bytes:
    """Send the head of an upload that breaks off after its first half; return what arrives until then."""
    head = [
        f"PUT {draft.reserve()} HTTP/{version}",
        "Host: localhost",
        "Content-Type: application/octet-stream",
        f"Content-Length: {SIZE}",
        "Upload-Complete: ?1",
        *lines,
        "",
        "",
    ]
    with socket.create_connection(("127.0.0.1", draft.server.port), timeout=15) as connection:
        connection.sendall("\r\n".join(head).encode() + FIRST)
        connection.shutdown(socket.SHUT_WR)
        return read_to_end(connection)


def test_the_server_announces_the_url_before_it_reads_the_bytes(draft: DraftClient) -> None:
    said = spoken(draft, "Upload-Draft-Interop-Version: 8")
    interim, _, _ = said.partition(b"\r\n\r\n")
    status, *lines = interim.decode().split("\r\n")
    assert status == "HTTP/1.1 104 Upload Resumption Supported"
    headers = dict(line.split(": ") for line in lines)
    assert headers["Upload-Draft-Interop-Version"] == "8"
    assert headers["Upload-Limit"].startswith(f"max-size={1 << 40}, max-age=")

    path = headers["Location"].removeprefix("http://localhost")
    offset = int(draft.head(path).headers["Upload-Offset"])
    assert 0 <= offset <= HALF
    assert draft.patch(path, offset, WHOLE[offset:]).status == 204


@pytest.mark.parametrize(
    "lines", [(), ("Upload-Draft-Interop-Version: 7",), ("Upload-Draft-Interop-Version: x",)]
)
def test_a_client_of_another_version_gets_no_104(draft: DraftClient, lines: tuple[str, ...]) -> None:
    assert b" 104 " not in spoken(draft, *lines)


def test_a_client_of_http_1_0_gets_no_interim_response(draft: DraftClient) -> None:
    assert b" 104 " not in spoken(draft, "Upload-Draft-Interop-Version: 8", version="1.0")


def test_a_client_that_waits_for_100_gets_it_after_the_104(draft: DraftClient) -> None:
    said = spoken(draft, "Upload-Draft-Interop-Version: 8", "Expect: 100-continue")
    assert said.startswith(b"HTTP/1.1 104 ")


# ---------------------------------------------------------------- 4.3 Offset retrieval


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_the_upload_resource_tells_the_state(draft: DraftClient, method: str) -> None:
    path = draft.begin(FIRST, Upload_Length=f"{SIZE}")
    answer = draft.request_as(method, path)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Upload-Offset"] == f"{HALF}"
    assert answer.headers["Upload-Length"] == f"{SIZE}"
    assert answer.headers["Upload-Complete"] == "?0"
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(limits(answer)) == {"max-size", "max-age"}

    assert draft.patch(path, HALF, SECOND).status == 204
    done = draft.request_as(method, path)
    assert (done.headers["Upload-Complete"], done.headers["Upload-Offset"]) == ("?1", f"{SIZE}")


# ---------------------------------------------------------------- 4.4 Upload append


def test_an_upload_in_three_parts_ends_with_an_empty_one(draft: DraftClient) -> None:
    """The offset does not decide whether an upload is complete; the client does."""
    path = draft.begin(FIRST)
    part = draft.patch(path, HALF, SECOND, "?0")
    assert (part.status, part.headers["Upload-Complete"]) == (204, "?0")
    assert part.headers["Upload-Offset"] == f"{SIZE}"
    assert draft.head(path).headers["Upload-Complete"] == "?0"
    last = draft.patch(path, SIZE)
    assert (last.status, last.headers["Upload-Complete"]) == (204, "?1")


def test_a_repeated_end_gets_the_same_response(draft: DraftClient) -> None:
    path = draft.begin(FIRST)
    assert draft.patch(path, HALF, SECOND).status == 204
    again = draft.patch(path, SIZE)
    assert (again.status, again.headers["Upload-Complete"]) == (204, "?1")


def test_zeros_are_added_without_being_sent(draft: DraftClient) -> None:
    file = draft.reserve()
    path = draft.path(draft.put(file, FIRST, "?0"))
    assert (
        draft.patch(path, HALF, None, "?0", Upload_Zeros="1000").headers["Upload-Offset"] == f"{HALF + 1000}"
    )
    assert draft.patch(path, HALF + 1000, SECOND).status == 204
    assert_stored(draft, image_of(file), FIRST + bytes(1000) + SECOND)


# ---------------------------------------------------------------- errors


def problem(answer: Answer) -> dict:
    """Return the problem document of an error."""
    assert answer.headers.get_content_type() == "application/problem+json"
    document = json.loads(answer.body)
    assert document["status"] == answer.status
    return document


TYPES = "https://iana.org/assignments/http-problem-types#"


def test_another_offset_gets_409_with_the_right_one(draft: DraftClient) -> None:
    path = draft.begin(FIRST)
    answer = draft.patch(path, 1, SECOND)
    assert answer.status == 409
    assert (answer.headers["Upload-Offset"], answer.headers["Upload-Complete"]) == (f"{HALF}", "?0")
    found = problem(answer)
    assert found["type"] == f"{TYPES}mismatching-upload-offset"
    assert (found["expected-offset"], found["provided-offset"]) == (HALF, 1)
    assert draft.patch(path, HALF, SECOND).status == 204


@pytest.mark.parametrize(
    ("complete", "length", "body"),
    [("?1", SIZE + 1, WHOLE), ("?1", SIZE - 1, WHOLE), ("?0", SIZE - 1, WHOLE)],
)
def test_a_creation_with_two_lengths_gets_400_and_makes_no_session(
    draft: DraftClient, complete: str, length: int, body: bytes
) -> None:
    file = draft.reserve()
    answer = draft.put(file, body, complete, Upload_Length=f"{length}")
    assert (answer.status, answer.headers["Upload-Complete"]) == (400, "?0")
    assert problem(answer)["type"] == f"{TYPES}inconsistent-upload-length"
    assert draft.put(file, WHOLE).status == 204


@pytest.mark.parametrize(
    ("complete", "headers", "body"),
    [
        ("?0", {"Upload_Length": f"{SIZE + 1}"}, SECOND),
        ("?1", {}, SECOND[:-1]),
        ("?1", {}, SECOND + b"+"),
        ("?1", {"Upload_Length": f"{SIZE + 1}"}, SECOND + b"+"),
    ],
)
def test_a_part_with_another_length_gets_400_and_the_upload_goes_on(
    draft: DraftClient, complete: str, headers: dict[str, str], body: bytes
) -> None:
    path = draft.begin(FIRST, Upload_Length=f"{SIZE}")
    answer = draft.patch(path, HALF, body, complete, **headers)
    assert (answer.status, answer.headers["Upload-Complete"]) == (400, "?0")
    assert problem(answer)["type"] == f"{TYPES}inconsistent-upload-length"
    assert draft.patch(path, HALF, SECOND).status == 204


def test_an_end_without_all_bytes_gets_400_and_the_upload_goes_on(draft: DraftClient) -> None:
    path = draft.begin(FIRST, Upload_Length=f"{SIZE}")
    answer = draft.patch(path, HALF, iter([SECOND[:-1]]))
    assert (answer.status, answer.headers["Upload-Complete"]) == (400, "?0")
    assert problem(answer)["type"] == f"{TYPES}inconsistent-upload-length"
    assert draft.patch(path, SIZE - 1, SECOND[-1:]).status == 204


@pytest.mark.parametrize(
    ("headers", "status", "sentence"),
    [
        ({"Content-Type": "application/octet-stream"}, 415, "application/partial-upload"),
        ({"Upload-Offset": "x"}, 400, "Upload-Offset"),
        ({"Upload-Offset": "-1"}, 400, "Upload-Offset"),
        ({"Upload-Complete": "yes"}, 400, "Upload-Complete"),
        ({"Content-Encoding": "gzip"}, 415, "Content-Encoding"),
        ({"Upload-Zeros": "1"}, 400, "Upload-Zeros"),
    ],
)
def test_an_invalid_part_is_refused_and_the_upload_goes_on(
    draft: DraftClient, headers: dict[str, str], status: int, sentence: str
) -> None:
    path = draft.begin(FIRST)
    fields = {
        "Content-Type": "application/partial-upload",
        "Upload-Offset": f"{HALF}",
        "Upload-Complete": "?1",
    }
    answer = draft.request_as("PATCH", path, {**fields, **headers}, SECOND)
    assert answer.status == status
    assert sentence in problem(answer)["detail"]
    if "Content-Type" in headers:
        assert answer.headers["Accept-Patch"] == "application/partial-upload"
    assert draft.patch(path, HALF, SECOND).status == 204


def test_bytes_that_cannot_become_the_image_complete_the_upload_with_an_error(draft: DraftClient) -> None:
    document = b'{"disk_format": "iso", "container_format": "bare"}'
    made = draft.request_as("POST", "/v2/images", {"Content-Type": "application/json"}, document).json
    header = b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(HALF)
    answer = draft.put(made["file"], header, "?1")
    assert (answer.status, answer.headers["Upload-Complete"]) == (415, "?1")
    assert shown(draft, made["id"])["status"] == "queued"


def test_a_cancelled_upload_is_gone_and_the_image_can_be_tried_again(draft: DraftClient) -> None:
    file = draft.reserve()
    path = draft.path(draft.put(file, FIRST, "?0"))
    answer = draft.request_as("DELETE", path)
    assert (answer.status, answer.body) == (204, b"")
    for method in ("HEAD", "GET", "DELETE"):
        assert draft.request_as(method, path).status == 410
    assert problem(draft.patch(path, HALF, SECOND))["title"] == "Gone"
    assert draft.put(file, WHOLE).status == 204


def test_a_newer_request_ends_the_older_one(draft: DraftClient) -> None:
    path = draft.begin(Upload_Length=f"{SIZE}")
    head = (
        f"PATCH {path} HTTP/1.1\r\nHost: localhost\r\nUpload-Offset: 0\r\nUpload-Complete: ?1\r\n"
        f"Content-Type: application/partial-upload\r\nContent-Length: {SIZE}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", draft.server.port), timeout=15) as older:
        before = writer_of(draft.server, path)
        older.sendall(head.encode() + FIRST)
        wait_for(lambda: writer_of(draft.server, path), lambda writer: writer != before)
        offset = int(draft.head(path).headers["Upload-Offset"])
        assert draft.patch(path, offset, WHOLE[offset:]).status == 204
        assert read_refusal(older, SECOND)[:13] in (b"HTTP/1.1 409 ", b"HTTP/1.1 410 ")


@pytest.fixture(scope="module")
def behind_a_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DraftClient]:
    folder = tmp_path_factory.mktemp("proxied")
    settings = {"calotype.public_endpoint": "https://images.example.com/api"}
    running = Server(folder, write_ini(folder, settings))
    yield DraftClient(running)
    running.stop()


def test_the_url_is_that_of_the_public_endpoint(behind_a_proxy: DraftClient) -> None:
    answer = behind_a_proxy.put(behind_a_proxy.reserve(), FIRST, "?0")
    assert answer.headers["Location"].startswith("https://images.example.com/api/uploads/")
