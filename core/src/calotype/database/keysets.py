"""Keyset pagination: the client sends the values of a page's last row, and the next page begins after them.

So a page costs the same anywhere in the list. Rows that are added or removed meanwhile do not shift it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Column, ColumnElement, Select, and_, false, or_, select, union

from calotype.model.overviews import Position
from calotype.model.queries import SortKey

Columns = Mapping[str, ColumnElement[Any]]
Record = TypeVar("Record")
Fetched = TypeVar("Fetched")


@dataclass(frozen=True, slots=True)
class Page(Generic[Record]):
    """A page of a list. `more` is true if the list continues after it."""

    records: tuple[Record, ...]
    more: bool


def cut_page(rows: Sequence[Fetched], limit: int, record: Callable[[Fetched], Record]) -> Page[Record]:
    """Return the page of the first `limit` rows, as records. A further row shows that the list continues."""
    return Page(tuple(map(record, rows[:limit])), more=len(rows) > limit)


class Listing(Protocol):
    """A request for a page: its sort order, the values of the row before it, and its maximum length."""

    @property
    def sort(self) -> Sequence[SortKey]: ...

    @property
    def after(self) -> Mapping[str, Any] | None: ...

    @property
    def limit(self) -> int: ...


def page_of(
    rows: Select[Any],
    key: Column[Any],
    alternatives: Sequence[Sequence[ColumnElement[bool]]],
    columns: Columns,
    listing: Listing,
) -> Select[Any]:
    """Return the query for a page of the `rows` that meet any of the alternatives, and for one further row.

    Each alternative becomes a separate query, which walks an index and stops after a page. So a page costs
    the same whether there are a thousand rows or a million. `key` is the primary key. `columns` are the sort
    keys by name, and are never null.
    """

    def cut(query: Select[Any]) -> Select[Any]:
        order = (columns[one.field].desc() if one.descending else columns[one.field] for one in listing.sort)
        return query.order_by(*order).limit(listing.limit + 1)

    behind = [] if listing.after is None else [follows(columns, listing.sort, listing.after)]
    parts = [cut(rows.where(*conditions, *behind)) for conditions in alternatives]
    if len(parts) == 1:
        return parts[0]
    ids = union(*(select(part.with_only_columns(key).subquery()) for part in parts)).subquery()
    return cut(rows.join(ids, ids.c[key.name] == key))


def beyond(
    at: ColumnElement[Any],
    record_id: ColumnElement[Any],
    source: str,
    after: Position | None,
    *,
    descending: bool = False,
) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that rows of one source come after a position in a list by time.

    Raises:
        ValueError: the position's id is not an integer, but the column is one.
    """
    if after is None:
        return ()
    if source != after.source and descending:
        return (at <= after.at if source < after.source else at < after.at,)
    if source != after.source:
        return (at >= after.at if source > after.source else at > after.at,)
    number = record_id.type.python_type is int
    sort = (SortKey("at", descending), SortKey("id", descending))
    values = {"at": after.at, "id": int(after.id) if number else after.id}
    return (follows({"at": at, "id": record_id}, sort, values),)


def follows(columns: Columns, sort: Sequence[SortKey], after: Mapping[str, Any]) -> ColumnElement[bool]:
    """Return the condition that a row comes after the row with the values `after`.

    Its first key comes after the other's, or the first keys are equal and the same applies to the rest. Each
    key occurs twice, so the condition's length is proportional to the number of keys. The bound on the first
    key is redundant, but without it a database does not find the starting point in its index.
    """
    behind: ColumnElement[bool] = false()
    for key in reversed(sort):
        column, value = columns[key.field], after[key.field]
        beyond = column < value if key.descending else column > value
        behind = or_(beyond, and_(column == value, behind))
    column, value = columns[sort[0].field], after[sort[0].field]
    return and_(column <= value if sort[0].descending else column >= value, behind)
