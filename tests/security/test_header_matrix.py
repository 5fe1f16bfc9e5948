"""The header matrix of the threat catalogue, as the classic dialect answers it.

What stands in the functional tests already (sizes, names, lengths, content types) is not repeated.
"""

from __future__ import annotations

import uuid

import pytest

from tests.running.answers import statuses
from tests.running.server import OCTETS, Server, meta


def test_h_01_the_owner_is_the_callers_project_and_not_what_a_header_says(server: Server) -> None:
    image = server.reserve(owner="victim")
    assert image["owner"] == "default"
    assert server.put(f"/images/{image['id']}", meta(owner="victim")).image["owner"] == "default"


def test_h_06_blanks_and_two_forms_of_one_text_are_kept_as_given(server: Server) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    for name in (composed, decomposed, "\u202eevil"):
        image = server.request("POST", "/images", {"x-image-meta-name": name.encode()}).image
        assert image["name"] == name


@pytest.mark.parametrize("name", ["\u2028", "\u2029", "\x9b31m"])
def test_h_06_what_ends_a_line_or_paints_a_terminal_is_400(server: Server, name: str) -> None:
    image_id = str(uuid.uuid4())
    headers = {"x-image-meta-id": image_id, "x-image-meta-name": f"a{name}b".encode()}
    assert server.request("POST", "/images", headers).status == 400
    assert server.head(f"/images/{image_id}").status == 404


def test_h_08_a_block_of_headers_without_measure_is_refused(server: Server) -> None:
    many = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(400))
    spoken = server.speak(b"GET /images HTTP/1.1\r\nHost: localhost\r\n" + many + b"\r\n")
    assert statuses(spoken) in ([400], [431])


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP", "gzip, identity"])
def test_h_10_a_coded_body_is_415_and_nothing_is_recorded(server: Server, coding: str) -> None:
    image_id = str(uuid.uuid4())
    headers = {**OCTETS, "Content-Encoding": coding, **meta(id=image_id)}
    assert server.post("/images", headers, b"bytes").status == 415
    assert server.head(f"/images/{image_id}").status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_h_13_a_body_where_none_belongs_is_not_taken_for_the_next_request(
    server: Server, method: str
) -> None:
    image_id = server.upload(b"bytes")["id"]
    smuggled = b"DELETE /images/%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % server.reserve()["id"].encode()
    spoken = server.speak(
        f"{method} /images/{image_id} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Length: {len(smuggled)}\r\n\r\n".encode()
        + smuggled
    )
    assert statuses(spoken) == [200]
    assert server.head(f"/images/{smuggled.split()[1].decode().removeprefix('/images/')}").status == 200


def test_h_16_names_that_are_equal_after_folding_are_400(server: Server) -> None:
    for other in ("x-image-meta-property-a_b", "x-image-meta-property-A-B"):
        headers = [("x-image-meta-property-a-b", "1"), (other, "2")]
        assert server.request("POST", "/images", headers).status == 400


def test_h_16_a_name_of_more_than_255_characters_is_400(server: Server) -> None:
    assert server.post("/images", {f"x-image-meta-property-{'n' * 255}": "v"}).status == 200
    assert server.post("/images", {f"x-image-meta-property-{'n' * 256}": "v"}).status == 400


def test_p_08_a_given_id_that_is_taken_tells_nothing_of_its_owner(server: Server) -> None:
    image_id = server.reserve(name="whose?")["id"]
    answer = server.post("/images", meta(id=image_id))
    assert (answer.status, "whose?" in answer.text, "default" in answer.text) == (409, False, False)
