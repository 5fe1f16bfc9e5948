"""Findings: damage that fsck or the scrubber found, kept until it is gone.

A thing that is wrong (a store, a kind, a subject) has one row, whose id is derived from these
three. So the row is found by its primary key, two checks that run at once cannot write it twice,
and a thing that goes wrong again reopens its row.
"""

from __future__ import annotations

import datetime
import uuid

from sqlalchemy import Connection, Row, and_, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from calotype.database.retry import LockConflict
from calotype.database.tables import FindingRow
from calotype.model.findings import Finding, FindingCount, FindingKind, FindingPage, FindingState

_FINDINGS = FindingRow.__table__
_NAMESPACE = uuid.UUID("6a0d5f0e-2f43-5c53-9a4c-6f4f3e8b8a51")


def page(
    connection: Connection, state: FindingState | None, store: str | None, limit: int, after: Finding | None
) -> FindingPage:
    """Return a slice of the findings in this state and store (None: any), oldest first."""
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
    rows = connection.execute(query).all()
    return FindingPage(tuple(_finding(row) for row in rows[:limit]), more=len(rows) > limit)


def find(connection: Connection, finding_id: str) -> Finding | None:
    """Return the finding with this id, whatever its state."""
    row = connection.execute(select(_FINDINGS).where(_FINDINGS.c.id == finding_id)).first()
    return None if row is None else _finding(row)


def count_open(connection: Connection) -> tuple[FindingCount, ...]:
    """Count the open findings by kind and store; a pair without any is left out."""
    c = _FINDINGS.c
    counted = (
        select(c.kind, c.store, func.count())
        .where(c.state == FindingState.OPEN)
        .group_by(c.kind, c.store)
        .order_by(c.kind, c.store)
    )
    return tuple(
        FindingCount(FindingKind(kind), store, count) for kind, store, count in connection.execute(counted)
    )


def record(
    connection: Connection, kind: FindingKind, store: str, subject: str, image_id: str | None, detail: str
) -> None:
    """Write a finding down as open; of one that is open already only `seen_at` and `detail` change.

    Raises:
        LockConflict: another check is writing the same finding for the first time.
    """
    now, finding_id = _now(), _id(kind, store, subject)
    seen = {"image_id": image_id, "detail": detail, "seen_at": now}
    this = update(_FINDINGS).where(_FINDINGS.c.id == finding_id)
    if connection.execute(this.where(_FINDINGS.c.state == FindingState.OPEN), seen).rowcount:
        return
    opened = {**seen, "state": FindingState.OPEN, "found_at": now, "closed_at": None}
    if connection.execute(this, opened).rowcount:
        return
    row = {**opened, "id": finding_id, "kind": kind, "store": store, "subject": subject}
    try:
        connection.execute(insert(_FINDINGS), row)
    except IntegrityError as error:
        raise LockConflict("Another check writes the same finding at the moment.") from error


def close(connection: Connection, store: str, kind: FindingKind, subject: str, state: FindingState) -> bool:
    """End the finding if it is open; return whether it was."""
    return _end(connection, _id(kind, store, subject), state)


def lift(connection: Connection, finding_id: str) -> bool:
    """End a finding on an operator's word; return whether it was open."""
    return _end(connection, finding_id, FindingState.LIFTED)


def _end(connection: Connection, finding_id: str, state: FindingState) -> bool:
    c = _FINDINGS.c
    ended = update(_FINDINGS).where(c.id == finding_id, c.state == FindingState.OPEN)
    return connection.execute(ended.values(state=state, closed_at=_now())).rowcount == 1


def _id(kind: FindingKind, store: str, subject: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{store}\0{kind}\0{subject}"))


def _finding(row: Row) -> Finding:
    return Finding(
        id=row.id,
        kind=FindingKind(row.kind),
        store=row.store,
        image_id=row.image_id,
        subject=row.subject,
        detail=row.detail,
        state=FindingState(row.state),
        found_at=row.found_at,
        seen_at=row.seen_at,
        closed_at=row.closed_at,
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
