"""Checks 31 to 48: lists, filters, sorting and visibility."""

from __future__ import annotations

import datetime
from urllib.parse import quote

import pytest

from tests.support.v2 import NOBODY, Person, fresh


def mark(person: Person, count: int, **document: object) -> tuple[str, list[str]]:
    """Create images with a new property, and return the query that finds them and their ids, oldest first."""
    word = fresh()
    return f"?word={word}", [person.make(word=word, **document) for _ in range(count)]


def test_031_pages_have_neither_gaps_nor_duplicates(u1: Person) -> None:
    query, made = mark(u1, 26)
    first = u1.get(f"/images{query}").json
    assert len(first["images"]) == 25
    assert first["next"].startswith("/v2/images?")
    assert first["first"] == f"/v2/images{query}"
    assert first["schema"] == "/v2/schemas/images"
    assert u1.ids(query) == made[::-1]


@pytest.mark.parametrize("limit", ["-1", "abc", "1.5", "", "٣"])
def test_032_a_limit_that_is_not_an_integer_is_400(u1: Person, limit: str) -> None:
    assert u1.get(f"/images?limit={quote(limit)}").status == 400


def test_032_a_limit_can_be_zero_or_huge(u1: Person) -> None:
    u1.make()
    nothing = u1.get("/images?limit=0").json
    assert nothing["images"] == []
    assert "next" not in nothing
    assert u1.get("/images?limit=5000").status == 200


def test_033_a_page_links_to_the_next_one_only_if_there_is_one(u1: Person) -> None:
    query, made = mark(u1, 4)
    first = u1.get(f"/images{query}&limit=2").json
    second = u1.get(first["next"]).json
    assert [image["id"] for page in (first, second) for image in page["images"]] == made[::-1]
    assert "next" not in second


@pytest.mark.parametrize("marker", [NOBODY, "", "abc"])
def test_034_an_unknown_marker_is_400(u1: Person, marker: str) -> None:
    assert u1.get(f"/images?marker={marker}").status == 400


def test_034_an_invisible_image_is_an_unknown_marker(u1: Person, u2: Person) -> None:
    assert u2.get(f"/images?marker={u1.make(visibility='private')}").status == 400


def test_035_all_tags_must_match_and_links_keep_them(u1: Person) -> None:
    a, b = fresh(), fresh()
    both = [u1.make(tags=[a, b]) for _ in range(3)]
    u1.make(tags=[a])
    first = u1.get(f"/images?tag={a}&tag={b}&limit=2").json
    assert first["next"].count("tag=") == 2
    assert u1.ids(f"?tag={a}&tag={b}&limit=2") == both[::-1]


def test_036_a_name_filter_can_have_several_quoted_names(u1: Person) -> None:
    word = fresh()
    names = [f"{word},b", f"{word}c", f"{word}:d"]
    ids = [u1.make(name=name) for name in names]
    assert u1.ids(f"?name=in:%22{word},b%22,{word}c") == [ids[1], ids[0]]
    assert u1.ids(f"?name={word}:d") == u1.ids(f"?name=eq:{word}:d") == [ids[2]]


@pytest.mark.parametrize("name", ['in:"a', "gt:x", 'in:a"b"', 'in:"a"b'])
def test_036_a_broken_name_filter_is_400(u1: Person, name: str) -> None:
    assert u1.get(f"/images?name={quote(name)}").status == 400


def test_037_an_unknown_status_finds_nothing(u1: Person) -> None:
    word = fresh()
    queued, active = u1.make(word=word), u1.active(word=word)
    assert u1.ids(f"?word={word}&status=in:active,queued") == [active, queued]
    assert u1.ids(f"?word={word}&status=active") == [active]
    assert u1.ids("?status=zzz") == []


def test_038_bounds_of_size_are_inclusive(u1: Person) -> None:
    word = fresh()
    sizes = {size: u1.active(b"x" * size, word=word) for size in (3, 5, 7)}
    u1.make(word=word)
    assert u1.ids(f"?word={word}&size_min=5") == [sizes[7], sizes[5]]
    assert u1.ids(f"?word={word}&size_max=5") == [sizes[5], sizes[3]]
    assert u1.ids(f"?word={word}&size=5") == [sizes[5]]
    for query in ("size_min=abc", "size_max=", "size=1.5", "foo_min=0", "name_max=1"):
        assert u1.get(f"/images?{query}").status == 400, query


def test_039_hidden_images_are_listed_only_on_request(u1: Person) -> None:
    query, (image_id,) = mark(u1, 1, os_hidden=True)
    assert u1.ids(query) == []
    assert u1.ids(f"{query}&os_hidden=True") == u1.ids(f"{query}&os_hidden=true") == [image_id]
    assert u1.get("/images?os_hidden=1").status == 400


def test_040_a_filter_for_protected_must_be_true_or_false(u1: Person) -> None:
    query, (image_id,) = mark(u1, 1, protected=True)
    assert u1.ids(f"{query}&protected=true") == [image_id]
    assert u1.ids(f"{query}&protected=false") == []
    assert u1.get("/images?protected=True").status == 400


def test_041_a_visibility_filter_can_narrow_or_widen_a_list(u1: Person, u2: Person) -> None:
    word = fresh()
    ids = {kind: u1.make(word=word, visibility=kind) for kind in ("private", "shared", "community")}
    for kind, image_id in ids.items():
        assert u1.ids(f"?word={word}&visibility={kind}") == [image_id]
    assert sorted(u1.ids(f"?word={word}")) == sorted(ids.values())
    assert u2.ids(f"?word={word}") == []
    assert u2.ids(f"?word={word}&visibility=all") == [ids["community"]]
    assert u2.ids(f"?word={word}&visibility=community&owner=P1") == [ids["community"]]
    assert u1.get("/images?visibility=Public").status == 400


def test_042_times_are_compared_in_whole_seconds(u1: Person) -> None:
    query, (image_id,) = mark(u1, 1)
    at = u1.show(image_id)["created_at"]
    moment = datetime.datetime.fromisoformat(at)
    before, after = ((moment + datetime.timedelta(seconds=s)).strftime("%Y-%m-%dT%H:%M:%SZ") for s in (-1, 1))
    found = {
        f"{operator}{time}": u1.ids(f"{query}&created_at={quote(operator + time)}") == [image_id]
        for operator in ("", "eq:", "neq:", "gt:", "gte:", "lt:", "lte:")
        for time in (before, at, after)
    }
    assert {key for key, there in found.items() if there} == {
        at, f"eq:{at}", f"neq:{before}", f"neq:{after}", f"gt:{before}",
        f"gte:{before}", f"gte:{at}", f"lt:{after}", f"lte:{at}", f"lte:{after}",
    }  # fmt: skip
    for text in ("zz:2026-01-01", "yesterday", "gt:", "in:2026-01-01T00:00:00Z"):
        assert u1.get(f"/images?created_at={quote(text)}").status == 400, text


def test_043_lists_are_sorted_as_requested(u1: Person) -> None:
    word = fresh()
    b, a, c = (u1.make(word=word, name=name) for name in "bac")
    assert u1.ids(f"?word={word}&sort=name:asc") == [a, b, c]
    assert u1.ids(f"?word={word}&sort=name") == [c, b, a]
    assert u1.ids(f"?word={word}&sort_key=name&sort_dir=asc&limit=1") == [a, b, c]
    assert u1.ids(f"?word={word}&sort_key=status&sort_key=name&sort_dir=desc&sort_dir=asc") == [a, b, c]
    assert u1.ids(f"?word={word}&sort_dir=asc") == [b, a, c]


@pytest.mark.parametrize(
    "query",
    ["sort=owner", "sort=", "sort=name:up", "sort=name&sort_key=id", "sort_key=id&sort_dir=asc&sort_dir=asc"],
)
def test_043_an_invalid_sort_is_400(u1: Person, query: str) -> None:
    assert u1.get(f"/images?{query}").status == 400


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_044_paging_by_size_includes_images_without_a_size(u1: Person, direction: str) -> None:
    word = fresh()
    made = [u1.make(word=word) for _ in range(3)] + [u1.active(b"x" * n, word=word) for n in (2, 1)]
    ids = u1.ids(f"?word={word}&sort=size:{direction}&limit=2")
    assert sorted(ids) == sorted(made)
    sizes = [u1.show(image_id)["size"] or 0 for image_id in ids]
    assert sizes == sorted(sizes, reverse=direction == "desc")


def test_045_a_parameter_that_is_not_a_field_filters_by_property(u1: Person) -> None:
    query, (image_id,) = mark(u1, 1)
    assert u1.ids(query) == [image_id]
    for nothing in ("nosuch=1", "locations=x", "properties=x", "stores=fast"):
        assert u1.ids(f"?{nothing}") == []


@pytest.mark.parametrize("query", ["changes-since=2026-01-01T00:00:00Z", "member_status=zz", "name=%ff"])
def test_046_filters_of_other_versions_are_400(u1: Person, query: str) -> None:
    assert u1.get(f"/images?{query}").status == 400


def test_047_a_list_has_public_own_and_accepted_images(u1: Person, u2: Person, adm: Person) -> None:
    word = fresh()
    public = adm.make(word=word, visibility="public")
    community = u1.make(word=word, visibility="community")
    u1.make(word=word, visibility="private")
    assert u2.ids(f"?word={word}") == [public]
    assert u2.ids(f"?word={word}&visibility=community") == [community]


def test_048_an_administrator_sees_private_images(u1: Person, adm: Person) -> None:
    query, (image_id,) = mark(u1, 1, visibility="private")
    assert adm.ids(query) == [image_id]
