"""The views of the classic dialect: each reads headers, calls one verb, and returns the response.

A request that creates an image, or completes a reserved one, has a body, or names a location, or has neither.
An empty body counts as no body, even if it is chunked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pyramid.config import Configurator
from pyramid.renderers import render_to_response
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from calotype.api.classic import codec
from calotype.api.classic.resources import ClassicImage, ClassicImages
from calotype.api.http import errors, problems
from calotype.api.http.downloads import image_response, metadata_response
from calotype.api.http.lists import stream_images
from calotype.api.http.operations import (
    BYTES,
    CHANGES,
    DOWNLOADS,
    NONE,
    PAGE,
    RANGE,
    UPLOADS,
    WAIT,
    Operation,
    json_of,
    list_of,
    properties,
)
from calotype.api.http.paging import LIMIT_RULE, NO_MARKER, read_image_marker, read_limit
from calotype.api.http.request import Request
from calotype.api.http.resources import Root
from calotype.api.http.resumption import UploadForm, is_resumable, limits_response, receive_upload
from calotype.api.http.uploads import upload_body
from calotype.api.http.versions import VERSION_LIST, version_document
from calotype.api.http.waiting import when_ready
from calotype.identity.security import Unauthenticated
from calotype.model import policy
from calotype.model.change import Change
from calotype.model.errors import Protected
from calotype.model.images import Image
from calotype.model.queries import SHOWN, ImageQuery, Scope
from calotype.model.states import Status

LOCATION = "x-image-meta-location"
_LIST = properties(images=list_of({"type": "object", "required": ["id", "name", "type", "size"]}))
#: A request that creates or changes an image by its headers, and perhaps gives it bytes.
_GIVEN = Operation(
    {200: json_of(properties(image={"type": "object"})), 201: NONE},
    body=BYTES,
    headers=codec.HEADERS,
    errors=UPLOADS,
    refusals={415: "The Content-Type is not that of bytes."},
)


@view_config(
    context=ClassicImages,
    method="GET",
    permission=policy.LIST,
    operation=Operation({200: json_of(_LIST)}, query=PAGE),
)
def index(context: ClassicImages, request: Request) -> Response:
    """GET /images: the brief list."""
    return _page(request, codec.image_brief)


@view_config(
    context=ClassicImages,
    name="detail",
    method="GET",
    permission=policy.LIST,
    operation=Operation({200: json_of(_LIST)}, query=PAGE),
)
def detail(context: ClassicImages, request: Request) -> Response:
    """GET /images/detail: the complete records."""
    return _page(request, codec.image_detail)


@view_config(
    context=Root,
    method="GET",
    permission=NO_PERMISSION_REQUIRED,
    operation=Operation({300: json_of({**VERSION_LIST, "required": ["versions", "images"]})}, query=PAGE),
)
def root(context: Root, request: Request) -> Response:
    """GET /: the brief list and the API versions. The list is empty if the caller may not list images."""
    versions = version_document(request)
    try:
        if request.has_permission(policy.LIST):
            response = _page(request, codec.image_brief, versions=versions)
            response.status_int = 300
            return response
    except Unauthenticated:
        pass
    return Response(json={"versions": versions, "images": []}, status=300)


def _page(request: Request, form: Callable[[Image], dict[str, Any]], **rest: Any) -> Response:
    """Return a page of the public images that are not hidden."""
    most = request.settings.list_limit
    limit = read_limit(request.GET, most, default=most, rule=LIMIT_RULE)
    query = ImageQuery(Scope.PUBLIC, conditions=(SHOWN,), limit=limit)
    query = replace(query, after=read_image_marker(request, query.sort, NO_MARKER))
    return stream_images(request, query, form, whole=form is not codec.image_brief, **rest)


@view_config(
    context=Root,
    name="versions",
    method="GET",
    renderer="json",
    permission=NO_PERMISSION_REQUIRED,
    operation=Operation({200: json_of(VERSION_LIST)}),
)
def versions(context: Root, request: Request) -> dict[str, Any]:
    """GET /versions: the implemented versions of the API."""
    return {"versions": version_document(request)}


@view_config(context=ClassicImages, method="POST", permission=policy.CREATE, operation=_GIVEN)
def create(context: ClassicImages, request: Request) -> Response:
    """POST /images: upload the body, register a location, or reserve an image for later."""
    return _give(request, None) or _record(request, request.lifecycle.reserve(_change(request, None)))


@view_config(context=ClassicImage, method="PUT", permission=policy.UPDATE, operation=_GIVEN)
def update(context: ClassicImage, request: Request) -> Response:
    """PUT /images/ID: upload the bytes of a reserved image, register its location, or change metadata."""
    image = context.image
    return _give(request, image) or _record(request, request.lifecycle.update(_change(request, image)))


@view_config(
    context=ClassicImages, method="OPTIONS", permission=policy.CREATE, operation=Operation({204: NONE})
)
@view_config(
    context=ClassicImage, method="OPTIONS", permission=policy.UPLOAD, operation=Operation({204: NONE})
)
def options(context: ClassicImages | ClassicImage, request: Request) -> Response:
    """OPTIONS /images and /images/ID: the limits of resumable uploads."""
    return limits_response(request)


@view_config(
    context=ClassicImage,
    method="HEAD",
    permission=policy.VIEW,
    operation=Operation({200: NONE, 304: NONE}, query=WAIT, headers=RANGE, errors=DOWNLOADS),
)
@when_ready
def meta(context: ClassicImage, request: Request) -> Response:
    """HEAD /images/ID: the metadata as headers."""
    response = metadata_response(request, context.image)
    response.headers.extend(codec.image_headers(context.image))
    return response


@view_config(
    context=ClassicImage,
    method=("GET",),
    permission=policy.DOWNLOAD,
    operation=Operation({200: BYTES, 206: BYTES, 302: NONE, 304: NONE}, headers=RANGE, errors=DOWNLOADS),
)
def show(context: ClassicImage, request: Request) -> Response:
    """GET /images/ID: the bytes, and the metadata as headers."""
    image = context.image
    response = image_response(request, image)
    response.headers.extend(codec.image_headers(image))
    return response


@view_config(
    context=ClassicImage,
    method="DELETE",
    permission=policy.DELETE,
    operation=Operation({200: NONE}, errors=(*CHANGES, Protected)),
)
def delete(context: ClassicImage, request: Request) -> Response:
    """DELETE /images/ID: delete the image, and answer 200 without a body."""
    request.lifecycle.delete(context.image, request.caller)
    return Response(content_type="text/plain", charset="utf-8")


def _give(request: Request, image: Image | None) -> Response | None:
    """Store the body or register the location, and return the response; None if the request has neither."""
    if is_resumable(request) or request.has_body:
        body = upload_body(request)
        return receive_upload(request, _change(request, image), body, UPLOAD)
    if LOCATION in request.headers:
        change = _change(request, image)
        return _record(request, request.lifecycle.register(change, confirm=request.confirm_caller))
    return None


def _change(request: Request, image: Image | None) -> Change:
    return Change(request.caller, codec.read_draft(request), image)


def _record(request: Request, image: Image) -> Response:
    return render_to_response("json", {"image": codec.image_detail(image)}, request)


#: The form of uploads that create an image, or complete a reserved one.
UPLOAD = UploadForm("classic", Status.KILLED, _record)


def _error_form(request: Request, status: int, text: str) -> Response:
    """Return an error as plain text, with "Image not found" instead of "Not found" for old clients."""
    return errors.plain_text(request, status, "Image not found" if text == "Not found" else text)


def includeme(config: Configurator) -> None:
    """Add /images to the root, and register the views."""
    config.add_child(Root, "images", ClassicImages)
    config.add_error_form("images", _error_form, media=("text/plain", problems.PROBLEM))
    config.add_upload_form(UPLOAD)
    config.scan("calotype.api.classic.views")
