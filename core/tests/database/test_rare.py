"""Lists with filters by name, tag and property, which begin with the rarest filter if it is rare enough."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from calotype.database import rare
from calotype.database.tables import VALUE_START
from calotype.model.fields import new_id
from calotype.model.images import Visibility
from calotype.model.queries import Condition, ImageQuery, Scope, SortKey
from calotype.model.states import Status
from tests.support.workbench import Bench

EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SORT = (SortKey("name"), SortKey("created_at", True), SortKey("id"))
#: The beginning of two values between which an index on their beginnings does not distinguish.
LONG = "x" * VALUE_START


@pytest.fixture(params=[0, 2000], ids=["all filters are common", "all filters are rare"])
def images(request: pytest.FixtureRequest, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Public, private and deleted images with the names, tags and properties 0 to 2."""
    monkeypatch.setattr(rare, "_RARE", request.param)
    with bench.database.unit() as unit:
        for number in range(18):
            image_id = new_id()
            visibility = Visibility.PRIVATE if number == 4 else Visibility.PUBLIC
            properties = {"p": str(number % 3), "long": f"{LONG}{number % 2}"}
            unit.add_image(image_id, {"visibility": visibility, "name": f"n{number % 2}"}, properties)
            unit.set_tags(image_id, [f"t{number % 3}"])
            at = {"created_at": EPOCH + datetime.timedelta(seconds=number)}
            unit.change(image_id, {Status.QUEUED}, {**at, "deleted_at": EPOCH} if number == 6 else at)
    return bench


def seconds(bench: Bench, **asked: Any) -> list[int]:
    """Return the numbers of the listed images, by pages of two."""
    found: list[int] = []
    query, after = {"scope": Scope.PUBLIC, "sort": (SortKey("created_at"), SortKey("id")), **asked}, None
    while True:
        page = bench.database.page(ImageQuery(**query, limit=2, after=after))
        found += [int((image.created_at - EPOCH).total_seconds()) for image in page.images]
        if not page.more:
            return found
        after = page.last


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"tags": ("t1",)}, [1, 7, 10, 13, 16]),
        ({"tags": ("t1",), "scope": Scope.ALL}, [1, 4, 7, 10, 13, 16]),
        ({"tags": ("t0",)}, [0, 3, 9, 12, 15]),
        ({"tags": ("t0",), "deleted": True}, [0, 3, 6, 9, 12, 15]),
        ({"tags": ("t0", "t1")}, []),
        ({"properties": {"p": "2"}}, [2, 5, 8, 11, 14, 17]),
        ({"properties": {"p": "2"}, "tags": ("t2",)}, [2, 5, 8, 11, 14, 17]),
        ({"properties": {"p": "3"}}, []),
        ({"properties": {"p": "2", "long": f"{LONG}1"}}, [5, 11, 17]),
        ({"properties": {"long": LONG}}, []),
        ({"conditions": (Condition("name", "eq", "n1"),), "tags": ("t0",)}, [3, 9, 15]),
        ({"tags": ("t1",), "sort": SORT}, [16, 10, 13, 7, 1]),
    ],
)
def test_a_list_is_the_same_whether_its_filters_are_rare_or_common(
    images: Bench, asked: dict[str, Any], expected: list[int]
) -> None:
    assert seconds(images, **asked) == expected


def test_a_list_without_such_a_filter_counts_nothing(bench: Bench) -> None:
    with bench.database.reading() as connection:
        condition = Condition("status", "eq", "active")
        assert rare.rarest(connection, ImageQuery(Scope.PUBLIC, conditions=(condition,))) is None
