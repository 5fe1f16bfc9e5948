"""The views of v1 on images."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from calotype.api.http.downloads import image_response, metadata_response
from calotype.api.http.json_input import read_document
from calotype.api.http.lists import stream_images
from calotype.api.http.meta_headers import META, read_boolean
from calotype.api.http.operations import (
    BYTES,
    CHANGES,
    DOWNLOADS,
    NONE,
    RANGE,
    UPLOADS,
    WAIT,
    Operation,
    json_of,
    list_of,
    properties,
)
from calotype.api.http.request import Request
from calotype.api.http.resumption import UploadForm, is_resumable, limits_response, receive_upload
from calotype.api.http.uploads import upload_body
from calotype.api.http.versions import VERSION_LIST, base_url, version_document
from calotype.api.http.waiting import when_ready
from calotype.api.v1 import codec
from calotype.api.v1.listing import PARAMETERS, read_listing
from calotype.api.v1.resources import V1, V1Image, V1Images, V1Tombstone
from calotype.images.imports import ImportRequest, Origin
from calotype.model import policy
from calotype.model.change import Change
from calotype.model.errors import NotAllowed, Protected
from calotype.model.fields import ImageFields, InvalidRequest, check_formats
from calotype.model.images import Image
from calotype.model.states import Status
from calotype.transfers.readers import Announced

_RECORD = json_of(properties(image={"type": "object"}))
_RECORD_OR_BYTES = {**_RECORD, **BYTES}
_LIST = properties(images=list_of({"type": "object", "required": ["id"]}))
#: A request that creates or changes an image by its headers or a document, and perhaps gives it bytes.
_GIVEN = Operation(
    {200: _RECORD, 201: _RECORD},
    body={**BYTES, **_RECORD},
    headers=codec.HEADERS,
    errors=UPLOADS,
    refusals={415: "The Content-Type is not that of bytes."},
)


@view_config(
    context=V1,
    method="GET",
    permission=policy.LIST,
    operation=Operation(
        {200: json_of({**VERSION_LIST, "required": ["versions", "images"]})}, query=PARAMETERS
    ),
)
def root(context: V1, request: Request) -> Response:
    """GET /v1: the brief list, and the API versions, for clients whose endpoint URL ends in /v1."""
    return _page(request, codec.image_brief, versions=version_document(request))


@view_config(
    context=V1Images,
    method="GET",
    permission=policy.LIST,
    operation=Operation({200: json_of(_LIST)}, query=PARAMETERS),
)
def index(context: Any, request: Request) -> Response:
    """GET /v1/images: the brief list."""
    return _page(request, codec.image_brief)


@view_config(
    context=V1Images,
    name="detail",
    method="GET",
    permission=policy.LIST,
    operation=Operation({200: json_of(_LIST)}, query=PARAMETERS),
)
def detail(context: V1Images, request: Request) -> Response:
    """GET /v1/images/detail: the complete records."""
    return _page(request, codec.image_document)


def _page(request: Request, form: Callable[[Image], dict[str, Any]], **rest: Any) -> Response:
    query = read_listing(request, request.settings.list_limit)
    # Send no Link header: openstacksdk follows `next`, and a Link header would break it.
    return stream_images(request, query, form, whole=form is not codec.image_brief, **rest)


@view_config(context=V1Images, method="POST", permission=policy.CREATE, operation=_GIVEN)
def create(context: V1Images, request: Request) -> Response:
    """POST /v1/images: reserve, upload, register or copy an image, depending on the request's source."""
    if _has_document(request):
        given = codec.read_document_draft(read_document(request))
        image = request.lifecycle.reserve(Change(request.caller, _drafted(request, given, None)))
        return _created(request, image)
    return _give(request, codec.read_draft(request), None, CREATION)


def _created(request: Request, image: Image) -> Response:
    response = _document(request, image)
    response.status_int = 201
    response.headers["Location"] = f"{base_url(request)}/v1/images/{image.id}"
    return response


@view_config(context=V1Image, method="PUT", permission=policy.UPDATE, operation=_GIVEN)
def update(context: V1Image, request: Request) -> Response:
    """PUT /v1/images/ID: change metadata, or give a queued image its bytes."""
    image = context.image
    if _has_document(request):
        given = codec.read_document_draft(read_document(request))
        return _document(request, _update(request, image, given))
    draft = codec.read_draft(request)
    _hold_to_record(request, image, draft)
    body = _has_bytes(request)
    purge = read_boolean(request.headers.get(codec.PURGE, "true")) and not body
    external = draft.location is not None or codec.copy_source(request) is not None
    if external and not body and image.status is not Status.QUEUED:
        raise InvalidRequest(
            "Attempted to update Location field for an image not in queued status. "
            f"This image is {image.status}; create a new one."
        )
    return _give(request, replace(draft, id=None, replace_properties=purge), image, COMPLETION)


@view_config(context=V1Images, method="OPTIONS", permission=policy.CREATE, operation=Operation({204: NONE}))
@view_config(context=V1Image, method="OPTIONS", permission=policy.UPLOAD, operation=Operation({204: NONE}))
def options(context: V1Images | V1Image, request: Request) -> Response:
    """OPTIONS /v1/images and /v1/images/ID: the limits of resumable uploads."""
    return limits_response(request)


def _has_bytes(request: Request) -> bool:
    """Return True if the request uploads bytes. The first part of a resumable upload may be empty."""
    return is_resumable(request) or request.has_body


def _has_document(request: Request) -> bool:
    """Return True if the metadata is in a JSON body. Some clients announce JSON, but send only headers."""
    return request.media_type == "application/json" and request.has_body


def _drafted(request: Request, draft: ImageFields, image: Image | None) -> ImageFields:
    return codec.with_defaults(draft, image, is_admin=request.caller.is_admin)


def _hold_to_record(request: Request, image: Image, draft: ImageFields) -> None:
    """Raise NotAllowed if the request changes a field that the caller may not change."""
    status = request.headers.get(f"{META}status")
    if draft.id not in (None, image.id):
        raise NotAllowed("Forbidden to modify 'id' of image.")
    if status is not None and status != image.status:
        raise NotAllowed("Forbidden to modify 'status' of image.")
    if image.status in (Status.ACTIVE, Status.DEACTIVATED) and not request.caller.is_admin:
        if draft.size not in (None, image.size):
            raise NotAllowed("Forbidden to modify 'size' of active image.")
        if draft.digests.get("md5", image.checksum) != image.checksum:
            raise NotAllowed("Forbidden to modify 'checksum' of active image.")


def _give(request: Request, draft: ImageFields, image: Image | None, form: UploadForm) -> Response:
    """Create or complete an image from the request's source; raises InvalidRequest if there are several."""
    given, draft = draft, _drafted(request, draft, image)
    change = Change(request.caller, draft, image)
    body, source = _has_bytes(request), codec.copy_source(request)
    if body + (draft.location is not None) + (source is not None) > 1:
        raise InvalidRequest(
            "It's invalid to provide multiple image sources: send a body, or one header that names a URL."
        )
    if draft.location == "" or source == "":
        raise InvalidRequest("External source should not be empty: name a URL, or omit the header.")
    if body or draft.location or source:
        check_formats(draft, image)
    if body:
        # openstacksdk creates the image by JSON, and then sends the body without a Content-Type.
        reader = upload_body(request, needs_type=image is None)
        return receive_upload(request, change, reader, form)
    return form.respond(request, _store(request, change, given, source))


def _store(request: Request, change: Change, given: ImageFields, source: str | None) -> Image:
    """Copy an image from `source`, register its location, change its metadata or reserve it."""
    lifecycle = request.lifecycle
    if source is not None:
        order = ImportRequest(Origin.URI, on_failure=Status.KILLED, waits=True)
        return lifecycle.imports.submit(change.with_fields(location=source), order).image
    if change.fields.location is not None:
        return lifecycle.register(change, confirm=request.confirm_caller)
    if change.image is not None:
        return _update(request, change.image, given)
    if change.fields.size == 0:
        return lifecycle.upload(change, Announced(io.BytesIO(), 0))
    return lifecycle.reserve(change)


def _update(request: Request, image: Image, given: ImageFields) -> Image:
    derive = partial(_drafted, request, given)
    return request.lifecycle.update(Change.derived(request.caller, image, derive))


def _document(request: Request, image: Image) -> Response:
    response = Response(json={"image": codec.image_document(image)})
    if image.checksum:
        response.headers["ETag"] = image.checksum
    return response


#: The forms of uploads that create an image, and of those that complete a queued one.
CREATION = UploadForm("v1", Status.KILLED, _created)
COMPLETION = UploadForm("v1-queued", Status.KILLED, _document)


@view_config(
    context=V1Image,
    method="HEAD",
    permission=policy.VIEW,
    operation=Operation({200: NONE, 304: NONE}, query=WAIT, headers=RANGE, errors=DOWNLOADS),
)
@view_config(
    context=V1Tombstone,
    method="HEAD",
    permission=policy.VIEW,
    operation=Operation({200: NONE, 304: NONE}, query=WAIT, headers=RANGE, errors=DOWNLOADS),
)
@when_ready
def meta(context: V1Image, request: Request) -> Response:
    """HEAD /v1/images/ID: the metadata as headers. The Content-Type is not JSON, as there is no document."""
    response = metadata_response(request, context.image, "text/html; charset=UTF-8")
    return _with_headers(response, context.image)


@view_config(
    context=V1Image,
    method=("GET",),
    permission=policy.DOWNLOAD,
    operation=Operation(
        {200: _RECORD_OR_BYTES, 206: BYTES, 302: NONE, 304: NONE}, headers=RANGE, errors=DOWNLOADS
    ),
)
def show(context: V1Image, request: Request) -> Response:
    """GET /v1/images/ID: the bytes, with the metadata as headers. openstacksdk gets the record instead.

    openstacksdk expects a record here, and then requests the bytes at `/file`.
    """
    if (request.user_agent or "").startswith("openstacksdk/"):
        return _document(request, context.image)
    return _with_headers(image_response(request, context.image), context.image)


def _with_headers(response: Response, image: Image) -> Response:
    """Add the metadata to the headers, and remove the quotes of the ETag."""
    if response.headers.pop("ETag", None) and image.checksum:
        response.headers["ETag"] = image.checksum
    response.headers.extend(codec.image_headers(image))
    return response


@view_config(
    context=V1Image,
    name="file",
    method="GET",
    permission=policy.DOWNLOAD,
    operation=Operation({200: BYTES, 206: BYTES, 302: NONE, 304: NONE}, headers=RANGE, errors=DOWNLOADS),
)
def file(context: V1Image, request: Request) -> Response:
    """GET /v1/images/ID/file: the bytes, and their MD5 in hex."""
    response = image_response(request, context.image)
    if context.image.checksum:
        response.headers["Content-MD5"] = context.image.checksum
    return response


@view_config(
    context=V1Image,
    method="DELETE",
    permission=policy.DELETE,
    operation=Operation({200: NONE}, errors=(*CHANGES, Protected)),
)
def delete(context: V1Image, request: Request) -> Response:
    """DELETE /v1/images/ID: delete the image, and answer 200 without a body."""
    request.lifecycle.delete(context.image, request.caller)
    return Response(content_type="text/html", charset="utf-8")


@view_config(
    context=V1Tombstone, method=("GET", "DELETE"), permission=NO_PERMISSION_REQUIRED, operation=Operation({})
)
def gone(context: V1Tombstone, request: Request) -> Response:
    """GET and DELETE /v1/images/ID of a deleted image: answer 404."""
    raise HTTPNotFound


@view_config(context=V1Tombstone, method="PUT", permission=NO_PERMISSION_REQUIRED, operation=Operation({}))
def gone_for_ever(context: V1Tombstone, request: Request) -> Response:
    """PUT /v1/images/ID of a deleted image: answer 403."""
    raise NotAllowed("Forbidden to update deleted image. Create a new one.")
