"""A format that is declared after the upload is compared with the bytes, in every dialect and order."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import StartServer
from tests.support.answers import Answer
from tests.support.server import OCTETS, Server, meta

PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
DISK = bytes(range(256)) * 64


def qcow2() -> bytes:
    """Return an empty qcow2 disk: its header and first cluster."""
    fields = (b"QFI\xfb", 3, 0, 0, 16, 1 << 20, 0, 1, 3 << 16, 1 << 16, 1, 0, 0, 0, 0, 0, 4, 104)
    return struct.pack(">4sIQIIQIIQQIIQQQQII", *fields).ljust(4 << 16, b"\0")


def by_classic(server: Server, image_id: str, **fields: str) -> Answer:
    return server.put(f"/images/{image_id}", meta(**fields))


def by_v1(server: Server, image_id: str, **fields: str) -> Answer:
    return server.put(f"/v1/images/{image_id}", meta(**fields))


def by_v1_document(server: Server, image_id: str, **fields: str) -> Answer:
    body = json.dumps({"image": fields}).encode()
    return server.put(f"/v1/images/{image_id}", {"Content-Type": "application/json"}, body)


def by_v2(server: Server, image_id: str, **fields: str) -> Answer:
    changes = [{"op": "replace", "path": f"/{name}", "value": value} for name, value in fields.items()]
    return server.request("PATCH", f"/v2/images/{image_id}", PATCH, json.dumps(changes).encode())


Declare = Callable[..., Answer]
every_dialect = pytest.mark.parametrize("declare", [by_classic, by_v1, by_v1_document, by_v2])


def formats(server: Server, image_id: str) -> tuple[str | None, str | None]:
    shown = server.get(f"/v2/images/{image_id}").json
    return shown["disk_format"], shown["container_format"]


@every_dialect
@pytest.mark.parametrize("other", ["raw", "vmdk", "iso"])
def test_a_wrong_format_cannot_be_declared(server: Server, declare: Declare, other: str) -> None:
    """r1-A8: a qcow2 that was uploaded without a format could be declared raw later."""
    image_id = server.upload(qcow2())["id"]
    answer = declare(server, image_id, disk_format=other)
    assert answer.status == 409
    assert f"The image is declared as {other}, but it is qcow2." in answer.text
    assert formats(server, image_id) == (None, None)


@every_dialect
def test_the_right_format_can_be_declared(server: Server, declare: Declare) -> None:
    image_id = server.upload(qcow2())["id"]
    answer = declare(server, image_id, disk_format="qcow2", container_format="bare")
    assert answer.status == 200, answer.text
    assert formats(server, image_id) == ("qcow2", "bare")


@every_dialect
@pytest.mark.parametrize(("container", "status"), [("bare", 409), ("ovf", 200)])
def test_the_container_decides_whether_the_bytes_are_the_disk(
    server: Server, declare: Declare, container: str, status: int
) -> None:
    """r1-A8: as in an upload, only a bare image is the disk itself."""
    image_id = server.upload(qcow2())["id"]
    answer = declare(server, image_id, disk_format="vmdk", container_format=container)
    assert answer.status == status, answer.text


@every_dialect
def test_a_name_can_change_beside_a_wrong_format_that_stays_as_declared(
    server: Server, declare: Declare
) -> None:
    """An image whose wrong declaration is older than inspection can still be renamed."""
    image_id = server.upload(qcow2(), disk_format="qcow2", container_format="bare")["id"]
    server.execute("UPDATE images SET disk_format = 'raw' WHERE id = ?", image_id)
    assert declare(server, image_id, disk_format="raw", name="renamed").status == 200


@every_dialect
def test_a_format_that_is_declared_during_the_upload_is_compared(server: Server, declare: Declare) -> None:
    """r1-A8: the order of declaration and upload makes no difference."""
    image_id, data = server.reserve()["id"], qcow2()
    begun, declared = threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        yield data[:1024]
        begun.set()
        assert declared.wait(30)
        yield data[1024:]

    def saving() -> bool:
        return server.query("SELECT status FROM images WHERE id = ?", image_id) == [("saving",)]

    with ThreadPoolExecutor(1) as threads:
        upload = threads.submit(server.put, f"/images/{image_id}", OCTETS, body())
        assert begun.wait(30)
        while not saving():
            assert not upload.done()
        assert declare(server, image_id, disk_format="raw").status == 200
        declared.set()
        answer = upload.result(60)
    assert (answer.status, answer.text) == (415, "The image is declared as raw, but it is qcow2.")
    assert server.head(f"/images/{image_id}").meta["status"] == "killed"
    assert server.blobs(image_id) == []


def test_nothing_is_compared_if_inspection_only_records(start_server: StartServer) -> None:
    server = start_server({"calotype.inspection": "record"})
    image_id = server.upload(qcow2())["id"]
    assert by_v2(server, image_id, disk_format="raw").status == 200


def test_a_raw_image_that_looks_like_a_disc_has_the_size_of_its_bytes(server: Server) -> None:
    """r1-A7: the size in the disc's descriptor used to be mistaken for the size of the disk."""
    disc = bytearray((DISK * 8)[: 40 * 1024])
    struct.pack_into("<B5sB", disc, 32 * 1024, 1, b"CD001", 1)
    struct.pack_into("<L", disc, 32 * 1024 + 80, 2)
    struct.pack_into("<H", disc, 32 * 1024 + 128, 2048)
    image_id = server.upload(bytes(disc), disk_format="raw", container_format="bare")["id"]
    assert server.get(f"/v2/images/{image_id}").json["virtual_size"] == len(disc)
