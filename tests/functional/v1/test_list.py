"""Checks 70 to 82: lists, filters, sorting and paging."""

from __future__ import annotations

import datetime
import uuid

import pytest

from tests.support.v1 import BYTES, FORMATS, V1, assert_refused

KEYS = {
    *("id", "name", "disk_format", "container_format", "size", "virtual_size", "status", "is_public"),
    *("protected", "min_disk", "min_ram", "owner", "checksum", "created_at", "updated_at", "deleted_at"),
    *("deleted", "properties"),
}


@pytest.fixture
def three(fresh: V1) -> tuple[str, str, str]:
    """Return three images, oldest first, with other orders by name and by size."""
    made = [fresh.store(b"x" * size, name=name) for name, size in (("b", 20), ("c", 10), ("a", 30))]
    return tuple(image["id"] for image in made)


def test_070_the_entries_of_a_list_have_the_keys_of_images_v1(v1: V1) -> None:
    v1.store(name="keys", property_os="linux")
    (brief,) = v1.list("limit=1", detail=False)
    assert set(brief) == {"id", "name", "size", "disk_format", "container_format", "checksum"}
    (detail,) = v1.list("limit=1")
    assert set(detail) == KEYS
    assert detail["properties"] == {"os": "linux"}


def test_071_a_list_is_sorted_newest_first_or_as_requested(fresh: V1, three: tuple[str, ...]) -> None:
    b, c, a = three
    assert fresh.ids() == [a, c, b]
    assert fresh.ids("sort_key=name&sort_dir=asc") == [a, b, c]
    assert fresh.ids("sort_key=size&sort_dir=desc") == [a, b, c]
    for key in ("status", "container_format", "disk_format", "created_at", "updated_at"):
        assert fresh.ids(f"sort_key={key}&sort_dir=asc") == [b, c, a], key
    assert fresh.ids("sort_key=id") == sorted(three, reverse=True)


def test_072_a_page_begins_after_the_marker(fresh: V1, three: tuple[str, ...]) -> None:
    first, second, third = reversed(three)
    assert fresh.ids("limit=2") == [first, second]
    assert fresh.ids(f"marker={first}") == [second, third]
    assert fresh.ids(f"limit=1&marker={second}") == [third]
    assert fresh.ids(f"marker={third}") == []


def test_072_a_page_links_to_the_next_one_if_there_is_one(fresh: V1, three: tuple[str, ...]) -> None:
    page = fresh.get("/images/detail?limit=2&sort_key=name&sort_dir=asc&property-x=").json
    assert "next" not in page  # no image has that property
    page = fresh.get("/images/detail?limit=2&sort_key=name&sort_dir=asc").json
    last = fresh.server.get(page["next"]).json
    names = [image["name"] for image in page["images"] + last["images"]]
    assert (names, "next" in last) == (["a", "b", "c"], False)
    assert "Link" not in fresh.get("/images?limit=1").headers


def test_073_a_page_has_25_images_by_default_and_1000_at_most(fresh: V1) -> None:
    made = {fresh.make()["id"] for _ in range(30)}
    assert len(fresh.ids()) == 25
    assert set(fresh.ids("limit=1001")) == made
    assert fresh.ids("limit=0") == []


def test_073_the_service_caps_the_limit(start_server) -> None:
    v1 = V1(start_server({"calotype.list_limit": "2"}))
    for _ in range(3):
        v1.make()
    assert len(v1.ids("limit=1001")) == 2


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("limit=abc", "limit param must be an integer"),
        ("limit=", "limit param must be an integer"),
        ("limit=-1", "limit param must be an integer, and positive, not '-1'"),
        ("limit=%EF%BC%91", "limit param must be an integer"),
        ("marker=zz", "Invalid marker format"),
        ("marker=", "Invalid marker format"),
        (f"marker={uuid.UUID(int=9)}", "Invalid marker. Image could not be found."),
        ("sort_key=foo", "Unsupported sort_key"),
        ("sort_key=owner", "Unsupported sort_key"),
        ("sort_dir=up", "Unsupported sort_dir"),
        ("sort_dir=ASC", "Unsupported sort_dir"),
        ("size_min=-1", "Bad value passed to filter size_min got -1"),
        ("size_max=x", "Bad value passed to filter size_max got x"),
        ("min_ram=x", "Bad value passed to filter min_ram got x"),
        ("min_disk=x", "Bad value passed to filter min_disk got x"),
        ("is_public=imalittleteapot", "Bad value passed to filter is_public got imalittleteapot"),
        ("protected=junk", "Bad value passed to filter protected got junk"),
        ("protected=none", "protected"),
        ("changes-since=", "Unrecognized changes-since value"),
        ("changes-since=9999-12-31T23:59:59-01:00", "Unrecognized changes-since value"),
        ("changes-since=yesterday", "Unrecognized changes-since value"),
    ],
)
def test_074_an_invalid_query_is_refused(v1: V1, query: str, word: str) -> None:
    for path in ("/images", "/images/detail"):
        assert_refused(v1.get(f"{path}?{query}"), 400, word)


def test_075_a_filter_finds_only_images_with_exactly_its_value(fresh: V1) -> None:
    exact = fresh.store(name="My Image!")["id"]
    other = fresh.make(name="my image!", disk_format="vdi", container_format="bare")["id"]
    assert fresh.ids("name=My%20Image!") == [exact]
    assert fresh.ids("status=queued") == [other]
    assert fresh.ids("container_format=ovf") == [exact]
    assert fresh.ids("disk_format=vdi") == [other]
    assert fresh.ids("disk_format=vdi&name=My%20Image!") == []
    for nothing in (
        "name=%00",
        "property-x=%00",
        "property-%00=x",
        "min_ram=99999999999",
        "name=a:b",
        "name=in:My%20Image!",
        "status=nosuch",
        "name=",
        "name=%25",
    ):
        assert fresh.ids(nothing) == []


def test_076_bounds_of_size_are_inclusive(fresh: V1, three: tuple[str, ...]) -> None:
    b, c, a = three
    assert fresh.ids("size_min=20") == [a, b]
    assert fresh.ids("size_max=20") == [c, b]
    assert fresh.ids("size_min=20&size_max=20") == [b]


def test_076_min_disk_and_min_ram_are_compared_for_equality(fresh: V1) -> None:
    image_id = fresh.make(min_ram="512", min_disk="5")["id"]
    assert fresh.ids("min_ram=512") == fresh.ids("min_disk=5") == [image_id]
    assert fresh.ids("min_ram=511") == fresh.ids("min_disk=4") == []


def test_077_an_administrator_chooses_public_private_or_all(fresh: V1) -> None:
    public, private = fresh.make(is_public="True")["id"], fresh.make()["id"]
    for everything in ("is_public=None", "is_public=none"):
        assert set(fresh.ids(everything)) == {public, private}
    for hidden in ("is_public=False", "is_public=0"):
        assert fresh.ids(hidden) == [private]
    for usual in ("is_public=True", "is_public=1", ""):
        assert set(fresh.ids(usual)) == {public, private}  # the private one is the caller's own


def test_078_a_list_can_be_filtered_by_protected(fresh: V1) -> None:
    protected, other = fresh.make(protected="True")["id"], fresh.make()["id"]
    for yes in ("True", "1", "true"):
        assert fresh.ids(f"protected={yes}") == [protected]
    for no in ("False", "0"):
        assert fresh.ids(f"protected={no}") == [other]
    fresh.put(protected, protected="False")


def test_079_a_list_can_be_filtered_by_properties(fresh: V1) -> None:
    wanted = fresh.make(name="x", property_pants="are on", property_hat="yes")["id"]
    fresh.make(name="y", property_pants="are off")
    assert fresh.ids("property-pants=are%20on") == [wanted]
    assert fresh.ids("property-pants=are%20on&property-hat=yes&name=x") == [wanted]
    assert fresh.ids("property-pants=are%20on&name=y") == []
    assert fresh.ids("property-pants=are%20on&property-hat=no") == []
    assert fresh.ids("property-nosuch=1") == []


def test_080_changes_since_includes_deleted_images(fresh: V1) -> None:
    now = datetime.datetime.now(datetime.UTC)
    yesterday, tomorrow = ((now + datetime.timedelta(days=days)).date() for days in (-1, 1))
    image_id = fresh.make(property_mark=str(uuid.uuid4()))["id"]
    fresh.delete(f"/images/{image_id}")
    changed = {image["id"]: image for image in fresh.list(f"changes-since={yesterday}&limit=1000")}
    assert (changed[image_id]["deleted"], changed[image_id]["status"]) == (True, "deleted")
    assert changed[image_id]["deleted_at"]
    assert image_id not in fresh.ids("limit=1000")
    assert fresh.ids(f"changes-since={tomorrow}") == []


def test_080_changes_since_respects_the_offset(fresh: V1) -> None:
    image_id = fresh.make()["id"]
    hour_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=30)
    local = f"{hour_ago:%Y-%m-%dT%H:%M:%S}"
    assert image_id in fresh.ids(f"changes-since={local}")
    assert image_id in fresh.ids(f"changes-since={local}Z")
    assert image_id in fresh.ids(f"changes-since={local}%2B01:00")
    assert image_id not in fresh.ids(f"changes-since={local}-01:00")


def test_081_a_killed_image_is_not_listed(v1: V1) -> None:
    image_id = str(uuid.uuid4())
    assert v1.post(BYTES, id=image_id, size="1", is_public="True", **FORMATS).status == 400
    assert v1.head(image_id).meta["status"] == "killed"
    for query in ("limit=1000", "status=killed", "is_public=none&status=killed"):
        assert image_id not in v1.ids(query)
    assert image_id in v1.ids("changes-since=2020-01-01&limit=1000&status=killed")


def test_082_an_unknown_parameter_of_a_list_is_ignored(fresh: V1) -> None:
    image_id = fresh.make()["id"]
    assert fresh.ids("foo=bar&deleted=True&owner=x&Limit=0") == [image_id]


def test_bug_40_paging_by_a_nullable_field_skips_and_repeats_nothing(fresh: V1) -> None:
    made = {fresh.make(**({"name": f"n{number}"} if number % 3 else {}))["id"] for number in range(12)}
    for key in ("name", "disk_format", "size"):
        for direction in ("asc", "desc"):
            seen: list[str] = []
            while page := fresh.ids(f"sort_key={key}&sort_dir={direction}&limit=5{_after(seen)}"):
                seen += page
            assert sorted(seen) == sorted(made), (key, direction)


def _after(seen: list[str]) -> str:
    return f"&marker={seen[-1]}" if seen else ""


def test_113_paging_by_name_gives_each_image_once(fresh: V1) -> None:
    made = {fresh.make(**({"name": f"n{number % 4}"} if number < 15 else {}))["id"] for number in range(45)}
    seen: list[str] = []
    while page := fresh.ids(f"sort_key=name&sort_dir=asc&limit=20{_after(seen)}"):
        seen += page
    assert (len(seen), set(seen)) == (45, made)
