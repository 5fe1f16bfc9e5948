"""Reading: one statement a question, rows turned into records without an ORM session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, FromClause, Select, and_, or_, select

from tintype.registry.models import ImageRow, LocationRow, PropertyRow
from tintype.registry.records import Image, Location, LocationState, Page, Status, Visibility

_IMAGES = ImageRow.__table__
_COLUMNS = tuple(_IMAGES.columns.keys())


def find_image(connection: Connection, image_id: str) -> Image | None:
    """The image of that id, deleted ones too; None if there never was one."""
    images = _collect(connection.execute(_with_parts(_IMAGES).where(_IMAGES.c.id == image_id)).all())
    return images[0] if images else None


def page_of_public(connection: Connection, limit: int, after: Image | None) -> Page:
    """At most `limit` public, undeleted images, oldest first, after that image; reads `ix_images_listing`."""
    c = _IMAGES.c
    page = select(_IMAGES).where(c.visibility == Visibility.PUBLIC, c.deleted_at.is_(None))
    if after is not None:
        page = page.where(
            or_(c.created_at > after.created_at, and_(c.created_at == after.created_at, c.id > after.id))
        )
    page = page.order_by(c.created_at, c.id).limit(limit + 1)
    slice_ = page.subquery("page")
    rows = connection.execute(_with_parts(slice_).order_by(slice_.c.created_at, slice_.c.id)).all()
    images = _collect(rows)
    return Page(tuple(images[:limit]), more=len(images) > limit)


def _with_parts(images: FromClause) -> Select[Any]:
    """The images with their properties and stored locations, a row for each combination."""
    return (
        select(
            *(images.c[name] for name in _COLUMNS),
            PropertyRow.name,
            PropertyRow.value,
            LocationRow.key,
            LocationRow.store,
            LocationRow.location,
            LocationRow.state,
            LocationRow.external,
        )
        .select_from(images)
        .outerjoin(PropertyRow, PropertyRow.image_id == images.c.id)
        .outerjoin(
            LocationRow,
            and_(LocationRow.image_id == images.c.id, LocationRow.state == LocationState.STORED),
        )
    )


def _collect(rows: Iterable[Sequence[Any]]) -> list[Image]:
    """Fold the rows of `_with_parts` into images, in the order of their first row."""
    width = len(_COLUMNS)
    heads: dict[str, Sequence[Any]] = {}
    properties: dict[str, dict[str, str]] = {}
    locations: dict[str, dict[str, Location]] = {}
    for row in rows:
        image_id = row[0]
        if image_id not in heads:
            heads[image_id], properties[image_id], locations[image_id] = row, {}, {}
        name, value, key, store, location, state, external = row[width:]
        if name is not None:
            properties[image_id][name] = value
        if key is not None and key not in locations[image_id]:
            locations[image_id][key] = Location(key, store, location, LocationState(state), external)
    return [
        _image(head, properties[image_id], tuple(locations[image_id].values()))
        for image_id, head in heads.items()
    ]


def _image(row: Sequence[Any], properties: dict[str, str], locations: tuple[Location, ...]) -> Image:
    values = dict(zip(_COLUMNS, row, strict=False))
    values["status"] = Status(values["status"])
    values["visibility"] = Visibility(values["visibility"])
    return Image(**values, properties=properties, locations=locations)
