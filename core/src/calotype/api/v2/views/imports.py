"""Importing and copying images, listing their tasks, and removing an image from one of its stores."""

from __future__ import annotations

from typing import Any

from pyramid.httpexceptions import HTTPForbidden
from pyramid.response import Response
from pyramid.view import view_config

from calotype.api.http.json_input import read_document
from calotype.api.http.operations import NONE, STRING, UPLOADS, Operation, json_of, list_of, properties
from calotype.api.http.request import Request
from calotype.api.http.responses import nothing
from calotype.api.v2 import codec
from calotype.api.v2.import_methods import import_methods, methods_for_caller
from calotype.api.v2.resources import StoreImage, V2Image
from calotype.api.v2.schemas import Schemas
from calotype.api.v2.tasks import image_task
from calotype.api.v2.views.documents import bodiless_view, json_response
from calotype.config.messages import not_one_of
from calotype.images.imports import ImportRequest, Origin
from calotype.model import policy
from calotype.model.change import Change
from calotype.model.errors import UnknownTarget, no_store
from calotype.model.fields import ImageFields, InvalidRequest
from calotype.stores.contract import WritableStore


@view_config(
    context=V2Image,
    name="import",
    method="POST",
    permission=policy.UPLOAD,
    operation=Operation(
        {202: NONE}, body=json_of("v2.new-import"), headers={"X-Image-Meta-Store": STRING}, errors=UPLOADS
    ),
)
def begin(context: V2Image, request: Request) -> Response:
    """POST /v2/images/ID/import: start an import or, with the permission OPERATE, a copy."""
    header_store = request.headers.get("X-Image-Meta-Store") or None
    order = codec.read_import(read_document(request), Schemas.of(request), header_store)
    if order.method not in import_methods(request.stores):
        offered = methods_for_caller(request)
        raise InvalidRequest(not_one_of("The import method is not offered here", order.method, offered))
    if order.method == "copy-image" and not request.has_permission(policy.OPERATE):
        raise HTTPForbidden
    if order.method == "web-download" and not order.uri:
        raise InvalidRequest("The import method web-download needs a uri.")
    asked = ImportRequest(
        _ORIGINS[order.method],
        _targets(request, order),
        strict=order.strict,
        skip_held=order.all_stores,
    )
    change = Change(request.caller, ImageFields(location=order.uri), context.image)
    request.lifecycle.imports.submit(change, asked)
    return nothing(202)


_ORIGINS = {"glance-direct": Origin.STAGED, "web-download": Origin.URI, "copy-image": Origin.COPY}


def _targets(request: Request, order: codec.ImportOrder) -> tuple[str, ...]:
    """Return the requested stores; an empty tuple stands for the default store."""
    if order.all_stores:
        return tuple(store.name for store in request.stores if store.can(WritableStore))
    return order.stores or ()


@view_config(
    context=V2Image,
    name="tasks",
    method="GET",
    permission=policy.VIEW,
    operation=Operation({200: json_of(properties(tasks=list_of("v2.image-task")))}),
)
def tasks(context: V2Image, request: Request) -> Response:
    """GET /v2/images/ID/tasks: the jobs of the image that the caller may see."""
    documents: list[dict[str, Any]] = [
        image_task(job)
        for job in request.db.jobs_of(context.image.id, request.settings.list_limit)
        if policy.sees_job(request.caller, job.owner)
    ]
    return json_response({"tasks": documents})


@bodiless_view(
    context=StoreImage,
    method="DELETE",
    permission=policy.OPERATE,
    operation=Operation({204: NONE}, errors=UPLOADS),
)
def remove_from_store(context: StoreImage, request: Request) -> Response:
    """DELETE /v2/stores/STORE/ID: remove the image's bytes from one of its stores."""
    store = context.__parent__.name
    if store not in request.stores:
        raise UnknownTarget(no_store(store, request.stores.entries))
    request.lifecycle.imports.remove_from_store(context.image, store, request.caller)
    return nothing()
