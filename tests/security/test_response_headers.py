"""W-20, H-15: text from a client never forges a response header or a line of the log."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.server import Server, meta, write_ini

COLOUR = "\x1b[31m"
JSON = {"Content-Type": "application/json"}
PROPERTY = "x-image-meta-property-"


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


@pytest.mark.parametrize("name", ["name", "note"])
@pytest.mark.parametrize("text", ["\r\nX-Evil: 1", "\n", "\r", "\0", COLOUR, "\x7f", "\x85", "\u2028"])
def test_w_20_text_with_a_control_character_is_refused(server: Server, name: str, text: str) -> None:
    """Only a JSON document can carry such text. The older dialects would send it in a header."""
    answer = server.post("/v2/images", JSON, json.dumps({name: f"a{text}b"}).encode())
    assert answer.status == 400
    assert "control characters are not allowed" in answer.text


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


@pytest.mark.parametrize(
    "properties",
    [
        pytest.param({f"p{number}": "v" for number in range(120)}, id="many"),
        pytest.param({f"p{number}": "v" * 7000 for number in range(10)}, id="large together"),
        pytest.param({"short": "v", "long": "v" * 9000}, id="one that is too long"),
    ],
)
def test_w_21_headers_have_no_more_properties_than_clients_accept(
    generous: Server, properties: dict[str, str]
) -> None:
    created = generous.post("/v2/images", JSON, json.dumps(properties).encode())
    assert created.status == 201
    for path in (f"/images/{created.json['id']}", f"/v1/images/{created.json['id']}"):
        headers = generous.head(path).headers.items()
        shown = [len(value) for name, value in headers if name.lower().startswith(PROPERTY)]
        assert 1 <= len(shown) <= 70
        assert max(shown) <= 8000
        assert sum(shown) <= 32768


@pytest.fixture(scope="module")
def generous(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lets an image have more properties than fit into headers."""
    folder = tmp_path_factory.mktemp("generous")
    running = Server(folder, write_ini(folder, {"calotype.max_properties": "120"}))
    yield running
    running.stop()
