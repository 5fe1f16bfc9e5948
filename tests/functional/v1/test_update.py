"""Checks 83 to 93: changing images."""

from __future__ import annotations

import hashlib
import uuid

from tests.functional.v1.conftest import Tenants
from tests.support.v1 import BYTES, FORMATS, V1, assert_refused, changed
from tests.support.web import Halves, Web

MD5 = hashlib.md5(BYTES).hexdigest()


def test_083_an_update_replaces_all_properties(v1: V1) -> None:
    image_id = v1.make()["id"]
    both = {"property_distro": "x", "property_arch": "y"}
    assert changed(v1.put(image_id, **both))["properties"] == {"distro": "x", "arch": "y"}
    assert changed(v1.put(image_id, property_arch="z"))["properties"] == {"arch": "z"}
    assert changed(v1.put(image_id, **both))["properties"] == {"distro": "x", "arch": "y"}
    assert changed(v1.put(image_id, name="bare"))["properties"] == {}


def test_084_properties_are_kept_without_a_purge(v1: V1) -> None:
    image_id = v1.make(property_key1="1", property_key2="2")["id"]
    kept = changed(v1.put(image_id, purge=False, property_key3="3", property_key1="one"))
    assert kept["properties"] == {"key1": "one", "key2": "2", "key3": "3"}
    assert changed(v1.put(image_id, purge=False, property_key2=""))["properties"].get("key2") is None
    assert changed(v1.put(image_id, purge=True, property_key3="3"))["properties"] == {"key3": "3"}


def test_085_an_upload_purges_no_properties(v1: V1) -> None:
    image_id = v1.make(property_key1="1", **FORMATS)["id"]
    answer = v1.put(image_id, BYTES, property_key2="2")
    image = changed(answer)
    assert image["properties"] == {"key1": "1", "key2": "2"}
    assert (image["status"], image["checksum"], answer.headers["ETag"]) == ("active", MD5, MD5)


def test_086_an_update_leaves_the_fields_that_it_does_not_name(v1: V1) -> None:
    before = v1.store(is_public="True", protected="True", min_disk="3", property_os="linux")
    after = changed(v1.put(before["id"], purge=False, name="named"))
    assert after["updated_at"] > before["created_at"]
    assert {**after, "updated_at": before["updated_at"], "name": None} == before
    changed(v1.put(before["id"], protected="False"))


def test_086_an_update_of_a_property_alone_is_accepted(v1: V1) -> None:
    before = v1.make()
    assert changed(v1.put(before["id"], property_a="1"))["updated_at"] > before["updated_at"]


def test_087_an_image_can_be_published_and_unpublished(v1: V1) -> None:
    image_id = v1.make()["id"]
    assert changed(v1.put(image_id, is_public="True"))["is_public"] is True
    assert changed(v1.put(image_id, is_public="False"))["is_public"] is False


def test_the_formats_of_an_active_image_cannot_change(v1: V1) -> None:
    image_id = v1.store()["id"]
    assert_refused(v1.put(image_id, disk_format="iso"), 403, "disk_format")
    assert changed(v1.put(image_id, disk_format="raw"))["disk_format"] == "raw"


def test_088_an_active_image_refuses_bytes(v1: V1) -> None:
    image_id = v1.store()["id"]
    assert_refused(v1.put(image_id, b"other"), 409, "Cannot upload to an unqueued image")
    assert_refused(v1.put(image_id, location="http://127.0.0.1/x"), 400, "queued status")
    assert v1.get(f"/images/{image_id}").body == BYTES


def test_088_a_location_completes_a_queued_image(fetching: V1, source: Web) -> None:
    image_id = fetching.make(**FORMATS)["id"]
    image = changed(fetching.put(image_id, location=source.answer(Halves(BYTES))))
    assert (image["status"], image["size"]) == ("active", len(BYTES))


def test_089_a_client_cannot_change_fields_of_the_server(v1: V1) -> None:
    image_id = v1.make()["id"]
    assert_refused(v1.put(image_id, id=str(uuid.uuid4())), 403, "Forbidden to modify 'id'")
    assert_refused(v1.put(image_id, status="active"), 403, "Forbidden to modify 'status'")
    assert changed(v1.put(image_id, status="queued", id=image_id))["status"] == "queued"
    assert changed(v1.put(image_id, id=image_id.upper()))["id"] == image_id


def test_090_size_and_checksum_of_an_active_image_cannot_be_changed(tenants: Tenants) -> None:
    image = tenants.a.store()
    for field, value in (("size", "20"), ("checksum", "0" * 32)):
        assert_refused(tenants.a.put(image["id"], **{field: value}), 403, f"Forbidden to modify '{field}'")
        told = changed(tenants.admin.put(image["id"], **{field: value}))
        assert (told["size"], told["checksum"]) == (19, MD5)  # the values of the bytes do not change
    changed(tenants.a.put(image["id"], size="19", checksum=MD5))


def test_091_the_bytes_must_match_the_reservation(v1: V1) -> None:
    for declared in ({"size": "5"}, {"checksum": "0" * 32}):
        image_id = v1.make(**declared, **FORMATS)["id"]
        assert_refused(v1.put(image_id, BYTES), 400, "did not match")
        assert v1.head(image_id).meta["status"] == "killed"
        assert v1.server.blobs(image_id) == []
    image_id = v1.make(size="19", checksum=MD5, **FORMATS)["id"]
    assert changed(v1.put(image_id, BYTES))["status"] == "active"


def test_092_a_deleted_image_cannot_be_changed(tenants: Tenants) -> None:
    image_id = tenants.a.make()["id"]
    tenants.a.delete(f"/images/{image_id}")
    assert_refused(tenants.admin.put(image_id, name="x"), 403, "Forbidden to update deleted image")
    assert_refused(tenants.a.put(image_id, name="x"), 404)
    assert_refused(tenants.a.put(str(uuid.uuid4()), name="x"), 404)


def test_093_kept_properties_count_towards_the_limit(v1: V1) -> None:
    most = {f"property_p{number}": "x" for number in range(70)}
    image_id = v1.make(**most)["id"]
    words = "limit has been exceeded on the number of allowed image properties"
    assert_refused(v1.put(image_id, purge=False, property_more="x"), 413, words)
    assert_refused(v1.put(image_id, **most, property_more="x"), 413, words)
    assert changed(v1.put(image_id, property_more="x"))["properties"] == {"more": "x"}
