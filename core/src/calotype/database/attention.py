"""Lists of what needs an operator's attention: failures, and bytes that sweeps will remove."""

from __future__ import annotations

import datetime

from sqlalchemy import func, or_, select

from calotype.database.event_tables import WebhookRow
from calotype.database.keysets import Page, beyond, cut_page
from calotype.database.statements import Queries
from calotype.database.tables import AuditRow, FindingRow, ImageRow, LocationRow, SessionRow
from calotype.model.audit import Outcome
from calotype.model.findings import FindingState
from calotype.model.images import LocationState
from calotype.model.overviews import Failure, FailureKind, PendingKind, PendingRemoval, Position
from calotype.model.sessions import TAKING

_I, _L, _S = ImageRow.__table__.c, LocationRow.__table__.c, SessionRow.__table__.c
_A, _F, _W = AuditRow.__table__.c, FindingRow.__table__.c, WebhookRow.__table__.c

_STATES = {PendingKind.ABANDONED: LocationState.INTENDED, PendingKind.DELETED: LocationState.PENDING_DELETE}


class Attention(Queries):
    """The queries for failures and pending removals. `limit` is the maximum number of records in a page."""

    def failed_changes(self, limit: int, after: Position | None = None) -> Page[Failure]:
        """Return the failed uploads, imports, copies and other changes in the audit trail, newest first.

        Raises:
            ValueError: `after` is not a position in the list.
        """
        behind = beyond(_A.created_at, _A.id, FailureKind.CHANGE, after, descending=True)
        failed = (
            select(_A.created_at, _A.id, _A.verb, _A.detail, _A.image_id, _A.project_id, _A.user_id)
            .where(_A.outcome == Outcome.FAILED, *behind)
            .order_by(_A.created_at.desc(), _A.id.desc())
        )
        return cut_page(
            self._all(failed.limit(limit + 1)),
            limit,
            lambda row: Failure(
                row.created_at,
                FailureKind.CHANGE,
                str(row.id),
                row.verb,
                row.detail,
                image_id=row.image_id,
                project=row.project_id,
                user=row.user_id,
            ),
        )

    def open_findings(self, limit: int, after: Position | None = None) -> Page[Failure]:
        """Return the open findings of fsck and the scrubber, newest first."""
        behind = beyond(_F.found_at, _F.id, FailureKind.FINDING, after, descending=True)
        found = (
            select(_F.found_at, _F.id, _F.kind, _F.detail, _F.image_id, _F.store)
            .where(_F.state == FindingState.OPEN, *behind)
            .order_by(_F.found_at.desc(), _F.id.desc())
        )
        return cut_page(
            self._all(found.limit(limit + 1)),
            limit,
            lambda row: Failure(
                row.found_at, FailureKind.FINDING, row.id, row.kind, row.detail, row.image_id, row.store
            ),
        )

    def failing_webhooks(self) -> list[Failure]:
        """Return the webhooks whose last delivery failed, newest failure first."""
        failing = select(_W.failed_at, _W.name, _W.last_error).where(
            _W.failed_at.is_not(None), or_(_W.delivered_at.is_(None), _W.failed_at > _W.delivered_at)
        )
        return [
            Failure(row.failed_at, FailureKind.WEBHOOK, row.name, "delivery", row.last_error or "")
            for row in self._all(failing.order_by(_W.failed_at.desc(), _W.name.desc()))
        ]

    def removable_blobs(
        self, kind: PendingKind, at: datetime.datetime, limit: int, after: Position | None = None
    ) -> Page[PendingRemoval]:
        """Return the uploads that are abandoned at this time, or the pending deletes, first due first."""
        found = (
            select(_L.lease_until, _L.key, _L.image_id, _L.store, func.coalesce(_I.size, _L.moved))
            .join(ImageRow, _I.id == _L.image_id)
            .where(_L.state == _STATES[kind], *beyond(_L.lease_until, _L.key, "", after))
            .order_by(_L.lease_until, _L.key)
        )
        if kind is PendingKind.ABANDONED:
            found = found.where(_L.lease_until < at)
        return cut_page(
            self._all(found.limit(limit + 1)), limit, lambda row: PendingRemoval(row[0], kind, *row[1:])
        )

    def expiring_sessions(self, limit: int, after: Position | None = None) -> Page[PendingRemoval]:
        """Return the upload sessions that take bytes, first expiry first."""
        taking = (
            select(_S.expires_at, _S.id, _S.image_id, _S.store, _S.contiguous)
            .where(_S.status.in_(TAKING), *beyond(_S.expires_at, _S.id, "", after))
            .order_by(_S.expires_at, _S.id)
        )
        kind = PendingKind.SESSION
        return cut_page(
            self._all(taking.limit(limit + 1)), limit, lambda row: PendingRemoval(row[0], kind, *row[1:])
        )

    def count_pending(self, at: datetime.datetime) -> dict[PendingKind, int]:
        """Count the pending removals of each kind at this time."""
        abandoned = select(func.count()).where(_L.state == LocationState.INTENDED, _L.lease_until < at)
        doomed = select(func.count()).where(_L.state == LocationState.PENDING_DELETE)
        sessions = select(func.count()).where(_S.status.in_(TAKING))
        (counts,) = self._all(select(*(one.scalar_subquery() for one in (abandoned, doomed, sessions))))
        return dict(zip(PendingKind, counts, strict=True))
