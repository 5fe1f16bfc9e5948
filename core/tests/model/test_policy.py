"""The table of rights, cell by cell, compared with the same table written a second time."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import pytest

from calotype.model import policy
from calotype.model.fields import new_id
from calotype.model.images import Image, Member, MemberStatus, Visibility
from calotype.model.policy import Caller, image_grants, may, may_set, scope_of, visible_members
from calotype.model.queries import Scope
from calotype.model.states import Status
from tests.support.rights import CALLERS, FRIEND, OWNER, SHARER, expected
from tests.support.workbench import Bench

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
PERMISSIONS = (
    *(policy.VIEW, policy.DOWNLOAD, policy.UPDATE, policy.UPLOAD),
    *(policy.DELETE, policy.SHARE, policy.ANSWER, policy.DEACTIVATE),
)


def make_image(
    status: Status = Status.ACTIVE, visibility: Visibility = Visibility.PRIVATE, **values: Any
) -> Image:
    members = (
        Member(FRIEND, MemberStatus.PENDING, False, NOW, NOW),
        Member(SHARER, MemberStatus.ACCEPTED, True, NOW, NOW),
    )
    defaults = {"id": "i", "created_at": NOW, "updated_at": NOW, "owner": OWNER, "members": members}
    return Image(status=status, visibility=visibility, **{**defaults, **values})


def add_image(bench: Bench, status: Status, visibility: Visibility) -> str:
    """Add the image that `make_image` describes to the database, and return its id."""
    image_id = new_id()
    with bench.database.unit() as unit:
        unit.add_image(image_id, {"visibility": visibility, "owner": OWNER}, {})
        unit.set_member(image_id, FRIEND)
        unit.set_member(image_id, SHARER, can_share=True, status=MemberStatus.ACCEPTED)
        if status is not Status.QUEUED:
            unit.move(image_id, {Status.QUEUED}, status)
    return image_id


def test_g_29_every_cell_of_the_table_of_rights_is_as_documented() -> None:
    cells = list(itertools.product(CALLERS, PERMISSIONS, Status, Visibility))
    wrong = [
        cell
        for cell in cells
        if may(CALLERS[cell[0]], cell[1], image_grants(make_image(cell[2], cell[3]))) is not expected(*cell)
    ]
    assert wrong == []
    assert len(cells) == 11 * 8 * 8 * 4


def test_r_09_an_image_that_a_caller_may_not_view_is_not_even_read(bench: Bench) -> None:
    cells = list(itertools.product(CALLERS, Status, Visibility))
    wrong = []
    for who, status, visibility in cells:
        image_id = add_image(bench, status, visibility)
        caller = CALLERS[who]
        found = bench.database.find_visible(image_id, scope_of(caller), caller.project, deleted=True)
        if (found is not None) is not expected(who, policy.VIEW, status, visibility):
            wrong.append((who, status, visibility))
    assert wrong == []
    assert len(cells) == 11 * 8 * 4


def test_a_tombstone_is_found_only_on_request(bench: Bench) -> None:
    image_id = add_image(bench, Status.DELETED, Visibility.PUBLIC)
    assert bench.database.find_visible(image_id, Scope.PUBLIC, None) is None
    assert bench.database.find_visible(image_id, Scope.PUBLIC, None, deleted=True).id == image_id


@pytest.mark.parametrize("permission", [policy.LIST, policy.CREATE, policy.OPERATE])
def test_everybody_may_list_writers_may_create_and_admins_may_operate(
    permission: str,
) -> None:
    allowed = {who for who in CALLERS if may(CALLERS[who], permission, policy.COLLECTION_GRANTS)}
    readers = {who for who in CALLERS if who.endswith("reader")}
    assert (
        allowed
        == {
            policy.LIST: set(CALLERS),
            policy.CREATE: set(CALLERS) - readers - {"anonymous"},
            policy.OPERATE: {"admin"},
        }[permission]
    )


def test_only_an_admin_may_view_an_image_without_an_owner() -> None:
    image = make_image(owner=None)
    assert {who for who in CALLERS if may(CALLERS[who], policy.VIEW, image_grants(image))} == {"admin"}


def test_no_name_of_a_project_gives_the_rights_of_another() -> None:
    for project in (f"{OWNER}:write", "role:admin", "admin", "", "authenticated", f"project:{OWNER}"):
        caller = Caller("x", project, frozenset({"member"}))
        image = make_image(visibility=Visibility.PRIVATE)
        assert not any(may(caller, permission, image_grants(image)) for permission in PERMISSIONS), project


def test_no_name_of_a_project_makes_its_reader_a_writer() -> None:
    image = make_image(owner="a:write")
    assert not may(Caller("x", "a", frozenset({"member"})), policy.UPDATE, image_grants(image))
    assert not may(Caller("r", "a:write", frozenset({"reader"})), policy.UPDATE, image_grants(image))


SETTABLE = {"name", "visibility", "protected", "os_hidden", "min_disk", "min_ram", "owner"} | {
    "disk_format",
    "container_format",
}


def test_defence_2_only_listed_fields_can_be_set() -> None:
    for caller in CALLERS.values():
        for field in set(Image.__dataclass_fields__) - SETTABLE:
            assert not may_set(caller, field, "anything", None)
            assert not may_set(caller, field, "anything", make_image(Status.QUEUED))


@pytest.mark.parametrize("image", [None, make_image()], ids=["new", "there"])
def test_g_16_only_an_admin_publishes(image: Image | None) -> None:
    allowed = {who for who in CALLERS if may_set(CALLERS[who], "visibility", Visibility.PUBLIC, image)}
    assert allowed == {"admin"}
    for who, other in itertools.product(CALLERS, set(Visibility) - {Visibility.PUBLIC}):
        assert may_set(CALLERS[who], "visibility", other, image)


def test_a_public_image_may_be_set_to_public_without_an_admin() -> None:
    image = make_image(visibility=Visibility.PUBLIC)
    assert may_set(CALLERS["owner"], "visibility", Visibility.PUBLIC, image)


def test_h_01_only_an_admin_gives_an_image_away() -> None:
    for who, caller in CALLERS.items():
        assert may_set(caller, "owner", "other", None) is (who == "admin")
        assert may_set(caller, "owner", "other", make_image()) is (who == "admin")
        assert may_set(caller, "owner", OWNER, make_image())


@pytest.mark.parametrize("field", ["disk_format", "container_format"])
def test_formats_can_be_set_until_the_image_has_bytes(field: str) -> None:
    for status in Status:
        image = make_image(status, **{field: "raw"})
        assert may_set(CALLERS["owner"], field, "qcow2", image) is (status is Status.QUEUED)
        assert may_set(CALLERS["owner"], field, "raw", image)
        assert may_set(CALLERS["owner"], field, "raw", make_image(status))


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("admin", {FRIEND, SHARER}),
        ("owner", {FRIEND, SHARER}),
        ("member", {FRIEND}),
        ("member who may share", {SHARER}),
        ("stranger", set()),
        ("nobody's", set()),
        ("anonymous", set()),
    ],
)
def test_a_member_sees_its_own_membership_and_the_owner_sees_all(who: str, seen: set[str]) -> None:
    image = make_image(visibility=Visibility.SHARED)
    assert {member.project for member in visible_members(CALLERS[who], image)} == seen


@pytest.mark.parametrize(
    ("roles", "writes"),
    [((), True), (("reader",), False), (("member",), True), (("reader", "member"), True), (("admin",), True)],
)
def test_only_a_caller_whose_sole_role_is_reader_cannot_write(roles: tuple[str, ...], writes: bool) -> None:
    assert (policy.WRITER in Caller("u", "p", frozenset(roles)).principals) is writes


def test_an_anonymous_caller_has_only_the_anonymous_principal() -> None:
    caller = Caller("u", OWNER, frozenset({"member"}), anonymous=True)
    assert caller.principals == {policy.ANONYMOUS}
