"""Tasks: the jobs of all images. Only administrators can list and create them."""

from __future__ import annotations

from pyramid.response import Response
from pyramid.view import view_config

from calotype.api.http.json_input import read_document
from calotype.api.http.operations import UPLOADS, Operation, json_of
from calotype.api.http.paging import link_parameters
from calotype.api.http.request import Request
from calotype.api.http.versions import base_url
from calotype.api.v2 import tasks
from calotype.api.v2.resources import Task, Tasks
from calotype.api.v2.schemas import Schemas
from calotype.api.v2.views.documents import bodiless_view, json_response, page_response
from calotype.database.jobs import job_position
from calotype.images.imports import ImportRequest, Origin
from calotype.model import policy
from calotype.model.change import Change
from calotype.model.errors import NotFound
from calotype.model.fields import canonical_id


@view_config(
    context=Tasks,
    method="GET",
    permission=policy.OPERATE,
    operation=Operation({200: json_of("v2.tasks")}, query=tasks.PARAMETERS),
)
def index(context: Tasks, request: Request) -> Response:
    """GET /v2/tasks: a page of tasks."""
    listing = tasks.read_listing(request, request.settings.list_limit)
    page = request.db.job_page(listing)
    documents = (
        (link_parameters(job.id, job_position(job, listing.sort)), tasks.listed_task(job))
        for job in page.records
    )
    return page_response(request, "tasks", "/v2/tasks", documents, more=page.more)


@view_config(
    context=Tasks,
    method="POST",
    permission=policy.OPERATE,
    operation=Operation({201: json_of("v2.task")}, body=json_of("v2.new-task"), errors=UPLOADS),
)
def create(context: Tasks, request: Request) -> Response:
    """POST /v2/tasks: create an image from the bytes at a URI."""
    order = tasks.read_task(read_document(request), Schemas.of(request))
    asked = ImportRequest(Origin.URI, asked=order.asked)
    job_id = request.lifecycle.imports.submit(Change(request.caller, order.draft), asked).job_id
    response = json_response(_document(request, job_id), 201)
    response.headers["Location"] = f"{base_url(request)}/v2/tasks/{job_id}"
    return response


@bodiless_view(
    context=Task, method="GET", permission=policy.OPERATE, operation=Operation({200: json_of("v2.task")})
)
def show(context: Task, request: Request) -> Response:
    """GET /v2/tasks/ID: the task."""
    return json_response(_document(request, canonical_id(context.name)))


def _document(request: Request, job_id: str | None) -> dict[str, object]:
    job = request.db.find_job(job_id) if job_id else None
    if job is None:
        raise NotFound("There is no such task.")
    return tasks.task_document(job)
