"""The parts that the views of v2 share: documents of images, pages, and responses without a body."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pyramid.response import Response
from pyramid.view import view_config

from calotype.api.http.json_input import has_document
from calotype.api.http.lists import fit, list_response
from calotype.api.http.paging import VALUES, kept_parameters, link
from calotype.api.http.request import Request
from calotype.api.v2 import codec
from calotype.database.database import Database
from calotype.model import policy
from calotype.model.fields import InvalidRequest
from calotype.model.images import Image
from calotype.model.jobs import Job, JobStatus
from calotype.model.states import Status

View = Callable[[Any, Request], Any]


def bodiless_view(**predicates: Any) -> view_config:
    """Register a view that answers 400 to requests with a body, because the view would ignore the body."""
    return view_config(decorator=without_body, **predicates)


def without_body(view: View) -> View:
    """Wrap a view, so that it refuses requests with a body."""

    def bodiless(context: Any, request: Request) -> Any:
        if has_document(request):
            raise InvalidRequest("This request must not have a body.")
        return view(context, request)

    return bodiless


def image_documents(request: Request, images: Iterable[Image]) -> list[dict[str, Any]]:
    """Return the documents of images, with the states of their last jobs.

    Stores that the caller may not see are omitted.
    """
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
    """Return True if the job ended after the image was read, so that the image must be read again."""
    if job.is_open:
        return False
    if image.status in (Status.SAVING, Status.IMPORTING):
        return True
    stores = {location.store for location in image.locations}
    return job.status is JobStatus.SUCCESS and not stores.issuperset(job.order["stores"])


def image_document(request: Request, image: Image) -> dict[str, Any]:
    """Return the document of an image, as `image_documents` does."""
    return image_documents(request, [image])[0]


def page_response(
    request: Request,
    name: str,
    path: str,
    documents: Iterable[tuple[Mapping[str, str], Any]],
    *,
    more: bool,
) -> Response:
    """Return a page of a list, with a link to the first page, and one to the next page if there is one.

    The page ends early if it reaches the maximum size of a response.

    Args:
        documents: pairs of link parameters and a document. The link leads to the entries after the document.
        more: true if the list continues after these documents.
    """
    shown = fit(documents, request.settings.list_bytes)
    query = kept_parameters(request, "marker", VALUES)
    links = {"first": link(path, query)}
    if shown.last is not None and (shown.cut or more):
        links["next"] = link(path, [*query, *shown.last.items()])
    return list_response(name, shown.texts, {**links, "schema": path.replace("/v2/", "/v2/schemas/", 1)})


def json_response(document: Any, status: int = 200) -> Response:
    """Return a response with a document as JSON in UTF-8, without escapes for characters beyond ASCII."""
    body = json.dumps(document, ensure_ascii=False).encode()
    return Response(body, status=status, content_type="application/json", charset="UTF-8")
