"""Ids and paths: W-19 and the table of ids and paths of the threat catalogue."""

from __future__ import annotations

import json
import uuid
from urllib.parse import quote

import pytest

from tests.security.conftest import StartGuarded
from tests.security.people import Guarded
from tests.support.answers import statuses
from tests.support.server import Server

JSON = {"Content-Type": "application/json"}


#: Other spellings of the path of an image that exists. UUID stands for its id without the first digit, 0,
#: and HEX for the same without hyphens.
OTHER_SPELLINGS = [
    b"/images/0HEX",
    b"/images/{0UUID}",
    b"/images/urn:uuid:0UUID",
    b"/images/%EF%BC%90UUID",
    b"/images/%2530UUID",
    b"/images/0UUID%0a",
    b"/images/0UUID%00",
    b"/images/0UUID%20",
    b"/images//0UUID",
    b"/images/./0UUID",
    b"/v1/../images/0UUID",
    b"/images/%2e%2e/images/0UUID",
    b"/images/0UUID/.",
]


@pytest.fixture(scope="module")
def rest(server: Server) -> str:
    """The id of an image without its first character."""
    rest = str(uuid.uuid4())[1:]
    server.upload(b"bytes", id=f"0{rest}")
    return rest


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        *OTHER_SPELLINGS,
        b"/images/..",
        b"/images/%2e%2e",
        b"/images/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        b"/images/../../etc/passwd",
        b"/images/a%00b",
        b"/images/%0d%0aX:1",
        b"/images/%ff",
        b"/images/" + b"x" * 10_000,
        b"/%ff",
        b"/images%2f..",
        b"//images/../..",
        b"/@@detail",
        b"/images/@@detail/x",
    ],
)
def test_an_unusual_path_is_a_plain_400_or_404(server: Server, rest: str, method: bytes, path: bytes) -> None:
    spoken = server.speak(
        method
        + b" "
        + path.replace(b"UUID", rest.encode()).replace(b"HEX", rest.replace("-", "").encode())
        + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
    (status,) = statuses(spoken)
    assert status in (400, 404, 405)
    head, _, body = spoken.partition(b"\r\n\r\n")
    assert b"\r\nX:1" not in head
    assert b"root:" not in body
    assert b"Traceback" not in body
    assert len(body) < 400
    assert server.get(f"/images/0{rest}").body == b"bytes"


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


@pytest.mark.parametrize("project", ["p" * 256, "p\r\nX: 1", "p\0", "p\x7f", "p\u2028q"])
def test_the_id_of_a_member_is_short_and_has_no_control_characters(guarded: Guarded, project: str) -> None:
    image_id = guarded.attacker.reserve()["id"]
    quoted, asked = quote(project), guarded.attacker.ask
    replaced = json.dumps({"memberships": [{"member_id": project}]}).encode()
    guarded.admin.ask("PUT", f"/v1/images/{image_id}/members/first")  # which makes the image shared
    answers = [
        asked("PUT", f"/v1/images/{image_id}/members/{quoted}"),
        asked("PUT", f"/v1/images/{image_id}/members", JSON, replaced),
        asked("DELETE", f"/v1/images/{image_id}/members/{quoted}"),
        asked("GET", f"/v1/shared-images/{quoted}"),
        asked("POST", f"/v2/images/{image_id}/members", JSON, json.dumps({"member": project}).encode()),
    ]
    assert [answer.status for answer in answers] == [400] * len(answers)
    assert guarded.server.query("SELECT project FROM image_members WHERE image_id = ?", image_id) == [
        ("first",)
    ]


def test_the_id_of_a_member_that_looks_like_a_path_is_only_text(guarded: Guarded) -> None:
    image_id, path = guarded.attacker.reserve()["id"], "../../etc/passwd"
    document = json.dumps({"memberships": [{"member_id": path}]}).encode()
    assert guarded.attacker.ask("PUT", f"/v1/images/{image_id}/members", JSON, document).status == 204
    assert guarded.attacker.get(f"/v2/images/{image_id}/members").json["members"][0]["member_id"] == path
    assert guarded.attacker.get(f"/v2/images/{image_id}/members/{quote(path, safe='')}").status == 404
