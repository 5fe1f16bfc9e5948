"""The audit trail: which image was changed, by whom, from where, and how that ended.

A unit of work collects the records of its changes, and writes them with the changes: all of them by one
INSERT. Once they are committed, each is a line of JSON in the log `calotype.audit`, too.
"""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from calotype.database.tables import AuditRow
from calotype.model.audit import Actor, Agent, AuditPage, AuditQuery, AuditRecord, Origin, Outcome

log = logging.getLogger("calotype.audit")

_AUDIT = AuditRow.__table__
_INSERT = insert(_AUDIT).inline()
#: Characters of a detail, and of a name that comes from an identity service; what is longer is cut.
_DETAIL_MAX = 1000
_NAME_MAX = 255


class AuditTrail:
    """Queries for audit records."""

    def __init__(self, reader: Callable[[], AbstractContextManager[Connection]]):
        self._reader = reader

    def page(self, listing: AuditQuery) -> AuditPage:
        """Return a slice of the records that a listing asks for, newest first."""
        c = _AUDIT.c
        wanted = (
            (c.image_id, listing.image_id),
            (c.user_id, listing.user),
            (c.project_id, listing.project),
            (c.verb, listing.verb),
        )
        query = select(_AUDIT).where(*(column == value for column, value in wanted if value is not None))
        if listing.since is not None:
            query = query.where(c.created_at >= listing.since)
        if listing.before is not None:
            query = query.where(c.id < listing.before)
        with self._reader() as connection:
            rows = connection.execute(query.order_by(c.id.desc()).limit(listing.limit + 1)).all()
        return AuditPage(tuple(_record(row) for row in rows[: listing.limit]), more=len(rows) > listing.limit)

    def older_than(self, moment: datetime.datetime, limit: int) -> list[int]:
        """Return the ids of at most `limit` records that are older, oldest first."""
        old = (
            select(_AUDIT.c.id).where(_AUDIT.c.created_at < moment).order_by(_AUDIT.c.created_at).limit(limit)
        )
        with self._reader() as connection:
            return list(connection.scalars(old))


def write(connection: Connection, records: Iterable[AuditRecord]) -> None:
    """Insert records, by one statement."""
    connection.execute(_INSERT, [_row(record) for record in records])


def forget(connection: Connection, ids: list[int]) -> None:
    """Remove the records with these ids."""
    connection.execute(delete(_AUDIT).where(_AUDIT.c.id.in_(ids)))


def log_record(record: AuditRecord) -> None:
    """Write a record into the log, as a line of JSON."""
    if log.isEnabledFor(logging.INFO):
        log.info("%s", json.dumps(record.to_json()))


def new_record(
    verb: str, image_id: str | None, actor: Actor, detail: str = "", outcome: Outcome = Outcome.DONE
) -> AuditRecord:
    """Make the record of what happens now."""
    now = datetime.datetime.now(datetime.UTC)
    return AuditRecord(now, verb, outcome, image_id, actor, detail[:_DETAIL_MAX])


def _row(record: AuditRecord) -> Mapping[str, Any]:
    actor, origin = record.actor, record.actor.origin
    return {
        "created_at": record.at,
        "verb": record.verb,
        "outcome": record.outcome,
        "image_id": record.image_id,
        "user_id": _cut(actor.user),
        "project_id": _cut(actor.project),
        "token_id": _cut(origin.token_id, 64),
        "address": _cut(origin.address, 64),
        "request_id": _cut(origin.request_id, 80),
        "agent": origin.agent,
        "detail": record.detail,
    }


def _cut(text: str | None, most: int = _NAME_MAX) -> str | None:
    return None if text is None else text[:most]


def _record(row: Row[Any]) -> AuditRecord:
    origin = Origin(Agent(row.agent), row.token_id, row.address, row.request_id)
    return AuditRecord(
        row.created_at,
        row.verb,
        Outcome(row.outcome),
        row.image_id,
        Actor(row.user_id, row.project_id, origin),
        row.detail,
        row.id,
    )
