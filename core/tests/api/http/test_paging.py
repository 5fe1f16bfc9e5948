"""The position in a `next` link: encoding, strict decoding, and paging while images are deleted."""

from __future__ import annotations

import base64
import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webob.multidict import MultiDict

from calotype.api.http.paging import VALUES, VALUES_MAX, link_parameters, read_position
from calotype.database.queries import position
from calotype.model.fields import InvalidRequest, new_id
from calotype.model.images import Visibility
from calotype.model.queries import ImageQuery, Scope, SortKey
from calotype.model.states import Status
from tests.support.workbench import Bench, make_bench

EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
FIELDS = ("name", "status", "size", "created_at", "updated_at", "id")
MOMENTS = st.datetimes(timezones=st.just(datetime.UTC))
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=255)
VALUES_OF = {
    "name": TEXTS,
    "status": st.sampled_from(Status),
    "size": st.integers(0, 2**63 - 1),
    "created_at": MOMENTS,
    "updated_at": MOMENTS,
    "id": st.uuids().map(str),
}


def read(parameters: dict[str, str], fields: tuple[str, ...] = FIELDS) -> dict[str, Any] | None:
    return read_position(MultiDict(parameters), "id", fields)


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@given(st.fixed_dictionaries(VALUES_OF))
def test_the_position_in_a_next_link_is_read_back_unchanged(values: dict[str, Any]) -> None:
    """r1-H7"""
    values = {name: values[name] for name in FIELDS}
    parameters = link_parameters(values["id"], values)
    assert read(parameters) == values
    assert len(parameters[VALUES]) <= VALUES_MAX
    assert read({**parameters, "marker": new_id()}) is None  # another marker counts by itself
    assert read({"marker": values["id"]}) is None


@given(
    st.one_of(
        st.text(max_size=60), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(encoded)
    )
)
def test_text_that_is_not_a_position_is_refused(text: str) -> None:
    """r1-H7: a refused position does not reach the database."""
    with pytest.raises(InvalidRequest, match="follow the `next` link"):
        read({"marker": new_id(), VALUES: text})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("name", value) for value in (None, 1, ["a"], "a\0b", "\ud800")),
        *(("size", value) for value in (None, "1", 1.5, True, 2**63)),
        *(("created_at", value) for value in ("2026-01-01", 10**18, -(10**18), True)),
    ],
)
def test_a_value_that_does_not_fit_its_column_is_refused(field: str, value: Any) -> None:
    """r1-H7"""
    with pytest.raises(InvalidRequest):
        read({"marker": "x", VALUES: encoded([value])}, (field,))
    with pytest.raises(InvalidRequest):
        read({"marker": "x", VALUES: "A" * (VALUES_MAX + 1)}, (field,))


@settings(max_examples=25)
@given(data=st.data(), count=st.integers(1, 12), limit=st.integers(1, 4))
def test_paging_shows_each_remaining_image_once_despite_deletes(
    template: Path, data: st.DataObject, count: int, limit: int
) -> None:
    """r1-H7: this holds even if the marker itself was deleted."""
    keys = data.draw(st.lists(st.sampled_from(("name", "size", "status")), unique=True))
    sort = tuple(SortKey(key, data.draw(st.booleans())) for key in (*keys, "created_at", "id"))
    with make_bench(template) as bench:
        made = [_make(bench, data.draw(st.sampled_from(["a", "b", None]))) for _ in range(count)]
        gone: set[str] = set()
        seen: list[str] = []
        listing = ImageQuery(Scope.PUBLIC, sort=sort, limit=limit)
        expected = [image.id for image in bench.database.page(ImageQuery(Scope.PUBLIC, sort=sort)).images]
        while True:
            page = bench.database.page(listing)
            seen += [image.id for image in page.images]
            if not page.more or page.last is None:
                break
            link = MultiDict(link_parameters(page.last["id"], page.last))
            after = read_position(link, "id", [key.field for key in sort])
            assert after == position(page.images[-1], sort)
            gone |= _delete_some(bench, data, [one for one in made if one not in gone])
            listing = ImageQuery(Scope.PUBLIC, sort=sort, limit=limit, after=after)
        assert len(set(seen)) == len(seen)
        assert [one for one in seen if one not in gone] == [one for one in expected if one not in gone]


def _make(bench: Bench, name: str | None) -> str:
    image_id = new_id()
    with bench.database.unit() as unit:
        unit.add_image(image_id, {"visibility": Visibility.PUBLIC, "name": name}, {})
    return image_id


def _delete_some(bench: Bench, data: st.DataObject, there: list[str]) -> set[str]:
    chosen = data.draw(st.sets(st.sampled_from(there))) if there else set()
    for image_id in chosen:
        bench.lifecycle.delete(bench.database.find(image_id), bench.caller)
    return chosen
