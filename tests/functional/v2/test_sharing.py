"""Checks 82 to 87: tags and members."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.support.v2 import Person, fresh, op


@pytest.mark.parametrize("tag", ["plain", "v1.2", "a.json", "größe", "two words", "a+b", "☃", "@at", "%"])
def test_082_a_tag_can_be_added_and_removed(u1: Person, tag: str) -> None:
    path = f"/images/{(image_id := u1.make())}/tags/{quote(tag)}"
    assert u1.ask("PUT", path).status == 204
    assert u1.ask("PUT", path).status == 204
    assert u1.show(image_id)["tags"] == [tag]
    assert u1.ids(f"?tag={quote(tag)}&id={image_id}") == [image_id]
    assert u1.delete(path).status == 204
    assert u1.delete(path).status == 404
    assert u1.show(image_id)["tags"] == []


def test_082_tags_are_limited_and_belong_to_the_owner(u1: Person, u2: Person, r1: Person) -> None:
    image_id = u1.make(tags=[f"t{n}" for n in range(128)], visibility="community")
    assert u1.ask("PUT", f"/images/{image_id}/tags/{'t' * 256}").status == 400
    assert u1.ask("PUT", f"/images/{image_id}/tags/one-more").status == 413
    assert u1.ask("PUT", f"/images/{image_id}/tags/a%2Fb").status == 404
    assert u2.ask("PUT", f"/images/{image_id}/tags/x").status == 403
    assert r1.ask("PUT", f"/images/{image_id}/tags/x").status == 403
    assert u2.ask("PUT", f"/images/{u1.make(visibility='private')}/tags/x").status == 404
    assert u1.ask("PUT", f"/images/{fresh()}/tags/x").status == 404


def test_083_a_project_can_be_added_once(u1: Person) -> None:
    image_id = u1.make()
    answer = u1.send("POST", f"/images/{image_id}/members", {"member": "P2"})
    member = answer.json
    assert answer.status == 200
    assert (member["member_id"], member["image_id"], member["status"]) == ("P2", image_id, "pending")
    assert member["schema"] == "/v2/schemas/member"
    assert u1.send("POST", f"/images/{image_id}/members", {"member": "P2"}).status == 409


@pytest.mark.parametrize(
    "document", [{}, {"member": ""}, {"member_id": "P2"}, [], "P2", {"member": 5}, {"member": "p" * 256}]
)
def test_083_an_invalid_member_is_refused(u1: Person, document: Any) -> None:
    assert u1.send("POST", f"/images/{u1.make()}/members", document).status == 400


@pytest.mark.parametrize("visibility", ["private", "community"])
def test_083_only_shared_images_have_members(u1: Person, visibility: str) -> None:
    path = f"/images/{u1.make(visibility=visibility)}/members"
    assert u1.send("POST", path, {"member": "P2"}).status == 403
    assert u1.get(path).status == 403


def test_083_members_are_limited(start_people) -> None:
    u1 = start_people(**{"calotype.max_members": "1"}).u1
    path = f"/images/{u1.make()}/members"
    assert u1.send("POST", path, {"member": "P2"}).status == 200
    assert u1.send("POST", path, {"member": "P3"}).status == 413


def shared(u1: Person, u2: Person, **document: Any) -> str:
    """Create an image of u1 with u2 as a member, and return its id."""
    image_id = u1.make(**document)
    assert u1.send("POST", f"/images/{image_id}/members", {"member": u2.project}).status == 200
    return image_id


def test_084_a_member_can_read_the_image_at_once_and_lists_it_after_accepting(u1: Person, u2: Person) -> None:
    word = fresh()
    image_id = shared(u1, u2, word=word)
    assert u2.show(image_id)["id"] == image_id
    assert u2.ids(f"?word={word}") == []
    assert u2.ids(f"?word={word}&member_status=pending&visibility=shared") == [image_id]
    assert u2.ids(f"?word={word}&member_status=all") == [image_id]
    for status, listed in (("accepted", [image_id]), ("rejected", []), ("pending", [])):
        answer = u2.send("PUT", f"/images/{image_id}/members/P2", {"status": status})
        assert (answer.status, answer.json["status"]) == (200, status)
        assert u2.ids(f"?word={word}") == listed
    assert u2.get(f"/images/{image_id}/file").status == 204


def test_085_only_the_member_accepts_or_rejects(u1: Person, u2: Person, r1: Person, adm: Person) -> None:
    path = f"/images/{shared(u1, u2)}/members/P2"
    assert u1.send("PUT", path, {"status": "accepted"}).status == 403
    assert r1.send("PUT", path, {"status": "accepted"}).status == 403
    for document in ({}, {"status": "maybe"}, [], {"status": None}):
        assert u2.send("PUT", path, document).status == 400
    assert u2.send("PUT", path, {"member": "P2", "status": "accepted"}).status == 200
    assert adm.send("PUT", path, {"status": "rejected"}).json["status"] == "rejected"


def test_086_a_member_sees_only_itself(u1: Person, u2: Person, r1: Person) -> None:
    image_id = shared(u1, u2)
    path = f"/images/{image_id}/members"
    u1.send("POST", path, {"member": "P3"})
    assert [m["member_id"] for m in u2.get(path).json["members"]] == ["P2"]
    for person in (u1, r1):
        assert [m["member_id"] for m in person.get(path).json["members"]] == ["P2", "P3"]
    assert u1.get(path).json["schema"] == "/v2/schemas/members"
    assert u2.get(f"{path}/P3").status == 404
    assert u2.send("PUT", f"{path}/P3", {"status": "accepted"}).status == 404
    assert u1.get(f"{path}/nobody").status == 404
    assert u2.delete(f"{path}/P2").status == 403
    assert u2.send("POST", path, {"member": "P4"}).status == 403
    assert u1.delete(f"{path}/P2").status == 204
    assert u1.delete(f"{path}/P2").status == 404
    assert u2.get(f"/images/{image_id}").status == 404
    assert u2.get(path).status == 404


def test_087_memberships_survive_a_private_period(u1: Person, u2: Person) -> None:
    image_id = shared(u1, u2)
    u1.patch(image_id, op("replace", "/visibility", "private"))
    assert u1.get(f"/images/{image_id}/members").status == 403
    assert u1.get(f"/images/{image_id}/members/P2").status == 404
    assert u2.get(f"/images/{image_id}").status == 404
    u1.patch(image_id, op("replace", "/visibility", "shared"))
    assert u2.get(f"/images/{image_id}/members/P2").json["status"] == "pending"
