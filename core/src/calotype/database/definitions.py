"""Metadata definitions in the database: records, what is read of them, and the verbs of a unit of work.

A namespace holds definitions of four kinds, each kind with names of its own. Whoever
changes what stands in a namespace has locked the namespace's row before.
"""

from __future__ import annotations

import contextlib
import datetime
import enum
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from calotype.database.definition_tables import DefinitionRow, NamespaceRow, ResourceTypeRow
from calotype.database.errors import DuplicateDefinition, NamespaceNotFound
from calotype.database.pages import AT_ONCE
from calotype.model.images import Visibility
from calotype.model.queries import Scope, SortKey

_NAMESPACES, _DEFINITIONS = NamespaceRow.__table__, DefinitionRow.__table__
_TYPES = ResourceTypeRow.__table__


class Kind(enum.StrEnum):
    """What stands in a namespace."""

    OBJECT = "object"
    PROPERTY = "property"
    TAG = "tag"
    ASSOCIATION = "association"  #: named like the resource type that it is about


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace, without what stands in it. Its visibility is public or private."""

    id: int
    name: str
    visibility: Visibility
    protected: bool
    owner: str | None
    created_at: datetime.datetime
    updated_at: datetime.datetime
    display_name: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """A named thing in a namespace; `body` is what clients said of it, as JSON values."""

    kind: Kind
    name: str
    body: Mapping[str, Any]
    created_at: datetime.datetime
    updated_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A type of resource that metadata can be set on."""

    name: str
    created_at: datetime.datetime
    updated_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class NamespaceQuery:
    """What a list of namespaces asks for; `resource_types`: it is about at least one of them.

    `after` is the `position` of the last namespace of the page before.
    """

    scope: Scope
    project: str | None = None
    visibility: Visibility | None = None
    resource_types: tuple[str, ...] = ()
    sort: SortKey = field(default=SortKey("created_at", descending=True))
    limit: int = 25
    after: Mapping[str, Any] | None = None

    @property
    def order(self) -> tuple[str, ...]:
        """The fields that it is sorted by: the name makes the order total."""
        return ("namespace",) if self.sort.field == "namespace" else (self.sort.field, "namespace")

    def position(self, namespace: Namespace) -> dict[str, Any]:
        """Return what a namespace is sorted by in this list."""
        return {
            field: namespace.name if field == "namespace" else getattr(namespace, field)
            for field in self.order
        }


@dataclass(frozen=True, slots=True)
class NamespacePage:
    """A slice of a list, and whether more follows."""

    namespaces: list[Namespace]
    more: bool


class Definitions:
    """What is read of the definitions; shared by all threads."""

    def __init__(self, reader: Callable[[], AbstractContextManager[Connection]]):
        self._reader = reader

    def namespace(self, name: str) -> Namespace | None:
        """The namespace of that name."""
        with self._reader() as connection:
            row = connection.execute(select(_NAMESPACES).where(_NAMESPACES.c.namespace == name)).first()
        return None if row is None else _namespace(row)

    def page(self, listing: NamespaceQuery) -> NamespacePage:
        """A slice of the namespaces that a listing asks for."""
        if listing.limit == 0:
            return NamespacePage([], more=False)
        c = _NAMESPACES.c
        query = select(_NAMESPACES).where(*_conditions(listing))
        order = [c[field] for field in listing.order]
        query = query.order_by(*(key.desc() if listing.sort.descending else key.asc() for key in order))
        with self._reader() as connection:
            rows = connection.execute(query.limit(listing.limit + 1)).all()
        return NamespacePage([_namespace(row) for row in rows[: listing.limit]], len(rows) > listing.limit)

    def contents(self, namespaces: Iterable[Namespace], *kinds: Kind) -> dict[int, list[Definition]]:
        """What stands in the namespaces, by their ids, in the order of names; all of it, or these kinds."""
        found: dict[int, list[Definition]] = {namespace.id: [] for namespace in namespaces}
        if found:
            with self._reader() as connection:
                for row in connection.execute(_contents(list(found), kinds)):
                    found[row.namespace_id].append(_definition(row))
        return found

    def each_with(
        self, namespaces: Sequence[Namespace], *kinds: Kind
    ) -> Iterator[tuple[Namespace, list[Definition]]]:
        """Each namespace with its definitions of these kinds, read for `AT_ONCE` namespaces at a time."""
        for start in range(0, len(namespaces), AT_ONCE):
            some = namespaces[start : start + AT_ONCE]
            found = self.contents(some, *kinds)
            yield from ((one, found[one.id]) for one in some)

    def find(self, namespace: Namespace, kind: Kind, name: str) -> Definition | None:
        """The definition of that name."""
        with self._reader() as connection:
            row = connection.execute(_contents([namespace.id], [kind], name)).first()
        return None if row is None else _definition(row)

    def resource_types(self) -> list[ResourceType]:
        """All resource types, in the order of their names."""
        with self._reader() as connection:
            return [ResourceType(*row) for row in connection.execute(select(_TYPES).order_by(_TYPES.c.name))]


class DefinitionsUnit:
    """The verbs on definitions of one unit of work."""

    def __init__(self, connection: Connection):
        self._connection = connection

    def lock(self, namespace_id: int) -> Namespace:
        """The namespace; no other unit changes it, or what stands in it, before this one ends.

        Raises:
            NamespaceNotFound: it is gone.
        """
        query = select(_NAMESPACES).where(_NAMESPACES.c.id == namespace_id).with_for_update()
        row = self._connection.execute(query).first()
        if row is None:
            raise NamespaceNotFound
        return _namespace(row)

    def add_namespace(self, name: str, fields: Mapping[str, Any]) -> Namespace:
        """Insert a namespace; raises DuplicateDefinition when the name is taken."""
        now = _now()
        row = {"namespace": name, **fields, "created_at": now, "updated_at": now}
        with _unique(name):
            key = self._connection.execute(insert(_NAMESPACES), row).inserted_primary_key
        return self.lock(key[0])

    def change_namespace(self, namespace_id: int, name: str, fields: Mapping[str, Any]) -> None:
        """Set a namespace's name and fields; raises DuplicateDefinition when the name is another's."""
        row = {"namespace": name, **fields, "updated_at": _now()}
        with _unique(name):
            self._connection.execute(update(_NAMESPACES).where(_NAMESPACES.c.id == namespace_id), row)

    def remove_namespace(self, namespace_id: int) -> None:
        """Remove a namespace with all that stands in it."""
        self._connection.execute(delete(_DEFINITIONS).where(_DEFINITIONS.c.namespace_id == namespace_id))
        self._connection.execute(delete(_NAMESPACES).where(_NAMESPACES.c.id == namespace_id))

    def contents(self, namespace_id: int) -> list[Definition]:
        """All that stands in a namespace."""
        return [_definition(row) for row in self._connection.execute(_contents([namespace_id]))]

    def add(self, namespace_id: int, kind: Kind, bodies: Mapping[str, Mapping[str, Any]]) -> None:
        """Insert definitions of one kind, body by name; raises DuplicateDefinition when one is there."""
        now = _now()
        key = {"namespace_id": namespace_id, "kind": kind, "created_at": now, "updated_at": now}
        rows = [{**key, "name": name, "body": dict(body)} for name, body in bodies.items()]
        if rows:
            with _unique(*bodies):
                self._connection.execute(insert(_DEFINITIONS), rows)

    def change(self, namespace_id: int, kind: Kind, old: str, name: str, body: Mapping[str, Any]) -> bool:
        """Set a definition's name and body; whether there was one.

        Raises:
            DuplicateDefinition: the new name is another's.
        """
        row = {"name": name, "body": dict(body), "updated_at": _now()}
        which = _which(namespace_id, kind, [old])
        with _unique(name):
            return self._connection.execute(update(_DEFINITIONS).where(which), row).rowcount == 1

    def remove(self, namespace_id: int, kind: Kind, names: Collection[str] | None = None) -> bool:
        """Remove the definitions of these names, or all of the kind; whether there were any."""
        return (
            self._connection.execute(delete(_DEFINITIONS).where(_which(namespace_id, kind, names))).rowcount
            > 0
        )

    def add_resource_types(self, names: Sequence[str]) -> None:
        """Insert resource types; raises DuplicateDefinition when one is there."""
        now = _now()
        rows = [{"name": name, "created_at": now, "updated_at": now} for name in names]
        with _unique(*names):
            self._connection.execute(insert(_TYPES), rows)


@contextlib.contextmanager
def _unique(*names: str) -> Iterator[None]:
    """Around a statement that may meet a name which is there already; after that its unit is undone."""
    try:
        yield
    except IntegrityError:
        raise DuplicateDefinition(names) from None


def _which(namespace_id: int, kind: Kind, names: Collection[str] | None) -> ColumnElement[bool]:
    c = _DEFINITIONS.c
    every = and_(c.namespace_id == namespace_id, c.kind == kind)
    return every if names is None else and_(every, c.name.in_(names))


def _contents(ids: list[int], kinds: Collection[Kind] = (), name: str | None = None) -> Any:
    c = _DEFINITIONS.c
    query = select(_DEFINITIONS).where(c.namespace_id.in_(ids)).order_by(c.kind, c.name)
    if kinds:
        query = query.where(c.kind.in_(kinds))
    return query if name is None else query.where(c.name == name)


def _conditions(listing: NamespaceQuery) -> Iterable[ColumnElement[bool]]:
    c, d = _NAMESPACES.c, _DEFINITIONS.c
    if listing.scope is not Scope.ALL:
        seen = c.visibility == Visibility.PUBLIC
        own = listing.scope is Scope.VISIBLE and listing.project is not None
        yield or_(seen, c.owner == listing.project) if own else seen
    if listing.visibility is not None:
        yield c.visibility == listing.visibility
    if listing.resource_types:
        about = (d.namespace_id == c.id, d.kind == Kind.ASSOCIATION, d.name.in_(listing.resource_types))
        yield select(d.name).where(*about).exists()
    if listing.after is not None:
        yield _beyond(listing.sort, listing.after)


def _beyond(sort: SortKey, last: Mapping[str, Any]) -> ColumnElement[bool]:
    """What comes after the last namespace of the page before; no field that is sorted by is ever null."""
    c = _NAMESPACES.c

    def after(column: Any, value: Any) -> ColumnElement[bool]:
        return column < value if sort.descending else column > value

    if sort.field == "namespace":
        return after(c.namespace, last["namespace"])
    column, value = c[sort.field], last[sort.field]
    return or_(after(column, value), and_(column == value, after(c.namespace, last["namespace"])))


def _namespace(row: Any) -> Namespace:
    return Namespace(
        row.id,
        row.namespace,
        Visibility(row.visibility),
        row.protected,
        row.owner,
        row.created_at,
        row.updated_at,
        row.display_name,
        row.description,
    )


def _definition(row: Any) -> Definition:
    return Definition(Kind(row.kind), row.name, row.body, row.created_at, row.updated_at)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
