"""Audit records: one for each change in any dialect, in the table and in the log."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.support.forked import run_manage
from tests.support.v2 import OCTETS, Person, fresh, op
from tests.support.web import Web

ROW = re.compile(r"calotype\.audit (\{.*\})$", re.MULTILINE)


def trail(adm: Person, image_id: str, query: str = "") -> list[dict[str, Any]]:
    """Return the records of an image, oldest first."""
    answer = adm.get(f"/audit?image={image_id}&limit=100{query}")
    assert answer.status == 200, answer.text
    return answer.json["audit"][::-1]


def told(records: list[dict[str, Any]]) -> list[str]:
    """Return records as verb, outcome and user."""
    return [f"{one['verb']} {one['outcome']} {one['user_id']}" for one in records]


def logged(person: Person, image_id: str) -> list[dict[str, Any]]:
    """Return the lines of the audit log about an image."""
    return [one for one in map(json.loads, ROW.findall(person.server.log)) if image_id in str(one)]


def test_every_change_by_images_v2_is_a_record_and_a_line_of_the_log(
    u1: Person, u2: Person, adm: Person
) -> None:
    """r1-E10: both have time, user, project, token, address, verb, image, request and outcome."""
    image_id = u1.make(visibility="shared")
    answer = u1.put(image_id, b"bytes of an image")
    assert u1.patch(image_id, op("add", "/word", "x"), op("replace", "/name", "n")).status == 200
    u1.ask("PUT", f"/images/{image_id}/tags/red")
    u1.delete(f"/images/{image_id}/tags/red")
    u1.send("POST", f"/images/{image_id}/members", {"member": "P2"})
    u2.send("PUT", f"/images/{image_id}/members/P2", {"status": "accepted"})
    u1.delete(f"/images/{image_id}/members/P2")
    for verb in ("deactivate", "deactivate", "reactivate"):  # the second one has no effect
        assert u1.ask("POST", f"/images/{image_id}/actions/{verb}").status == 204
    u1.show(image_id)
    assert u1.delete(f"/images/{image_id}").status == 204
    records = trail(adm, image_id)
    assert told(records) == [
        *("create done u1", "upload done u1", "update done u1", "tag done u1", "untag done u1"),
        *("share done u1", "answer done u2", "unshare done u1", "deactivate done u1", "reactivate done u1"),
        "delete done u1",
    ]
    upload = records[1]
    assert (upload["project_id"], upload["address"], upload["agent"]) == ("P1", "127.0.0.1", "api")
    assert upload["token_id"] == u1.token.partition(".")[0]
    assert upload["request_id"] == answer.headers["x-openstack-request-id"]
    assert upload["detail"] == "17 bytes in store fast"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", upload["time"])
    assert records[2]["detail"] == "name, property word"
    without_ids = [{name: value for name, value in one.items() if name != "id"} for one in records]
    assert logged(u1, image_id) == without_ids


def test_every_change_by_the_classic_api_and_v1_is_recorded(u1: Person, adm: Person) -> None:
    """r1-E10"""
    owner = {"X-Auth-Token": u1.token, "Content-Type": OCTETS}
    formats = {"x-image-meta-disk_format": "raw", "x-image-meta-container_format": "bare"}
    for base in ("/images", "/v1/images"):
        given = {**owner, **formats, "x-image-meta-property-word": "x"}
        made = u1.server.post(base, given, b"bytes").json["image"]["id"]
        bare = {"X-Auth-Token": u1.token}
        assert u1.server.put(f"{base}/{made}", {**bare, "x-image-meta-name": "n"}).status == 200
        assert u1.server.put(f"/v1/images/{made}/members/P2", bare).status == 204
        assert u1.server.request("DELETE", f"{base}/{made}", bare).status == 200
        records = trail(adm, made)
        assert "property word" in records[0]["detail"]
        # v1 purges other properties, and classic keeps them.
        assert ("without property word" in records[2]["detail"]) is base.startswith("/v1")
        verbs = [one["verb"] for one in records]
        # Sharing a private image in v1 makes its visibility shared.
        assert verbs == ["create", "upload", "update", "share", "delete"]


def test_a_job_is_recorded_at_its_start_and_its_end(u1: Person, adm: Person, web: Web) -> None:
    """r1-E10, r1-E11, r1-E12: with the user who started it; a failure has its reason everywhere."""
    copied, failed = u1.make(), u1.make()
    sources = {copied: web.place(b"bytes"), failed: f"http://127.0.0.1:{web.port}/not-there"}
    for image_id, uri in sources.items():
        document = {"method": {"name": "web-download", "uri": uri}}
        assert u1.send("POST", f"/images/{image_id}/import", document).status == 202
    reason = u1.settled(failed)["status_reason"]
    assert u1.settled(copied)["status"] == "active"
    assert told(trail(adm, copied)) == ["create done u1", "import accepted u1", "import done u1"]
    assert told(trail(adm, failed)) == ["create done u1", "import accepted u1", "import failed u1"]
    asked, ended = trail(adm, failed)[1:]
    assert (asked["agent"], ended["agent"], ended["detail"]) == ("api", "job", reason)
    assert ended["request_id"] == asked["request_id"]
    assert sources[failed] not in str(trail(adm, failed))
    listed = adm.get("/tasks?status=failure&limit=100").json["tasks"]
    assert [one["message"] for one in listed if one["image_id"] == failed] == [reason]


def test_an_upload_that_fails_is_recorded_and_leaves_a_reason_until_the_image_is_active(
    u1: Person, adm: Person
) -> None:
    """r1-E11: every dialect shows the reason, and no client can set it."""
    image_id = u1.make()
    assert "status_reason" not in u1.show(image_id)
    head = f"PUT /v2/images/{image_id}/file HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {u1.token}\r\n"
    sent = f"{head}Content-Type: {OCTETS}\r\nContent-Length: 1000000\r\n\r\nonly these bytes"
    u1.server.speak(sent.encode(), hang_up=True)
    shown = u1.show(image_id)
    reason = shown["status_reason"]
    assert (shown["status"], reason) == (
        "queued",
        "Client disconnected before sending all data to the server.",
    )
    token = {"X-Auth-Token": u1.token}
    for path in (f"/images/{image_id}", f"/v1/images/{image_id}"):
        assert u1.server.head(path, token).headers["x-image-meta-status_reason"] == reason
    assert [
        one["status_reason"] for one in u1.get("/images?limit=100").json["images"] if one["id"] == image_id
    ]
    assert u1.get("/schemas/image").json["properties"]["status_reason"]["readOnly"] is True
    assert u1.patch(image_id, op("replace", "/status_reason", "mine")).status == 403
    assert u1.patch(image_id, op("add", "/status_reason", "mine")).status == 403
    assert u1.create(status_reason="mine").status == 403
    assert u1.patch(image_id, op("remove", "/status_reason")).status == 200  # as openstacksdk does
    assert u1.put(image_id, b"all of them").status == 204
    assert "status_reason" not in u1.show(image_id)
    uploads = [one for one in trail(adm, image_id) if one["verb"] == "upload"]
    assert [(one["outcome"], one["detail"]) for one in uploads] == [
        ("failed", reason),
        ("done", "11 bytes in store fast"),
    ]


def test_a_refused_change_is_in_the_log_but_not_in_the_table(
    u1: Person, u2: Person, r1: Person, adm: Person
) -> None:
    """r1-E10: refused requests cannot fill the table."""
    image_id = u1.make(visibility="community")
    assert u2.delete(f"/images/{image_id}").status == 403
    assert r1.patch(image_id, op("replace", "/name", "n")).status == 403
    assert u1.server.request("DELETE", f"/v2/images/{image_id}").status == 401
    assert told(trail(adm, image_id)) == ["create done u1"]
    assert told(logged(u1, image_id)) == [
        *("create done u1", "DELETE refused u2", "PATCH refused r1", "DELETE refused None")
    ]


def test_only_administrators_read_audit_records_in_pages(u1: Person, adm: Person) -> None:
    """r1-E10: lists can be filtered, and paging continues even after the marker was removed."""
    assert u1.get("/audit").status == 403
    assert u1.server.get("/v2/audit").status == 401
    image_id = u1.make()
    for number in range(4):
        u1.ask("PUT", f"/images/{image_id}/tags/{number}")
    page = adm.get(f"/audit?image={image_id}&limit=2").json
    assert [one["detail"] for one in page["audit"]] == ["3", "2"]
    assert page["first"] == f"/v2/audit?image={image_id}&limit=2"
    adm.server.execute("DELETE FROM audit WHERE image_id = ? AND detail = '2'", image_id)
    rest = adm.get(page["next"]).json
    assert [one["detail"] for one in rest["audit"]] == ["1", "0"]
    assert [one["verb"] for one in adm.get(rest["next"]).json["audit"]] == ["create"]
    assert trail(adm, image_id, "&user=u2") == trail(adm, image_id, "&project=P2") == []
    assert trail(adm, image_id, "&since=2999-01-01") == []
    assert len(trail(adm, image_id, "&since=2020-01-01T00:00:00Z&user=u1&project=P1&verb=tag")) == 3
    for query in ("image=x", "verb=x", "since=x", "marker=x", "marker=-1", "limit=x", "user=%00"):
        assert adm.get(f"/audit?{query}").status == 400, query
    assert adm.ask("POST", "/audit").headers["Allow"].startswith("GET")
    schema = adm.get("/schemas/audit").json["properties"]["audit"]["items"]["properties"]
    assert set(schema) == set(page["audit"][0])


def test_an_administrator_undeletes_an_image_and_both_ways_are_recorded(start_people) -> None:
    """r1-E10: `POST .../actions/undelete` works like the command."""
    people = start_people(**{"calotype.delete_grace": "3600", "calotype.sweep_interval": "0"})
    u1, adm = people.u1, people.adm
    image_id, undelete = u1.active(b"bytes to come back"), "/images/{}/actions/undelete"
    queued = u1.make()
    assert u1.ask("POST", undelete.format(image_id)).status == 403
    refused = adm.ask("POST", undelete.format(image_id))
    assert (refused.status, refused.json["error"]["message"]) == (
        409,
        f"Image {image_id} is not deleted; its status is active.",
    )
    for one in (image_id, queued):
        assert u1.delete(f"/images/{one}").status == 204
    assert u1.ask("POST", undelete.format(image_id)).status == 404
    assert adm.get(f"/images/{image_id}").status == 404
    assert adm.get(f"/images/{image_id}/file").status == 404
    assert adm.get(undelete.format(image_id)).status == 405
    assert adm.ask("POST", undelete.format(queued)).status == 404  # it had no bytes
    assert adm.ask("POST", undelete.format(fresh())).status == 404
    assert adm.ask("POST", undelete.format(image_id)).status == 204
    assert u1.get(f"/images/{image_id}/file").body == b"bytes to come back"
    assert u1.delete(f"/images/{image_id}").status == 204
    server = people.server
    done = run_manage(["images", "undelete", server.ini, image_id, *server.variables])
    assert done.returncode == 0, done.stderr
    records = [one for one in trail(adm, image_id) if one["verb"] == "undelete"]
    assert [(one["agent"], one["outcome"]) for one in records] == [("api", "done"), ("command", "done")]
    assert (records[0]["user_id"], records[1]["address"]) == ("adm", None)
    asked = [f"--image={image_id}", "--verb=undelete", "--user=adm", "--project=P0", "--since=2020-01-01"]
    listed = run_manage(["audit", server.ini, *server.variables, "--json", *asked])
    assert [json.loads(line) for line in listed.stdout.splitlines()] == records[:1]
    assert run_manage(["audit", server.ini, *server.variables, "--image=x"]).returncode == 2


def test_the_access_log_names_user_and_project_in_every_line(u1: Person, adm: Person) -> None:
    """r1-E10: this includes deletes. Unknown callers have dashes."""
    image_id = u1.make()
    answers = [
        u1.get(f"/images/{image_id}"),
        u1.delete(f"/images/{image_id}"),
        u1.get(f"/images/{image_id}"),
        u1.server.request("DELETE", f"/v2/images/{image_id}"),
    ]
    lines = []
    for answer in answers:
        found = u1.server.log_lines(answer.headers["x-openstack-request-id"])
        lines.append(next(line for line in found if "calotype.access" in line))
    assert [re.search(r"user=(\S+) project=(\S+) method=", line).groups() for line in lines] == [
        *[("u1", "P1")] * 3,
        ("-", "-"),
    ]


def test_without_audit_retention_only_the_log_has_records(start_people) -> None:
    """r1-E10: the log still has all records."""
    people = start_people(**{"calotype.audit_retention": "0"})
    image_id = people.u1.make()
    assert trail(people.adm, image_id) == []
    assert told(logged(people.u1, image_id)) == ["create done u1"]
