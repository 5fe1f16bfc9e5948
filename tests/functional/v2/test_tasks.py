"""Tasks: administrators list those of all images, and create images by them."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.v2 import NOBODY, RAW, People, Person, fresh
from tests.support.web import Web

BYTES = b"bytes that lie elsewhere" * 100
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
BRIEF = {
    *("id", "type", "status", "owner", "created_at", "updated_at", "expires_at", "self", "schema"),
    *("image_id", "request_id", "user_id", "message"),
}
DETAILS = {"input", "result"}


def task(uri: str, /, **properties: Any) -> dict[str, Any]:
    """Return a document for a task that creates an image from a URI."""
    given = {"import_from": uri, "import_from_format": "raw", "image_properties": {**RAW, **properties}}
    return {"type": "import", "input": given}


def ended(person: Person, task_id: str) -> dict[str, Any]:
    """Wait until the task has ended, and return it."""
    end = time.monotonic() + 60
    while (found := person.get(f"/tasks/{task_id}").json)["status"] in ("pending", "processing"):
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def done(person: Person, uri: str, /, **properties: Any) -> dict[str, Any]:
    """Start a task, wait until it has ended, and return it."""
    answer = person.send("POST", "/tasks", task(uri, **properties))
    assert answer.status == 201, answer.text
    return ended(person, answer.json["id"])


def listed(person: Person, query: str = "") -> list[dict[str, Any]]:
    """Return the tasks on all pages of a list."""
    found, path = [], f"/tasks{query}"
    while path:
        answer = person.get(path)
        assert answer.status == 200, answer.text
        found += answer.json["tasks"]
        path = answer.json.get("next")
    return found


@pytest.fixture(scope="module")
def several(people: People, web: Web) -> list[str]:
    """Return ids of tasks, oldest first: two that created images, a failed one, an import and a copy."""
    u1, adm = people.u1, people.adm
    made = [done(adm, web.place(BYTES), name="first")["id"], done(adm, web.place(BYTES))["id"]]
    made.append(done(adm, f"http://127.0.0.1:{web.port}/nosuch")["id"])
    image_id = u1.make()
    method = {"name": "web-download", "uri": web.place(BYTES)}
    assert u1.send("POST", f"/images/{image_id}/import", {"method": method}).status == 202
    u1.settled(image_id)
    copy = {"method": {"name": "copy-image"}, "stores": ["cold"]}
    assert adm.send("POST", f"/images/{image_id}/import", copy).status == 202
    u1.settled(image_id)
    done_for_it = u1.get(f"/images/{image_id}/tasks").json["tasks"]
    return [*made, *(one["id"] for one in reversed(done_for_it))]


# -- an image is made by a task


def test_a_task_creates_an_image_from_a_uri(adm: Person, web: Web) -> None:
    asked = task(web.place(BYTES), name="made", visibility="public", os_distro="linux", tags=["new"])
    answer = adm.send("POST", "/tasks", asked)

    assert answer.status == 201
    begun = answer.json
    assert UUID.fullmatch(begun["id"])
    assert answer.headers["Location"] == f"{adm.server.base}/v2/tasks/{begun['id']}"
    assert begun["status"] in ("pending", "processing", "success")
    assert begun["request_id"] == answer.headers["X-Openstack-Request-Id"]
    task_ended = ended(adm, begun["id"])
    assert (task_ended["status"], task_ended["message"]) == ("success", "")
    image = adm.show(task_ended["result"]["image_id"])
    assert (image["status"], image["size"], image["stores"]) == ("active", len(BYTES), "fast")
    assert (image["name"], image["visibility"], image["owner"]) == ("made", "public", "P0")
    assert (image["os_distro"], image["tags"], image["disk_format"]) == ("linux", ["new"], "raw")
    assert adm.get(f"/images/{image['id']}/file").body == BYTES


def test_a_task_shows_everything_but_the_source(adm: Person, web: Web) -> None:
    found = done(adm, web.place(BYTES), name="told")

    assert set(found) == BRIEF | DETAILS
    assert (found["type"], found["owner"], found["user_id"]) == ("import", "P0", "adm")
    assert found["input"] == {"import_from_format": "raw", "image_properties": {**RAW, "name": "told"}}
    assert found["result"] == {"image_id": found["image_id"]}
    assert found["expires_at"] is None
    assert (found["self"], found["schema"]) == (f"/v2/tasks/{found['id']}", "/v2/schemas/task")
    for name in ("created_at", "updated_at"):
        assert MOMENT.fullmatch(found[name])
    assert str(web.port) not in str(found)


def test_a_task_is_listed_with_its_image(adm: Person, web: Web) -> None:
    found = done(adm, web.place(BYTES))
    (same,) = adm.get(f"/images/{found['image_id']}/tasks").json["tasks"]

    assert {name: same[name] for name in DETAILS | {"id", "type", "status"}} == {
        name: found[name] for name in DETAILS | {"id", "type", "status"}
    }


def test_the_format_of_the_source_is_the_default_format(adm: Person, web: Web) -> None:
    asked = task(web.place(BYTES))
    del asked["input"]["image_properties"]["disk_format"]
    answer = adm.send("POST", "/tasks", asked)

    assert answer.status == 201
    image_id = ended(adm, answer.json["id"])["result"]["image_id"]
    assert adm.show(image_id)["disk_format"] == "raw"


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "nowhere.invalid:{port}"])
def test_a_task_with_a_missing_source_fails_later_and_leaves_a_queued_image(
    adm: Person, web: Web, host: str
) -> None:
    """r1-E11: the message names the host, and not the path, which can contain secrets."""
    found = done(adm, f"http://{host.format(port=web.port)}/nosuch")

    assert (found["status"], found["result"]) == ("failure", None)
    assert f"the source at {host.partition(':')[0]} " in found["message"]
    assert "nosuch" not in str(found)
    image = adm.show(found["image_id"])
    assert (image["status"], image["os_glance_failed_import"]) == ("queued", "fast")
    assert adm.put(image["id"], BYTES).status == 204


def test_bytes_of_another_format_fail_the_task(adm: Person, web: Web) -> None:
    header = b"QFI\xfb\0\0\0\3" + bytes(1016)
    found = done(adm, web.place(header))

    assert found["status"] == "failure"
    assert "qcow2" in found["message"]
    assert adm.server.blobs(found["image_id"], "fast") == []


def test_an_image_that_is_deleted_before_its_task_begins_leaves_nothing(start_people, web: Web) -> None:
    found = start_people(**{"calotype.job_threads": "0"})
    adm, server = found.adm, found.server
    waiting = adm.send("POST", "/tasks", task(web.place(BYTES))).json
    assert adm.show(waiting["image_id"])["status"] == "importing"
    assert adm.delete(f"/images/{waiting['image_id']}").status == 204
    server.kill()
    server.ini.write_text(server.ini.read_text().replace("job_threads = 0", "job_threads = 1"))
    server.start()

    assert (ended(adm, waiting["id"])["status"], server.blobs(waiting["image_id"], "fast")) == ("failure", [])


# -- what is refused


def without(name: str) -> dict[str, Any]:
    """Return a document without one of its inputs."""
    asked = task("http://example.com/")
    return {**asked, "input": {key: value for key, value in asked["input"].items() if key != name}}


@pytest.mark.parametrize(
    "document",
    [
        *(None, [], "import", {}, {"type": "import"}, {"input": task("http://example.com/")["input"]}),
        *({"type": "import", "input": None}, {"type": "import", "input": {}}),
        *({**task("http://example.com/"), "type": kind} for kind in ("export", "api_image_import", None, 5)),
        *(without(name) for name in ("import_from", "import_from_format", "image_properties")),
        {**task("x"), "input": {**task("x")["input"], "import_from": 5}},
        {**task("x"), "input": {**task("x")["input"], "image_properties": "name"}},
        task("http://example.com/", container_format=None),
        task("http://example.com/", disk_format="qcow2"),
        task("http://example.com/", min_ram="much"),
        task("http://example.com/", id="text"),
        {**task("x"), "input": {**task("x")["input"], "import_from_format": "floppy"}},
    ],
    ids=str,
)
def test_an_invalid_document_leaves_neither_a_task_nor_an_image(adm: Person, document: Any) -> None:
    before = (len(listed(adm)), len(adm.ids("?visibility=all")))
    assert adm.send("POST", "/tasks", document).status == 400
    assert (len(listed(adm)), len(adm.ids("?visibility=all"))) == before


@pytest.mark.parametrize(
    "uri",
    [
        *(
            "file:///etc/passwd",
            "FILE:///etc/passwd",
            "ftp://example.com/",
            "gopher://example.com/",
            "text",
            "",
        ),
        *("http://127.0.0.2/", "http://169.254.169.254/", "http://[::1]/", "http://[::ffff:127.0.0.2]/"),
        *("http://127.0.0.1:9391/", "http://u:p@example.com/", "http://2130706434/", "http://0x7f000002/"),
        *("s3://key:secret@host/bucket", "http://", "http://\n127.0.0.1/", "x" * 3000, ""),
    ],
    ids=lambda uri: repr(uri[:40]),
)
def test_g_49_a_task_fetches_nothing_that_an_import_does_not(adm: Person, uri: str) -> None:
    before = (len(listed(adm)), len(adm.ids("?visibility=all")))
    answer = adm.send("POST", "/tasks", task(uri))
    assert answer.status == 400
    assert "secret" not in answer.text
    assert (len(listed(adm)), len(adm.ids("?visibility=all"))) == before


@pytest.mark.parametrize(
    ("properties", "status"),
    [
        ({"status": "active"}, 403),
        ({"os_glance_x": "y"}, 403),
        ({"tags": [f"t{n}" for n in range(129)]}, 413),
    ],
    ids=["the server's own", "reserved", "too many tags"],
)
def test_the_image_of_a_task_follows_the_usual_rules(
    adm: Person, web: Web, properties: Mapping[str, Any], status: int
) -> None:
    assert adm.send("POST", "/tasks", task(web.place(BYTES), **properties)).status == status


def test_a_taken_id_is_refused(adm: Person, web: Web) -> None:
    image_id = adm.make()
    assert adm.send("POST", "/tasks", task(web.place(BYTES), id=image_id)).status == 409


def test_a_task_can_be_neither_changed_nor_deleted(adm: Person, several: list[str]) -> None:
    for method in ("DELETE", "PUT", "PATCH", "POST"):
        answer = adm.server.request(method, f"/v2/tasks/{several[0]}", {"X-Auth-Token": adm.token})
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert adm.delete("/tasks").headers["Allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("name", [NOBODY, "text", "%00", "a" * 300, ".."])
def test_an_unknown_task_is_404(adm: Person, name: str) -> None:
    assert adm.get(f"/tasks/{name}").status == 404


@pytest.mark.parametrize("who", ["u1", "u2", "r1"])
def test_104_only_administrators_see_tasks(people: People, several: list[str], web: Web, who: str) -> None:
    person: Person = getattr(people, who)
    before = len(listed(people.adm))
    for path in ("/tasks", f"/tasks/{several[0]}", f"/tasks/{several[3]}", f"/tasks/{fresh()}"):
        assert person.get(path).status == 403
        assert person.delete(path).status == 403
    assert person.send("POST", "/tasks", task(web.place(BYTES))).status == 403
    assert person.send("POST", "/tasks", {}).status == 403
    assert len(listed(people.adm)) == before


# -- lists


def test_a_list_has_the_tasks_of_all_images_newest_first(adm: Person, several: list[str]) -> None:
    answer = adm.get("/tasks?limit=1000")
    found = {one["id"]: one for one in answer.json["tasks"]}

    assert [task_id for task_id in found if task_id in several] == several[::-1]
    assert answer.json["first"] == "/v2/tasks?limit=1000"
    assert answer.json["schema"] == "/v2/schemas/tasks"
    assert "next" not in answer.json
    assert [found[task_id]["type"] for task_id in several] == ["import"] * 3 + ["api_image_import"] * 2
    assert [found[task_id]["owner"] for task_id in several] == ["P0"] * 3 + ["P1"] * 2
    for one in found.values():
        assert set(one) == BRIEF


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("key", ["id", "type", "status", "created_at", "updated_at"])
def test_pages_of_tasks_show_each_once_in_the_requested_order(
    adm: Person, several: list[str], key: str, direction: str
) -> None:
    found = listed(adm, f"?limit=2&sort_key={key}&sort_dir={direction}")

    ids = [one["id"] for one in found]
    assert set(several) <= set(ids)
    assert len(set(ids)) == len(ids)
    values = [one[key] for one in found]
    assert values == sorted(values, reverse=direction == "desc")


def test_r1_g8_tasks_can_be_sorted_by_expires_at(adm: Person, several: list[str]) -> None:
    """r1-G8: no task expires, so the order is that of creation."""
    for direction, wanted in (("asc", several), ("desc", several[::-1])):
        found = listed(adm, f"?limit=2&sort_key=expires_at&sort_dir={direction}")
        assert [one["id"] for one in found if one["id"] in several] == wanted
        assert {one["expires_at"] for one in found} == {None}


def test_a_list_can_be_filtered_by_type_and_status(adm: Person, several: list[str]) -> None:
    def of(query: str) -> list[str]:
        return [one["id"] for one in listed(adm, query) if one["id"] in several]

    assert of("?type=import") == several[2::-1]
    assert of("?type=api_image_import&limit=1") == several[:2:-1]
    assert of("?status=failure&limit=1") == [several[2]]
    assert of("?status=success&type=import&limit=1") == several[1::-1]
    assert of("?status=processing") == []


def test_the_link_to_the_next_page_keeps_the_query(adm: Person, several: list[str]) -> None:
    page = adm.get("/tasks?type=import&limit=1&sort_dir=asc").json

    assert page["next"].startswith("/v2/tasks?type=import&limit=1&sort_dir=asc&marker=")
    assert adm.get("/tasks?limit=0").json["tasks"] == []


def test_a_marker_is_an_id_in_any_spelling(adm: Person, several: list[str]) -> None:
    pages = [adm.get(f"/tasks?limit=1&marker={one}").json for one in (several[2], several[2].upper())]
    assert [page["tasks"][0]["id"] for page in pages] == [several[1]] * 2


@pytest.mark.parametrize(
    "query",
    [
        *("limit=-1", "limit=x", "limit=", f"marker={NOBODY}", "marker=text", "marker=%00", "status=zzz"),
        *("type=export", "sort_key=owner", "sort_key=input", "sort_dir=up", "status=in:success,failure"),
    ],
)
def test_an_invalid_query_is_refused(adm: Person, query: str) -> None:
    assert adm.get(f"/tasks?{query}").status == 400


# -- schemas


def test_the_task_schemas_list_the_keys_of_task_documents(u1: Person) -> None:
    one, many = u1.get("/schemas/task").json, u1.get("/schemas/tasks").json

    assert (one["name"], set(one["properties"])) == ("task", BRIEF | DETAILS)
    assert many["name"] == "tasks"
    assert set(many["properties"]["tasks"]["items"]["properties"]) == BRIEF
    assert [link["rel"] for link in many["links"]] == ["first", "next", "describedby"]
