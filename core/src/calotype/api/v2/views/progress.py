"""The progress of an image's uploads, imports and copies."""

from __future__ import annotations

import datetime
from typing import Any

from pyramid.response import Response

from calotype.api.http.operations import Operation, json_of
from calotype.api.http.request import Request
from calotype.api.http.times import whole_seconds
from calotype.api.v2.resources import V2Image
from calotype.api.v2.views.documents import bodiless_view, json_response
from calotype.images.progress import ImageProgress, StoreProgress, progress_of
from calotype.model import policy


@bodiless_view(
    context=V2Image,
    name="progress",
    method="GET",
    permission=policy.VIEW,
    operation=Operation({200: json_of("v2.progress")}),
)
def show(context: V2Image, request: Request) -> Response:
    """GET /v2/images/ID/progress: the phase, the bytes so far and their total, for each store too."""
    found = progress_of(request.db, context.image)
    return json_response(_document(found, shows_stores=policy.sees_stores(request.caller, context.image)))


def _document(found: ImageProgress, *, shows_stores: bool) -> dict[str, Any]:
    document = {
        "image": found.image.id,
        "status": str(found.image.status),
        "phase": str(found.phase),
        "bytes": found.moved,
        "total": found.total,
        "rate": None if found.rate is None else round(found.rate),
        "updated_at": _moment(found.updated_at),
        "estimated_end": _moment(found.estimated_end),
    }
    if reason := found.message or found.image.status_reason:
        document["reason"] = reason
    if shows_stores:
        document["stores"] = [_store_document(one) for one in found.stores]
    return document


def _store_document(one: StoreProgress) -> dict[str, Any]:
    document = {
        "store": one.store,
        "state": str(one.state),
        "bytes": one.moved,
        "total": one.total,
        "rate": None if one.rate is None else round(one.rate),
    }
    return document if one.reason is None else {**document, "reason": one.reason}


def _moment(moment: datetime.datetime | None) -> str | None:
    return None if moment is None else whole_seconds(moment)
