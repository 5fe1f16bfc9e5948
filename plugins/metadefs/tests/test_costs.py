"""The costs of requests for metadata definitions before they reach the database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyramid.request import Request

from calotype.api.http.filters import VALUES_MAX
from calotype.model.fields import InvalidRequest, RequestTooLarge
from calotype_metadefs.codec import read_listing
from calotype_metadefs.database import Kind
from calotype_metadefs.schemas import MetadefSchemas
from calotype_metadefs.verbs import ITEMS_MAX
from tests.support.workbench import CALLER


class Counted(list):
    """A list that counts how many of its items were read."""

    seen = 0

    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():
            self.seen += 1
            yield item

    def __getitem__(self, index: Any) -> Any:
        self.seen += 1
        return super().__getitem__(index)


def asked(query: str) -> Request:
    request = Request.blank(f"/?{query}")
    request.caller = CALLER
    request.registry = {}
    return request


def test_the_number_of_resource_types_in_a_query_is_limited() -> None:
    """r1-D1: each value makes the query slower."""
    allowed = ",".join(["v"] * VALUES_MAX)
    read_listing(asked(f"resource_types={allowed}"), 1000)
    with pytest.raises(InvalidRequest, match=f"resource_types can have at most {VALUES_MAX} values"):
        read_listing(asked(f"resource_types={allowed},v"), 1000)


@pytest.mark.parametrize("kind", ["objects", "tags", "resource_type_associations"])
def test_the_contents_of_a_namespace_are_counted_before_they_are_checked(kind: str) -> None:
    """r1-D2: checking an item takes much longer than counting it."""
    items = Counted([{"name": 1}] * (ITEMS_MAX + 1))
    with pytest.raises(RequestTooLarge, match="Too many values for"):
        MetadefSchemas().check("namespace", {"namespace": "n", kind: items})
    assert items.seen == 0


@pytest.mark.parametrize("kind", ["required", "operators"])
def test_the_lists_in_a_definition_are_counted_before_they_are_checked(kind: str) -> None:
    """r1-D2: items of mixed types cannot be sorted, so a check would compare each item with all others."""
    items = Counted([{}, "a", []] * ITEMS_MAX)
    with pytest.raises(RequestTooLarge, match="Too many values for"):
        MetadefSchemas().check(Kind.PROPERTY, {"name": "n", "title": "", "type": "string", kind: items})
    assert items.seen == 0
