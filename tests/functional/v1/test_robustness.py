"""Checks 114 to 118, and bugs 16 to 41 of the original that no check covers."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator

import pytest

from tests.conftest import StartServer
from tests.support.server import OCTETS, meta
from tests.support.v1 import BYTES, FORMATS, V1, assert_refused, changed, made

MIB = 1 << 20


def test_114_a_name_is_utf_8_in_headers_and_in_json(v1: V1) -> None:
    name = "Ünïcode \U0001f600 名前"
    image = v1.make(name=name.encode().decode("latin-1"), property_k=name.encode().decode("latin-1"))
    assert (image["name"], image["properties"]["k"]) == (name, name)
    told = v1.head(image["id"])
    assert (told.meta["name"], told.meta["property-k"]) == (name, name)


def test_114_a_name_that_is_not_utf_8_is_refused(v1: V1) -> None:
    assert_refused(v1.post(name="caf\xe9"), 400, "UTF-8")


GLANCE = {"User-Agent": "python-glanceclient"}


@pytest.mark.parametrize("encoded", ["a%0Ab", "a%0D%0AX-Evil:1", "a%00", "%1b[31m", "%C2%85", "%ff"])
def test_115_line_breaks_in_headers_are_refused(v1: V1, encoded: str) -> None:
    image_id = str(uuid.uuid4())
    for fields in ({"name": encoded}, {"property_p": encoded}, {"owner": encoded}):
        headers = {**GLANCE, **meta(id=image_id, **fields)}
        assert_refused(v1.request("POST", "/images", headers), 400)
    named = {f"x-image-meta-property-a{encoded[encoded.index('%') :][:3]}": "x"}
    assert_refused(v1.request("POST", "/images", {**GLANCE, **named}), 400)
    assert v1.head(image_id).status == 404


def test_115_only_glanceclients_headers_are_decoded(v1: V1) -> None:
    headers = meta(name="50%25 caf%C3%A9", **{"property_a%2Fb": "1%3D1"})
    decoded = made(v1.request("POST", "/images", {**GLANCE, **headers}))
    assert (decoded["name"], decoded["properties"]) == ("50% café", {"a/b": "1=1"})
    plain = made(v1.request("POST", "/images", meta(name="50%25 caf%C3%A9")))
    assert plain["name"] == "50%25 caf%C3%A9"


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html", "text/plain", "image/png"])
def test_116_errors_are_nested_json_for_any_accept_header(v1: V1, accept: str) -> None:
    image_id = v1.store()["id"]
    for method, path, headers, status in (
        ("GET", f"/images/{uuid.uuid4()}", {}, 404),
        ("POST", "/images", meta(disk_format="bad"), 400),
        ("POST", "/images", meta(id=image_id), 409),
    ):
        assert_refused(v1.request(method, path, {"Accept": accept, **headers}), status, " ")


def test_117_a_large_upload_is_not_held_in_memory(start_server: StartServer) -> None:
    v1 = V1(start_server())
    v1.store()
    before, most = v1.server.memory(), 0

    def blocks() -> Iterator[bytes]:
        nonlocal most
        block = b"\0" * MIB
        for _ in range(300):
            yield block
            most = max(most, v1.server.memory())

    assert v1.make(blocks(), **FORMATS)["size"] == 300 * MIB
    assert most - before < 100 * MIB


def test_117_an_upload_beyond_the_usual_limit_is_accepted(v1: V1) -> None:
    fields = {**OCTETS, **meta(id=str(uuid.uuid4()), **FORMATS), "Expect": "100-continue"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    asked = f"POST /v1/images HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: {2 << 30}\r\n\r\n"
    assert v1.server.speak(asked.encode(), hang_up=True).startswith(b"HTTP/1.1 100 Continue")


@pytest.mark.parametrize("framing", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
def test_118_an_interrupted_upload_leaves_nothing(v1: V1, framing: str) -> None:
    image_id = str(uuid.uuid4())
    lines = "".join(
        f"{name}: {value}\r\n" for name, value in {**OCTETS, **meta(id=image_id, **FORMATS)}.items()
    )
    part = b"fffff\r\n" + b"x" * 500_000 if "chunked" in framing else b"x" * 500_000
    with contextlib.suppress(TimeoutError):
        v1.server.speak(
            f"POST /v1/images HTTP/1.1\r\nHost: localhost\r\n{lines}{framing}\r\n\r\n".encode() + part,
            hang_up=True,
        )
    assert v1.wait(image_id, "killed")["status"] == "killed"
    assert v1.server.blobs(image_id) == []


def test_bug_17_deleted_and_times_cannot_be_changed(v1: V1) -> None:
    before = v1.make()
    old = "2001-01-01T00:00:00"
    after = changed(v1.put(before["id"], deleted="True", created_at=old, updated_at=old, deleted_at=old))
    assert {**after, "updated_at": None} == {**before, "updated_at": None}
    assert after["updated_at"] > before["updated_at"]
    assert_refused(v1.put(before["id"], created_at="foo"), 400, "Invalid time format")


def test_bug_18_a_refused_request_does_not_use_up_its_id(v1: V1) -> None:
    image_id = str(uuid.uuid4())
    assert v1.post(BYTES, id=image_id).status == 400
    assert v1.post(BYTES, id=image_id, location="http://x/", **FORMATS).status == 400
    assert v1.store(id=image_id)["status"] == "active"


def test_bug_31_size_0_with_bytes_is_refused(v1: V1) -> None:
    image_id = str(uuid.uuid4())
    assert_refused(v1.post(BYTES, id=image_id, size="0", **FORMATS), 400, "did not match")
    assert v1.head(image_id).meta["status"] == "killed"


def test_an_empty_chunked_body_is_an_empty_image(v1: V1) -> None:
    image = v1.make(iter([]), size="0", **FORMATS)
    assert (image["status"], image["size"]) == ("active", 0)


def test_bug_38_a_checksum_can_be_in_capitals(v1: V1) -> None:
    image = v1.store()
    assert v1.store(checksum=image["checksum"].upper())["checksum"] == image["checksum"]


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_image_can_be_reserved_and_changed_by_json(v1: V1, wrapped: bool) -> None:
    given = {
        "name": "by json",
        "is_public": True,
        "min_ram": 5,
        "unknown": [1],
        "properties": {"a": 1, "b": True},
    }
    image = made(
        v1.request("POST", "/images", JSON, json.dumps({"image": given} if wrapped else given).encode())
    )
    assert (image["status"], image["name"], image["is_public"], image["min_ram"]) == (
        "queued",
        "by json",
        True,
        5,
    )
    assert image["properties"] == {"a": "1", "b": "true"}
    patch = {"name": "renamed", "properties": {"c": "2"}}
    after = changed(v1.put_json(f"/images/{image['id']}", {"image": patch} if wrapped else patch))
    assert (after["name"], after["is_public"]) == ("renamed", True)
    assert after["properties"] == {"a": "1", "b": "true", "c": "2"}


@pytest.mark.parametrize(
    "document",
    [
        *([], 5, None, "x", {"image": 5}, {"id": "abc"}, {"min_ram": "x"}, {"disk_format": "bad"}),
        *({"name": given} for given in ("a\nb", "a" * 256)),
        *({"properties": given} for given in ([], "x", {"a b": "x"}, {"a": "\r"})),
    ],
)
def test_json_that_is_not_an_image_is_refused(v1: V1, document: object) -> None:
    assert_refused(v1.request("POST", "/images", JSON, json.dumps(document).encode()), 400)
    assert_refused(v1.put_json(f"/images/{v1.make()['id']}", document), 400)


def test_an_upload_to_a_reserved_image_needs_no_content_type(v1: V1) -> None:
    image_id = v1.make(**FORMATS)["id"]
    assert changed(v1.request("PUT", f"/images/{image_id}", {}, BYTES))["status"] == "active"


def test_the_path_file_of_an_image_has_the_bytes_and_their_digest(v1: V1) -> None:
    image = v1.store()
    answer = v1.get(f"/images/{image['id']}/file")
    assert (answer.status, answer.body) == (200, BYTES)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-MD5"] == image["checksum"]


def test_openstacksdk_gets_the_record_instead_of_the_bytes(v1: V1) -> None:
    image = v1.store()
    agent = {"User-Agent": "openstacksdk/4.22.0"}
    assert v1.get(f"/images/{image['id']}", agent).json == {"image": image}
    assert v1.get(f"/images/{image['id']}/file", agent).body == BYTES
