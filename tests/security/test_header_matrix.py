"""The headers of the threat catalogue, in the classic dialect; some rows in every dialect.

Functional tests cover sizes, names, lengths and content types.
"""

from __future__ import annotations

import json
import uuid

import pytest

from tests.security.people import Guarded
from tests.support.answers import statuses
from tests.support.server import OCTETS, Server, meta

JSON = {"Content-Type": "application/json"}


def test_h_01_the_owner_is_the_callers_project_whatever_a_header_says(
    server: Server, guarded: Guarded
) -> None:
    image = server.reserve(owner="victim")
    assert image["owner"] == "default"
    assert server.put(f"/images/{image['id']}", meta(owner="victim")).image["owner"] == "default"
    for path in ("/images", "/v1/images"):
        made = guarded.attacker.ask("POST", path, meta(owner="V")).json["image"]
        changed = guarded.attacker.ask("PUT", f"{path}/{made['id']}", meta(owner="V")).json["image"]
        assert (made["owner"], changed["owner"]) == ("A", "A")


def test_h_06_blanks_and_unicode_forms_are_kept_as_given(server: Server) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    for name in (composed, decomposed, "\u202eevil"):
        image = server.request("POST", "/images", {"x-image-meta-name": name.encode()}).image
        assert image["name"] == name


@pytest.mark.parametrize("text", ["\n", "\r", "\x1b[31m", "\x7f", "\u2028", "\u2029", "\x9b31m"])
def test_h_06_control_characters_in_a_name_are_400(server: Server, text: str) -> None:
    """The server itself refuses ASCII's control characters in headers, so only JSON can carry them."""
    image_id, forged = str(uuid.uuid4()), f"a{text}b"
    if not text.isascii():
        headers = {"x-image-meta-id": image_id, "x-image-meta-name": forged.encode()}
        assert server.request("POST", "/images", headers).status == 400
    for path, fields in (
        ("/v1/images", {"name": forged}),
        ("/v1/images", {"properties": {"note": forged}}),
        ("/v2/images", {"name": forged}),
        ("/v2/images", {"note": forged}),
        ("/v2/images", {"tags": [forged]}),
    ):
        body = json.dumps({"id": image_id, **fields}).encode()
        assert server.request("POST", path, JSON, body).status == 400, (path, fields)
    assert server.head(f"/images/{image_id}").status == 404


@pytest.mark.parametrize(("count", "length"), [(300, 10), (3, 100_000)], ids=["many", "long"])
def test_h_08_too_many_or_too_long_headers_are_refused(server: Server, count: int, length: int) -> None:
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"y" * length) for number in range(count))
    spoken = server.speak(b"GET /images HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n")
    assert statuses(spoken) in ([400], [431])


#: Every request that sends bytes, for a new or a queued image.
UPLOADS = (
    "POST /images",
    "PUT /images/{}",
    "POST /v1/images",
    "PUT /v1/images/{}",
    "PUT /v2/images/{}/file",
    "PUT /v2/images/{}/stage",
)
FORMATS = {"disk_format": "raw", "container_format": "bare"}


@pytest.mark.parametrize("asked", UPLOADS)
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP", "gzip, identity"])
def test_h_10_an_encoded_body_is_415_in_every_dialect_and_leaves_no_record(
    server: Server, asked: str, coding: str
) -> None:
    """r1-E23: this applies to every upload and not only to the classic POST."""
    waiting, fresh = server.reserve(**FORMATS)["id"], str(uuid.uuid4())
    method, path = asked.format(waiting).split()
    headers = {
        **OCTETS,
        "Content-Encoding": coding,
        **(meta(id=fresh, **FORMATS) if method == "POST" else {}),
    }

    assert server.request(method, path, headers, b"bytes").status == 415
    assert server.query("SELECT status FROM images WHERE id = ?", waiting) == [("queued",)]
    assert server.query("SELECT status FROM images WHERE id = ?", fresh) == []
    assert server.blobs(waiting) == server.blobs(fresh) == server.leftovers() == []


def smuggling(spared: str, form: str) -> tuple[bytes, bytes]:
    """Return the header and the bytes of a body that looks like requests to delete an image."""
    inner = f"DELETE /images/{spared} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    if form == "chunked":
        return b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner)
    body = inner if form == "short" else inner * (300_000 // len(inner))
    return b"Content-Length: %d" % len(body), body


@pytest.mark.parametrize("path", ["/images/{}", "/v1/images/{}", "/v2/images/{}"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("form", ["short", "long", "chunked"])
def test_h_13_an_unexpected_body_is_never_read_as_the_next_request(
    server: Server, path: str, method: str, form: str
) -> None:
    """r1-E23: the connection stays open, so the server could read the body as a request.

    The server reads a short body together with its head, but a long or chunked one not at all.
    """
    image_id, spared = server.upload(b"bytes", **FORMATS)["id"], server.reserve()["id"]
    header, body = smuggling(spared, form)
    first = f"{method} {path.format(image_id)} HTTP/1.1\r\nHost: localhost\r\n".encode()
    last = b"GET /versions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    answered = statuses(server.speak(first + header + b"\r\n\r\n" + body + last))
    assert answered[0] in (200, 204, 400, 405)  # v2 refuses a body there
    assert answered[1:] in ([], [200])  # the connection was closed, or the body was skipped
    assert server.query("SELECT status FROM images WHERE id = ?", spared) == [("queued",)]


def test_h_16_names_that_are_equal_after_normalization_are_400(server: Server) -> None:
    for other in ("x-image-meta-property-a_b", "x-image-meta-property-A-B"):
        headers = [("x-image-meta-property-a-b", "1"), (other, "2")]
        assert server.request("POST", "/images", headers).status == 400


def test_h_16_a_name_of_more_than_255_characters_is_400(server: Server) -> None:
    assert server.post("/images", {f"x-image-meta-property-{'n' * 255}": "v"}).status == 200
    assert server.post("/images", {f"x-image-meta-property-{'n' * 256}": "v"}).status == 400


def test_p_08_a_taken_id_is_refused_without_naming_its_owner(server: Server) -> None:
    image_id = server.reserve(name="whose?")["id"]
    answer = server.post("/images", meta(id=image_id))
    assert (answer.status, "whose?" in answer.text, "default" in answer.text) == (409, False, False)
