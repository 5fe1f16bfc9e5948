"""Uploading and downloading the bytes of images; deactivating, reactivating and undeleting images."""

from __future__ import annotations

from pyramid.response import Response
from pyramid.view import view_config

from calotype.api.http.downloads import image_response
from calotype.api.http.meta_headers import read_integer
from calotype.api.http.operations import (
    BYTES,
    CHANGE,
    DOWNLOADS,
    INTEGER,
    NONE,
    RANGE,
    STRING,
    UPLOADS,
    Operation,
    json_of,
    list_of,
    properties,
)
from calotype.api.http.request import Request
from calotype.api.http.responses import nothing
from calotype.api.http.resumption import (
    UploadForm,
    limits_response,
    receive_upload,
    require_whole,
)
from calotype.api.http.uploads import upload_body
from calotype.api.v2.resources import Actions, TombstoneActions, V2Image
from calotype.api.v2.views.documents import bodiless_view, json_response
from calotype.model import policy
from calotype.model.change import Change
from calotype.model.errors import Conflict, NoData
from calotype.model.fields import ImageFields, check_formats
from calotype.model.images import Image
from calotype.model.states import Status

_SIZE = "X-OpenStack-Image-Size"
_STORE = "X-Image-Meta-Store"
_EXTENT = properties(start=INTEGER, length=INTEGER, zero={"type": "boolean"})
#: The form of uploads to the resource `file`.
UPLOAD = UploadForm("v2", Status.QUEUED, lambda request, image: nothing())


@view_config(
    context=V2Image,
    name="file",
    method="PUT",
    permission=policy.UPLOAD,
    operation=Operation(
        {204: NONE, 201: NONE},
        body=BYTES,
        headers={_SIZE: INTEGER, _STORE: STRING},
        errors=UPLOADS,
        refusals={415: "The Content-Type is not that of bytes."},
    ),
)
def upload(context: V2Image, request: Request) -> Response:
    """PUT /v2/images/ID/file: upload the bytes, or begin to. After a failed upload, the image is queued."""
    body = upload_body(request)
    draft = ImageFields(size=declared_size(request), store=request.headers.get(_STORE) or None)
    check_formats(draft, context.image)
    return receive_upload(request, Change(request.caller, draft, context.image), body, UPLOAD)


@view_config(
    context=V2Image, name="file", method="OPTIONS", permission=policy.UPLOAD, operation=Operation({204: NONE})
)
def options(context: V2Image, request: Request) -> Response:
    """OPTIONS /v2/images/ID/file: the limits of resumable uploads."""
    return limits_response(request)


@view_config(
    context=V2Image,
    name="stage",
    method="PUT",
    permission=policy.UPLOAD,
    operation=Operation(
        {204: NONE},
        body=BYTES,
        headers={_SIZE: INTEGER},
        errors=UPLOADS,
        refusals={415: "The Content-Type is not that of bytes."},
    ),
)
def stage(context: V2Image, request: Request) -> Response:
    """PUT /v2/images/ID/stage: upload bytes for an import."""
    require_whole(request)
    body = upload_body(request)
    change = Change(request.caller, ImageFields(size=declared_size(request)), context.image)
    request.lifecycle.imports.stage(change, body)
    return nothing()


@bodiless_view(
    context=V2Image,
    name="file",
    method="GET",
    permission=policy.DOWNLOAD,
    operation=Operation(
        {200: BYTES, 204: NONE, 206: BYTES, 302: NONE, 304: NONE},
        query={"prefer": STRING},
        headers=RANGE,
        errors=DOWNLOADS,
    ),
)
def download(context: V2Image, request: Request) -> Response:
    """GET /v2/images/ID/file: the bytes, or 204 if the image has none.

    `prefer=STORE,STORE` names the stores to read from first.
    """
    image = _preferring(request, context.image)
    try:
        response = image_response(request, image)
    except NoData:
        return nothing()
    if image.checksum:
        response.headers["Content-MD5"] = image.checksum  # clients expect hex, not base64
    return response


@bodiless_view(
    context=V2Image,
    name="extents",
    method="GET",
    permission=policy.DOWNLOAD,
    operation=Operation(
        {200: json_of(properties(extents=list_of(_EXTENT)))}, query={"prefer": STRING}, errors=DOWNLOADS
    ),
)
def extents(context: V2Image, request: Request) -> Response:
    """GET /v2/images/ID/extents: the ranges with data, and those that are zeros, in order and without gaps.

    `prefer=STORE,STORE` names the stores to ask first.
    """
    found = request.lifecycle.reading.extents(_preferring(request, context.image))
    ranges = [{"start": one.offset, "length": one.length, "zero": not one.is_data} for one in found]
    return json_response({"extents": ranges})


def _preferring(request: Request, image: Image) -> Image:
    """Return the image with its copies in the order that the request prefers."""
    if wanted := request.GET.get("prefer"):
        return request.lifecycle.reading.preferring(image, wanted.split(","))
    return image


@bodiless_view(
    context=Actions, name="deactivate", method="POST", permission=policy.DEACTIVATE, operation=CHANGE
)
def deactivate(context: Actions, request: Request) -> Response:
    """POST /v2/images/ID/actions/deactivate: from now on, only administrators can read the bytes."""
    request.lifecycle.deactivate(context.image, request.caller)
    return nothing()


@bodiless_view(
    context=Actions, name="reactivate", method="POST", permission=policy.DEACTIVATE, operation=CHANGE
)
def reactivate(context: Actions, request: Request) -> Response:
    """POST /v2/images/ID/actions/reactivate: end the deactivation."""
    request.lifecycle.reactivate(context.image, request.caller)
    return nothing()


@bodiless_view(
    context=TombstoneActions, name="undelete", method="POST", permission=policy.OPERATE, operation=CHANGE
)
def undelete(context: TombstoneActions, request: Request) -> Response:
    """POST /v2/images/ID/actions/undelete: restore a deleted image within its grace period."""
    request.lifecycle.undelete(context.image.id, request.caller)
    return nothing()


@bodiless_view(context=Actions, name="undelete", method="POST", permission=policy.OPERATE, operation=CHANGE)
def refuse_to_undelete(context: Actions, request: Request) -> Response:
    """POST .../actions/undelete of an image that is not deleted: answer 409."""
    raise Conflict(f"Image {context.image.id} is not deleted; its status is {context.image.status}.")


def declared_size(request: Request) -> int | None:
    """Return the size that the header declares, or None if it is absent or 0; raises InvalidRequest."""
    text = request.headers.get(_SIZE)
    return None if text is None else read_integer(_SIZE, text) or None
