"""Translate between metadata definitions and JSON documents, and read the query strings of lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from calotype.api.http.filters import check_values, read_choice
from calotype.api.http.paging import read_limit, read_position
from calotype.api.http.request import Request
from calotype.api.v2.codec import moment, read_object
from calotype.model.errors import NotAllowed
from calotype.model.fields import InvalidRequest
from calotype.model.images import Visibility
from calotype.model.policy import scope_of
from calotype.model.queries import SortKey
from calotype_metadefs.database import Definition, Kind, Namespace, NamespaceQuery, ResourceType
from calotype_metadefs.resources import visible_namespace
from calotype_metadefs.schemas import MetadefSchemas
from calotype_metadefs.verbs import (
    ITEMS_MAX,
    SHORT_MAX,
    DefinitionDraft,
    NamespaceDraft,
    check_name,
    prefix_for,
)

ROOT = "/v2/metadefs/namespaces"
#: Keys that only the server sets.
_READ_ONLY = frozenset({"created_at", "updated_at", "self", "schema"})
#: Keys of a namespace's document that hold its definitions.
_CONTENTS = frozenset({"properties", "objects", "tags", "resource_type_associations"})

#: The parameters of a list of namespaces, besides those of a page.
FILTERS: Mapping[str, Any] = {
    "visibility": {"type": "string", "enum": ["public", "private"]},
    "resource_types": {"type": "string"},
    "sort_key": {"type": "string", "enum": ["namespace", "created_at", "updated_at"]},
    "sort_dir": {"type": "string", "enum": ["asc", "desc"]},
}


def read_namespace(document: object, schemas: MetadefSchemas) -> NamespaceDraft:
    """Return the draft of a new namespace with its definitions; raises InvalidRequest, NotAllowed."""
    given = _writable(document)
    schemas.check("namespace", given)
    nested = (
        (Kind.ASSOCIATION, given.get("resource_type_associations", ())),
        (Kind.OBJECT, given.get("objects", ())),
        (Kind.TAG, given.get("tags", ())),
        (Kind.PROPERTY, [{**body, "name": name} for name, body in given.get("properties", {}).items()]),
    )
    contents = tuple(_draft(kind, item) for kind, items in nested for item in items)
    return _namespace_draft(given, contents)


def read_namespace_fields(document: object, schemas: MetadefSchemas) -> NamespaceDraft:
    """Return the draft for an update of a namespace. Definitions in the document are ignored."""
    given = _writable(document)
    fields = {name: value for name, value in given.items() if name not in _CONTENTS}
    schemas.check("namespace", fields)
    return _namespace_draft(fields, ())


def read_definition(kind: Kind, document: object, schemas: MetadefSchemas) -> DefinitionDraft:
    """Return the draft of a definition; raises InvalidRequest, NotAllowed."""
    given = _writable(document)
    schemas.check(kind, given)
    return _draft(kind, given)


def _writable(document: object) -> dict[str, Any]:
    given = read_object(document)
    for name in sorted(_READ_ONLY & given.keys()):
        raise NotAllowed(f"Attribute '{name}' is read-only.")
    return given


def _namespace_draft(given: Mapping[str, Any], contents: tuple[DefinitionDraft, ...]) -> NamespaceDraft:
    return NamespaceDraft(
        name=given["namespace"],
        display_name=given.get("display_name"),
        description=given.get("description"),
        visibility=Visibility(given.get("visibility", "private")),
        protected=given.get("protected", False),
        owner=given.get("owner"),
        contents=contents,
    )


def _draft(kind: Kind, given: Mapping[str, Any]) -> DefinitionDraft:
    body = {name: value for name, value in given.items() if name != "name" and name not in _READ_ONLY}
    return DefinitionDraft(kind, given["name"], body)


def read_listing(request: Request, most: int) -> NamespaceQuery:
    """Return the query for the page that a request asks for, with at most `most` namespaces.

    Raises:
        InvalidRequest: a parameter breaks a rule.
    """
    query, caller = request.GET, request.caller
    visibility = read_choice(query, "visibility", ("public", "private"), None)
    key = _read_sort(request, "namespace")
    types = tuple(query["resource_types"].split(",")) if query.get("resource_types") else ()
    check_values("resource_types", len(types))
    for name in types:
        check_name("resource type", name, SHORT_MAX)
    listing = NamespaceQuery(
        scope_of(caller),
        project=caller.project,
        visibility=Visibility(visibility) if visibility else None,
        resource_types=types,
        sort=(key,) if key.field == "namespace" else (key, SortKey("namespace", key.descending)),
        limit=read_limit(query, most),
    )
    return replace(listing, after=_after(request, listing))


def _read_sort(request: Request, name: str) -> SortKey:
    """Return the sort key of the query: the field `name`, `created_at` or `updated_at`."""
    query = request.GET
    key = read_choice(query, "sort_key", (name, "created_at", "updated_at"), "created_at")
    return SortKey(str(key), read_choice(query, "sort_dir", ("asc", "desc"), "desc") == "desc")


def _after(request: Request, listing: NamespaceQuery) -> Mapping[str, Any] | None:
    name = request.GET.get("marker")
    if name is None:
        return None
    carried = read_position(request.GET, "namespace", [key.field for key in listing.sort])
    if carried is not None:
        return carried
    namespace = visible_namespace(request, name)
    if namespace is None:
        raise InvalidRequest("Invalid marker: there is no such namespace.")
    return listing.position(namespace)


def tags_asked_for(request: Request, tags: Iterable[Definition]) -> list[Definition]:
    """Return the page of the tags that the request asks for, or all tags if it has no limit."""
    query = request.GET
    key = _read_sort(request, "name")
    ordered = sorted(tags, key=lambda tag: (getattr(tag, key.field), tag.name), reverse=key.descending)
    if (marker := query.get("marker")) is not None:
        names = [tag.name for tag in ordered]
        if marker not in names:
            raise InvalidRequest("Invalid marker: there is no such tag.")
        ordered = ordered[names.index(marker) + 1 :]
    return ordered[: read_limit(query, ITEMS_MAX)] if "limit" in query else ordered


def namespace_document(
    namespace: Namespace, contents: Sequence[Definition], resource_type: str | None = None
) -> dict[str, Any]:
    """Return a namespace as JSON values, with the given definitions.

    If `resource_type` is given, each property's name begins with the prefix for this type.
    """
    document: dict[str, Any] = {
        "namespace": namespace.name,
        "display_name": namespace.display_name,
        "description": namespace.description,
        "visibility": str(namespace.visibility),
        "protected": namespace.protected,
        "owner": namespace.owner,
        **_times(namespace),
        "self": path_of(namespace),
        "schema": "/v2/schemas/metadefs/namespace",
    }
    document = {name: value for name, value in document.items() if value is not None}
    associations = [one for one in contents if one.kind is Kind.ASSOCIATION]
    prefix = prefix_for(associations, resource_type) if resource_type else ""
    nested = {
        "resource_type_associations": [definition_document(namespace, one) for one in associations],
        "properties": properties_document(contents, prefix),
        "objects": [definition_document(namespace, one) for one in contents if one.kind is Kind.OBJECT],
        "tags": [{"name": one.name} for one in contents if one.kind is Kind.TAG],
    }
    return document | {name: value for name, value in nested.items() if value}


def properties_document(contents: Iterable[Definition], prefix: str = "") -> dict[str, Any]:
    """Return the properties among the definitions by name, with the prefix before each name."""
    return {prefix + one.name: dict(one.body) for one in contents if one.kind is Kind.PROPERTY}


def definition_document(namespace: Namespace, definition: Definition) -> dict[str, Any]:
    """Return a definition as JSON values, in the form of its kind."""
    document = {"name": definition.name, **definition.body}
    if definition.kind is Kind.PROPERTY:
        return document
    document |= _times(definition)
    if definition.kind is Kind.OBJECT:
        own = {
            "self": f"{path_of(namespace)}/objects/{_quoted(definition.name)}",
            "schema": "/v2/schemas/metadefs/object",
        }
        document = {"properties": {}, "required": [], **document, **own}
    return document


def resource_type_document(resource_type: ResourceType) -> dict[str, Any]:
    """Return a resource type as JSON values."""
    return {"name": resource_type.name, **_times(resource_type)}


def _times(record: Namespace | Definition | ResourceType) -> dict[str, str]:
    return {"created_at": moment(record.created_at), "updated_at": moment(record.updated_at)}


def path_of(namespace: Namespace) -> str:
    """Return the path of a namespace."""
    return f"{ROOT}/{_quoted(namespace.name)}"


def _quoted(name: str) -> str:
    return quote(name, safe=":")
