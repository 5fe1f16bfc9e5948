"""What the v2 views share: documents of images, and answers without a body."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from pyramid.response import Response
from pyramid.view import view_config

from calotype.api.http.json_input import has_document
from calotype.api.http.lists import Fitting, list_response
from calotype.api.http.paging import VALUES, kept_parameters, link
from calotype.api.http.request import Request
from calotype.api.v2 import codec
from calotype.database.database import Database
from calotype.model import policy
from calotype.model.changes import InvalidRequest
from calotype.model.images import Image, Status
from calotype.model.jobs import Job, JobStatus

View = Callable[[Any, Request], Any]


def bodiless_view(**predicates: Any) -> view_config:
    """Register a view whose requests have no body; one with a body was meant for something else: 400."""
    return view_config(decorator=without_body, **predicates)


def without_body(view: View) -> View:
    """Make a view refuse requests with a body."""

    def bodiless(context: Any, request: Request) -> Any:
        if has_document(request):
            raise InvalidRequest("A request of this kind has no body.")
        return view(context, request)

    return bodiless


def image_documents(request: Request, images: Iterable[Image]) -> list[dict[str, Any]]:
    """The images as the caller may see them, each with what became of its last import."""
    listed = list(images)
    database: Database = request.db
    jobs = database.latest_jobs([image.id for image in listed if image.has_jobs])
    weights = {name: entry.options.weight for name, entry in request.stores.entries.items()}
    documents = []
    for image in listed:
        job = jobs.get(image.id)
        if job is not None and _ended_since(job, image):
            image = database.find(image.id) or image
        documents.append(
            codec.image_document(
                image, job, shows_stores=policy.sees_stores(request.caller, image), weights=weights
            )
        )
    return documents


def _ended_since(job: Job, image: Image) -> bool:
    """Whether the job has ended after the image was read: whoever waits for its end must see what it did."""
    if job.is_open:
        return False
    if image.status in (Status.SAVING, Status.IMPORTING):
        return True
    stores = {location.store for location in image.locations}
    return job.status is JobStatus.SUCCESS and not stores.issuperset(job.order["stores"])


def image_document(request: Request, image: Image) -> dict[str, Any]:
    """One image as the caller may see it."""
    return image_documents(request, [image])[0]


def page_response(request: Request, name: str, path: str, shown: Fitting, *, more: bool) -> Response:
    """Answer with a page of a list: what fits of it, and links to its first page and to the next, if any.

    `more`: something follows the documents that `shown` was made of.
    """
    query = kept_parameters(request, "marker", VALUES)
    links = {"first": link(path, query)}
    if shown.last is not None and (shown.cut or more):
        links["next"] = link(path, [*query, *shown.last.items()])
    return list_response(name, shown.texts, {**links, "schema": path.replace("/v2/", "/v2/schemas/", 1)})


def json_response(document: Any, status: int = 200) -> Response:
    """A document as it goes over the wire: UTF-8, nothing escaped that need not be."""
    body = json.dumps(document, ensure_ascii=False).encode()
    return Response(body, status=status, content_type="application/json", charset="UTF-8")


def nothing(status: int = 204) -> Response:
    """An answer with no body."""
    response = Response(status=status)
    response.headers.pop("Content-Type", None)
    return response
