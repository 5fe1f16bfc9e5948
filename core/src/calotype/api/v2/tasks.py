"""Tasks, the form in which v2 shows jobs and accepts new ones.

If POST /v2/tasks created the job and its image, the task has the type `import`. Any other task has the type
`api_image_import`. A task does not show the source of its bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from calotype.api.http import operations
from calotype.api.http.filters import DIRECTIONS, read_choice, read_sort
from calotype.api.http.paging import read_limit, read_marker
from calotype.api.http.request import Request
from calotype.api.http.times import whole_seconds, without_zone
from calotype.api.v2.codec import read_draft
from calotype.api.v2.schemas import Schemas, TaskType
from calotype.database.jobs import job_position
from calotype.model.fields import ImageFields, InvalidRequest, canonical_id
from calotype.model.jobs import Job, JobKind, JobStatus
from calotype.model.queries import JobQuery, SortKey

#: Sort key -> field of a job.
_SORT_KEYS = {
    "id": "id",
    "type": "makes_image",
    "status": "status",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "expires_at": "created_at",  # no task expires, so created_at decides
}
#: The parameters of a list.
PARAMETERS: Mapping[str, operations.Schema] = {
    **operations.PAGE,
    "status": {"type": "string", "enum": [*JobStatus]},
    "type": {"type": "string", "enum": [*TaskType]},
    "sort_key": {"type": "string", "enum": [*_SORT_KEYS]},
    "sort_dir": {"type": "string", "enum": DIRECTIONS},
}


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """A client's request for a task that imports a new image from `draft.location`.

    `asked` is the part of the task's input that responses show.
    """

    draft: ImageFields
    asked: Mapping[str, Any]


def read_task(document: object, schemas: Schemas) -> TaskRequest:
    """Return the requested task.

    Raises:
        NotAllowed, ReservedName: the document sets a field that only the server sets.
        InvalidRequest: the document does not satisfy its schema, or names two disk formats.
    """
    schemas.check("task", document)
    asked: dict[str, Any] = dict(document["input"])  # type: ignore[index]
    uri = asked.pop("import_from")
    draft = read_draft(asked["image_properties"], schemas)
    shown = {name: asked[name] for name in ("import_from_format", "image_properties")}
    source_format = asked["import_from_format"]
    if draft.fields.get("disk_format") not in (None, source_format):
        raise InvalidRequest("Imports convert nothing: disk_format must be the same as import_from_format.")
    fields = {**draft.fields, "disk_format": source_format}
    return TaskRequest(replace(draft, fields=fields, location=uri), shown)


def read_listing(request: Request, most: int) -> JobQuery:
    """Return the query for at most `most` tasks; raises InvalidRequest."""
    query = request.GET
    status = read_choice(query, "status", tuple(map(str, JobStatus)), None)
    kind = read_choice(query, "type", tuple(map(str, TaskType)), None)
    sort = read_sort(query, _SORT_KEYS)
    return JobQuery(
        status=JobStatus(status) if status else None,
        makes_image=kind == TaskType.IMPORT if kind else None,
        sort=sort,
        limit=read_limit(query, most),
        after=_after(request, sort),
    )


def _after(request: Request, sort: Sequence[SortKey]) -> Mapping[str, Any] | None:
    def find(text: str) -> Mapping[str, Any] | None:
        job_id = canonical_id(text)
        job = request.db.find_job(job_id) if job_id else None
        return None if job is None else job_position(job, sort)

    missing = "Invalid marker: there is no such task."
    return read_marker(request.GET, [key.field for key in sort], find, missing)


def listed_task(job: Job) -> dict[str, Any]:
    """Return a job as an entry of a list of tasks."""
    return {
        **_common(job),
        "message": job.message,
        "created_at": whole_seconds(job.created_at),
        "updated_at": whole_seconds(job.updated_at),
        "self": f"/v2/tasks/{job.id}",
        "schema": "/v2/schemas/task",
    }


def task_document(job: Job) -> dict[str, Any]:
    """Return a job as a task."""
    return {**listed_task(job), **_details(job)}


def image_task(job: Job) -> dict[str, Any]:
    """Return a job as an entry of an image's list of tasks. Its fields differ from those of `listed_task`."""
    return {
        **_common(job),
        **_details(job),
        "created_at": without_zone(job.created_at),
        "updated_at": without_zone(job.updated_at),
        "deleted": False,
        "deleted_at": None,
    }


def _common(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "type": str(TaskType.IMPORT if job.makes_image else TaskType.API_IMAGE_IMPORT),
        "status": str(job.status),
        "owner": job.owner,
        "image_id": job.image_id,
        "request_id": job.request_id,
        "user_id": job.user,
        "expires_at": None,
    }


def _details(job: Job) -> dict[str, Any]:
    return {
        "input": dict(job.order["asked"]) if job.makes_image else _import_of(job),
        "result": {"image_id": job.image_id} if job.status is JobStatus.SUCCESS else None,
        "message": job.message,
    }


def _import_of(job: Job) -> dict[str, Any]:
    stores = list(job.order["stores"])
    return {
        "image_id": job.image_id,
        "import_req": {"method": {"name": _method_name(job)}, "stores": stores},
        "backend": stores,
    }


def _method_name(job: Job) -> str:
    """Return the import method that a job carries out."""
    if job.kind is JobKind.COPY:
        return "copy-image"
    return "glance-direct" if job.order.get("staged") else "web-download"
