"""The queries for images: single ones and lists, restricted to the caller's scope.

Two statements read any number of images: one for the rows of `images`, and one for their parts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Row,
    and_,
    bindparam,
    cast,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.types import String

from calotype.database.columns import Word
from calotype.database.keysets import page_of
from calotype.database.parts import bare, complete
from calotype.database.rare import rarest
from calotype.database.tables import ImageRow, MemberRow, PropertyRow, TagRow
from calotype.model.images import Image, Member, MemberStatus, Visibility
from calotype.model.queries import SHOWN, Condition, ImageQuery, Scope, SortKey

_IMAGES = ImageRow.__table__
#: The columns of a Member.
_MEMBER = ("project", "status", "can_share", "created_at", "updated_at")
#: Statements with more filters than this are not cached, because they are rare, large and all different.
_REMEMBERED = 8


OPERATORS: Mapping[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "eq": lambda column, value: column == value,
    "neq": lambda column, value: column != value,
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "in": lambda column, value: column.in_(value),
    # `within` includes the first value and excludes the second; `outside` is the opposite.
    "within": lambda column, value: and_(column >= value[0], column < value[1]),
    "outside": lambda column, value: or_(column < value[0], column >= value[1]),
}


def find_image(connection: Connection, image_id: str) -> Image | None:
    """Return the image with this id, even a deleted one; None if there never was one."""
    rows = connection.execute(_FIND, {"image_id": image_id}).all()
    return complete(connection, rows)[0] if rows else None


def lock_row(connection: Connection, image_id: str) -> Image | None:
    """Return the image with this id, locked and without its parts, even if it is deleted.

    Another statement must read its parts, because a statement that waits for a lock sees all other tables as
    they were when it began.
    """
    row = connection.execute(_FIND_LOCKED, {"image_id": image_id}).first()
    return None if row is None else bare(row)


def find_visible(connection: Connection, image_id: str, scope: Scope, project: str | None) -> Image | None:
    """Return the image with this id if it is in the project's scope, or None. Other images are not read."""
    sought = {"image_id": image_id, "project": project}
    rows = connection.execute(_FIND_IN[scope], sought).all()
    return complete(connection, rows)[0] if rows else None


def with_members(connection: Connection, image_ids: Collection[str]) -> dict[str, Image]:
    """Return these images with their members, but without other parts, by id; even deleted ones."""
    asked = {"image_ids": list(image_ids)}
    members: dict[str, list[Member]] = {}
    for row in connection.execute(_MEMBERS_OF, asked):
        members.setdefault(row[0], []).append(Member(*row[1:]))
    return {
        row.id: bare(row, members=tuple(members.get(row.id, ())))
        for row in connection.execute(_FIND_ALL, asked)
    }


def images_shared_with(connection: Connection, project: str) -> list[Image]:
    """Return the images of which the project is a member, oldest first, without deleted and hidden ones.

    Each image has this membership, but no other parts, because there may be many images.
    """
    c, members = _IMAGES.c, MemberRow.__table__
    membership = (members.c[name] for name in _MEMBER)
    shared = (
        select(*c, *membership)
        .join(members, members.c.image_id == c.id)
        .where(members.c.project == project, c.deleted_at.is_(None), _holds(SHOWN))
        .order_by(c.created_at, c.id)
    )
    rows = connection.execute(shared)
    return [replace(bare(row[: len(c)]), members=(Member(*row[len(c) :]),)) for row in rows]


def page_rows(connection: Connection, listing: ImageQuery) -> Sequence[Row[Any]]:
    """Return a page's rows of `images`, and one further row if the list continues after the page."""
    if _asks_for_nul(listing):
        return []
    if len(listing.conditions) + len(listing.tags) + len(listing.properties) > _REMEMBERED:
        connection = connection.execution_options(compiled_cache=None)
    filters, scope = _filters(listing), _listed(listing)
    rows = select(_IMAGES)
    if (ids := rarest(connection, listing)) is not None:
        # The offset keeps databases from merging the subquery, so that they read it first.
        few = ids.offset(0).subquery()
        rows, scope = rows.join(few, few.c.image_id == _IMAGES.c.id), [or_(*scope)]
    elif not listing.deleted and connection.dialect.name == "postgresql":
        # All rows have null here, but PostgreSQL does not conclude that the next columns of an index that
        # begins with this one are in order. MariaDB does, and would sort all rows if it were named.
        deleted = _IMAGES.c.deleted_at
        rows = rows.order_by(deleted.desc() if listing.sort[0].descending else deleted)
    alternatives = [[condition, *filters] for condition in scope]
    return connection.execute(page_of(rows, _IMAGES.c.id, alternatives, _SORTED, listing)).all()


def _asks_for_nul(listing: ImageQuery) -> bool:
    """Return whether a value contains NUL. No stored text does, and PostgreSQL refuses to compare with it."""
    values: list[Any] = [*listing.tags, *listing.properties.keys(), *listing.properties.values()]
    for condition in listing.conditions:
        values += condition.value if isinstance(condition.value, (list, tuple)) else [condition.value]
    return any(isinstance(value, str) and "\0" in value for value in values)


def _listed(listing: ImageQuery) -> list[ColumnElement[bool]]:
    """Return alternative conditions: an image is in the list if it meets one of them.

    Community images of other projects are listed only if the query asks for them, even for an admin.
    """
    c = _IMAGES.c
    if listing.scope is Scope.ALL and not listing.community:
        return [or_(c.visibility != Visibility.COMMUNITY, c.owner == listing.project)]
    return _seen(listing.scope, listing.project, listing.memberships, community=listing.community)


def _seen(
    scope: Scope, project: Any, memberships: Collection[MemberStatus] | None, *, community: bool
) -> list[ColumnElement[bool]]:
    """Return alternative conditions: an image is in the scope if it meets one of them.

    If `memberships` is None, the status of a membership does not matter.
    """
    c = _IMAGES.c
    if scope is Scope.ALL:
        return [c.id.is_not(None)]
    parts = [c.visibility == Visibility.PUBLIC]
    if community:
        parts.append(c.visibility == Visibility.COMMUNITY)
    if scope is Scope.VISIBLE and project is not None:
        membership = exists().where(MemberRow.image_id == c.id, MemberRow.project == project)
        if memberships is not None:
            membership = membership.where(MemberRow.status.in_(memberships))
        parts.append(c.owner == project)
        parts.append(and_(c.visibility == Visibility.SHARED, membership))
    return parts


def _filters(listing: ImageQuery) -> list[ColumnElement[bool]]:
    """Return the conditions that every image in the list must meet."""
    c, p = _IMAGES.c, PropertyRow
    return [
        *([] if listing.deleted else [c.deleted_at.is_(None)]),
        *(_holds(wanted) for wanted in listing.conditions),
        *(exists().where(TagRow.image_id == c.id, TagRow.tag == tag) for tag in listing.tags),
        *(
            exists().where(p.image_id == c.id, p.name == name, p.value == value)
            for name, value in listing.properties.items()
        ),
    ]


def _holds(condition: Condition) -> ColumnElement[bool]:
    column: ColumnElement[Any] = _IMAGES.c[condition.field]
    if isinstance(column.type, Integer) and not isinstance(column.type, BigInteger):
        # A client's number may exceed the column's range, and PostgreSQL refuses such a comparison.
        column = cast(column, BigInteger)
    return OPERATORS[condition.op](column, condition.value)


def position(image: Image | Row[Any], sort: Sequence[SortKey]) -> dict[str, Any]:
    """Return the position of an image, or of its row, in a list: the image's values of the sort keys.

    The position stays valid if the image leaves the list.
    """
    values = {key.field: getattr(image, key.field) for key in sort}
    return {name: _zero(name) if value is None else value for name, value in values.items()}


def _never_null(name: str) -> ColumnElement[Any]:
    """Return the column with the smallest value in place of null, because databases sort null differently."""
    column = _IMAGES.c[name]
    return func.coalesce(column, _zero(name)) if column.nullable else column


def _zero(name: str) -> Any:
    return "" if isinstance(_IMAGES.c[name].type, (String, Word)) else 0


_SORTED = {column.name: _never_null(column.name) for column in _IMAGES.c}

# Built once, because building a statement costs more than running it.
_FIND = select(_IMAGES).where(_IMAGES.c.id == bindparam("image_id"))
_FIND_LOCKED = _FIND.with_for_update()
_FIND_ALL = select(_IMAGES).where(_IMAGES.c.id.in_(bindparam("image_ids", expanding=True)))
_MEMBERS_OF = select(*(MemberRow.__table__.c[name] for name in ("image_id", *_MEMBER))).where(
    MemberRow.image_id.in_(bindparam("image_ids", expanding=True))
)
_FIND_IN = {
    scope: _FIND.where(
        or_(*_seen(scope, bindparam("project", type_=String), None, community=scope is Scope.VISIBLE))
    )
    for scope in Scope
}
