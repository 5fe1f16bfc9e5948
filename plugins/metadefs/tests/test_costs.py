"""What requests about metadata definitions cost before they reach the database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyramid.request import Request

from calotype.api.http.filters import VALUES_MAX
from calotype.model.changes import InvalidRequest, RequestTooLarge
from calotype_metadefs.codec import read_listing
from calotype_metadefs.database import Kind
from calotype_metadefs.schemas import MetadefSchemas
from calotype_metadefs.verbs import ITEMS_MAX
from tests.support.workbench import CALLER


class Counted(list):
    """A list that counts how many of its items were looked at."""

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


def test_a_list_asks_for_so_many_resource_types_and_no_more() -> None:
    """r1-D1"""
    allowed = ",".join(["v"] * VALUES_MAX)
    read_listing(asked(f"resource_types={allowed}"), 1000)
    with pytest.raises(InvalidRequest, match=f"resource_types can have at most {VALUES_MAX} values"):
        read_listing(asked(f"resource_types={allowed},v"), 1000)


@pytest.mark.parametrize("kind", ["objects", "tags", "resource_type_associations"])
def test_the_contents_of_a_namespace_are_counted_before_they_are_looked_at(kind: str) -> None:
    """r1-D2"""
    items = Counted([{"name": 1}] * (ITEMS_MAX + 1))
    with pytest.raises(RequestTooLarge, match="Too many values for"):
        MetadefSchemas().check_namespace({"namespace": "n", kind: items})
    assert items.seen == 0


@pytest.mark.parametrize("kind", ["required", "operators"])
def test_what_a_definition_lists_is_counted_before_it_is_looked_at(kind: str) -> None:
    """r1-D2: a list of things without an order would be compared each with each."""
    items = Counted([{}, "a", []] * ITEMS_MAX)
    with pytest.raises(RequestTooLarge, match="Too many values for"):
        MetadefSchemas().check_definition(
            Kind.PROPERTY, {"name": "n", "title": "", "type": "string", kind: items}
        )
    assert items.seen == 0
