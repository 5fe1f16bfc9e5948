"""Metadata definitions in the database: records, queries, and the verbs of a unit of work.

A namespace holds definitions of four kinds. A name is unique within its kind. A unit that changes the
contents of a namespace locks the namespace's row first.
"""

from __future__ import annotations

import contextlib
import datetime
import enum
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, insert, or_, select
from sqlalchemy.exc import IntegrityError

from calotype.database.keysets import Page, cut_page, page_of
from calotype.database.pages import AT_ONCE
from calotype.database.retry import LockConflict
from calotype.database.statements import Queries, UnitPart, now
from calotype.model.images import Visibility
from calotype.model.queries import Scope, SortKey
from calotype_metadefs.errors import DuplicateDefinition, NamespaceNotFound
from calotype_metadefs.tables import DefinitionRow, NamespaceRow, ResourceTypeRow

_NAMESPACES, _DEFINITIONS = NamespaceRow.__table__, DefinitionRow.__table__
_TYPES = ResourceTypeRow.__table__
_SORTED = {name: _NAMESPACES.c[name] for name in ("namespace", "created_at", "updated_at")}


class Kind(enum.StrEnum):
    """A kind of definition."""

    OBJECT = "object"
    PROPERTY = "property"
    TAG = "tag"
    ASSOCIATION = "association"  #: named after the resource type that the namespace is associated with


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace, without its definitions. Its visibility is public or private."""

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
    """A named definition in a namespace. `body` has its other keys, as JSON values."""

    kind: Kind
    name: str
    body: Mapping[str, Any]
    created_at: datetime.datetime
    updated_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A type of resource that can have metadata."""

    name: str
    created_at: datetime.datetime
    updated_at: datetime.datetime


@dataclass(frozen=True, slots=True)
class NamespaceQuery:
    """A query for namespaces. If it has `resource_types`, a namespace must be associated with one of them.

    `sort` ends with the name, so that the order is unique. `after` is the `position` of the last namespace of
    the previous page.
    """

    scope: Scope
    project: str | None = None
    visibility: Visibility | None = None
    resource_types: tuple[str, ...] = ()
    sort: tuple[SortKey, ...] = (SortKey("namespace"),)
    limit: int = 25
    after: Mapping[str, Any] | None = None

    def position(self, namespace: Namespace) -> dict[str, Any]:
        """Return the position of a namespace in this list: the namespace's values of the sort keys."""
        return {
            key.field: namespace.name if key.field == "namespace" else getattr(namespace, key.field)
            for key in self.sort
        }


class Definitions(Queries):
    """The queries for namespaces, definitions and resource types; shared by all threads."""

    def namespace(self, name: str) -> Namespace | None:
        """Return the namespace with this name; None if there is none."""
        row = self._first(select(_NAMESPACES).where(_NAMESPACES.c.namespace == name))
        return None if row is None else Namespace(*row)

    def page(self, listing: NamespaceQuery) -> Page[Namespace]:
        """Return a page of the namespaces that match the query."""
        if listing.limit == 0:
            return Page((), more=False)
        conditions = [list(_conditions(listing))]
        rows = self._all(page_of(select(_NAMESPACES), _NAMESPACES.c.id, conditions, _SORTED, listing))
        return cut_page(rows, listing.limit, lambda row: Namespace(*row))

    def contents(self, namespaces: Iterable[Namespace], *kinds: Kind) -> dict[int, list[Definition]]:
        """Return the definitions by namespace id; only those of `kinds` if any are given."""
        found: dict[int, list[Definition]] = {namespace.id: [] for namespace in namespaces}
        for row in self._all(_contents(list(found), kinds)) if found else ():
            found[row.namespace_id].append(_definition(row))
        return found

    def each_with(
        self, namespaces: Sequence[Namespace], *kinds: Kind
    ) -> Iterator[tuple[Namespace, list[Definition]]]:
        """Yield each namespace with its definitions of these kinds, `AT_ONCE` namespaces at a time."""
        for start in range(0, len(namespaces), AT_ONCE):
            some = namespaces[start : start + AT_ONCE]
            found = self.contents(some, *kinds)
            yield from ((one, found[one.id]) for one in some)

    def find(self, namespace: Namespace, kind: Kind, name: str) -> Definition | None:
        """Return the definition with this kind and name; None if there is none."""
        row = self._first(_contents([namespace.id], [kind]).where(_DEFINITIONS.c.name == name))
        return None if row is None else _definition(row)

    def resource_types(self) -> list[ResourceType]:
        """Return all resource types, sorted by name."""
        return [ResourceType(*row) for row in self._all(select(_TYPES).order_by(_TYPES.c.name))]


class LockedNamespace(UnitPart):
    """A namespace that a unit of work has locked. Its methods change the namespace within that unit.

    No other unit changes the namespace, or its definitions, before this one ends.

    Raises:
        NamespaceNotFound: the namespace is gone.
    """

    def __init__(self, connection: Connection, namespace_id: int):
        super().__init__(connection)
        query = select(_NAMESPACES).where(_NAMESPACES.c.id == namespace_id).with_for_update()
        row = connection.execute(query).first()
        if row is None:
            raise NamespaceNotFound
        self.namespace = Namespace(*row)

    def update(self, name: str, fields: Mapping[str, Any]) -> None:
        """Set the namespace's name and fields.

        Raises:
            DuplicateDefinition: another namespace has the name.
        """
        with _unique(name):
            mine = _NAMESPACES.c.id == self.namespace.id
            self._swap(_NAMESPACES, mine, namespace=name, **fields, updated_at=now())

    def delete(self) -> None:
        """Remove the namespace with all its definitions."""
        key = self.namespace.id
        self.connection.execute(delete(_DEFINITIONS).where(_DEFINITIONS.c.namespace_id == key))
        self.connection.execute(delete(_NAMESPACES).where(_NAMESPACES.c.id == key))

    def contents(self) -> list[Definition]:
        """Return all definitions in the namespace."""
        return [_definition(row) for row in self.connection.execute(_contents([self.namespace.id]))]

    def add(self, kind: Kind, bodies: Mapping[str, Mapping[str, Any]]) -> None:
        """Insert definitions of one kind, given as their bodies by name.

        Raises:
            DuplicateDefinition: a definition of this kind has one of the names already.
        """
        at = now()
        common = {"namespace_id": self.namespace.id, "kind": kind, "created_at": at, "updated_at": at}
        rows = [{**common, "name": name, "body": dict(body)} for name, body in bodies.items()]
        if rows:
            with _unique(*bodies):
                self.connection.execute(insert(_DEFINITIONS), rows)

    def change(self, kind: Kind, old: str, name: str, body: Mapping[str, Any]) -> bool:
        """Set the name and the body of the definition called `old`; return whether there was one.

        Raises:
            DuplicateDefinition: another definition has the new name.
        """
        with _unique(name):
            return self._swap(
                _DEFINITIONS, self._which(kind, [old]), name=name, body=dict(body), updated_at=now()
            )

    def remove(self, kind: Kind, names: Collection[str] | None = None) -> bool:
        """Remove the definitions with these names, or all of the kind; return whether there were any."""
        removed = self.connection.execute(delete(_DEFINITIONS).where(self._which(kind, names)))
        return removed.rowcount > 0

    def _which(self, kind: Kind, names: Collection[str] | None) -> ColumnElement[bool]:
        c = _DEFINITIONS.c
        every = and_(c.namespace_id == self.namespace.id, c.kind == kind)
        return every if names is None else and_(every, c.name.in_(names))


def add_namespace(connection: Connection, name: str, fields: Mapping[str, Any]) -> LockedNamespace:
    """Insert a namespace and return it, locked.

    Raises:
        DuplicateDefinition: the name is taken.
    """
    at = now()
    row = {"namespace": name, **fields, "created_at": at, "updated_at": at}
    with _unique(name):
        key = connection.execute(insert(_NAMESPACES), row).inserted_primary_key
    return LockedNamespace(connection, key[0] if key else 0)


def add_resource_types(connection: Connection, names: Iterable[str]) -> None:
    """Insert resource types.

    Raises:
        LockConflict: another process has just inserted one of them.
    """
    at = now()
    try:
        connection.execute(insert(_TYPES), [{"name": n, "created_at": at, "updated_at": at} for n in names])
    except IntegrityError as error:
        raise LockConflict("Another request is adding the same resource type.") from error


@contextlib.contextmanager
def _unique(*names: str) -> Iterator[None]:
    """Raise DuplicateDefinition if the statement in the block fails because a name is taken."""
    try:
        yield
    except IntegrityError:
        raise DuplicateDefinition(names) from None


def _contents(ids: list[int], kinds: Collection[Kind] = ()) -> Select[Any]:
    c = _DEFINITIONS.c
    query = select(_DEFINITIONS).where(c.namespace_id.in_(ids)).order_by(c.kind, c.name)
    return query.where(c.kind.in_(kinds)) if kinds else query


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


def _definition(row: Any) -> Definition:
    return Definition(Kind(row.kind), row.name, row.body, row.created_at, row.updated_at)
