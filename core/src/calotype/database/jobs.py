"""Jobs: the queries for them, and the verbs of a unit of work on them."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, case, func, insert, or_, select, update

from calotype.database.keysets import Page, cut_page, page_of
from calotype.database.statements import Queries, UnitPart, now
from calotype.database.tables import JobRow, LocationRow
from calotype.model.audit import Actor
from calotype.model.images import Image, LocationState
from calotype.model.jobs import OPEN, Job, JobKind, JobStatus, OpenJob
from calotype.model.queries import JobQuery, SortKey

_JOBS = JobRow.__table__
_RELEASED: Mapping[str, Any] = {"lease_owner": None, "lease_until": None}
_MAKES_IMAGE = JobRow.order["asked"].as_string().is_not(None)
_SORTED = {
    **{name: _JOBS.c[name] for name in ("id", "status", "created_at", "updated_at")},
    "makes_image": case((_MAKES_IMAGE, 1), else_=0),
}

# An image may have any number of jobs, because each failed import leaves one. These statements are built
# once, so that SQLAlchemy caches their compiled form: v2 reads the newest job of each image that it shows.
_NEWEST_FIRST = (_JOBS.c.created_at.desc(), _JOBS.c.id.desc())
_OF_ONE = (
    select(_JOBS)
    .where(_JOBS.c.image_id == bindparam("image_id"))
    .order_by(*_NEWEST_FIRST)
    .limit(bindparam("most"))
)
_RANKED = (
    select(
        _JOBS.c.id, func.row_number().over(partition_by=_JOBS.c.image_id, order_by=_NEWEST_FIRST).label("nth")
    )
    .where(_JOBS.c.image_id.in_(bindparam("image_ids", expanding=True)))
    .subquery()
)
_LATEST = select(_JOBS).join(_RANKED, _RANKED.c.id == _JOBS.c.id).where(_RANKED.c.nth == 1)

# The columns that a list reads. Orders are left out, because one may take 200 KiB, and a list needs to know
# only whether the job makes a new image.
_LISTED = select(
    *(column for column in _JOBS.c if column is not _JOBS.c.job_order),
    _SORTED["makes_image"].label("made"),
)


def job_position(job: Job, sort: Sequence[SortKey]) -> dict[str, Any]:
    """Return the position of a job in a list: the job's values of the sort keys."""
    values = {key.field: getattr(job, key.field) for key in sort}
    return {name: int(value) if name == "makes_image" else value for name, value in values.items()}


def _record(row: Row[Any]) -> Job:
    """Return the job that a row describes. A row of `_LISTED` only shows whether the order has `asked`."""
    listed_order: dict[str, Any] = {"asked": {}} if getattr(row, "made", False) else {}
    return Job(
        id=row.id,
        kind=row.kind,
        image_id=row.image_id,
        status=row.status,
        order=getattr(row, "job_order", listed_order),
        pending=tuple(row.outcome["pending"]),
        failed=tuple(row.outcome["failed"]),
        message=row.message,
        owner=row.owner,
        user=row.job_user,
        request_id=row.request_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        reasons=row.outcome.get("reasons", {}),
        waited=row.outcome.get("waited", 0.0),
        waiting_since=row.waiting_since,
    )


class JobsUnit(UnitPart):
    """The methods of a unit of work that change jobs."""

    _whole: dict[str, Image]

    def add_job(self, kind: JobKind, image: Image, order: Mapping[str, Any], actor: Actor) -> str:
        """Insert a job for the project that owns the image, and return the job's id."""
        at, job_id = now(), str(uuid.uuid4())
        row = {
            "id": job_id,
            "kind": kind,
            "image_id": image.id,
            "status": JobStatus.PENDING,
            "job_order": dict(order),
            "outcome": {"pending": list(order.get("stores", ())), "failed": []},
            "message": "",
            "owner": image.owner,
            "job_user": actor.user,
            "request_id": actor.origin.request_id or "",
            "created_at": at,
            "updated_at": at,
        }
        self.connection.execute(insert(_JOBS), row)
        self._whole.pop(image.id, None)
        return job_id

    def has_open_job(self, image_id: str) -> bool:
        """Return whether the image has an unfinished job."""
        mine = select(_JOBS.c.id).where(_JOBS.c.image_id == image_id, _JOBS.c.status.in_(OPEN))
        return self.connection.execute(mine.limit(1)).first() is not None

    def claim_job(self, seen: OpenJob, owner: str, until: datetime.datetime) -> bool:
        """Take a job's lease and return True; return False if the job has changed since it was `seen`."""
        as_seen = (_JOBS.c.lease_until == seen.lease_until, _JOBS.c.not_before == seen.not_before)
        values = {"lease_owner": owner, "lease_until": until, "not_before": None}
        return self._change_job(seen.job.id, *as_seen, status=JobStatus.PROCESSING, **values)

    def note_job(self, job_id: str, owner: str, outcome: Mapping[str, Any]) -> bool:
        """Record the progress of a job that is not waiting; return whether `owner` still holds the job."""
        return self._change_own(job_id, owner, outcome, message="", waiting_since=None)

    def put_job_off(
        self, job: Job, owner: str, until: datetime.datetime, message: str, outcome: Mapping[str, Any]
    ) -> bool:
        """Release a job that will be retried at `until`; return whether `owner` still held the job."""
        waits = {"not_before": until, "waiting_since": job.waiting_since or now()}
        return self._change_own(
            job.id, owner, outcome, status=JobStatus.PENDING, message=message, **waits, **_RELEASED
        )

    def hurry_jobs(self, image_id: str) -> None:
        """Make the image's jobs that wait for a store ready for an immediate retry."""
        waiting = update(_JOBS).where(_JOBS.c.image_id == image_id, _JOBS.c.not_before.is_not(None))
        self.connection.execute(waiting.values(not_before=None))

    def end_job(
        self, job_id: str, owner: str, status: JobStatus, message: str, outcome: Mapping[str, Any]
    ) -> bool:
        """Record the end of a job; return whether `owner` still held the job."""
        ended = {"status": status, "message": message, "waiting_since": None}
        return self._change_own(job_id, owner, outcome, **ended, **_RELEASED)

    def _change_own(self, job_id: str, owner: str, outcome: Mapping[str, Any], **values: Any) -> bool:
        return self._change_job(job_id, _JOBS.c.lease_owner == owner, outcome=dict(outcome), **values)

    def _change_job(self, job_id: str, *conditions: ColumnElement[bool], **values: Any) -> bool:
        is_open = (_JOBS.c.id == job_id, _JOBS.c.status.in_(OPEN))
        return self._swap(_JOBS, *is_open, *conditions, updated_at=now(), **values)


class JobQueries(Queries):
    """The queries for jobs."""

    def open_jobs(self, limit: int, at: datetime.datetime, latest: datetime.datetime) -> list[OpenJob]:
        """Return open jobs, claimed or not, oldest first. Jobs that wait for a store come last.

        A job whose retry is due between `at` and `latest` is left out. If its retry is due after `latest`, it
        is returned, because the clock of this process, or of the process that set the time, must be wrong.
        """
        c = _JOBS.c
        left = select(LocationRow.key).where(
            LocationRow.image_id == c.image_id, LocationRow.state == LocationState.INTENDED
        )
        found = (
            select(_JOBS, left.exists().label("waits"))
            .where(c.status.in_(OPEN))
            .where(or_(c.not_before.is_(None), c.not_before <= at, c.not_before > latest))
            # Many jobs may wait for one store, and each retry may take long, so other jobs go first.
            .order_by(case((c.not_before.is_(None), 0), else_=1), c.created_at)
            .limit(limit)
        )
        rows = self._all(found)
        return [OpenJob(_record(row), row.lease_until, bool(row.waits), row.not_before) for row in rows]

    def find_job(self, job_id: str) -> Job | None:
        """Return the job with this id; None if there is none."""
        row = self._first(select(_JOBS).where(_JOBS.c.id == job_id))
        return None if row is None else _record(row)

    def job_page(self, listing: JobQuery) -> Page[Job]:
        """Return a page of the jobs that match the query. Their orders are left out, except for `asked`.

        If the list is sorted by time, each status becomes a separate query, because the index begins with the
        status. `asked` is empty, and shows only that the job makes a new image.
        """
        statuses: list[JobStatus | None] = [listing.status]
        if listing.status is None and listing.sort[0].field == "created_at":
            statuses = list(JobStatus)
        wanted = (
            [] if listing.makes_image is None else [_MAKES_IMAGE if listing.makes_image else ~_MAKES_IMAGE]
        )
        alternatives = [[*wanted, *([] if one is None else [_JOBS.c.status == one])] for one in statuses]
        rows = self._all(page_of(_LISTED, _JOBS.c.id, alternatives, _SORTED, listing))
        return cut_page(rows, listing.limit, _record)

    def jobs_of(self, image_id: str, limit: int = 1000) -> list[Job]:
        """Return the newest jobs of an image, at most `limit`, newest first."""
        return [_record(row) for row in self._all(_OF_ONE, image_id=image_id, most=limit)]

    def latest_jobs(self, image_ids: Collection[str]) -> dict[str, Job]:
        """Return the newest job of each image that has a job, by the image's id."""
        if len(image_ids) == 1:  # the statement for one image is much cheaper
            (image_id,) = image_ids
            return {job.image_id: job for job in self.jobs_of(image_id, 1)}
        rows = self._all(_LATEST, image_ids=list(image_ids)) if image_ids else ()
        return {row.image_id: _record(row) for row in rows}
