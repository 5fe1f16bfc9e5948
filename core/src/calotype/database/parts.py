"""The parts of images, which have tables of their own: properties, tags, members, locations and jobs.

One statement reads the parts of any number of images, because each further statement would add a round
trip to every download and to every page of a list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    FromClause,
    Row,
    Select,
    bindparam,
    cast,
    literal,
    null,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.types import String

from calotype.database.tables import ImageRow, JobRow, LocationRow, MemberRow, PropertyRow, TagRow
from calotype.model.images import Image, Location, LocationState, Member, MemberStatus, Visibility
from calotype.model.states import Status

_COLUMNS = tuple(ImageRow.__table__.columns.keys())
_MEMBERS, _LOCATIONS, _JOBS = MemberRow.__table__, LocationRow.__table__, JobRow.__table__
_TYPES = {"status": Status, "deleted_from": Status, "visibility": Visibility}


def with_parts(connection: Connection, image: Image) -> Image:
    """Read an image's parts, and return the image with them."""
    return replace(image, **_composed(connection.execute(_PARTS_OF_ONE, {"image_id": image.id})))


def complete(connection: Connection, rows: Sequence[Row[Any]]) -> list[Image]:
    """Return the images that rows of `images` describe, with their parts."""
    parts: dict[str, list[Any]] = {row.id: [] for row in rows}
    if len(rows) == 1:  # cheaper, because a list of ids changes the SQL each time
        parts[rows[0].id] += connection.execute(_PARTS_OF_ONE, {"image_id": rows[0].id})
    elif rows:
        for part in connection.execute(_PARTS, {"image_ids": list(parts)}):
            parts[part.image_id].append(part)
    return [bare(row, **_composed(parts[row.id])) for row in rows]


def bare(row: Sequence[Any], **parts: Any) -> Image:
    """Return the image that a row of `images` describes, without its parts, or with the given ones."""
    return Image(**dict(zip(_COLUMNS, row, strict=True)), **parts)


def bare_all(rows: Sequence[Row[Any]]) -> list[Image]:
    """Return the images that rows of `images` describe, without their parts."""
    return [bare(row) for row in rows]


def typed(values: Mapping[str, Any], image: Image | None = None) -> Image:
    """Return a new image with these values, or a changed copy of `image`.

    Values that are plain text become members of their enumerations.
    """
    given = {**values}
    for name, kind in _TYPES.items():
        if given.get(name) is not None:
            given[name] = kind(given[name])
    return Image(**given) if image is None else replace(image, **given)


def _composed(rows: Iterable[Any]) -> dict[str, Any]:
    """Return the fields of an image that rows of `_PARTS` describe."""
    parts: dict[str, list[Any]] = {kind: [] for kind in ("property", "tag", "member", "location", "job")}
    for row in rows:
        parts[row.kind].append(row)
    for kind in ("property", "tag", "member"):
        parts[kind].sort(key=lambda row: row.name)
    # Copies in quarantine come last.
    parts["location"].sort(key=lambda row: (row.last_at is not None, row.first_at))
    stored = LocationState.STORED
    return {
        "properties": {row.name: row.text for row in parts["property"]},
        "tags": tuple(row.name for row in parts["tag"]),
        "members": tuple(
            Member(row.name, MemberStatus(row.text), bool(row.flag), row.first_at, row.last_at)
            for row in parts["member"]
        ),
        "locations": tuple(
            Location(
                row.name, row.text, row.extra, stored, bool(row.flag), quarantined=row.last_at is not None
            )
            for row in parts["location"]
        ),
        "has_jobs": bool(parts["job"]),
    }


def _parts_query(belongs: Callable[[Any], ColumnElement[bool]]) -> CompoundSelect[Any]:
    """Return the SELECT for the images' properties, tags, members, locations and jobs.

    `belongs` takes a column of image ids, and returns the condition that selects the wanted images.
    """
    names = ("name", "text", "extra", "flag", "first_at", "last_at")

    def part(kind: str, table: FromClause, *columns: ColumnElement[Any] | str | None) -> Select[Any]:
        given = [table.c[column] if isinstance(column, str) else column for column in columns]
        given += [null()] * (len(names) - len(given))
        named = [(no_text if c is None else c).label(name) for c, name in zip(given, names, strict=True)]
        owner = table.c.image_id
        return select(literal(kind).label("kind"), owner.label("image_id"), *named).where(belongs(owner))

    no_text = cast(null(), String)
    status = type_coerce(_MEMBERS.c.status, String)
    place = ("key", "store", "location", "external", "created_at", "quarantined_at")
    stored = _LOCATIONS.c.state == LocationState.STORED
    # PostgreSQL treats a null in a SELECT DISTINCT as text, so a subquery selects only the ids.
    busy = select(_JOBS.c.image_id).where(belongs(_JOBS.c.image_id)).distinct().subquery()
    return union_all(
        # Members come first: they use most of the columns, and the first part's types apply to all parts.
        part("member", _MEMBERS, "project", status, None, "can_share", "created_at", "updated_at"),
        part("property", PropertyRow.__table__, "name", "value"),
        part("tag", TagRow.__table__, "tag"),
        part("location", _LOCATIONS, *place).where(stored),
        part("job", busy),
    )


# Built once, because building a statement costs more than running it.
_PARTS = _parts_query(lambda column: column.in_(bindparam("image_ids", expanding=True)))
_PARTS_OF_ONE = _parts_query(lambda column: column == bindparam("image_id"))
