"""Information about the service: schemas, import methods, stores, usage."""

from __future__ import annotations

from typing import Any

from pyramid.response import Response

from calotype.api.http.request import Request
from calotype.api.v2.import_methods import methods_for_caller
from calotype.api.v2.resources import Info, InfoStores, Schema
from calotype.api.v2.views.documents import bodiless_view, json_response
from calotype.model import policy
from calotype.stores.catalog import Entry
from calotype.stores.contract import WritableStore

_MIB = 1 << 20


@bodiless_view(context=Schema, method="GET", permission=policy.LIST)
def schema(context: Schema, request: Request) -> Response:
    """GET /v2/schemas/NAME: the schema."""
    return json_response(context.document)


@bodiless_view(context=Info, name="import", method="GET", permission=policy.LIST)
def imports(context: Info, request: Request) -> Response:
    """GET /v2/info/import: the import methods that the caller may use."""
    methods = {
        "description": "Import methods available.",
        "type": "array",
        "value": methods_for_caller(request),
    }
    return json_response({"import-methods": methods})


@bodiless_view(context=InfoStores, method="GET", permission=policy.LIST)
def stores(context: InfoStores, request: Request) -> Response:
    """GET /v2/info/stores: the stores, with ids and descriptions. A flag is shown only if it is true."""
    return json_response({"stores": [_store(request, entry) for entry in request.stores.entries.values()]})


@bodiless_view(context=InfoStores, name="detail", method="GET", permission=policy.OPERATE)
def stores_in_detail(context: InfoStores, request: Request) -> Response:
    """GET /v2/info/stores/detail: the stores, with ids, descriptions, drivers and weights."""
    listed = [
        {
            **_store(request, entry),
            "type": entry.driver.name,
            "weight": entry.options.weight,
            "properties": {},
        }
        for entry in request.stores.entries.values()
    ]
    return json_response({"stores": listed})


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


@bodiless_view(context=Info, name="usage", method="GET", permission=policy.LIST)
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
