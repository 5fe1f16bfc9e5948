"""Checks 88 to 107: schemas, import methods, stores and usage; staging, importing and copying."""

from __future__ import annotations

import datetime
import hashlib
import threading
from typing import Any

import pytest

from tests.support.v2 import Person, fresh, op
from tests.support.waiting import wait_for
from tests.support.web import Web

BYTES = b"bytes to import" * 100


@pytest.mark.parametrize("name", ["image", "images", "member", "members"])
def test_088_a_schema_has_its_name(u1: Person, name: str) -> None:
    assert u1.get(f"/schemas/{name}").json["name"] == name


def test_089_the_schema_of_an_image_lists_the_accepted_values(u1: Person) -> None:
    schema = u1.get("/schemas/image").json
    assert schema["additionalProperties"] == {"type": "string"}
    for name in ("disk_format", "container_format"):
        assert schema["properties"][name]["enum"][0] is None
    assert set(schema["properties"]["visibility"]["enum"]) == {"public", "community", "shared", "private"}
    assert schema["properties"]["size"]["readOnly"] is True
    assert [link["rel"] for link in schema["links"]] == ["self", "enclosure", "describedby"]


def methods_of(person: Person) -> list[str]:
    """The import methods that somebody is told of; a new image's headers tell the same."""
    told = person.get("/info/import").json["import-methods"]
    assert told["type"] == "array"
    assert person.create().headers["OpenStack-image-import-methods"] == ",".join(told["value"])
    return told["value"]


def test_091_the_import_methods_and_the_stores_are_listed(u1: Person) -> None:
    assert methods_of(u1) == ["glance-direct", "web-download", "copy-image"]
    assert u1.get("/info/stores").json["stores"] == [
        {"id": "fast", "default": "true"},
        {"id": "cold"},
        {"id": "web", "read-only": "true"},
    ]


def test_091_without_import_methods_the_header_is_absent(start_people) -> None:
    found = start_people(**{"store.fast.read_only": "true", "store.cold.read_only": "true"})
    assert "OpenStack-image-import-methods" not in found.adm.create().headers
    assert found.adm.get("/info/import").json["import-methods"]["value"] == []


def test_092_usage_is_in_mebibytes_and_stores_have_description_and_weight(start_people) -> None:
    """Issue 15.5"""
    limits = {"calotype.project_bytes": str(5 << 20), "calotype.project_images": "7"}
    people = start_people(**limits, **{"store.fast.description": "SSD, for now", "store.cold.weight": "-1"})
    u1 = people.u1
    assert u1.get("/info/stores").json["stores"][:2] == [
        {"id": "fast", "description": "SSD, for now", "default": "true"},
        {"id": "cold"},
    ]
    detail = people.adm.get("/info/stores/detail").json["stores"]
    assert [(one["weight"], one.get("description")) for one in detail] == [
        (0, "SSD, for now"),
        (-1, None),
        (0, None),
    ]
    u1.active(b"x")
    u1.make()
    assert u1.get("/info/usage").json["usage"] == {
        "image_size_total": {"limit": 5, "usage": 1},
        "image_stage_total": {"limit": -1, "usage": 0},
        "image_count_total": {"limit": 7, "usage": 2},
        "image_count_uploading": {"limit": -1, "usage": 0},
    }
    staged = u1.make()
    assert u1.put(staged, b"x", part="stage").status == 204
    told = u1.get("/info/usage").json["usage"]
    assert (told["image_stage_total"]["usage"], told["image_count_uploading"]["usage"]) == (1, 1)


def test_104_only_administrators_see_the_drivers_of_stores(u1: Person, adm: Person) -> None:
    assert u1.get("/info/stores/detail").status == 403
    detail = adm.get("/info/stores/detail").json["stores"]
    assert [(store["id"], store["type"]) for store in detail] == [
        ("fast", "file"),
        ("cold", "file"),
        ("web", "http"),
    ]
    assert u1.server.data_dir.name not in str(detail)


def test_administrators_see_the_room_of_each_store(start_people) -> None:
    people = start_people(**{"store.fast.quota": "10MB"})
    people.u1.active(b"x" * 1000)

    def rooms() -> dict[str, dict[str, int]]:
        return {one["id"]: one["properties"] for one in people.adm.get("/info/stores/detail").json["stores"]}

    found = wait_for(rooms, lambda found: found["fast"] and found["cold"])
    assert (found["fast"]["capacity"], found["fast"]["largest"]) == (10_000_000, 10_000_000)
    assert 0 < found["fast"]["free"] <= 10_000_000
    assert found["web"] == {}


# -- staging


def stage(person: Person, data: bytes = BYTES, **document: Any) -> str:
    """Create an image, stage its bytes, and return its id."""
    image_id = person.make(**document)
    assert person.put(image_id, data, part="stage").status == 204
    return image_id


def order(name: str, *, headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """Return an import's document; arguments with a leading `_` belong to the method."""
    method = {"name": name, **{key[1:]: value for key, value in more.items() if key[0] == "_"}}
    return {"method": method, **{key: value for key, value in more.items() if key[0] != "_"}}


def begin(person: Person, image_id: str, document: Any, **headers: str) -> int:
    """POST .../import, and return the status."""
    return person.send("POST", f"/images/{image_id}/import", document, **headers).status


def test_093_nobody_can_read_staged_bytes(u1: Person) -> None:
    assert u1.show(stage(u1, disk_format=None))["status"] == "uploading"
    image_id = stage(u1)
    image = u1.show(image_id)
    assert (image["status"], image["size"]) == ("uploading", len(BYTES))
    assert (image["checksum"], image["virtual_size"], image["os_hash_value"]) == (None, None, None)
    assert "stores" not in image
    assert u1.get(f"/images/{image_id}/file").status == 204
    assert u1.put(image_id, BYTES, part="stage").status == 409
    assert u1.put(image_id, BYTES).status == 409


def test_093_a_failed_stage_can_be_retried(u1: Person) -> None:
    image_id = u1.make()
    assert u1.put(image_id, BYTES, part="stage", X_OpenStack_Image_Size="7").status == 400
    assert u1.show(image_id)["status"] == "queued"
    assert u1.server.blobs(image_id, "fast") == []
    assert u1.put(image_id, BYTES, part="stage").status == 204


def test_093_staged_bytes_are_removed_with_their_image(u1: Person) -> None:
    image_id = stage(u1)
    assert len(u1.server.blobs(image_id, "fast")) == 1
    assert u1.delete(f"/images/{image_id}").status == 204
    assert u1.server.blobs(image_id, "fast") == []


# -- importing


def test_094_staged_bytes_are_imported_into_all_stores(u1: Person) -> None:
    image_id = stage(u1)
    assert begin(u1, image_id, order("glance-direct", all_stores=True)) == 202
    image = u1.settled(image_id)
    assert (image["status"], image["stores"]) == ("active", "cold,fast")
    assert image["checksum"] == hashlib.md5(BYTES).hexdigest()
    assert (image["os_glance_importing_to_stores"], image["os_glance_failed_import"]) == ("", "")
    assert u1.get(f"/images/{image_id}/file").body == BYTES
    assert [len(u1.server.blobs(image_id, store)) for store in ("fast", "cold")] == [1, 1]


def test_094_without_stores_the_default_store_is_used(u1: Person) -> None:
    image_id = stage(u1)
    assert begin(u1, image_id, order("glance-direct")) == 202
    assert u1.settled(image_id)["stores"] == "fast"


def test_094_a_header_can_name_the_store(u1: Person) -> None:
    image_id = stage(u1)
    assert begin(u1, image_id, order("glance-direct"), **{"X-Image-Meta-Store": "cold"}) == 202
    assert u1.settled(image_id)["stores"] == "cold"
    assert u1.server.blobs(image_id, "fast") == []


def test_094_bytes_of_another_format_leave_nothing(u1: Person) -> None:
    image_id = stage(u1, disk_format="qcow2")
    assert begin(u1, image_id, order("glance-direct", stores=["cold", "fast"])) == 202
    image = u1.settled(image_id)
    assert (image["status"], image["size"], image["checksum"]) == ("queued", None, None)
    assert image["os_glance_failed_import"] == "cold"
    assert "stores" not in image
    assert u1.server.blobs(image_id, "fast") == u1.server.blobs(image_id, "cold") == []
    (task,) = u1.get(f"/images/{image_id}/tasks").json["tasks"]
    assert task["status"] == "failure"
    assert "qcow2" in task["message"]
    assert u1.put(image_id, BYTES, part="stage").status == 204


def test_095_an_import_that_cannot_be_done_is_refused(u1: Person) -> None:
    direct = order("glance-direct")
    queued, staged, active = u1.make(), stage(u1), u1.active()
    assert begin(u1, queued, direct) == 409
    assert begin(u1, active, direct) == 409
    assert begin(u1, stage(u1, disk_format=None), direct) == 409
    assert begin(u1, staged, order("web-download", _uri="http://example.com/")) == 409
    assert begin(u1, staged, {**direct, "stores": ["nosuch"]}) == 409
    assert begin(u1, staged, {**direct, "stores": ["web"]}) == 409
    assert begin(u1, staged, direct, **{"X-Image-Meta-Store": "nosuch"}) == 409
    assert u1.show(staged)["status"] == "uploading"


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"method": "glance-direct"},
        {"method": {}},
        order("nosuch"),
        order("glance-download"),
        order("glance-direct", all_stores="true"),
        order("glance-direct", all_stores_must_succeed=1),
        order("glance-direct", stores="fast"),
        order("glance-direct", stores=["fast"], all_stores=True),
    ],
)
def test_095_an_import_of_the_wrong_form_is_400(u1: Person, document: Any) -> None:
    assert begin(u1, stage(u1), document) == 400


def test_095_stores_can_be_named_in_one_way_only(u1: Person) -> None:
    image_id = stage(u1)
    for more in ({"stores": ["fast"]}, {"all_stores": True}):
        assert begin(u1, image_id, order("glance-direct", **more), **{"X-Image-Meta-Store": "cold"}) == 400


def test_095_only_callers_who_may_upload_may_import(u1: Person, u2: Person, r1: Person) -> None:
    image_id = stage(u1, visibility="community")
    assert begin(u2, image_id, order("glance-direct")) == 403
    assert begin(r1, image_id, order("glance-direct")) == 403
    assert begin(u2, stage(u1, visibility="private"), order("glance-direct")) == 404
    assert r1.put(u1.make(), BYTES, part="stage").status == 403


def test_096_one_of_two_concurrent_imports_succeeds(start_people) -> None:
    u1 = start_people(**{"calotype.job_threads": "0"}).u1
    image_id, statuses = stage(u1), []
    both = [
        threading.Thread(target=lambda: statuses.append(begin(u1, image_id, order("glance-direct"))))
        for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(statuses) == [202, 409]
    image = u1.show(image_id)
    assert image["status"] == "importing"
    assert image["os_glance_import_task"]
    assert image["os_glance_importing_to_stores"] == "fast"


# -- web-download


def test_097_bytes_are_downloaded_from_the_web(u1: Person, web: Web) -> None:
    image_id = u1.make()
    assert begin(u1, image_id, order("web-download", _uri=web.place(BYTES), stores=["cold"])) == 202
    image = u1.settled(image_id)
    assert (image["status"], image["stores"], image["size"]) == ("active", "cold", len(BYTES))
    assert u1.get(f"/images/{image_id}/file").body == BYTES


@pytest.mark.parametrize(
    "uri",
    [
        None,
        "file:///etc/passwd",
        "ftp://example.com/",
        "http://127.0.0.2/",
        "http://169.254.169.254/",
        "http://127.0.0.1:9391/",
        "http://[::1]/",
        "http://u:p@example.com/",
        "http://2130706433/",
        "text",
    ],
)
def test_097_a_forbidden_source_is_refused_at_once(u1: Person, uri: str | None) -> None:
    image_id = u1.make()
    assert begin(u1, image_id, order("web-download", **({"_uri": uri} if uri else {}))) == 400
    assert u1.show(image_id)["status"] == "queued"
    assert u1.get(f"/images/{image_id}/tasks").json["tasks"] == []


def test_097_the_operator_can_restrict_web_download_to_administrators(start_people, web: Web) -> None:
    found = start_people(**{"calotype.external_sources": "admin"})
    assert "web-download" in methods_of(found.adm)
    assert "web-download" not in methods_of(found.u1)
    image_id, document = found.u1.make(), order("web-download", _uri=web.place(BYTES))
    assert begin(found.u1, image_id, document) == 403
    assert begin(found.adm, image_id, document) == 202


def test_097_an_import_from_a_missing_source_is_accepted_and_fails_later(u1: Person, web: Web) -> None:
    image_id = u1.make()
    assert begin(u1, image_id, order("web-download", _uri=f"http://127.0.0.1:{web.port}/nosuch")) == 202
    image = u1.settled(image_id)
    assert (image["status"], image["os_glance_failed_import"]) == ("queued", "fast")
    (task,) = u1.get(f"/images/{image_id}/tasks").json["tasks"]
    assert (task["status"], task["result"]) == ("failure", None)
    assert task["message"] == "store 'web': the source at 127.0.0.1 answers 404 Not Found"
    assert "nosuch" not in str(task)
    assert u1.put(image_id, BYTES).status == 204


def test_098_imports_are_shown_as_tasks(u1: Person, u2: Person, adm: Person) -> None:
    image_id = stage(u1, visibility="community")
    answer = u1.send("POST", f"/images/{image_id}/import", order("glance-direct"))
    u1.settled(image_id)
    (task,) = u1.get(f"/images/{image_id}/tasks").json["tasks"]
    assert task["request_id"] == answer.headers["X-Openstack-Request-Id"]
    assert (task["type"], task["status"], task["owner"]) == ("api_image_import", "success", "P1")
    assert task["input"]["import_req"]["method"]["name"] == "glance-direct"
    assert task["input"]["backend"] == ["fast"]
    assert task["result"] == {"image_id": image_id}
    assert datetime.datetime.fromisoformat(task["created_at"]).tzinfo is None
    assert u2.get(f"/images/{image_id}/tasks").json["tasks"] == []
    assert [one["id"] for one in adm.get(f"/images/{image_id}/tasks").json["tasks"]] == [task["id"]]
    assert u1.get(f"/images/{fresh()}/tasks").status == 404


# -- several stores


def test_099_an_administrator_copies_an_image_into_another_store(u1: Person, adm: Person) -> None:
    image_id = u1.active(BYTES)
    assert begin(u1, image_id, order("copy-image", stores=["cold"])) == 403
    assert begin(adm, u1.make(), order("copy-image", stores=["cold"])) == 409
    assert begin(adm, image_id, order("copy-image", stores=["fast"])) == 400
    assert begin(adm, image_id, order("copy-image", stores=["cold"])) == 202
    image = adm.settled(image_id)
    assert (image["status"], image["stores"]) == ("active", "cold,fast")
    assert image["os_glance_importing_to_stores"] == ""
    assert begin(adm, image_id, order("copy-image", stores=["cold"])) == 400
    assert begin(adm, image_id, order("copy-image", all_stores=True)) == 202
    assert adm.settled(image_id)["stores"] == "cold,fast"


def test_100_an_administrator_removes_an_image_from_one_store(u1: Person, adm: Person) -> None:
    image_id = u1.active(BYTES)
    begin(adm, image_id, order("copy-image", all_stores=True))
    adm.settled(image_id)
    assert u1.delete(f"/stores/fast/{image_id}").status == 403
    assert adm.delete(f"/stores/nosuch/{image_id}").status == 409
    assert adm.delete(f"/stores/fast/{fresh()}").status == 404
    assert adm.delete(f"/stores/web/{image_id}").status == 404
    assert adm.delete(f"/stores/fast/{image_id}").status == 204
    assert adm.show(image_id)["stores"] == "cold"
    assert u1.server.blobs(image_id, "fast") == []
    assert adm.delete(f"/stores/cold/{image_id}").status == 403
    assert u1.get(f"/images/{image_id}/file").body == BYTES
    assert adm.delete(f"/stores/fast/{u1.make()}").status == 409


def test_102_stores_are_listed_in_alphabetical_order(u1: Person, adm: Person) -> None:
    image_id = u1.active(BYTES)
    begin(adm, image_id, order("copy-image", stores=["cold"]))
    assert adm.settled(image_id)["stores"] == "cold,fast"


def test_103_locations_are_neither_shown_nor_changed(u1: Person, adm: Person) -> None:
    image_id = u1.active(BYTES)
    for person in (u1, adm):
        assert {"locations", "direct_url"}.isdisjoint(person.show(image_id))
        change = op("add", "/locations/-", {"url": "http://example.com/", "metadata": {}})
        assert person.patch(image_id, change).status == 403
        assert person.get(f"/images/{image_id}/locations").status == 404


def test_107_an_import_continues_after_a_restart(start_people) -> None:
    found = start_people(**{"calotype.job_threads": "0"})
    u1, server = found.u1, found.server
    image_id = stage(u1)
    assert begin(u1, image_id, order("glance-direct", all_stores=True)) == 202
    server.kill()
    server.ini.write_text(server.ini.read_text().replace("job_threads = 0", "job_threads = 1"))
    server.start()
    assert u1.settled(image_id)["stores"] == "cold,fast"
    assert u1.get(f"/images/{image_id}/file").body == BYTES
