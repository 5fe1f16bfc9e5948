"""Queries: which images a caller asks for, and which of them it may see.

Images are read by two statements, however many they are: one for the rows of
`images`, one for all that belongs to them (see `parts`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    cast,
    exists,
    false,
    func,
    or_,
    select,
    union,
)
from sqlalchemy.types import String

from calotype.database.parts import bare, complete
from calotype.database.tables import ImageRow, MemberRow, PropertyRow, TagRow
from calotype.model.images import Image, Member, MemberStatus, Status, Visibility
from calotype.model.queries import SHOWN, Condition, ImageQuery, Scope, SortKey

_IMAGES = ImageRow.__table__
_COLUMNS = tuple(_IMAGES.columns.keys())
#: Statements with more filters are not kept compiled: they are rare, large, and no two are alike.
_REMEMBERED = 8


OPERATORS: Mapping[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "eq": lambda column, value: column == value,
    "neq": lambda column, value: column != value,
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
    "in": lambda column, value: column.in_(value),
    # From the first value on, up to but not with the second; and the contrary.
    "within": lambda column, value: and_(column >= value[0], column < value[1]),
    "outside": lambda column, value: or_(column < value[0], column >= value[1]),
}


def find_image(connection: Connection, image_id: str) -> Image | None:
    """Return the image with this id, even a deleted one; None if there never was one."""
    rows = connection.execute(_FIND, {"image_id": image_id}).all()
    return complete(connection, rows)[0] if rows else None


def lock_row(connection: Connection, image_id: str) -> Image | None:
    """Return the image with this id, locked and without its parts, even if it is deleted.

    What belongs to it must be read by a statement of its own, because one that waits for the lock
    sees the other tables as they were when it began.
    """
    row = connection.execute(_FIND_LOCKED, {"image_id": image_id}).first()
    return None if row is None else bare(row)


def find_visible(connection: Connection, image_id: str, scope: Scope, project: str | None) -> Image | None:
    """The same, as far as a project sees it; what it does not see is not even read."""
    sought = {"image_id": image_id, "project": project}
    rows = connection.execute(_FIND_IN[scope], sought).all()
    return complete(connection, rows)[0] if rows else None


def images_shared_with(connection: Connection, project: str) -> list[Image]:
    """The images of which the project is a member, oldest first, without deleted and hidden ones.

    Of all that belongs to an image only that membership is read: there may be many images.
    """
    c = _IMAGES.c
    m = MemberRow.__table__.c
    membership = (m.project, m.status, m.can_share, m.created_at, m.updated_at)
    shared = (
        select(
            c.id,
            c.status,
            c.created_at,
            c.updated_at,
            c.visibility,
            c.owner,
            *(column.label(f"member_{column.name}") for column in membership),
        )
        .join(MemberRow.__table__, m.image_id == c.id)
        .where(m.project == project, c.deleted_at.is_(None), _holds(SHOWN))
        .order_by(c.created_at, c.id)
    )
    return [_shared_image(row) for row in connection.execute(shared)]


def page_rows(connection: Connection, listing: ImageQuery) -> Sequence[Row[Any]]:
    """Return a page's rows of `images`, and one more when more follows; `complete` makes images of them.

    Each part of the scope is a query of its own that walks an index and stops after a
    page: so a page costs the same whether there are a thousand images or a million.
    """
    if _asks_for_nul(listing):
        return []
    parts = [_matching(listing, condition).limit(listing.limit + 1) for condition in _listed(listing)]
    query = parts[0] if len(parts) == 1 else _united(parts, listing)
    if _number_of_filters(listing) > _REMEMBERED:
        connection = connection.execution_options(compiled_cache=None)
    return connection.execute(query).all()


def _number_of_filters(listing: ImageQuery) -> int:
    return len(listing.conditions) + len(listing.tags) + len(listing.properties)


def _united(parts: Sequence[Select[Any]], listing: ImageQuery) -> Select[Any]:
    """The first of all parts' rows, each once."""
    c = _IMAGES.c
    ids = union(*(select(part.with_only_columns(c.id).subquery()) for part in parts)).subquery()
    found = select(_IMAGES).join(ids, ids.c.id == c.id)
    return found.order_by(*order_by(_SORTED, listing.sort)).limit(listing.limit + 1)


def _asks_for_nul(listing: ImageQuery) -> bool:
    """No text here has a NUL in it, and PostgreSQL will not even compare with one that has."""
    values: list[Any] = [*listing.tags, *listing.properties.keys(), *listing.properties.values()]
    for condition in listing.conditions:
        values += condition.value if isinstance(condition.value, (list, tuple)) else [condition.value]
    return any(isinstance(value, str) and "\0" in value for value in values)


def _listed(listing: ImageQuery) -> list[ColumnElement[bool]]:
    """What a list is of; others' community images are let in, for admins too, only when asked for."""
    c = _IMAGES.c
    if listing.scope is Scope.ALL and not listing.community:
        return [or_(c.visibility != Visibility.COMMUNITY, c.owner == listing.project)]
    return _seen(listing.scope, listing.project, listing.memberships, community=listing.community)


def _seen(
    scope: Scope, project: Any, memberships: Collection[MemberStatus] | None, *, community: bool
) -> list[ColumnElement[bool]]:
    """What is in a scope, as conditions of which one must hold; `memberships` None: whatever the answer."""
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


def _matching(listing: ImageQuery, condition: ColumnElement[bool]) -> Select[Any]:
    c = _IMAGES.c
    query = select(_IMAGES).where(condition)
    if not listing.deleted:
        query = query.where(c.deleted_at.is_(None))
    for wanted in listing.conditions:
        query = query.where(_holds(wanted))
    for tag in listing.tags:
        query = query.where(exists().where(TagRow.image_id == c.id, TagRow.tag == tag))
    for name, value in listing.properties.items():
        query = query.where(
            exists().where(PropertyRow.image_id == c.id, PropertyRow.name == name, PropertyRow.value == value)
        )
    if listing.after is not None:
        query = query.where(follows(_SORTED, listing.sort, listing.after))
    return query.order_by(*order_by(_SORTED, listing.sort))


def _holds(condition: Condition) -> ColumnElement[bool]:
    return OPERATORS[condition.op](_comparable(_IMAGES.c[condition.field]), condition.value)


def _comparable(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Clients may ask for more than a column can hold; PostgreSQL refuses a number of too many bits."""
    small = isinstance(column.type, Integer) and not isinstance(column.type, BigInteger)
    return cast(column, BigInteger) if small else column


def order_by(columns: Mapping[str, ColumnElement[Any]], sort: Sequence[SortKey]) -> list[ColumnElement[Any]]:
    """The keys as a statement's ORDER BY; `columns` are never null."""
    return [columns[key.field].desc() if key.descending else columns[key.field].asc() for key in sort]


def follows(
    columns: Mapping[str, ColumnElement[Any]], sort: Sequence[SortKey], after: Mapping[str, Any]
) -> ColumnElement[bool]:
    """Whether a row comes behind that one: behind it in the first key, or equal there and behind in the rest.

    Each key is named twice, so the statement is as long as the list of keys. The bound adds nothing to the
    meaning: by it alone a database finds the place in its index where to go on.
    """
    behind: ColumnElement[bool] = false()
    for key in reversed(sort):
        column, value = columns[key.field], after[key.field]
        beyond = column < value if key.descending else column > value
        behind = or_(beyond, and_(column == value, behind))
    if not sort:
        return behind
    column, value = columns[sort[0].field], after[sort[0].field]
    return and_(column <= value if sort[0].descending else column >= value, behind)


def position(image: Image | Row[Any], sort: Sequence[SortKey]) -> dict[str, Any]:
    """Return what an image, or a row of one, is sorted by: its place in a list, which it may leave."""
    values = {key.field: getattr(image, key.field) for key in sort}
    return {name: _zero(name) if value is None else value for name, value in values.items()}


def _never_null(name: str) -> ColumnElement[Any]:
    """Databases disagree on where null sorts: take the smallest value for it."""
    column = _IMAGES.c[name]
    return func.coalesce(column, _zero(name)) if column.nullable else column


def _zero(name: str) -> Any:
    return "" if isinstance(_IMAGES.c[name].type, String) else 0


def _shared_image(row: Row[Any]) -> Image:
    member = Member(
        row.member_project,
        MemberStatus(row.member_status),
        row.member_can_share,
        row.member_created_at,
        row.member_updated_at,
    )
    return Image(
        row.id,
        Status(row.status),
        row.created_at,
        row.updated_at,
        visibility=Visibility(row.visibility),
        owner=row.owner,
        members=(member,),
    )


_SORTED = {name: _never_null(name) for name in _COLUMNS}

# Built once: building a statement costs more than running it.
_FIND = select(_IMAGES).where(_IMAGES.c.id == bindparam("image_id"))
_FIND_LOCKED = _FIND.with_for_update()
_FIND_IN = {
    scope: _FIND.where(
        or_(*_seen(scope, bindparam("project", type_=String), None, community=scope is Scope.VISIBLE))
    )
    for scope in Scope
}
