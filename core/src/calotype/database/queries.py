"""Reading: rows turned into records without an ORM session.

An image is read by two statements, however many images there are: one for the rows of
`images`, one for all that belongs to them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
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
    literal,
    null,
    or_,
    select,
    union,
    union_all,
)
from sqlalchemy.types import String

from calotype.database.tables import ImageRow, JobRow, LocationRow, MemberRow, PropertyRow, TagRow
from calotype.model.images import Image, Location, LocationState, Member, MemberStatus, Status, Visibility
from calotype.model.queries import SHOWN, Condition, ImageQuery, Scope, SortKey

_IMAGES = ImageRow.__table__
_COLUMNS = tuple(_IMAGES.columns.keys())
_TYPES = {"status": Status, "deleted_from": Status, "visibility": Visibility}
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
    """Return the image with this id, locked, and without what belongs to it, be it deleted or not.

    What belongs to it must be read by a statement of its own, because one that waits for the lock
    sees the other tables as they were when it began.
    """
    row = connection.execute(_FIND_LOCKED, {"image_id": image_id}).first()
    return None if row is None else bare(row)


def with_parts(connection: Connection, image: Image) -> Image:
    """Return an image with all that belongs to it, read now."""
    parts = _Parts()
    for row in connection.execute(_PARTS_OF_ONE, {"image_id": image.id}):
        parts.take(row)
    return parts.of(image)


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


def complete(connection: Connection, rows: Sequence[Row[Any]]) -> list[Image]:
    """Turn rows of `images` into records, with all that belongs to them."""
    if len(rows) == 1:  # one value is bound at once; a list of them is written into the SQL each time
        return [with_parts(connection, bare(rows[0]))]
    parts: dict[str, _Parts] = {row.id: _Parts() for row in rows}
    if parts:
        for row in connection.execute(_PARTS, {"image_ids": list(parts)}):
            parts[row.image_id].take(row)
    return [parts[row.id].of(bare(row)) for row in rows]


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


def _parts_query(belongs: Callable[[Any], ColumnElement[bool]]) -> CompoundSelect[Any]:
    """All that belongs to images, and whether they have jobs, in one statement; `kind` tells rows apart.

    `belongs` says of a column of ids whether the image is one of those that are read.
    """
    nothing = null()
    # Members first: they have most of the columns, and the first part's types are those of all.
    members = select(
        literal("member").label("kind"),
        MemberRow.image_id.label("image_id"),
        MemberRow.project.label("name"),
        MemberRow.status.label("text"),
        cast(nothing, String).label("extra"),
        MemberRow.can_share.label("flag"),
        MemberRow.created_at.label("created_at"),
        MemberRow.updated_at.label("updated_at"),
    ).where(belongs(MemberRow.image_id))
    properties = select(
        literal("property"),
        PropertyRow.image_id,
        PropertyRow.name,
        PropertyRow.value,
        *[nothing] * 4,
    ).where(belongs(PropertyRow.image_id))
    tags = select(literal("tag"), TagRow.image_id, TagRow.tag, *[nothing] * 5).where(belongs(TagRow.image_id))
    locations = select(
        literal("location"),
        LocationRow.image_id,
        LocationRow.key,
        LocationRow.store,
        LocationRow.location,
        LocationRow.external,
        LocationRow.created_at,
        LocationRow.quarantined_at,
    ).where(belongs(LocationRow.image_id), LocationRow.state == LocationState.STORED)
    # PostgreSQL takes a null below DISTINCT for text.
    busy = select(JobRow.image_id).where(belongs(JobRow.image_id)).distinct().subquery()
    jobs = select(literal("job"), busy.c.image_id, *[nothing] * 6)
    return union_all(members, properties, tags, locations, jobs)


class _Parts:
    """What belongs to one image, as the rows of `_PARTS` bring it."""

    def __init__(self) -> None:
        self.properties: dict[str, str] = {}
        self.tags: list[str] = []
        self.members: list[Member] = []
        self.locations: list[tuple[Any, Location]] = []
        self.has_jobs = False

    def take(self, row: Any) -> None:
        if row.kind == "property":
            self.properties[row.name] = row.text
        elif row.kind == "tag":
            self.tags.append(row.name)
        elif row.kind == "member":
            self.members.append(
                Member(row.name, MemberStatus(row.text), bool(row.flag), row.created_at, row.updated_at)
            )
        elif row.kind == "job":
            self.has_jobs = True
        else:
            quarantined = row.updated_at is not None
            location = Location(
                row.name,
                row.text,
                row.extra,
                LocationState.STORED,
                bool(row.flag),
                quarantined=quarantined,
            )
            self.locations.append(((quarantined, row.created_at), location))

    def of(self, image: Image) -> Image:
        """Return the image with these parts."""
        return replace(
            image,
            properties=dict(sorted(self.properties.items())),
            tags=tuple(sorted(self.tags)),
            members=tuple(sorted(self.members, key=lambda member: member.project)),
            locations=tuple(location for _, location in sorted(self.locations, key=lambda pair: pair[0])),
            has_jobs=self.has_jobs,
        )


def bare(row: Row[Any]) -> Image:
    """Return the image that a row of `images` describes, without what belongs to it."""
    return typed(dict(zip(_COLUMNS, row, strict=True)))


def bare_all(rows: Sequence[Row[Any]]) -> list[Image]:
    """Return the images that rows of `images` describe, without what belongs to them."""
    return [bare(row) for row in rows]


def typed(values: Mapping[str, Any], image: Image | None = None) -> Image:
    """Return an image, or this one changed, with values as the database takes them."""
    given = {**values}
    for name, kind in _TYPES.items():
        if given.get(name) is not None:
            given[name] = kind(given[name])
    return Image(**given) if image is None else replace(image, **given)


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
_PARTS = _parts_query(lambda column: column.in_(bindparam("image_ids", expanding=True)))
_PARTS_OF_ONE = _parts_query(lambda column: column == bindparam("image_id"))
