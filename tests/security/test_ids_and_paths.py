"""Ids and paths: W-19 and the table of ids and paths of the threat catalogue."""

from __future__ import annotations

import pytest

from tests.security.conftest import StartGuarded
from tests.security.people import Guarded
from tests.support.answers import statuses
from tests.support.server import Server, meta

#: The id of an image that exists, which the paths below spell in ways that `uuid.UUID` accepts.
KNOWN = "1f9d3a52-0c64-4c1e-9b7a-2d41c0ffee19"


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        b"/images/..",
        b"/images/%2e%2e",
        b"/images/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        b"/images/../../etc/passwd",
        b"/images/a%00b",
        b"/images/%0d%0aX:1",
        b"/images/%ff",
        f"/images/{{{KNOWN}}}".encode(),
        f"/images/urn:uuid:{KNOWN}".encode(),
        f"/images/{KNOWN.replace('-', '')}".encode(),
        f"/images/%EF%BC%91{KNOWN[1:]}".encode(),
        f"/images/{KNOWN}%0a".encode(),
        b"/images/" + b"x" * 10_000,
        b"/%ff",
        b"/images%2f..",
        b"//images/../..",
        b"/@@detail",
        b"/images/@@detail/x",
    ],
)
def test_an_unusual_path_is_a_plain_400_or_404(server: Server, method: bytes, path: bytes) -> None:
    server.post("/images", meta(id=KNOWN))  # it exists already if another case came first
    assert server.head(f"/images/{KNOWN}").status == 200
    spoken = server.speak(
        method
        + b" "
        + path
        + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    (status,) = statuses(spoken)
    assert status in (400, 404, 405)
    head, _, body = spoken.partition(b"\r\n\r\n")
    assert b"\r\nX:1" not in head
    assert b"root:" not in body
    assert b"Traceback" not in body
    assert len(body) < 400


@pytest.mark.parametrize(
    "query", [b"limit=%ff", b"marker=%ff", b"%ff=1", b"limit=%00", b"marker=..", b"a=%zz"]
)
def test_invalid_bytes_in_a_query_never_end_in_500(server: Server, query: bytes) -> None:
    spoken = server.speak(
        b"GET /images?" + query + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert statuses(spoken) in ([200], [400])


@pytest.mark.parametrize(
    "target", [b"http://evil.example/images", b"evil.example:443", b"*", b"images", b"?x", b"\xff"]
)
def test_unusual_forms_of_a_target_never_end_in_500(server: Server, target: bytes) -> None:
    spoken = server.speak(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert statuses(spoken)[0] < 500
    assert b"evil.example" not in spoken


HOSTS = [b"evil.example", b"evil.example/x", b"", b"\xff", b"a b", b"x:99999999", b'evil.example"<x>']


def ask(server: Server, path: bytes, host: bytes) -> bytes:
    """Return the whole response to a GET request with this Host header."""
    return server.speak(b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("host", HOSTS)
def test_only_links_in_lists_of_versions_contain_the_requests_host(guarded: Guarded, host: bytes) -> None:
    server = guarded.server
    for path in (b"/images", b"/images/detail", b"/nothing"):
        spoken = ask(server, path, host)
        assert statuses(spoken)[0] < 500
        assert b"evil.example" not in spoken
    for path in (b"/", b"/versions"):
        spoken = ask(server, path, host)
        assert statuses(spoken)[0] in (200, 300, 400)
        assert b"<x>" not in spoken


def test_with_a_public_endpoint_no_client_can_change_the_links(start_guarded: StartGuarded) -> None:
    guarded = start_guarded({"calotype.public_endpoint": "https://images.example.org"}, level="WARNING")
    for path in (b"/", b"/versions"):
        spoken = ask(guarded.server, path, b"evil.example")
        assert statuses(spoken)[0] in (200, 300)
        assert b"https://images.example.org/" in spoken
        assert b"evil.example" not in spoken
    for path in ("/v1/images", "/v2/images"):
        spoken = guarded.server.speak(
            f"POST {path} HTTP/1.1\r\nHost: evil.example\r\nX-Auth-Token: {guarded.attacker.token}\r\n"
            "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}".encode()
        )
        assert statuses(spoken) == [201]
        assert f"\r\nLocation: https://images.example.org{path}/".encode() in spoken
        assert b"evil.example" not in spoken


def test_no_response_names_the_software_of_the_server(server: Server) -> None:
    for answer in (server.get("/images"), server.get("/nothing")):
        assert answer.headers["Server"] in (None, "calotype")
    spoken = server.speak(b"nonsense\r\n\r\n")
    assert b"waitress" not in spoken.lower()
