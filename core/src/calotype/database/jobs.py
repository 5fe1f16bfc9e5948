"""Jobs: reading those of some images, and pages of all, and writing them in a unit of work."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    union_all,
    update,
)

from calotype.database.queries import follows, order_by
from calotype.database.tables import JobRow, LocationRow
from calotype.model.audit import Actor
from calotype.model.images import Image, LocationState
from calotype.model.jobs import Job, JobKind, JobPage, JobStatus, OpenJob
from calotype.model.queries import JobQuery, SortKey

_JOBS = JobRow.__table__
_OPEN = (JobStatus.PENDING, JobStatus.PROCESSING)
_MAKES_IMAGE = JobRow.order["asked"].as_string().is_not(None)
_SORTED = {
    **{name: _JOBS.c[name] for name in ("id", "status", "created_at", "updated_at")},
    "makes_image": case((_MAKES_IMAGE, 1), else_=0),
}

# An image may have any number of jobs, for each import that fails leaves one. Made once, so that SQLAlchemy
# knows what it has compiled: v2 asks for each image it shows.
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

# What a list shows of jobs. An order may hold 200 KiB; a list only asks whether it has made an image.
_LISTED = (
    *(column for column in _JOBS.c if column is not _JOBS.c.job_order),
    _SORTED["makes_image"].label("made"),
)


def _matching(listing: JobQuery, status: JobStatus | None) -> Select[Any]:
    query = select(*_LISTED)
    if status is not None:
        query = query.where(JobRow.status == status)
    if listing.makes_image is not None:
        query = query.where(_MAKES_IMAGE if listing.makes_image else ~_MAKES_IMAGE)
    if listing.after is not None:
        query = query.where(follows(_SORTED, listing.sort, listing.after))
    return query.order_by(*order_by(_SORTED, listing.sort)).limit(listing.limit + 1)


def job_position(job: Job, sort: Sequence[SortKey]) -> dict[str, Any]:
    """Return what a job is sorted by."""
    values = {key.field: getattr(job, key.field) for key in sort}
    return {name: int(value) if name == "makes_image" else value for name, value in values.items()}


def _united(parts: list[Select[Any]], listing: JobQuery) -> Select[Any]:
    """The first of all parts' rows."""
    ids = union_all(*(select(part.with_only_columns(_JOBS.c.id).subquery()) for part in parts)).subquery()
    found = select(*_LISTED).join(ids, ids.c.id == _JOBS.c.id)
    return found.order_by(*order_by(_SORTED, listing.sort)).limit(listing.limit + 1)


def _records(connection: Connection, query: Select[Any], **values: Any) -> list[Job]:
    return [_record(row) for row in connection.execute(query, values)]


def _record(row: Row[Any]) -> Job:
    return Job(
        id=row.id,
        kind=JobKind(row.kind),
        image_id=row.image_id,
        status=JobStatus(row.status),
        order=_order(row),
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


def _order(row: Row[Any]) -> dict[str, Any]:
    """The work of the job; in a list only whether it has made an image."""
    if "made" in row._mapping:
        return {"asked": {}} if row.made else {}
    return row.job_order


class JobsUnit:
    """The verbs of a unit of work on jobs."""

    _connection: Connection

    def add_job(self, kind: JobKind, image: Image, order: Mapping[str, Any], actor: Actor) -> str:
        """Write a job down, for the project that owns the image, and return its id."""
        now, job_id = _now(), str(uuid.uuid4())
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
            "created_at": now,
            "updated_at": now,
        }
        self._connection.execute(insert(_JOBS), row)
        return job_id

    def has_open_job(self, image_id: str) -> bool:
        """Return whether a job of the image has not ended yet."""
        mine = select(_JOBS.c.id).where(_JOBS.c.image_id == image_id, _JOBS.c.status.in_(_OPEN))
        return self._connection.execute(mine.limit(1)).first() is not None

    def claim_job(self, seen: OpenJob, owner: str, until: datetime.datetime) -> bool:
        """Take a job and return True, unless it is no longer as it was `seen`."""
        as_seen = (_JOBS.c.lease_until == seen.lease_until, _JOBS.c.not_before == seen.not_before)
        values = {"lease_owner": owner, "lease_until": until, "not_before": None}
        return self._change_job(seen.job.id, *as_seen, status=JobStatus.PROCESSING, **values)

    def note_job(self, job_id: str, owner: str, outcome: Mapping[str, Any]) -> bool:
        """Write down how far a job is, which waits for nothing; return whether it is still `owner`'s."""
        mine = _JOBS.c.lease_owner == owner
        return self._change_job(job_id, mine, outcome=dict(outcome), message="", waiting_since=None)

    def put_job_off(
        self, job: Job, owner: str, until: datetime.datetime, message: str, outcome: Mapping[str, Any]
    ) -> bool:
        """Give a job back that is to be tried again at `until`; return whether it was still `owner`'s."""
        values: dict[str, Any] = {"not_before": until, "waiting_since": job.waiting_since or _now()}
        values |= {"status": JobStatus.PENDING, "lease_owner": None, "lease_until": None}
        mine = _JOBS.c.lease_owner == owner
        return self._change_job(job.id, mine, message=message, outcome=dict(outcome), **values)

    def hurry_jobs(self, image_id: str) -> None:
        """Let the image's jobs that wait for a store be tried again at once."""
        waiting = update(_JOBS).where(_JOBS.c.image_id == image_id, _JOBS.c.not_before.is_not(None))
        self._connection.execute(waiting.values(not_before=None))

    def end_job(
        self, job_id: str, owner: str, status: JobStatus, message: str, outcome: Mapping[str, Any]
    ) -> bool:
        """Write down how a job ended; return whether it was still `owner`'s."""
        values = {"status": status, "message": message, "outcome": dict(outcome), "waiting_since": None}
        return self._change_job(
            job_id, _JOBS.c.lease_owner == owner, lease_owner=None, lease_until=None, **values
        )

    def _change_job(self, job_id: str, *conditions: ColumnElement[bool], **values: Any) -> bool:
        change = (
            update(_JOBS)
            .where(_JOBS.c.id == job_id, _JOBS.c.status.in_(_OPEN), *conditions)
            .values(updated_at=_now(), **values)
        )
        return self._connection.execute(change).rowcount == 1


class JobQuestions:
    """The questions about jobs."""

    _reader: Callable[[], AbstractContextManager[Connection]]

    def open_jobs(self, limit: int, now: datetime.datetime, latest: datetime.datetime) -> list[OpenJob]:
        """Return jobs that have not ended, taken or not: oldest first, and at the end those that wait.

        A job that is to be tried again after `now` is left out, unless that is after `latest`, because then
        the clock of the process that wrote it down is wrong, or our own.
        """
        c = _JOBS.c
        left = select(LocationRow.key).where(
            LocationRow.image_id == c.image_id, LocationRow.state == LocationState.INTENDED
        )
        found = (
            select(_JOBS, left.exists().label("waits"))
            .where(c.status.in_(_OPEN))
            .where(or_(c.not_before.is_(None), c.not_before <= now, c.not_before > latest))
            # Many jobs may wait for one store, and each try may take long: others need not queue behind them.
            .order_by(case((c.not_before.is_(None), 0), else_=1), c.created_at)
            .limit(limit)
        )
        with self._reader() as connection:
            rows = connection.execute(found).all()
        return [OpenJob(_record(row), row.lease_until, bool(row.waits), row.not_before) for row in rows]

    def find_job(self, job_id: str) -> Job | None:
        """Return the job with this id; None if there is none."""
        with self._reader() as connection:
            found = _records(connection, select(_JOBS).where(JobRow.id == job_id))
        return found[0] if found else None

    def job_page(self, listing: JobQuery) -> JobPage:
        """Return a slice of all jobs; of their orders it only says whether they have made an image.

        By time, the jobs of each status are a query of their own that walks an index and stops
        after a page, so that a page costs the same however many jobs there are.
        """
        statuses: list[JobStatus | None] = [listing.status]
        if listing.status is None and listing.sort[0].field == "created_at":
            statuses = list(JobStatus)
        parts = [_matching(listing, status) for status in statuses]
        with self._reader() as connection:
            jobs = _records(connection, parts[0] if len(parts) == 1 else _united(parts, listing))
        return JobPage(tuple(jobs[: listing.limit]), more=len(jobs) > listing.limit)

    def jobs_of(self, image_id: str, limit: int = 1000) -> list[Job]:
        """Return the jobs of an image, newest first; the oldest beyond the limit are left out."""
        with self._reader() as connection:
            return _records(connection, _OF_ONE, image_id=image_id, most=limit)

    def latest_jobs(self, image_ids: Collection[str]) -> dict[str, Job]:
        """Return the newest job of each image that has any."""
        ids = list(image_ids)
        if not ids:
            return {}
        with self._reader() as connection:
            if len(ids) == 1:
                jobs = _records(connection, _OF_ONE, image_id=ids[0], most=1)
            else:
                jobs = _records(connection, _LATEST, image_ids=ids)
        return {job.image_id: job for job in jobs}


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
