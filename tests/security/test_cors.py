"""CORS: only pages of the configured origins may use the service, and never with credentials."""

from __future__ import annotations

import pytest

from calotype.config.interpolation import SettingsError
from calotype.config.section import read_settings
from tests.conftest import StartServer
from tests.security.conftest import StartGuarded
from tests.security.people import Guarded
from tests.support.answers import Answer
from tests.support.server import Server
from tests.support.uploads import PARTIAL, TusClient

PAGE = "https://dashboard.example.com"
ELSEWHERE = "https://elsewhere.example.com"
OCTETS = "application/octet-stream"
DRAFT = {"Content-Type": PARTIAL, "Upload-Complete": "?1"}


def preflight(server: Server, path: str, origin: str = PAGE, headers: str = "X-Auth-Token") -> Answer:
    """Send the preflight request of a browser, which has no token."""
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": headers,
    }
    return server.request("OPTIONS", path, asked)


def exposed(answer: Answer) -> set[str]:
    """Return the response headers that a page may read."""
    return {name.strip() for name in answer.headers["Access-Control-Expose-Headers"].split(",")}


def cors_headers(answer: Answer) -> list[str]:
    return [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_pages_of_a_named_origin_may_use_the_service_and_others_may_not(start_guarded: StartGuarded) -> None:
    """Issue 15.5: a preflight needs no token, errors have CORS headers, and none allows credentials."""
    guarded = start_guarded({"calotype.cors_origins": PAGE, "calotype.image_size_cap": "100"}, level="INFO")
    server, victim = guarded.server, guarded.victim
    image_id = victim.reserve()["id"]
    file = f"/v2/images/{image_id}/file"
    for path in (file, "/v1/images", "/images", "/nowhere"):
        answer = preflight(
            server,
            path,
            headers="x-auth-token, Content-Type,x-image-meta-property-os , cookie, Repr-Digest, "
            "content-digest,want-repr-digest",
        )
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD, POST, PUT, PATCH, DELETE"
        allowed = answer.headers["Access-Control-Allow-Headers"]
        assert allowed == (
            "x-auth-token, content-type, x-image-meta-property-os, repr-digest, content-digest, "
            "want-repr-digest"
        )
        assert answer.headers["Vary"] == "Origin"
        assert "x-openstack-request-id" in answer.headers
        refused = preflight(server, path, ELSEWHERE)
        assert (refused.status, cors_headers(refused)) == (403, [])
        assert f"The origin {ELSEWHERE} is not among those of calotype.cors_origins" in refused.text
    page = {"Origin": PAGE}
    formats = {
        "Content-Type": OCTETS,
        "x-image-meta-disk_format": "raw",
        "x-image-meta-container_format": "bare",
    }
    made = victim.ask("POST", "/v1/images", {**formats, **page}, b"bytes")
    assert exposed(made) >= {"location", "x-openstack-request-id", "content-type"}
    uploaded = made.json["image"]["id"]
    wanted = {"Range": "bytes=0-1", "Want-Repr-Digest": "sha-256=1"}
    shown = victim.ask("GET", f"/v1/images/{uploaded}", {**page, **wanted})
    assert shown.status == 206
    described = {"etag", "content-range", "repr-digest", "x-image-meta-status", "x-image-meta-size"}
    assert exposed(shown) >= described
    other = guarded.attacker
    for answer, status in (
        (server.get("/v2/images", page), 401),
        (other.ask("POST", "/v2/metadefs/namespaces", page), 403),
        (other.ask("DELETE", f"/images/{image_id}", page), 404),
        (victim.ask("POST", "/v1/images", {**formats, **page}, b"x" * 101), 413),
    ):
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert "x-openstack-request-id" in exposed(answer)
        assert "Access-Control-Allow-Credentials" not in answer.headers
    for headers in ({}, {"Origin": ELSEWHERE}, {"Origin": "null"}, {"Origin": f"{PAGE}.example.com"}):
        answer = victim.get("/v2/images", headers)
        assert (answer.status, cors_headers(answer), answer.headers["Vary"]) == (200, [], "Origin")


def test_pages_may_use_both_protocols_of_resumable_uploads(start_server: StartServer) -> None:
    """Each header of tus-js-client and of the IETF's draft may be sent, and read in the response."""
    server = start_server({"calotype.cors_origins": PAGE})
    sent = (
        "tus-resumable, upload-length, upload-defer-length, upload-metadata, upload-offset, upload-concat, "
        "upload-checksum, upload-complete, upload-draft-interop-version, upload-zeros, "
        "x-http-method-override, x-request-id"
    )
    asked = preflight(server, "/uploads", headers=sent)
    assert (asked.status, asked.headers["Access-Control-Allow-Headers"]) == (204, sent)
    assert "PATCH" in asked.headers["Access-Control-Allow-Methods"]

    tus = TusClient(server)
    created = tus.create({"Origin": PAGE, "Upload-Length": "4"}, b"fo")
    assert exposed(created) >= {"location", "tus-resumable", "upload-offset", "upload-expires"}
    path = tus.path(created)
    head = tus.ask("HEAD", path, {"Origin": PAGE})
    assert exposed(head) >= {"upload-offset", "upload-length", "upload-metadata"}
    refused = tus.patch(path, 3, b"u", Origin=PAGE)
    assert (refused.status, exposed(refused) >= {"tus-resumable"}) == (409, True)
    moved = server.request("PATCH", path, {"Origin": PAGE, **DRAFT, "Upload-Offset": "1"}, b"u")
    assert (moved.status, exposed(moved) >= {"upload-offset", "upload-complete"}) == (409, True)
    options = tus.ask("OPTIONS", "/uploads", {"Origin": PAGE})
    assert exposed(options) >= {"tus-version", "tus-extension", "tus-max-size"}


def test_with_identity_none_pages_of_a_named_origin_are_served(start_server: StartServer) -> None:
    """Issue 15.5: other origins are still refused."""
    server = start_server({"calotype.cors_origins": f"http://localhost:3000 {PAGE}"})
    assert preflight(server, "/images").status == 204
    made = server.post("/images", {"Origin": PAGE, "x-image-meta-name": "from a page"})
    assert (made.status, made.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
    refused = server.post("/images", {"Origin": ELSEWHERE})
    assert (refused.status, cors_headers(refused)) == (403, [])
    assert "calotype.cors_origins does not name it" in refused.text


def test_without_the_setting_a_preflight_is_refused_and_no_response_has_cors_headers(
    server: Server, guarded: Guarded
) -> None:
    """Issue 15.5: the refusal is no 401, because a browser sends no token with a preflight."""
    for asked, path in ((server, "/images"), (guarded.server, "/images"), (guarded.server, "/v2/images")):
        answer = preflight(asked, path)
        assert (answer.status, cors_headers(answer), answer.headers["Vary"]) == (403, [], None)
        assert f"The origin {PAGE} is not among those of calotype.cors_origins" in answer.text
    shown = guarded.victim.get("/v2/images", {"Origin": PAGE})
    assert (shown.status, cors_headers(shown), shown.headers["Vary"]) == (200, [], None)
    assert guarded.server.request("OPTIONS", "/v2/images", {"Origin": PAGE}).status == 401


@pytest.mark.parametrize(
    ("origins", "said"),
    [
        ("*", "name the origins"),
        ("dashboard.example.com", "is not an origin"),
        (f"{PAGE}/", "nothing after"),
    ],
)
def test_an_impossible_origin_stops_the_start(origins: str, said: str) -> None:
    """Issue 15.5: the error is one sentence that names the setting."""
    given = {"sqlalchemy.url": "sqlite://", "calotype.cors_origins": origins}
    with pytest.raises(SettingsError, match=f"calotype.cors_origins: .*{said}"):
        read_settings({}, given)
    named = {"calotype.identity": "tokens", "calotype.cors_origins": f"* {PAGE.upper()}"}
    assert read_settings({}, {**given, **named}).cors_origins == ("*", PAGE)


def test_health_checks_of_openstack_load_balancers_get_200(server: Server) -> None:
    """Issue 15.5: the path and the response are those of oslo.middleware."""
    answer = server.get("/healthcheck")
    assert (answer.status, answer.text) == (200, "OK")
    assert answer.headers.get_content_type() == "text/plain"
    assert server.head("/healthcheck").status == 200
