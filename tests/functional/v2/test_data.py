"""Checks 64 to 81: uploads and downloads."""

from __future__ import annotations

import hashlib
import os
import struct
import threading
from collections.abc import Iterator

import pytest

from tests.support.v2 import Person

BYTES = bytes(range(256)) * 10


def qcow2(virtual_size: int) -> bytes:
    """Return an empty qcow2 disk: its header and first cluster."""
    # magic, version, no backing file, clusters of 64 KiB, size, no encryption, one L1 entry ...
    fields = (b"QFI\xfb", 3, 0, 0, 16, virtual_size, 0, 1, 3 << 16, 1 << 16, 1, 0, 0, 0, 0, 0, 4, 104)
    header = struct.pack(">4sIQIIQIIQQIIQQQQII", *fields)
    return header.ljust(4 << 16, b"\0")


def without_bytes(person: Person, image_id: str) -> bool:
    """Return whether the image is queued, without size, digests and bytes."""
    image = person.show(image_id)
    known = [image[name] for name in ("size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value")]
    blobs = person.server.blobs(image_id, "fast") + person.server.blobs(image_id, "cold")
    return image["status"] == "queued" and known == [None] * 5 and "stores" not in image and not blobs


def test_064_an_image_without_data_answers_204(u1: Person) -> None:
    image_id = u1.make()
    assert u1.get(f"/images/{image_id}/file").status == 204
    assert u1.get(f"/images/{image_id}/file", Range="bytes=0-1").status == 204


def test_065_uploaded_bytes_are_measured_and_hashed(u1: Person) -> None:
    image_id = u1.make()
    assert u1.put(image_id, BYTES).status == 204
    image = u1.show(image_id)
    assert (image["status"], image["size"], image["virtual_size"]) == ("active", 2560, 2560)
    assert image["checksum"] == hashlib.md5(BYTES).hexdigest()
    assert (image["os_hash_algo"], image["os_hash_value"]) == ("sha256", hashlib.sha256(BYTES).hexdigest())
    assert image["stores"] == "fast"


def test_066_an_upload_can_be_chunked(u1: Person) -> None:
    image_id = u1.make()
    assert u1.put(image_id, iter([BYTES[:7], BYTES[7:]])).status == 204
    assert u1.get(f"/images/{image_id}/file").body == BYTES


@pytest.mark.parametrize("body", [b"", None, iter([])])
def test_067_an_image_can_have_zero_bytes(u1: Person, body: bytes | Iterator[bytes] | None) -> None:
    image_id = u1.make()
    assert u1.put(image_id, body).status == 204
    image = u1.show(image_id)
    assert (image["status"], image["size"]) == ("active", 0)
    answer = u1.get(f"/images/{image_id}/file")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")
    assert u1.get(f"/images/{image_id}/file", Range="bytes=0-1").status == 416


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}])
@pytest.mark.parametrize("part", ["file", "stage"])
def test_068_an_upload_needs_the_right_content_type(u1: Person, headers: dict[str, str], part: str) -> None:
    assert u1.ask("PUT", f"/images/{u1.make()}/{part}", BYTES, headers).status == 415
    encoded = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}
    assert u1.ask("PUT", f"/images/{u1.make()}/{part}", BYTES, encoded).status == 415


@pytest.mark.parametrize("unset", ["disk_format", "container_format"])
def test_068_an_upload_needs_both_formats(u1: Person, unset: str) -> None:
    image_id = u1.make(**{unset: None})
    assert u1.put(image_id, BYTES).status == 400
    assert without_bytes(u1, image_id)


def test_069_an_active_image_refuses_bytes(u1: Person) -> None:
    image_id = u1.active(BYTES)
    assert u1.put(image_id, b"others").status == 409
    u1.ask("POST", f"/images/{image_id}/actions/deactivate")
    assert u1.put(image_id, b"others").status == 409
    staged = u1.make()
    u1.put(staged, BYTES, part="stage")
    assert u1.put(staged, b"others").status == 409
    u1.ask("POST", f"/images/{image_id}/actions/reactivate")
    assert u1.get(f"/images/{image_id}/file").body == BYTES


@pytest.mark.parametrize("size", ["2559", "2561"])
@pytest.mark.parametrize("chunked", [True, False])
def test_070_a_wrong_size_is_400_and_can_be_retried(u1: Person, size: str, chunked: bool) -> None:
    image_id = u1.make()
    body = iter([BYTES]) if chunked else BYTES
    assert u1.put(image_id, body, X_OpenStack_Image_Size=size).status == 400
    assert without_bytes(u1, image_id)
    assert u1.put(image_id, BYTES, X_OpenStack_Image_Size="2560").status == 204


@pytest.mark.parametrize("size", ["abc", "-1", "1.5", "9" * 30])
def test_070_a_declared_size_that_is_not_an_integer_is_400_and_0_is_ignored(u1: Person, size: str) -> None:
    image_id = u1.make()
    assert u1.put(image_id, BYTES, X_OpenStack_Image_Size=size).status == 400
    assert u1.put(image_id, BYTES, X_OpenStack_Image_Size="0").status == 204


@pytest.mark.parametrize("setting", ["calotype.image_size_cap", "calotype.project_bytes"])
def test_071_too_many_bytes_are_413_and_leave_nothing(start_people, setting: str) -> None:
    u1 = start_people(**{setting: "2559"}).u1
    for chunked in (True, False):
        image_id = u1.make()
        assert u1.put(image_id, iter([BYTES]) if chunked else BYTES).status == 413
        assert without_bytes(u1, image_id)
        assert u1.put(image_id, BYTES[:2000], part="stage").status == 204
        u1.delete(f"/images/{image_id}")


def test_072_bytes_of_another_format_are_415_and_can_be_retried(u1: Person) -> None:
    image_id = u1.make(disk_format="qcow2")
    assert u1.put(image_id, os.urandom(70000)).status == 415
    assert without_bytes(u1, image_id)
    assert u1.put(image_id, qcow2(1 << 30)).status == 204
    assert u1.show(image_id)["virtual_size"] == 1 << 30


def test_073_a_qcow2_cannot_be_declared_raw(u1: Person) -> None:
    image_id = u1.make()
    assert u1.put(image_id, qcow2(1 << 30)).status == 415
    assert without_bytes(u1, image_id)


def test_075_the_owner_and_administrators_may_upload(u1: Person, u2: Person, r1: Person, adm: Person) -> None:
    image_id = u1.make(visibility="private")
    assert r1.put(image_id, BYTES).status == 403
    assert u2.put(image_id, BYTES).status == 404
    assert adm.put(image_id, BYTES).status == 204
    assert adm.show(image_id)["owner"] == "P1"


def test_076_a_download_has_length_type_and_checksum(u1: Person) -> None:
    answer = u1.get(f"/images/{u1.active(BYTES)}/file")
    assert (answer.status, answer.body) == (200, BYTES)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Length"] == "2560"
    assert answer.headers["Content-MD5"] == hashlib.md5(BYTES).hexdigest()


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-9", 0, 9), ("10-", 10, 2559), ("-5", 2555, 2559), ("2550-9999", 2550, 2559), ("-9999", 0, 2559)],
)
def test_077_a_range_is_206(u1: Person, asked: str, first: int, last: int) -> None:
    answer = u1.get(f"/images/{u1.active(BYTES)}/file", Range=f"bytes={asked}")
    assert (answer.status, answer.body) == (206, BYTES[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/2560"
    assert answer.headers["Content-MD5"] == hashlib.md5(BYTES).hexdigest()


@pytest.mark.parametrize("asked", ["2560-", "9999-10000", "-0"])
def test_078_a_range_outside_of_the_image_is_416(u1: Person, asked: str) -> None:
    answer = u1.get(f"/images/{u1.active(BYTES)}/file", Range=f"bytes={asked}")
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */2560")


def test_078_an_invalid_range_is_ignored_and_only_the_first_of_several_counts(u1: Person) -> None:
    path = f"/images/{u1.active(BYTES)}/file"
    for asked in ("bytes=abc", "bytes=5-2", "lines=0-1"):
        answer = u1.get(path, Range=asked)
        assert (answer.status, answer.body) == (200, BYTES), asked
    answer = u1.get(path, Range="bytes=0-1,3-4")
    assert (answer.status, answer.body, answer.headers["Content-Range"]) == (206, BYTES[:2], "bytes 0-1/2560")


def test_079_a_reader_cannot_download(u1: Person, u2: Person, r1: Person) -> None:
    image_id = u1.active(BYTES, visibility="community")
    assert r1.get(f"/images/{image_id}/file").status == 403
    assert u2.get(f"/images/{image_id}/file").body == BYTES
    assert u2.get(f"/images/{u1.active(visibility='private')}/file").status == 404


def test_081_only_administrators_download_a_deactivated_image(u1: Person, adm: Person) -> None:
    image_id = u1.active(BYTES)
    for verb, status, mine, stores in (
        ("deactivate", "deactivated", 403, False),
        ("deactivate", "deactivated", 403, False),
        ("reactivate", "active", 200, True),
        ("reactivate", "active", 200, True),
    ):
        assert u1.ask("POST", f"/images/{image_id}/actions/{verb}").status == 204
        image = u1.show(image_id)
        assert (image["status"], "stores" in image) == (status, stores)
        assert u1.get(f"/images/{image_id}/file").status == mine
        assert adm.get(f"/images/{image_id}/file").body == BYTES
        assert "stores" in adm.show(image_id)


def test_081_only_an_image_with_bytes_can_be_deactivated(u1: Person, r1: Person) -> None:
    image_id = u1.make()
    assert u1.ask("POST", f"/images/{image_id}/actions/deactivate").status == 403
    assert u1.ask("POST", f"/images/{image_id}/actions/reactivate").status == 403
    assert u1.ask("POST", f"/images/{image_id}/actions/sing").status == 404
    assert r1.ask("POST", f"/images/{u1.active()}/actions/deactivate").status == 403


def test_101_the_store_of_an_upload_can_be_chosen(u1: Person) -> None:
    image_id = u1.make()
    assert u1.put(image_id, BYTES, X_Image_Meta_Store="nosuch").status == 400
    assert u1.put(image_id, BYTES, X_Image_Meta_Store="web").status == 400
    assert without_bytes(u1, image_id)
    assert u1.put(image_id, BYTES, X_Image_Meta_Store="cold").status == 204
    assert u1.show(image_id)["stores"] == "cold"
    assert u1.get(f"/images/{image_id}/file").body == BYTES


class Halting:
    """A body whose second half waits for a signal."""

    def __init__(self) -> None:
        self.half_sent, self.go_on = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield BYTES
        self.half_sent.set()
        assert self.go_on.wait(60)
        yield BYTES


def wait_until(person: Person, image_id: str, status: str) -> None:
    """Wait until the image has the status."""
    for _ in range(600):
        if person.show(image_id)["status"] == status:
            return
        threading.Event().wait(0.02)
    raise AssertionError(person.show(image_id))


def test_105_one_of_two_concurrent_uploads_succeeds(u1: Person) -> None:
    image_id, body, statuses = u1.make(), Halting(), []
    first = threading.Thread(target=lambda: statuses.append(u1.put(image_id, body).status))
    first.start()
    wait_until(u1, image_id, "saving")
    assert u1.get(f"/images/{image_id}/file").status == 204
    assert u1.put(image_id, b"others").status == 409
    body.go_on.set()
    first.join()
    assert statuses == [204]
    assert u1.get(f"/images/{image_id}/file").body == BYTES * 2


@pytest.mark.parametrize(("part", "status"), [("file", "saving"), ("stage", "uploading")])
def test_106_an_image_deleted_during_its_upload_leaves_nothing(u1: Person, part: str, status: str) -> None:
    image_id, body, statuses = u1.make(), Halting(), []
    upload = threading.Thread(target=lambda: statuses.append(u1.put(image_id, body, part=part).status))
    upload.start()
    wait_until(u1, image_id, status)
    assert u1.delete(f"/images/{image_id}").status == 204
    body.go_on.set()
    upload.join()
    assert statuses == [410]
    assert u1.server.query("SELECT * FROM image_locations WHERE image_id = ?", image_id) == []
    assert u1.server.blobs(image_id, "fast") == []


def test_a_download_prefers_the_stores_it_names(u1: Person, adm: Person) -> None:
    """r1-G7: these stores are tried first. A missing copy is skipped, and an unknown store is 400."""
    image_id = u1.active(BYTES)
    copying = {"method": {"name": "copy-image"}, "stores": ["cold"]}
    assert adm.send("POST", f"/images/{image_id}/import", copying).status == 202
    adm.settled(image_id)
    for store in ("fast", "cold"):  # made distinguishable: whole files are sent without a check
        (blob,) = u1.server.blobs(image_id, store)
        blob.chmod(0o600)
        blob.write_bytes(store.encode() * (len(BYTES) // 4))
    path = f"/images/{image_id}/file"
    for query, first in (
        ("", b"fast"),
        ("?prefer=", b"fast"),
        ("?prefer=cold", b"cold"),
        ("?prefer=web,cold,fast", b"cold"),
        ("?prefer=fast,cold,fast", b"fast"),
    ):
        assert u1.get(path + query).body[:4] == first, query
    for query in ("?prefer=nosuch", "?prefer=fast,nosuch", "?prefer=,fast", "?prefer=" + "x" * 1000):
        refused = u1.get(path + query)
        assert (refused.status, "There is no store" in refused.text, len(refused.body) < 400) == (
            400,
            True,
            True,
        )
        assert u1.server.head(f"/v2{path}{query}", {"X-Auth-Token": u1.token}).status == 400
    (blob,) = u1.server.blobs(image_id, "cold")
    blob.unlink()
    assert u1.get(f"{path}?prefer=cold").body[:4] == b"fast"
