"""Information about the service: schemas, import methods, stores, usage."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pyramid.response import Response

from calotype.api.http.operations import FLAG, INTEGER, STRING, Operation, json_of, list_of, properties
from calotype.api.http.request import Request
from calotype.api.v2.import_methods import methods_for_caller
from calotype.api.v2.resources import Info, InfoStores, Schema
from calotype.api.v2.views.documents import bodiless_view, json_response
from calotype.model import policy
from calotype.stores.catalog import Entry
from calotype.stores.contract import WritableStore

_MIB = 1 << 20
_METHODS = properties(
    **{"import-methods": properties(description=STRING, type=STRING, value=list_of(STRING))}
)
_STORE: dict[str, Any] = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": STRING, "description": STRING, "default": FLAG, "read-only": FLAG},
}
_DETAILED_STORE: dict[str, Any] = {
    "type": "object",
    "required": ["id", "type", "weight", "properties"],
    "properties": {
        **_STORE["properties"],
        "type": STRING,
        "weight": {"type": "integer"},
        "properties": {"type": "object", "additionalProperties": INTEGER},
    },
}
_QUOTA = properties(limit={"type": "integer", "minimum": -1}, usage=INTEGER)


@bodiless_view(
    context=Schema,
    method="GET",
    permission=policy.LIST,
    operation=Operation({200: json_of({"type": "object"})}),
)
def schema(context: Schema, request: Request) -> Response:
    """GET /v2/schemas/NAME: the schema."""
    return json_response(context.document)


@bodiless_view(
    context=Info,
    name="import",
    method="GET",
    permission=policy.LIST,
    operation=Operation({200: json_of(_METHODS)}),
)
def imports(context: Info, request: Request) -> Response:
    """GET /v2/info/import: the import methods that the caller may use."""
    methods = {
        "description": "Import methods available.",
        "type": "array",
        "value": methods_for_caller(request),
    }
    return json_response({"import-methods": methods})


@bodiless_view(
    context=InfoStores,
    method="GET",
    permission=policy.LIST,
    operation=Operation({200: json_of(properties(stores=list_of(_STORE)))}),
)
def stores(context: InfoStores, request: Request) -> Response:
    """GET /v2/info/stores: the stores, with ids and descriptions. A flag is shown only if it is true."""
    return json_response({"stores": [_store(request, entry) for entry in request.stores.entries.values()]})


@bodiless_view(
    context=InfoStores,
    name="detail",
    method="GET",
    permission=policy.OPERATE,
    operation=Operation({200: json_of(properties(stores=list_of(_DETAILED_STORE)))}),
)
def stores_in_detail(context: InfoStores, request: Request) -> Response:
    """GET /v2/info/stores/detail: the stores, with ids, descriptions, drivers, weights and room."""
    listed = [
        {
            **_store(request, entry),
            "type": entry.driver.name,
            "weight": entry.options.weight,
            "properties": _room(request, entry),
        }
        for entry in request.stores.entries.values()
    ]
    return json_response({"stores": listed})


def _room(request: Request, entry: Entry) -> dict[str, int]:
    """Return the room that the last probe of the store has measured, in bytes, as far as the store knows."""
    room = asdict(request.parts.probes.stores[entry.store.name].room)
    return {name: size for name, size in room.items() if size is not None}


def _store(request: Request, entry: Entry) -> dict[str, Any]:
    store = entry.store
    described: dict[str, Any] = {"id": store.name}
    if entry.options.description:
        described["description"] = entry.options.description
    if store.name == request.stores.default:
        described["default"] = "true"
    if not store.can(WritableStore):
        described["read-only"] = "true"
    return described


@bodiless_view(
    context=Info,
    name="usage",
    method="GET",
    permission=policy.LIST,
    operation=Operation({200: json_of(properties(usage={"type": "object", "additionalProperties": _QUOTA}))}),
)
def usage(context: Info, request: Request) -> Response:
    """GET /v2/info/usage: the usage and the limits of the caller's project.

    Sizes are in MiB, and -1 means no limit. `image_size_total` includes staged bytes.
    """
    settings, project = request.settings, request.caller.project
    if project is None:
        return json_response({"usage": {}})
    used = request.db.usage(project)
    incoming = request.db.incoming(project)
    most = None if settings.project_bytes is None else settings.project_bytes // _MIB
    return json_response(
        {
            "usage": {
                "image_size_total": _quota(most, -(-used.bytes // _MIB)),
                "image_stage_total": _quota(None, -(-incoming.staged_bytes // _MIB)),
                "image_count_total": _quota(settings.project_images, used.images),
                "image_count_uploading": _quota(None, incoming.images),
            }
        }
    )


def _quota(most: int | None, used: int) -> dict[str, int]:
    return {"limit": -1 if most is None else most, "usage": used}
