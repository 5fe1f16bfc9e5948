"""W-20, H-15: text from a client never forges a response header or a line of the log."""

from __future__ import annotations

import pytest

from tests.support.server import Server, meta

COLOUR = "\x1b[31m"


def test_h_15_a_path_cannot_forge_a_line_of_the_log(server: Server) -> None:
    answer = server.get("/images/x%0d%0a2026-01-01%20INFO%20calotype.access%20forged%1b[31m%22")
    (line,) = server.log_lines(answer.headers["x-openstack-request-id"])
    assert line.count('"') == 2
    assert 'forged%1B[31m%22" status=' in line
    assert COLOUR not in server.log
    assert not any(
        line.startswith("2026-01-01 INFO calotype.access forged") for line in server.log.splitlines()
    )


def test_h_15_a_long_path_does_not_make_a_long_line(server: Server) -> None:
    answer = server.get("/images/" + "x" * 50_000)
    assert all(len(line) < 1000 for line in server.log_lines(answer.headers["x-openstack-request-id"]))


@pytest.mark.parametrize(
    "text", ["%(asctime)s", "${jndi:ldap://x}", "{0.__class__}", "%s%s%n", "' OR 1=1 --"]
)
def test_error_messages_that_quote_a_client_are_plain_text(server: Server, text: str) -> None:
    image = server.reserve(name=text, property_note=text)
    told = server.head(f"/images/{image['id']}", {"User-Agent": text}).meta
    assert (told["name"], told["property-note"]) == (text, text)


def test_w_20_unicode_beyond_latin_1_is_sent_as_utf_8(server: Server) -> None:
    name = "日本 \N{PENGUIN}"
    image = server.request("POST", "/images", {"x-image-meta-name": name.encode()}).image
    spoken = server.speak(
        f"HEAD /images/{image['id']} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert b": " + name.encode() + b"\r\n" in spoken


def test_w_21_a_property_too_long_for_clients_is_in_no_header(server: Server) -> None:
    assert server.post("/images", meta(property_long="v" * 66_000)).status == 413
    image_id = server.reserve(property_long="v" * 65_000, property_short="v")["id"]
    for path in (f"/images/{image_id}", f"/v1/images/{image_id}"):
        assert max(len(value) for value in server.head(path).headers.values()) < 8192
