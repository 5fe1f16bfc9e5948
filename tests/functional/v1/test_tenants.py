"""Checks 101 to 106, and the rest of 66: visibility and rights."""

from __future__ import annotations

import uuid

import pytest

from tests.functional.v1.conftest import Tenants
from tests.support.v1 import BYTES, FORMATS, V1, assert_refused, changed, made


def marked() -> str:
    """Return a name by which a test finds its own images."""
    return uuid.uuid4().hex


def test_101_only_the_owner_sees_a_private_image(tenants: Tenants) -> None:
    name = marked()
    image = tenants.a.store(name=name)
    assert (image["owner"], image["is_public"]) == ("A", False)
    b, path = tenants.b, f"/images/{image['id']}"
    assert b.head(image["id"]).status == 404
    words = (404, f"Image with identifier {image['id']} not found")
    assert_refused(b.get(path), *words)
    assert_refused(b.put(image["id"], name="mine"), *words)
    assert_refused(b.put(image["id"], BYTES), *words)
    assert_refused(b.delete(path), *words)
    assert_refused(b.get(f"{path}/members"), *words)
    assert (b.ids(f"name={name}"), tenants.a.ids(f"name={name}")) == ([], [image["id"]])
    assert tenants.a.get(path).body == BYTES


def test_102_everybody_can_read_a_public_image(tenants: Tenants) -> None:
    image_id = tenants.admin.store(is_public="True", owner="A")["id"]
    assert tenants.b.get(f"/images/{image_id}").body == BYTES
    assert_refused(tenants.b.put(image_id, name="mine"), 403)
    assert_refused(tenants.b.delete(f"/images/{image_id}"), 403)
    assert changed(tenants.a.put(image_id, name="ours"))["is_public"] is True


def test_103_only_administrators_set_an_owner(tenants: Tenants) -> None:
    assert tenants.admin.make(owner="X")["owner"] == "X"
    image = tenants.a.make(owner="X")
    assert image["owner"] == "A"
    assert changed(tenants.a.put(image["id"], owner="X"))["owner"] == "A"
    assert changed(tenants.admin.put(image["id"], owner="X"))["owner"] == "X"
    assert tenants.a.head(image["id"]).status == 404


def test_104_only_administrators_publish(tenants: Tenants) -> None:
    image_id = str(uuid.uuid4())
    assert_refused(tenants.a.post(id=image_id, is_public="True"), 403)
    assert_refused(tenants.a.post(BYTES, id=image_id, is_public="True", **FORMATS), 403)
    assert tenants.admin.head(image_id).status == 404
    image_id = tenants.a.make()["id"]
    assert_refused(tenants.a.put(image_id, is_public="True"), 403)
    assert changed(tenants.admin.put(image_id, is_public="True"))["is_public"] is True


def test_105_only_administrators_list_other_projects_images(tenants: Tenants) -> None:
    name = marked()
    hidden = tenants.a.make(name=name)["id"]
    public = tenants.admin.make(name=name, is_public="True")["id"]
    own = tenants.b.make(name=name)["id"]
    for query in ("", "&is_public=none", "&is_public=False", "&is_public=1"):
        assert set(tenants.b.ids(f"name={name}{query}")) == {public, own}
    assert_refused(tenants.b.get("/images?is_public=junk"), 400)
    assert_refused(tenants.b.get(f"/images?marker={hidden}"), 400, "Image could not be found")


def test_106_an_administrator_sees_all_images_only_on_request(tenants: Tenants) -> None:
    name = marked()
    private = tenants.a.make(name=name)["id"]
    public = tenants.admin.make(name=name, is_public="True", owner="A")["id"]
    own = tenants.admin.make(name=name)["id"]
    assert set(tenants.admin.ids(f"name={name}")) == {public, own}
    assert set(tenants.admin.ids(f"name={name}&is_public=none")) == {private, public, own}
    assert set(tenants.admin.ids(f"name={name}&is_public=false")) == {private, own}


def test_066_only_administrators_read_a_deactivated_image(tenants: Tenants) -> None:
    image_id = tenants.a.store()["id"]
    tenants.a.server.execute("UPDATE images SET status = 'deactivated' WHERE id = ?", image_id)
    assert tenants.a.head(image_id).meta["status"] == "deactivated"
    assert_refused(tenants.a.get(f"/images/{image_id}"), 403)
    assert_refused(tenants.a.get(f"/images/{image_id}/file"), 403)
    assert tenants.admin.get(f"/images/{image_id}").body == BYTES


def test_bug_37_an_image_without_an_owner_is_not_visible_to_everybody(tenants: Tenants) -> None:
    image = tenants.admin.store(owner="")
    assert image["owner"] is None
    assert tenants.a.head(image["id"]).status == 404
    assert tenants.homeless.head(image["id"]).status == 404


def test_bug_27_an_administrator_without_a_project_can_list_images(tenants: Tenants) -> None:
    name = marked()
    shared = tenants.a.make(name=name)["id"]
    assert tenants.a.request("PUT", f"/images/{shared}/members/Bt").status == 204
    public = tenants.admin.make(name=name, is_public="True")["id"]
    assert tenants.overseer.ids(f"name={name}") == [public]
    assert set(tenants.overseer.ids(f"name={name}&is_public=none")) == {shared, public}


def test_r1_g4_an_admin_without_a_project_makes_images_for_projects_only(tenants: Tenants) -> None:
    """r1-G4: only administrators could see an image without an owner."""
    assert_refused(tenants.overseer.post(), 403)
    assert_refused(tenants.overseer.post(owner=""), 403)
    assert_refused(tenants.overseer.post(BYTES, **FORMATS), 403)
    image_id = tenants.overseer.make(owner="A")["id"]
    assert tenants.a.head(image_id).meta["owner"] == "A"
    assert changed(tenants.overseer.put(image_id, name="renamed"))["name"] == "renamed"


@pytest.mark.parametrize("token", ["junk", "", "0" * 12 + "." + "x" * 43])
def test_a_wrong_token_is_401_in_the_dialects_form(tenants: Tenants, token: str) -> None:
    stranger = V1(tenants.a.server)
    for path in ("/images", "/images/detail", f"/images/{uuid.uuid4()}", "/shared-images/A"):
        assert_refused(stranger.get(path, {"X-Auth-Token": token}), 401)
        assert_refused(stranger.get(path), 401)


def test_a_caller_without_a_project_owns_nothing(tenants: Tenants) -> None:
    assert_refused(tenants.homeless.post(), 403)
    public = made(tenants.admin.post(BYTES, is_public="True", **FORMATS))["id"]
    assert tenants.homeless.get(f"/images/{public}").body == BYTES
    assert_refused(tenants.homeless.put(public, name="x"), 403)
