"""Checks 107 to 112: members."""

from __future__ import annotations

import uuid

import pytest

from tests.functional.v1.conftest import Tenants
from tests.support.server import OCTETS, meta
from tests.support.v1 import BYTES, V1, assert_refused


def share(v1: V1, image_id: str, project: str, can_share: object = None) -> int:
    """PUT a member, and return the status."""
    path = f"/images/{image_id}/members/{project}"
    if can_share is None:
        answer = v1.request("PUT", path)
    else:
        answer = v1.put_json(path, {"member": {"can_share": can_share}})
    assert (answer.status == 204) == (answer.body == b"")
    return answer.status


def members(v1: V1, image_id: str) -> dict[str, bool]:
    """Return project -> can_share, as the caller sees it."""
    listed = v1.get(f"/images/{image_id}/members").json["members"]
    assert all(set(member) == {"member_id", "can_share"} for member in listed)
    return {member["member_id"]: member["can_share"] for member in listed}


def test_107_a_member_can_only_read_the_image(tenants: Tenants) -> None:
    name = uuid.uuid4().hex
    image_id = tenants.a.store(name=name)["id"]
    answer = tenants.a.request("PUT", f"/images/{image_id}/members/Bt")
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (204, b"", None)
    assert members(tenants.a, image_id) == {"Bt": False}
    assert tenants.b.get(f"/images/{image_id}").body == BYTES
    assert tenants.b.ids(f"name={name}") == [image_id]
    assert_refused(tenants.b.put(image_id, name="mine"), 404)
    assert_refused(tenants.b.delete(f"/images/{image_id}"), 404)
    assert tenants.c.head(image_id).status == 404


def test_108_a_member_with_can_share_can_share_the_image(tenants: Tenants) -> None:
    image_id = tenants.a.store()["id"]
    assert share(tenants.a, image_id, "Bt") == 204
    assert share(tenants.b, image_id, "C") == 404
    assert tenants.c.head(image_id).status == 404
    assert share(tenants.a, image_id, "Bt", True) == 204
    assert members(tenants.a, image_id) == {"Bt": True}
    assert share(tenants.b, image_id, "C") == 204
    assert tenants.c.head(image_id).status == 200
    assert share(tenants.a, image_id, "Bt") == 204  # without a body, nothing changes
    assert members(tenants.a, image_id) == {"Bt": True, "C": False}
    assert members(tenants.c, image_id) == {"C": False}


def test_109_a_project_lists_the_images_shared_with_it(tenants: Tenants) -> None:
    project = uuid.uuid4().hex
    image_id = tenants.a.make()["id"]
    assert share(tenants.a, image_id, project, True) == 204
    shared = [{"image_id": image_id, "can_share": True}]
    for caller in (tenants.a, tenants.admin):
        assert caller.get(f"/shared-images/{project}").json == {"shared_images": shared}
    assert tenants.b.get(f"/shared-images/{project}").json == {"shared_images": []}
    assert tenants.a.get("/shared-images/nobody").json == {"shared_images": []}
    assert share(tenants.a, image_id, "Bt") == 204
    assert {"image_id": image_id, "can_share": False} in tenants.b.get("/shared-images/Bt").json[
        "shared_images"
    ]
    tenants.a.delete(f"/images/{image_id}")
    assert tenants.a.get(f"/shared-images/{project}").json == {"shared_images": []}


def test_110_all_members_can_be_replaced_at_once(tenants: Tenants) -> None:
    image_id = tenants.a.make()["id"]
    path = f"/images/{image_id}/members"
    assert share(tenants.a, image_id, "old") == 204
    wanted = {"memberships": [{"member_id": "x"}, {"member_id": "y", "can_share": True}]}
    answer = tenants.a.put_json(path, wanted)
    assert (answer.status, answer.body) == (204, b"")
    assert members(tenants.a, image_id) == {"x": False, "y": True}
    kept = {"memberships": [{"member_id": "y"}]}
    assert tenants.a.put_json(path, kept).status == 204
    assert members(tenants.a, image_id) == {"y": True}


def test_a_private_image_created_in_the_classic_api_can_be_shared(tenants: Tenants) -> None:
    server, name = tenants.a.server, uuid.uuid4().hex
    made = server.post("/images", {**OCTETS, **meta(name=name), "X-Auth-Token": tenants.a.token}, BYTES)
    image_id = made.image["id"]
    assert server.query("SELECT visibility FROM images WHERE id = ?", image_id) == [("private",)]
    assert share(tenants.a, image_id, "Bt") == 204
    assert tenants.b.get(f"/images/{image_id}").body == BYTES
    assert tenants.b.ids(f"name={name}") == [image_id]


@pytest.mark.parametrize(
    "document",
    [
        *({}, [], [{"member_id": "x"}], 5, None),
        *({"memberships": given} for given in (None, {}, ["x"])),
        *({"memberships": [given]} for given in ({"can_share": True}, {"member_id": 5}, {"member_id": ""})),
    ],
)
def test_110_invalid_members_change_nothing(tenants: Tenants, document: object) -> None:
    image_id = tenants.a.make()["id"]
    share(tenants.a, image_id, "old")
    assert_refused(tenants.a.put_json(f"/images/{image_id}/members", document), 400)
    assert_refused(tenants.a.request("PUT", f"/images/{image_id}/members"), 400, "membership association")
    assert members(tenants.a, image_id) == {"old": False}


def test_111_a_membership_can_end_and_begin_again(tenants: Tenants) -> None:
    image_id = tenants.a.make()["id"]
    path = f"/images/{image_id}/members/x"
    assert share(tenants.a, image_id, "x", True) == 204
    answer = tenants.a.delete(path)
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (204, b"", None)
    assert_refused(tenants.a.delete(path), 404)
    assert share(tenants.a, image_id, "x") == 204
    assert members(tenants.a, image_id) == {"x": False}


def test_112_a_missing_image_has_no_members(tenants: Tenants) -> None:
    deleted = tenants.a.make()["id"]
    tenants.a.delete(f"/images/{deleted}")
    for caller in (tenants.a, tenants.admin):
        for image_id in (deleted, str(uuid.uuid4()), "42"):
            path = f"/images/{image_id}/members"
            assert_refused(caller.get(path), 404)
            assert_refused(caller.put_json(path, {"memberships": []}), 404)
            assert_refused(caller.request("PUT", f"{path}/x"), 404)
            assert_refused(caller.delete(f"{path}/x"), 404)


def test_112_the_number_of_members_is_limited(tenants: Tenants) -> None:
    image_id = tenants.a.make()["id"]
    path = f"/images/{image_id}/members"
    words = "limit has been exceeded on the number of allowed image members"
    most = {"memberships": [{"member_id": f"m{number}"} for number in range(128)]}
    assert tenants.a.put_json(path, most).status == 204
    assert_refused(tenants.a.request("PUT", f"{path}/more"), 413, words)
    most["memberships"].append({"member_id": "more"})
    assert_refused(tenants.a.put_json(path, most), 413, words)
    assert share(tenants.a, image_id, "m0", True) == 204
    assert len(members(tenants.a, image_id)) == 128


def test_112_a_caller_without_a_project_cannot_share(tenants: Tenants) -> None:
    private, public = tenants.a.make()["id"], tenants.admin.make(is_public="True")["id"]
    assert share(tenants.homeless, private, "x") == 404
    assert share(tenants.homeless, public, "x") == 404


@pytest.mark.parametrize("body", [b"{", b"\xff", b"nonsense", b'{"member":', b""])
def test_112_malformed_json_is_400(tenants: Tenants, body: bytes) -> None:
    image_id = tenants.a.make()["id"]
    if body:
        assert_refused(
            tenants.a.request("PUT", f"/images/{image_id}/members/x", body=body), 400, "Malformed JSON"
        )
    assert_refused(tenants.a.request("PUT", f"/images/{image_id}/members", body=body), 400)


@pytest.mark.parametrize("can_share", ["false", "true", 1, [], {}])
def test_bug_25_can_share_must_be_a_boolean(tenants: Tenants, can_share: object) -> None:
    image_id = tenants.a.make()["id"]
    assert share(tenants.a, image_id, "x", can_share) == 400
    assert members(tenants.a, image_id) == {}


@pytest.mark.parametrize("project", ["%00", "%0a", "x" * 256, "%e2%80%a8"])
def test_an_invalid_project_is_refused(tenants: Tenants, project: str) -> None:
    image_id = tenants.a.make()["id"]
    assert share(tenants.a, image_id, project) == 400
    assert tenants.a.delete(f"/images/{image_id}/members/{project}").status == 400
    assert tenants.a.get(f"/shared-images/{project}").status == 400
