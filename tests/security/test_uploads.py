"""Upload sessions under attack: the sessions of others, their number, and the headers of both protocols."""

from __future__ import annotations

import base64
import uuid

import pytest

from tests.security.conftest import StartGuarded
from tests.security.people import Guarded, Person
from tests.support.answers import Answer
from tests.support.uploads import TUS, TUS_BYTES, pairs

RAW = pairs(disk_format="raw")
OFFSET = {"Upload-Offset": "0"}


def create(person: Person, length: int = 5, **metadata: str) -> Answer:
    given = {"Upload-Length": f"{length}", "Upload-Metadata": pairs(disk_format="raw", **metadata)}
    return person.ask("POST", "/uploads", {**TUS, **given})


def begin(person: Person, length: int = 5) -> str:
    answer = create(person, length)
    assert answer.status == 201, answer.text
    return f"/uploads/{answer.headers['Location'].rpartition('/')[2]}"


def requests(path: str) -> list[tuple[str, str, dict[str, str], bytes | None]]:
    """Return every request about a session, in both protocols."""
    tus = {**TUS, "Content-Type": TUS_BYTES, **OFFSET}
    draft = {"Content-Type": "application/partial-upload", "Upload-Complete": "?1", **OFFSET}
    return [
        *((method, path, headers, None) for method in ("HEAD", "DELETE", "OPTIONS") for headers in (TUS, {})),
        ("GET", path, {}, None),
        ("PATCH", path, tus, b"bytes"),
        ("PATCH", path, draft, b"bytes"),
        ("POST", path, {**tus, "X-HTTP-Method-Override": "PATCH"}, b"bytes"),
        ("POST", path, {**tus, "X-HTTP-Method-Override": "DELETE"}, None),
    ]


def test_u_01_the_session_of_another_project_does_not_exist(guarded: Guarded) -> None:
    """U-01: the response is that for an unknown id, so an id that leaks is of no use."""
    path = begin(guarded.victim)
    unknown = f"/uploads/{uuid.uuid4()}"
    for (method, asked, headers, body), other in zip(requests(path), requests(unknown), strict=True):
        refused = guarded.attacker.ask(method, asked, headers, body)
        absent = guarded.attacker.ask(other[0], other[1], other[2], other[3])
        assert (refused.status, refused.body) == (absent.status, absent.body), (method, headers)
        assert refused.status == 404
        assert "Upload-Offset" not in refused.headers
    done = guarded.victim.ask("PATCH", path, {**TUS, "Content-Type": TUS_BYTES, **OFFSET}, b"bytes")
    assert (done.status, done.headers["Upload-Offset"]) == (204, "5")


def test_u_01_a_reader_of_the_project_cannot_use_its_sessions(guarded: Guarded) -> None:
    """U-01: a reader may change nothing."""
    path = begin(guarded.attacker)
    for method, asked, headers, body in requests(path):
        assert guarded.reader.ask(method, asked, headers, body).status in (403, 404), (method, headers)
    assert create(guarded.reader).status == 403


def test_u_02_nobody_uploads_to_the_image_of_another_project(guarded: Guarded) -> None:
    """U-02: `image_id` is checked as the path of an upload is. Anybody may see a public image."""
    hidden = guarded.victim.reserve(disk_format="raw", container_format="bare")["id"]
    shown = guarded.admin.reserve(disk_format="raw", container_format="bare", is_public="True")["id"]
    for image_id, status in ((hidden, 404), (shown, 403), (str(uuid.uuid4()), 404), ("../x", 404)):
        given = {"Upload-Length": "5", "Upload-Metadata": pairs(image_id=image_id)}
        assert guarded.attacker.ask("POST", "/uploads", {**TUS, **given}).status == status, image_id


def test_u_03_parts_of_another_project_cannot_be_concatenated(guarded: Guarded) -> None:
    """U-03: the attacker would read the victim's bytes as an image of its own."""
    given = {"Upload-Length": "5", "Upload-Concat": "partial", "Content-Type": TUS_BYTES}
    made = guarded.victim.ask("POST", "/uploads", {**TUS, **given}, b"bytes")
    assert made.status == 201, made.text
    stolen = {"Upload-Metadata": RAW, "Upload-Concat": f"final;{made.headers['Location']}"}
    assert guarded.attacker.ask("POST", "/uploads", {**TUS, **stolen}).status == 404
    assert guarded.victim.ask("POST", "/uploads", {**TUS, **stolen}).status == 201


def test_u_04_a_project_has_a_limited_number_of_open_sessions(start_guarded: StartGuarded) -> None:
    """U-04: sessions that are begun and never continued use up neither the store nor the database."""
    guarded = start_guarded({"calotype.project_uploads": "3"})
    paths = [begin(guarded.attacker) for _ in range(3)]
    partial = {**TUS, "Upload-Length": "5", "Upload-Concat": "partial"}
    for answer in (
        create(guarded.attacker),
        guarded.attacker.ask("POST", "/uploads", partial),
    ):
        assert (answer.status, "open upload sessions" in answer.text) == (413, True)
    assert create(guarded.victim).status == 201
    assert guarded.attacker.ask("DELETE", paths[0], TUS).status == 204
    assert create(guarded.attacker).status == 201


@pytest.mark.parametrize("header", ["Upload-Metadata", "Upload-Concat"])
def test_u_05_headers_that_a_session_keeps_are_limited(guarded: Guarded, header: str) -> None:
    """U-05: they are kept in the database, and every HEAD repeats them."""
    long = {"Upload-Metadata": f"name {'YWFh' * 7500}", "Upload-Concat": "final;" + "/uploads/x " * 3000}
    answer = guarded.attacker.ask("POST", "/uploads", {**TUS, "Upload-Length": "5", header: long[header]})
    assert (answer.status, "longer than 30000 characters" in answer.text) == (413, True)


def test_u_06_no_metadata_becomes_another_header(guarded: Guarded) -> None:
    """U-06: values are decoded for the image only; a HEAD repeats the text that was accepted."""
    smuggled = base64.b64encode(b"x\r\nSet-Cookie: a=b").decode()
    given = {"Upload-Length": "5", "Upload-Metadata": f"{RAW},name {smuggled}"}
    assert guarded.attacker.ask("POST", "/uploads", {**TUS, **given}).status == 400
    given["Upload-Metadata"] = f"{RAW},relativePath {smuggled}"
    answer = guarded.attacker.ask("POST", "/uploads", {**TUS, **given})
    head = guarded.attacker.ask("HEAD", f"/uploads/{answer.headers['Location'].rpartition('/')[2]}", TUS)
    assert head.headers["Upload-Metadata"] == given["Upload-Metadata"]
    assert "Set-Cookie" not in head.headers


def test_u_07_one_request_adds_a_limited_number_of_zeros(guarded: Guarded) -> None:
    """U-07: a request of 200 bytes must not keep a worker busy for an hour."""
    path = begin(guarded.attacker, 2 << 30)
    zeros = {"Upload-Zeros": f"{(1 << 30) + 1}", "Content-Type": TUS_BYTES, **OFFSET}
    answer = guarded.attacker.ask("PATCH", path, {**TUS, **zeros})
    assert (answer.status, "send several requests" in answer.text) == (413, True)
    assert guarded.attacker.ask("DELETE", path, TUS).status == 204


def test_u_08_the_method_is_overridden_only_below_uploads_and_only_by_tus(guarded: Guarded) -> None:
    """U-08: elsewhere, a proxy that admits only POST would be evaded."""
    image_id = guarded.victim.reserve()["id"]
    override = {**TUS, "X-HTTP-Method-Override": "DELETE"}
    for path in (f"/images/{image_id}", f"/v1/images/{image_id}", f"/v2/images/{image_id}"):
        assert guarded.victim.ask("POST", path, override).status == 405
    assert guarded.victim.ask("HEAD", f"/images/{image_id}").status == 200
    session = begin(guarded.victim)
    assert guarded.victim.ask("POST", session, {"X-HTTP-Method-Override": "DELETE"}).status == 405
    assert guarded.victim.ask("POST", session, {**TUS, "X-HTTP-Method-Override": "OPTIONS"}).status == 405
    assert guarded.victim.ask("HEAD", session, TUS).status == 200
