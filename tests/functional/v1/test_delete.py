"""Checks 94 to 100: deleting images, and concurrent requests."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import StartServer
from tests.functional.v1.conftest import Tenants
from tests.support.v1 import BYTES, FORMATS, V1, assert_refused, changed


def test_094_only_administrators_see_a_deleted_image(tenants: Tenants) -> None:
    image_id = tenants.a.store()["id"]
    answer = tenants.a.delete(f"/images/{image_id}")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers.get_content_type() != "application/json"
    assert image_id not in tenants.a.ids("limit=1000")
    assert tenants.a.get(f"/images/{image_id}").status == 404
    assert tenants.a.head(image_id).status == 404
    assert_refused(tenants.a.delete(f"/images/{image_id}"), 404)
    told = tenants.admin.head(image_id)
    assert (told.status, told.meta["deleted"], told.meta["status"]) == (200, "True", "deleted")
    assert_refused(tenants.admin.get(f"/images/{image_id}"), 404)
    assert_refused(tenants.admin.delete(f"/images/{image_id}"), 404)
    assert tenants.a.server.blobs(image_id) == []


def test_095_a_protected_image_cannot_be_deleted(v1: V1) -> None:
    image_id = v1.store(protected="True")["id"]
    assert_refused(v1.delete(f"/images/{image_id}"), 403, "is protected")
    assert v1.get(f"/images/{image_id}").body == BYTES
    changed(v1.put(image_id, protected="False"))
    assert v1.delete(f"/images/{image_id}").status == 200


def test_096_images_without_bytes_can_be_deleted(v1: V1) -> None:
    queued, killed, lost = v1.make()["id"], str(uuid.uuid4()), v1.store()["id"]
    assert v1.post(BYTES, id=killed, size="1", **FORMATS).status == 400
    for blob in v1.server.blobs(lost):
        blob.unlink()
    for image_id in (queued, killed, lost):
        assert v1.delete(f"/images/{image_id}").status == 200
        assert v1.head(image_id).meta["status"] == "deleted"


def test_098_bytes_that_cannot_be_removed_now_are_removed_later(start_server: StartServer) -> None:
    v1 = V1(start_server({"calotype.lease": "1", "calotype.sweep_interval": "0"}))
    image_id = v1.store()["id"]
    images = v1.server.data_dir / "images"
    aside = images.rename(images.with_name("aside"))
    assert v1.delete(f"/images/{image_id}").status == 200
    assert v1.head(image_id).meta["status"] == "deleted"
    assert v1.server.query("SELECT state FROM image_locations") == [("doomed",)]
    aside.rename(images)
    assert v1.server.blobs(image_id)  # still there and recorded: a sweep removes it


def slowly(gate: threading.Event, begun: threading.Event) -> Iterator[bytes]:
    """Yield bytes, the last ones after the gate opens."""
    yield BYTES * 100_000
    begun.set()
    gate.wait(30)
    yield BYTES


def test_099_a_delete_wins_over_an_upload(v1: V1) -> None:
    image_id = v1.make(**FORMATS)["id"]
    gate, begun = threading.Event(), threading.Event()
    with ThreadPoolExecutor() as pool:
        upload = pool.submit(v1.put, image_id, slowly(gate, begun))
        begun.wait(30)
        v1.wait(image_id, "saving")
        assert v1.delete(f"/images/{image_id}").status == 200
        gate.set()
        assert_refused(upload.result(60), 412, "could not be found after upload")
    assert v1.head(image_id).meta["status"] == "deleted"
    assert v1.server.blobs(image_id) == v1.server.leftovers() == []


@pytest.mark.parametrize("same", [True, False], ids=["same bytes", "other bytes"])
def test_100_one_of_two_concurrent_uploads_succeeds(v1: V1, same: bool) -> None:
    image_id = v1.make(**FORMATS)["id"]
    bodies = [b"a" * 3_000_000, (b"a" if same else b"b") * 3_000_000]
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda body: v1.put(image_id, body), bodies))
    assert sorted(answer.status for answer in answers) == [200, 409]
    won = bodies[[answer.status for answer in answers].index(200)]
    assert v1.get(f"/images/{image_id}").body == won
    assert len(v1.server.blobs(image_id)) == 1
