"""HEAD has the headers of GET without the body; GET and HEAD check conditions alike."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import http.client
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.answers import Answer
from tests.support.server import OCTETS, Server, meta

BYTES = bytes(range(256)) * 4
MD5 = hashlib.md5(BYTES).hexdigest()
JSON = {"Content-Type": "application/json"}
#: The paths of an image's bytes, and those among them at which a HEAD returns metadata.
MOUNTS = ("/images/{}", "/v1/images/{}", "/v1/images/{}/file", "/v2/images/{}/file")
METADATA = MOUNTS[:2]
#: The headers that describe an image's bytes.
OF_BYTES = ("Content-Length", "Accept-Ranges", "ETag", "Last-Modified")
#: Headers that differ between two equal requests, or frame a body, which a HEAD does not have.
PASSING = {"date", "x-openstack-request-id", "transfer-encoding", "connection"}


@dataclass(frozen=True)
class Stored:
    """An active shared image with a task, and a namespace of definitions."""

    id: str
    task: str
    namespace: str
    modified: str

    def paths(self) -> Iterator[str]:
        """Yield every kind of path that supports GET, except images in classic and v1."""
        yield from ("/", "/versions", "/healthz", "/readyz", "/images", "/images/detail", "/images?limit=1")
        yield from (
            "/v1",
            "/v1/",
            "/v1.1/images",
            "/v1/images",
            "/v1/images/detail",
            "/v1/shared-images/friends",
        )
        yield from (f"/v1/images/{self.id}/{part}" for part in ("file", "members"))
        yield from (
            "/v2",
            "/v2/",
            "/v2.0/images",
            "/v2/images",
            "/v2/images?limit=1",
            f"/v2/images/{self.id}",
        )
        yield from (
            f"/v2/images/{self.id}/{part}" for part in ("file", "tasks", "members", "members/friends")
        )
        yield from (
            f"/v2/schemas/{name}" for name in ("image", "images", "member", "metadefs/namespace", "tasks")
        )
        yield from (f"/v2/info/{name}" for name in ("import", "stores", "stores/detail", "usage"))
        yield from ("/v2/tasks", f"/v2/tasks/{self.task}")
        yield from ("/v2/metadefs/resource_types", "/v2/metadefs/namespaces")
        there = f"/v2/metadefs/namespaces/{self.namespace}"
        yield from (
            there,
            *(f"{there}/{kind}" for kind in ("resource_types", "objects", "properties", "tags")),
        )
        yield from (f"{there}/objects/o", f"{there}/properties/p", f"{there}/tags/t")


@pytest.fixture(scope="module")
def stored(server: Server) -> Stored:
    image_id = server.reserve(name="asked for", disk_format="raw", container_format="bare")["id"]
    assert server.put(f"/v2/images/{image_id}/stage", OCTETS, BYTES).status == 204
    imported = json.dumps({"method": {"name": "glance-direct"}}).encode()
    assert server.post(f"/v2/images/{image_id}/import", JSON, imported).status == 202
    end = time.monotonic() + 30
    while (task := server.get(f"/v2/images/{image_id}/tasks").json["tasks"][0])["status"] != "success":
        assert time.monotonic() < end, task
        time.sleep(0.05)
    patch = json.dumps([{"op": "replace", "path": "/visibility", "value": "shared"}]).encode()
    media_type = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    assert server.request("PATCH", f"/v2/images/{image_id}", media_type, patch).status == 200
    assert server.put(f"/v1/images/{image_id}/members/friends").status == 204
    name = f"ns-{uuid.uuid4()}"
    parts = {
        "objects": [{"name": "o"}],
        "properties": {"p": {"title": "p", "type": "string"}},
        "tags": [{"name": "t"}],
        "resource_type_associations": [{"name": "OS::Glance::Image"}],
    }
    made = server.post("/v2/metadefs/namespaces", JSON, json.dumps({"namespace": name, **parts}).encode())
    assert made.status == 201, made.text
    return Stored(image_id, task["id"], name, server.get(f"/images/{image_id}").headers["Last-Modified"])


def told(headers: http.client.HTTPMessage) -> dict[str, str]:
    return {name.lower(): text for name, text in headers.items() if name.lower() not in PASSING}


def test_head_of_every_resource_has_the_headers_of_get(server: Server, stored: Stored) -> None:
    """r1-B4, r1-G10: the connection works for the next request, so no body was sent."""
    server.readyz(lambda answer: answer.status == 200)  # from now on, it returns the same each time
    with contextlib.closing(server.connect()) as connection:
        connection.connect()
        used = connection.sock
        for path in stored.paths():
            get = server.get(path)
            connection.request("HEAD", path)
            answer = connection.getresponse()
            assert answer.read() == b""
            assert get.status in (200, 300, 503), (path, get.text)
            assert answer.status == get.status, path
            if get.headers["Transfer-Encoding"] is None:  # lists of many images are chunked
                assert get.headers["Content-Length"] == str(len(get.body))
            assert told(answer.headers) == told(get.headers), path
            assert connection.sock is used, path


@pytest.mark.parametrize("mount", MOUNTS)
def test_head_of_an_active_image_has_the_headers_of_its_bytes(
    server: Server, stored: Stored, mount: str
) -> None:
    """r1-B4: qemu-img, wget --spider and nbdkit need these headers."""
    path = mount.format(stored.id)
    head, get = server.head(path), server.get(path)
    assert (head.status, head.body, get.body) == (200, b"", BYTES)
    assert (head.headers["Content-Length"], head.headers["Accept-Ranges"]) == ("1024", "bytes")
    assert head.headers["ETag"].strip('"') == MD5
    assert {name: head.headers[name] for name in OF_BYTES} == {name: get.headers[name] for name in OF_BYTES}
    assert head.meta == get.meta
    assert server.head(path, {"Range": "bytes=0-1"}).headers["Content-Length"] == "1024"  # only for GET


@pytest.mark.parametrize("mount", METADATA)
def test_head_of_an_image_without_bytes_has_only_metadata(server: Server, mount: str) -> None:
    """r1-B4: the response is 200 in every status, and has no length, not even 0."""
    queued = server.reserve(checksum=MD5, size="5")["id"]
    killed, withheld = str(uuid.uuid4()), server.upload(b"withheld")["id"]
    assert server.post("/images", {**OCTETS, **meta(id=killed, size="1")}, b"two").status == 400
    assert server.post(f"/v2/images/{withheld}/actions/deactivate").status == 204
    for image_id, status in ((queued, "queued"), (killed, "killed"), (withheld, "deactivated")):
        with contextlib.closing(server.connect()) as connection:
            connection.connect()
            used = connection.sock
            for headers in ({}, {"If-None-Match": "*"}, {"If-Match": '"other"'}):
                connection.request("HEAD", mount.format(image_id), headers=headers)
                answer = connection.getresponse()
                assert (answer.status, answer.read()) == (200, b"")
                assert answer.headers["x-image-meta-status"] == status
                assert not {"Transfer-Encoding", *OF_BYTES} & set(answer.headers.keys())
                assert connection.sock is used


def test_head_of_missing_bytes_gets_the_same_error_as_get(server: Server) -> None:
    """r1-B4"""
    queued = server.reserve()["id"]
    for path in (f"/v1/images/{queued}/file", f"/v2/images/{queued}/file", f"/v2/images/{uuid.uuid4()}/file"):
        get, head = server.get(path), server.head(path, {"If-Match": '"other"'})
        assert (head.status, head.body) == (get.status, b"")
        assert head.status in (204, 404)


# -- conditions


def dated(stored: Stored, seconds: int) -> str:
    moment = email.utils.parsedate_to_datetime(stored.modified).timestamp() + seconds
    return email.utils.formatdate(moment, usegmt=True)


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions_are_checked_in_the_order_of_rfc_9110(
    server: Server, stored: Stored, method: str, mount: str
) -> None:
    """r1-B4, r1-B8, r1-G6: a failed If-Match is 412, and a failed If-None-Match is 304."""
    same, other, weak = f'"{MD5}"', '"other"', f'W/"{MD5}"'
    before, at, after = (dated(stored, seconds) for seconds in (-1, 0, 1))
    for status, conditions in (
        (200, {"If-Match": same}),
        (200, {"If-Match": f"{other},{same}"}),
        (200, {"If-Match": "*"}),
        (412, {"If-Match": other}),
        (412, {"If-Match": weak}),
        (200, {"If-Match": same, "If-Unmodified-Since": before}),
        (412, {"If-Match": other, "If-None-Match": same}),
        (412, {"If-Unmodified-Since": before}),
        (200, {"If-Unmodified-Since": at}),
        (200, {"If-Unmodified-Since": "yesterday"}),
        (304, {"If-None-Match": same}),
        (304, {"If-None-Match": weak}),
        (304, {"If-None-Match": MD5}),
        (304, {"If-None-Match": f"{other},{same}"}),
        (304, {"If-None-Match": "*", "If-Match": same}),
        (200, {"If-None-Match": other}),
        (200, {"If-None-Match": other, "If-Modified-Since": after}),
        (304, {"If-Modified-Since": at}),
        (304, {"If-Modified-Since": after}),
        (200, {"If-Modified-Since": before}),
        (200, {"If-Modified-Since": "Mon, 01 Jan 99999 00:00:00 GMT"}),
        (200, {"If-Modified-Since": "Mon, 45 Jan 2024 99:00:00 GMT"}),
    ):
        answer = server.request(method, mount.format(stored.id), conditions)
        assert answer.status == status, conditions
        if status == 304:
            assert (answer.body, answer.headers["Last-Modified"]) == (b"", stored.modified)
            assert answer.headers["ETag"].strip('"') == MD5
        if method == "GET":
            assert answer.body == BYTES or status != 200


@pytest.mark.parametrize("mount", MOUNTS)
def test_a_range_is_sent_only_if_if_range_names_these_bytes(
    server: Server, stored: Stored, mount: str
) -> None:
    """r1-B4: If-Range names the ETag, in the form of each dialect, or the exact date of Last-Modified."""
    path = mount.format(stored.id)
    spelled = server.head(path).headers["ETag"]
    for status, named in (
        (206, spelled),
        (206, f'"{MD5}"'),
        (206, stored.modified),
        (200, '"other"'),
        (200, f'W/"{MD5}"'),
        (200, dated(stored, 1)),
        (200, "Mon, 01 Jan 99999 00:00:00 GMT"),
    ):
        answer = server.get(path, {"Range": "bytes=1-2", "If-Range": named})
        assert (answer.status, answer.body) == (status, BYTES[1:3] if status == 206 else BYTES), named


def test_last_modified_is_the_time_of_activation(server: Server) -> None:
    """r1-G6: a client does not fetch the same bytes again after a change of the image's name."""
    image_id = server.reserve()["id"]
    path, now = f"/images/{image_id}", time.time()
    reserved = "2001-02-03 04:05:06.000000"
    server.execute(
        "UPDATE images SET created_at = ?, updated_at = ? WHERE id = ?", reserved, reserved, image_id
    )
    assert server.put(path, OCTETS, BYTES).status == 200
    modified = server.head(path).headers["Last-Modified"]
    assert abs(email.utils.parsedate_to_datetime(modified).timestamp() - now) < 60
    server.execute("UPDATE images SET activated_at = ? WHERE id = ?", reserved, image_id)
    assert server.put(path, meta(name="another", property_of="mine")).status == 200
    for action in ("deactivate", "reactivate"):
        assert server.post(f"/v2/images/{image_id}/actions/{action}").status == 204
    assert server.head(path).headers["Last-Modified"] == "Sat, 03 Feb 2001 04:05:06 GMT"


def test_the_last_modified_of_older_images_is_their_creation(server: Server) -> None:
    """r1-G6: images of the previous release have no `activated_at`."""
    path = f"/images/{server.upload(BYTES)['id']}"
    server.execute("UPDATE images SET activated_at = NULL WHERE id = ?", path.removeprefix("/images/"))
    told_by = [
        server.head(path).headers["Last-Modified"],
        answer_with_name(server, path).headers["Last-Modified"],
    ]
    assert told_by[0] is not None
    assert told_by[0] == told_by[1]


def answer_with_name(server: Server, path: str) -> Answer:
    assert server.put(path, meta(name="renamed")).status == 200
    return server.head(path)
