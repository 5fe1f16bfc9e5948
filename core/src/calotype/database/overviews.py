"""Overviews for operators: what moves, what the stores and projects hold, and what nobody uses."""

from __future__ import annotations

import datetime
from functools import partial
from typing import Any

from sqlalchemy import Row, func, select

from calotype.database.keysets import Page, beyond, cut_page
from calotype.database.statements import Queries
from calotype.database.tables import (
    DownloadRow,
    ImageRow,
    JobRow,
    LocationRow,
    ProcessRow,
    SessionRow,
    UsageRow,
)
from calotype.model.images import LocationState
from calotype.model.jobs import OPEN
from calotype.model.overviews import (
    Held,
    Position,
    ProjectUsage,
    RunningTransfer,
    TransferKind,
    UnusedImage,
)
from calotype.model.sessions import LIVING, TAKING, SessionStatus
from calotype.model.states import Status

_I, _L, _S = ImageRow.__table__.c, LocationRow.__table__.c, SessionRow.__table__.c
_J, _P, _D, _U = JobRow.__table__.c, ProcessRow.__table__.c, DownloadRow.__table__.c, UsageRow.__table__.c

_HAS_JOB = select(_J.id).where(_J.image_id == _L.image_id, _J.status.in_(OPEN)).exists()
_HAS_SESSION = select(_S.id).where(_S.image_id == _L.image_id, _S.status == SessionStatus.FINISHING).exists()


class Overviews(Queries):
    """The queries for overviews. `limit` is the maximum number of records in a page."""

    def attempts(self, limit: int, after: Position | None = None) -> Page[RunningTransfer]:
        """Return the upload attempts that have not ended, oldest first."""
        running = (
            select(_L.key, _L.image_id, _I.name, _I.owner, _L.store, _L.moved, _L.announced, _L.created_at)
            .add_columns(_L.moved_at, _P.host, _P.pid, _I.status)
            .add_columns(_HAS_JOB.label("has_job"), _HAS_SESSION.label("has_session"))
            .join(ImageRow, _I.id == _L.image_id)
            .outerjoin(ProcessRow, _P.id == _L.lease_owner)
            .where(_L.state == LocationState.INTENDED, *beyond(_L.created_at, _L.key, "", after))
            .order_by(_L.created_at, _L.key)
        )
        return cut_page(self._all(running.limit(limit + 1)), limit, _attempt)

    def sessions(
        self, limit: int, after: Position | None, expiry: datetime.timedelta
    ) -> Page[RunningTransfer]:
        """Return the upload sessions that take bytes, oldest first.

        `expiry` is the time from a session's last bytes to its expiry.
        """
        taking = (
            select(_S.id, _S.image_id, _I.name, _S.project, _S.store, _S.contiguous, _S.total, _S.created_at)
            .add_columns(_S.expires_at)
            .outerjoin(ImageRow, _I.id == _S.image_id)
            .where(_S.status.in_(TAKING), *beyond(_S.created_at, _S.id, "", after))
            .order_by(_S.created_at, _S.id)
        )
        return cut_page(self._all(taking.limit(limit + 1)), limit, partial(_session, expiry))

    def held(self, store: str) -> Held:
        """Count the stored copies in a store, and sum up their bytes."""
        summed = select(func.count(), func.coalesce(func.sum(_L.counted), 0))
        row = self._first(summed.where(_L.store == store, _L.state == LocationState.STORED))
        return Held(int(row[0]), int(row[1]))

    def usage(self, limit: int, skip: int = 0) -> Page[ProjectUsage]:
        """Return the usage of projects, most bytes first, without the first `skip` projects."""
        order = (_U.bytes.desc(), _U.project)
        most = select(_U.project, _U.images, _U.bytes).order_by(*order).limit(limit + 1).offset(skip)
        rows = self._all(most)
        living = (
            select(_S.project, func.count())
            .where(_S.project.in_([row.project for row in rows]), _S.status.in_(LIVING))
            .group_by(_S.project)
        )
        counted = {row[0]: row[1] for row in self._all(living)}
        return cut_page(
            rows,
            limit,
            lambda row: ProjectUsage(row.project, row.images, row.bytes, counted.get(row.project, 0)),
        )

    def unused(
        self, since: datetime.datetime, limit: int, after: Position | None = None
    ) -> Page[UnusedImage]:
        """Return the active images that are older than `since` and not read since then, oldest first."""
        mine = _D.image_id == _I.id
        last = select(func.max(_D.day)).where(mine).correlate(ImageRow).scalar_subquery()
        read = select(_D.image_id).where(mine, _D.day >= since.date()).correlate(ImageRow).exists()
        unused = (
            select(_I.id, _I.name, _I.owner, _I.size, _I.created_at, last)
            .where(_I.deleted_at.is_(None), _I.status == Status.ACTIVE, _I.activated_at < since, ~read)
            .where(_I.created_at < since, *beyond(_I.created_at, _I.id, "", after))
            .order_by(_I.created_at, _I.id)
        )
        return cut_page(self._all(unused.limit(limit + 1)), limit, lambda row: UnusedImage(*row))


def _attempt(row: Row[Any]) -> RunningTransfer:
    return RunningTransfer(
        kind=_kind(row.status, has_job=row.has_job, has_session=row.has_session),
        id=row.key,
        image_id=row.image_id,
        image_name=row.name,
        project=row.owner,
        store=row.store,
        moved=row.moved or 0,
        total=row.announced,
        began_at=row.created_at,
        moved_at=row.moved_at,
        host=row.host,
        pid=row.pid,
    )


def _session(expiry: datetime.timedelta, row: Row[Any]) -> RunningTransfer:
    return RunningTransfer(
        kind=TransferKind.SESSION,
        id=row.id,
        image_id=row.image_id,
        image_name=row.name,
        project=row.project,
        store=row.store,
        moved=row.contiguous,
        total=row.total,
        began_at=row.created_at,
        moved_at=row.expires_at - expiry if row.contiguous else None,
    )


def _kind(status: Status, *, has_job: bool, has_session: bool) -> TransferKind:
    if has_session:
        return TransferKind.SESSION
    if status is Status.UPLOADING:
        return TransferKind.STAGE
    if status is Status.SAVING and not has_job:
        return TransferKind.UPLOAD
    return TransferKind.COPY if status in (Status.ACTIVE, Status.DEACTIVATED) else TransferKind.IMPORT
