"""Findings: damage that fsck or the scrubber saw, kept until a later check sees that it is gone.

Each combination of store, kind and subject has one row, whose id is derived from these three. So the primary
key finds the row, two concurrent checks cannot write it twice, and damage that comes back reopens its row.
"""

from __future__ import annotations

import uuid

from sqlalchemy import and_, func, insert, or_, select
from sqlalchemy.exc import IntegrityError

from calotype.database.keysets import Page, cut_page
from calotype.database.retry import LockConflict
from calotype.database.statements import Queries, UnitPart, now
from calotype.database.tables import FindingRow
from calotype.model.findings import Finding, FindingCount, FindingKind, FindingState

_FINDINGS = FindingRow.__table__
_NAMESPACE = uuid.UUID("6a0d5f0e-2f43-5c53-9a4c-6f4f3e8b8a51")


class FindingQueries(Queries):
    """The queries for findings."""

    def findings(
        self,
        state: FindingState | None = None,
        store: str | None = None,
        limit: int = 100,
        after: Finding | None = None,
    ) -> Page[Finding]:
        """Return a page of findings, oldest first. None matches every state, or every store.

        `after` is the last finding of the previous page.
        """
        c = _FINDINGS.c
        query = select(_FINDINGS).order_by(c.found_at, c.id).limit(limit + 1)
        if state is not None:
            query = query.where(c.state == state)
        if store is not None:
            query = query.where(c.store == store)
        if after is not None:
            query = query.where(
                or_(c.found_at > after.found_at, and_(c.found_at == after.found_at, c.id > after.id))
            )
        return cut_page(self._all(query), limit, lambda row: Finding(*row))

    def _count_open_findings(self) -> tuple[FindingCount, ...]:
        """Count the open findings by kind and store. Pairs without open findings are left out."""
        pair = (_FINDINGS.c.kind, _FINDINGS.c.store)
        counted = select(*pair, func.count()).where(_FINDINGS.c.state == FindingState.OPEN)
        return tuple(FindingCount(*row) for row in self._all(counted.group_by(*pair).order_by(*pair)))


class FindingsUnit(UnitPart):
    """The methods of a unit of work that change findings."""

    def record_finding(
        self, kind: FindingKind, store: str, subject: str, image_id: str | None, detail: str
    ) -> None:
        """Record a finding as open. If it is open already, only `image_id`, `detail` and `seen_at` change.

        Raises:
            LockConflict: another check is writing the same finding for the first time.
        """
        at, finding_id = now(), _id(kind, store, subject)
        seen = {"image_id": image_id, "detail": detail, "seen_at": at}
        c = _FINDINGS.c
        if self._swap(_FINDINGS, c.id == finding_id, c.state == FindingState.OPEN, **seen):
            return
        opened = {**seen, "state": FindingState.OPEN, "found_at": at, "closed_at": None}
        if self._swap(_FINDINGS, c.id == finding_id, **opened):
            return
        row = {**opened, "id": finding_id, "kind": kind, "store": store, "subject": subject}
        try:
            self.connection.execute(insert(_FINDINGS), row)
        except IntegrityError as error:
            raise LockConflict("Another check is writing the same finding at the moment.") from error

    def close_findings(
        self, store: str, kind: FindingKind, subject: str, state: FindingState = FindingState.CLOSED
    ) -> bool:
        """Set the open finding about a subject to `state`; return whether there was an open one."""
        return self._end(_id(kind, store, subject), state)

    def lift_finding(self, finding_id: str) -> bool:
        """Set a finding to lifted, because an operator asked for it; return whether it was open."""
        return self._end(finding_id, FindingState.LIFTED)

    def _end(self, finding_id: str, state: FindingState) -> bool:
        c = _FINDINGS.c
        is_open = (c.id == finding_id, c.state == FindingState.OPEN)
        return self._swap(_FINDINGS, *is_open, state=state, closed_at=now())


def _id(kind: FindingKind, store: str, subject: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{store}\0{kind}\0{subject}"))
