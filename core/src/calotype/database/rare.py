"""Filters of lists that few images meet. Such a list begins with these images, and not with its order."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, func, select

from calotype.database.tables import VALUE_START, ImageRow, PropertyRow, TagRow
from calotype.model.queries import ImageQuery

Ids = Select[str]

#: The largest number of images for which a filter counts as rare. To read and sort so many takes about as
#: long as to find a page of images in a list of some millions, where one in a few thousand meets the filter.
_RARE = 2000


def rarest(connection: Connection, listing: ImageQuery) -> Ids | None:
    """Return the query for the ids of the images that have the list's rarest name, tag or property.

    It may also return images whose value only begins like the property's. The filters leave them out.
    Returns None if none of them is rare. Databases do not find that out by themselves: SQLite has no
    statistics, and those of PostgreSQL do not say how often a name and a value occur together.
    """
    found = [
        _named(one.value, listing) for one in listing.conditions if (one.field, one.op) == ("name", "eq")
    ]
    found += [_tagged(tag) for tag in listing.tags]
    found += [_described(name, value) for name, value in listing.properties.items()]
    if not found:
        return None
    counts = connection.execute(select(*(_count(ids) for ids in found))).one()
    fewest = min(counts)
    return found[counts.index(fewest)] if fewest <= _RARE else None


def _named(name: str, listing: ImageQuery) -> Ids:
    named = select(ImageRow.id.label("image_id")).where(ImageRow.name == name)
    return named if listing.deleted else named.where(ImageRow.deleted_at.is_(None))


def _tagged(tag: str) -> Ids:
    return select(TagRow.image_id).where(TagRow.tag == tag)


def _described(name: str, value: str) -> Ids:
    # The index has both columns, so that no row of the table is read.
    p = PropertyRow
    return select(p.image_id).where(p.name == name, p.value_start == value[:VALUE_START])


def _count(ids: Ids) -> Any:
    """Return an expression for the number of ids. It reads at most one more than are rare."""
    return select(func.count()).select_from(ids.limit(_RARE + 1).subquery()).scalar_subquery()
