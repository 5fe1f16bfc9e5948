"""The audit trail: the changes of images, with the user, the origin and the outcome of each.

A unit of work collects the records of its changes and writes them with the changes, by one INSERT. After the
commit, each record is also written to the log `calotype.audit`, as a line of JSON.
"""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from calotype.database.keysets import Page, cut_page
from calotype.database.statements import Queries, now
from calotype.database.tables import AuditRow
from calotype.model.audit import Actor, AuditQuery, AuditRecord, Origin, Outcome

log = logging.getLogger("calotype.audit")

_AUDIT = AuditRow.__table__
_INSERT = insert(_AUDIT).inline()
#: Maximum length of a detail, in characters. The rest is cut off.
_DETAIL_MAX = 1000


class AuditTrail(Queries):
    """The queries for audit records."""

    def page(self, listing: AuditQuery) -> Page[AuditRecord]:
        """Return a page of the records that match the query, newest first."""
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
        rows = self._all(query.order_by(c.id.desc()).limit(listing.limit + 1))
        return cut_page(rows, listing.limit, _record)

    def older_than(self, moment: datetime.datetime, limit: int) -> list[int]:
        """Return the ids of at most `limit` records from before `moment`, oldest first."""
        c = _AUDIT.c
        return self._scalars(select(c.id).where(c.created_at < moment).order_by(c.created_at).limit(limit))


def write(connection: Connection, records: Iterable[AuditRecord]) -> None:
    """Insert the records with one statement."""
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
    """Return a record of a change, with the current time."""
    return AuditRecord(now(), verb, outcome, image_id, actor, detail[:_DETAIL_MAX])


def _row(record: AuditRecord) -> dict[str, Any]:
    """Return the values of the record's row. Text that is longer than its column is cut off."""
    given = record.to_json() | {"created_at": record.at}
    values = {column: given[column.name] for column in _AUDIT.c if column.name in given}
    return {
        column.name: value[: getattr(column.type, "length", None)] if isinstance(value, str) else value
        for column, value in values.items()
    }


def _record(row: Row[Any]) -> AuditRecord:
    origin = Origin(row.agent, row.token_id, row.address, row.request_id)
    actor = Actor(row.user_id, row.project_id, origin)
    return AuditRecord(row.created_at, row.verb, row.outcome, row.image_id, actor, row.detail, row.id)
