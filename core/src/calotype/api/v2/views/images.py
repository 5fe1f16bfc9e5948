"""Versions, lists, and the metadata of images."""

from __future__ import annotations

from functools import partial

from pyramid.httpexceptions import HTTPUnsupportedMediaType
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from calotype.api.http.json_input import read_document
from calotype.api.http.operations import CHANGES, NONE, WAIT, Operation, json_of
from calotype.api.http.paging import link_parameters
from calotype.api.http.request import Request
from calotype.api.http.responses import nothing
from calotype.api.http.versions import VERSION_LIST, base_url, version_document
from calotype.api.http.waiting import when_ready
from calotype.api.v2 import codec, patch
from calotype.api.v2.import_methods import methods_for_caller
from calotype.api.v2.listing import PARAMETERS, read_listing
from calotype.api.v2.resources import V2, V2Image, V2Images
from calotype.api.v2.schemas import Schemas
from calotype.api.v2.views.documents import (
    bodiless_view,
    image_document,
    image_documents,
    json_response,
    page_response,
)
from calotype.database.queries import position
from calotype.model import policy
from calotype.model.change import Change
from calotype.model.errors import Protected
from calotype.model.images import Image


@view_config(
    context=V2,
    method="GET",
    permission=NO_PERMISSION_REQUIRED,
    operation=Operation({200: json_of(VERSION_LIST)}),
)
def versions(context: V2, request: Request) -> Response:
    """GET /v2: the versions, for clients whose endpoint URL ends in /v2. No token is needed."""
    return json_response({"versions": version_document(request)})


@view_config(
    context=V2Images,
    method="GET",
    permission=policy.LIST,
    operation=Operation({200: json_of("v2.images")}, query=PARAMETERS),
)
def index(context: V2Images, request: Request) -> Response:
    """GET /v2/images: a page of the images that the caller may see."""
    page = request.db.page(read_listing(request, request.settings.list_limit))
    documents = (
        (link_parameters(image.id, position(image, page.sort)), document)
        for images in page
        for image, document in zip(images, image_documents(request, images), strict=True)
    )
    return page_response(request, "images", "/v2/images", documents, more=page.more)


@view_config(
    context=V2Images,
    method="POST",
    permission=policy.CREATE,
    operation=Operation({201: json_of("v2.image")}, body=json_of("v2.new-image"), errors=CHANGES),
)
def create(context: V2Images, request: Request) -> Response:
    """POST /v2/images: create a queued image."""
    draft = codec.read_draft(read_document(request), Schemas.of(request))
    image = request.lifecycle.reserve(Change(request.caller, draft))
    response = json_response(codec.image_document(image), 201)
    response.headers["Location"] = f"{base_url(request)}/v2/images/{image.id}"
    if methods := methods_for_caller(request):
        response.headers["OpenStack-image-import-methods"] = ",".join(methods)
    response.headers["OpenStack-image-store-ids"] = ",".join(store.name for store in request.stores)
    return response


@bodiless_view(
    context=V2Image,
    method="GET",
    permission=policy.VIEW,
    operation=Operation({200: json_of("v2.image")}, query=WAIT),
)
@when_ready
def show(context: V2Image, request: Request) -> Response:
    """GET /v2/images/ID: the document of the image. With `wait=STATUS`, wait for this status first."""
    return json_response(image_document(request, context.image))


@view_config(
    context=V2Image,
    method="PATCH",
    permission=policy.UPDATE,
    operation=Operation(
        {200: json_of("v2.image")},
        body={patch.V20: patch.SCHEMA_V20, patch.V21: patch.SCHEMA_V21},
        errors=CHANGES,
        refusals={415: "The Content-Type is not that of a patch."},
    ),
)
def update(context: V2Image, request: Request) -> Response:
    """PATCH /v2/images/ID: apply a JSON patch completely or not at all. An empty patch changes nothing."""
    given = request.media_type
    if given not in patch.MEDIA_TYPES:
        raise HTTPUnsupportedMediaType(
            f"The Content-Type of a patch must be {' or '.join(patch.MEDIA_TYPES)}.",
            headers={"Accept-Patch": ", ".join(patch.MEDIA_TYPES)},
        )
    changes = patch.read_patch(read_document(request), given)
    image: Image = context.image
    if changes:
        draft_of = partial(patch.draft_of, changes, schemas=Schemas.of(request))
        image = request.lifecycle.update(Change.derived(request.caller, image, draft_of))
    return json_response(image_document(request, image))


@bodiless_view(
    context=V2Image,
    method="DELETE",
    permission=policy.DELETE,
    operation=Operation({204: NONE}, errors=(*CHANGES, Protected)),
)
def delete(context: V2Image, request: Request) -> Response:
    """DELETE /v2/images/ID: delete the image."""
    request.lifecycle.delete(context.image, request.caller)
    return nothing()
