"""An empty body counts as no body in any framing; media types are case-insensitive."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Mapping

import pytest

from tests.support.answers import statuses
from tests.support.server import OCTETS, Server, meta

JSON = {"Content-Type": "application/json"}
PATCH = "application/openstack-images-v2.1-json-patch"
FORMATS = {"disk_format": "raw", "container_format": "bare"}
#: An empty body in the framings of clients: an iterable is sent in chunks.
FRAMINGS = {"a length of 0": b"", "chunks": ()}
EXPECTING = ("Transfer-Encoding: chunked", "Expect: 100-continue")


def unframed(server: Server, method: str, path: str, headers: Mapping[str, str], *lines: str) -> bytes:
    """Return the response to a request with only a head, or with an empty chunked body."""
    fields = [f"{name}: {text}" for name, text in headers.items()]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *fields, *lines])
    return server.speak(f"{head}\r\n\r\n".encode() + (b"0\r\n\r\n" if lines else b""))


@pytest.mark.parametrize("lines", [(), EXPECTING], ids=["no length", "chunks that the client is asked for"])
@pytest.mark.parametrize(
    "headers", [{}, OCTETS, {"Content-Type": "text/plain"}], ids=["untyped", "octets", "text"]
)
def test_an_image_of_an_empty_body_is_reserved_in_any_framing(
    server: Server, headers: dict[str, str], lines: tuple[str, ...]
) -> None:
    """r1-H9: the test uploads directly, and through a proxy that reads the body first."""
    for body in FRAMINGS.values():
        assert (
            server.post("/images", {**headers, **meta(name="empty")}, iter(body) or body).image["status"]
            == "queued"
        )
    image_id = str(uuid.uuid4())
    assert statuses(unframed(server, "POST", "/images", {**headers, **meta(id=image_id)}, *lines))[-1] == 200
    assert server.head(f"/images/{image_id}").meta["status"] == "queued"


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_change_with_an_empty_body_changes_metadata(server: Server, framing: str) -> None:
    """r1-H9: this holds for active and queued images, in classic and v1."""

    def empty() -> object:
        return FRAMINGS[framing] if framing != "chunks" else iter(())

    for dialect in ("/images", "/v1/images"):
        for image in (server.upload(b"bytes", **FORMATS), server.reserve(**FORMATS)):
            path = f"{dialect}/{image['id']}"
            assert server.put(path, {**OCTETS, **meta(name="changed")}, empty()).status == 200
            told = server.head(path).meta
            assert (told["name"], told["status"]) == ("changed", image["status"])


def test_a_body_of_one_byte_in_chunks_is_stored(server: Server) -> None:
    """r1-H9: the byte that is read ahead is not lost."""
    for pieces in ([b"a"], [b"a", b"bc" * 100_000]):
        whole = b"".join(pieces)
        classic = server.post("/images", OCTETS, iter(pieces)).image
        v1 = server.post("/v1/images", {**OCTETS, **meta(**FORMATS)}, iter(pieces)).json["image"]
        for image in (classic, v1):
            assert (image["status"], image["size"]) == ("active", len(whole))
            assert server.get(f"/images/{image['id']}").body == whole


def test_a_location_with_an_empty_body_is_registered(lending_server: Server) -> None:
    """r1-H9: the response is the same as without a body."""
    located = {**OCTETS, **meta(location="memory:lent", **FORMATS)}
    assert lending_server.post("/images", located, iter(())).image["status"] == "active"
    assert lending_server.post("/v1/images", located, iter(())).json["image"]["status"] == "active"
    queued = lending_server.reserve(**FORMATS)["id"]
    assert lending_server.put(f"/images/{queued}", located, iter(())).image["status"] == "active"


def test_in_v2_an_empty_body_is_an_empty_image_but_not_a_document(server: Server) -> None:
    """r1-H9: an image can have zero bytes, for example nova's snapshot of a volume."""
    for framing in FRAMINGS:
        empty = (lambda: iter(())) if framing == "chunks" else (lambda: b"")
        path = f"/v2/images/{server.reserve(**FORMATS)['id']}"
        assert server.put(f"{path}/file", OCTETS, empty()).status == 204
        assert server.put(f"{path}/tags/t", OCTETS, empty()).status == 204
        assert server.post(f"{path}/actions/deactivate", {}, empty()).status == 204
        assert server.request("GET", path, {}, empty()).json["size"] == 0
        assert server.request("DELETE", path, {}, empty()).status == 204


def test_without_a_document_v1_reads_the_headers(server: Server) -> None:
    """r1-G5: fog-openstack announces JSON with every request, even without a document."""
    for empty in (b"", None, iter(())):
        made = server.post("/v1/images", {**JSON, **meta(name="fog")}, empty)
        assert made.status == 201
        image = made.json["image"]
        assert (image["name"], image["status"]) == ("fog", "queued")
        changed = server.put(
            f"/v1/images/{image['id']}", {**JSON, **meta(name="mist", property_os="x")}, empty
        )
        assert (changed.status, changed.json["image"]["name"]) == (200, "mist")
        assert changed.json["image"]["properties"] == {"os": "x"}
    document = json.dumps({"image": {"name": "document"}}).encode()
    assert (
        server.post("/v1/images", {**JSON, **meta(name="header")}, document).json["image"]["name"]
        == "document"
    )


def test_media_types_are_case_insensitive(server: Server) -> None:
    """r1-B6: this holds wherever the service reads a media type."""
    octets = {"Content-Type": "Application/Octet-Stream ; charset=binary"}
    assert server.post("/images", octets, b"bytes").image["status"] == "active"
    assert server.post("/v1/images", {**octets, **meta(**FORMATS)}, b"bytes").status == 201
    queued = server.reserve(**FORMATS)["id"]
    assert server.put(f"/v2/images/{queued}/file", octets, b"bytes").status == 204
    staged = server.reserve(**FORMATS)["id"]
    assert server.put(f"/v2/images/{staged}/stage", octets, b"bytes").status == 204
    patch = json.dumps([{"op": "replace", "path": "/name", "value": "patched"}]).encode()
    changed = server.request("PATCH", f"/v2/images/{queued}", {"Content-Type": PATCH.upper()}, patch)
    assert (changed.status, changed.json["name"]) == (200, "patched")
    document = json.dumps({"image": {"name": "typed"}}).encode()
    made = server.post("/v1/images", {"Content-Type": "APPLICATION/JSON"}, document)
    assert made.json["image"]["name"] == "typed"
    accepted = {"Accept": "Application/Vnd.OpenStack.Images-V1"}
    assert (
        server.get("/images/detail", accepted).json["images"]
        == server.get("/v1/images/detail").json["images"]
    )


def test_a_request_that_sends_no_byte_of_its_chunked_body_delays_no_other(server: Server) -> None:
    """In Python 3.11, functools.cached_property would hold a lock of all requests meanwhile."""
    with contextlib.closing(server.connect()) as silent:
        silent.putrequest("POST", "/images")
        for line in EXPECTING:
            silent.putheader(*line.split(": "))
        silent.endheaders()
        assert silent.sock.recv(1000).startswith(b"HTTP/1.1 100 ")
        head = b"POST /images HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        assert statuses(server.speak(head, seconds=15)) == [200]
