"""A unit of work: changes that take effect together, in one short transaction.

Every change of status is a compare-and-swap: a unit that finds the image in another status raises
StatusConflict, and the whole unit is rolled back. A unit locks and loads an image once, keeps it, and writes
only the values that differ. Its statements are SQLAlchemy Core's, which cost a third of the ORM's.
zope.sqlalchemy does not notice them, so it is configured to consider every unit changed.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

import transaction
from sqlalchemy import Table, bindparam, delete, insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from calotype.database import audit, events, identity, parts, queries
from calotype.database.downloads import DownloadsUnit
from calotype.database.errors import DuplicateImage, ImageNotFound, StatusConflict
from calotype.database.event_tables import WebhookRow
from calotype.database.findings import FindingsUnit
from calotype.database.jobs import JobsUnit
from calotype.database.locations import LocationsUnit
from calotype.database.processes import ProcessesUnit
from calotype.database.scrubs import ScrubsUnit
from calotype.database.sessions import SessionsUnit
from calotype.database.statements import now
from calotype.database.tables import (
    ImageRow,
    JobRow,
    LocationRow,
    MemberRow,
    PropertyRow,
    ScrubRow,
    SessionRow,
    TagRow,
)
from calotype.database.webhooks import WebhooksUnit
from calotype.model.audit import Actor, AuditRecord, AuditVerb, Outcome
from calotype.model.change import Change
from calotype.model.events import EventKind
from calotype.model.images import Image, MemberStatus
from calotype.model.states import ALIVE, Status

#: Changes of stored copies. They are events, although neither the status nor the metadata changes.
_OF_COPIES = frozenset(
    {
        AuditVerb.COPY,
        AuditVerb.REMOVE_COPY,
        AuditVerb.QUARANTINE,
        AuditVerb.UNQUARANTINE,
        AuditVerb.RESTORE,
    }
)
#: An image that becomes active from one of these statuses was active before.
_HAD_BYTES = frozenset({Status.DEACTIVATED, Status.DELETED})

_IMAGES, _LOCATIONS = ImageRow.__table__, LocationRow.__table__
_PROPERTIES, _TAGS, _MEMBERS = PropertyRow.__table__, TagRow.__table__, MemberRow.__table__
_JOBS, _SCRUBS, _SESSIONS, _WEBHOOKS = (
    JobRow.__table__,
    ScrubRow.__table__,
    SessionRow.__table__,
    WebhookRow.__table__,
)

# Built once, because building a statement costs more than running it.
_SWAP = update(_IMAGES).where(
    _IMAGES.c.id == bindparam("image_id"), _IMAGES.c.status.in_(bindparam("allowed", expanding=True))
)


class Unit(LocationsUnit, JobsUnit, FindingsUnit):
    """The verbs of one unit of work, which begins and ends with a block of `Database.unit`.

    `scrubs`, `processes`, `sessions`, `webhooks` and `downloads` have the verbs on the scrubber's rows, on
    serving processes, on upload sessions, on webhooks and on counted downloads. An extension changes its own
    tables through `connection`.
    Each change of an image is noted in `outbox`.
    """

    def __init__(
        self,
        session: Session,
        within: transaction.interfaces.ITransaction,
        outbox: events.Outbox,
        *,
        keeps_audit: bool,
    ):
        super().__init__(session.connection())
        self._session = session
        self._transaction = within
        self._keeps_audit = keeps_audit
        self._outbox = outbox
        #: The images that this unit has loaded, without their parts.
        self._rows: dict[str, Image] = {}
        self._audited: list[AuditRecord] = []
        #: The calls that are due once the unit is committed; see `after_commit`.
        self.due: list[Callable[[], object]] = []

    def after_commit(self, call: Callable[[], object]) -> None:
        """Register a function to call after the commit, when the block has ended. A rollback discards it."""
        # The hook only notes the call, because no unit can begin until the transaction has ended completely.
        self._transaction.addAfterCommitHook(self._note_due, (call,))

    def _note_due(self, committed: bool, call: Callable[[], object]) -> None:
        if committed:
            self.due.append(call)

    def finish(self) -> None:
        """Write the usage of projects, the audit records and the events: the last changes of the unit.

        Raises:
            LimitReached: a project would use more than its limits allow.
        """
        self.write_usage()
        if self._audited and self._keeps_audit:
            audit.write(self.connection, self._audited)
        self._outbox.write(self.connection, {key: row.status for key, row in self._rows.items()})

    def audit(
        self, verb: AuditVerb, image_id: str, actor: Actor, detail: str = "", outcome: Outcome = Outcome.DONE
    ) -> None:
        """Write the audit record of a change in the same transaction, and log it after the commit."""
        record = audit.new_record(verb, image_id, actor, detail, outcome)
        self._audited.append(record)
        if verb in _OF_COPIES and outcome is not Outcome.ACCEPTED:
            self._outbox.note(EventKind.CHANGED, image_id)
        self.after_commit(lambda: audit.log_record(record))

    def forget_audit(self, ids: list[int]) -> None:
        """Remove the audit records with these ids."""
        audit.forget(self.connection, ids)

    def forget_events(self, numbers: list[int]) -> None:
        """Remove the events with these numbers."""
        events.forget(self.connection, numbers)

    def renew_identity(self) -> identity.Identity:
        """Give the database a new id, and return it."""
        return identity.renew(self.connection)

    @property
    def scrubs(self) -> ScrubsUnit:
        """The verbs on checked copies, and on passes of the scrubber."""
        # These verbs may change copies of any image, so loaded images may become stale.
        self._rows.clear()
        self._whole.clear()
        return ScrubsUnit(self.connection)

    @property
    def processes(self) -> ProcessesUnit:
        """The verbs on serving processes."""
        return ProcessesUnit(self.connection)

    @property
    def webhooks(self) -> WebhooksUnit:
        """The verbs on webhooks and their deliveries."""
        return WebhooksUnit(self.connection)

    @property
    def downloads(self) -> DownloadsUnit:
        """The verbs on counted downloads."""
        return DownloadsUnit(self.connection)

    @property
    def sessions(self) -> SessionsUnit:
        """The verbs on upload sessions."""
        return SessionsUnit(self.connection)

    def image(self, image_id: str) -> Image:
        """Return the image as this unit sees it. No other unit can change it before this one ends.

        Raises:
            ImageNotFound: the image does not exist, or it is deleted.
        """
        self.row(image_id)
        return self.any_image(image_id)

    def any_image(self, image_id: str) -> Image:
        """Return the image, even a deleted one, locked as by `image`.

        Raises:
            ImageNotFound: the image never existed.
        """
        if image_id not in self._whole:
            self._whole[image_id] = parts.with_parts(self.connection, self._any_row(image_id))
        return self._whole[image_id]

    def row(self, image_id: str) -> Image:
        """Return the image, locked as by `image`, without properties, tags, members, locations and jobs.

        Raises:
            ImageNotFound: the image does not exist, or it is deleted.
        """
        image = self._any_row(image_id)
        if image.status is Status.DELETED:
            raise ImageNotFound(image_id)
        return image

    def _any_row(self, image_id: str) -> Image:
        if image_id not in self._rows:
            image = queries.lock_row(self.connection, image_id)
            if image is None:
                raise ImageNotFound(image_id)
            self._rows[image_id] = image
        return self._rows[image_id]

    def add_image(
        self,
        image_id: str,
        fields: Mapping[str, Any],
        properties: Mapping[str, str],
        status: Status = Status.QUEUED,
    ) -> Image:
        """Insert an image, and return it.

        Raises:
            DuplicateImage: the id is taken, even if by a deleted image.
        """
        at = now()
        given = {"id": image_id, "status": status, "created_at": at, "updated_at": at, **fields}
        image = parts.typed(given)
        row = {column.name: getattr(image, column.name) for column in _IMAGES.c}
        try:
            self.connection.execute(insert(_IMAGES), row)
        except IntegrityError:
            raise DuplicateImage(image_id) from None
        self._rows[image_id] = self._whole[image_id] = image
        self._set_properties(image_id, properties)
        self._outbox.note(EventKind.CREATED, image_id)
        return self._whole[image_id]

    def move(self, image_id: str, allowed: Collection[Status], to: Status, **values: Any) -> None:
        """Set the status and these values, if the image is in one of the allowed statuses.

        `activated_at` is set, too, if the image becomes active for the first time.

        Raises:
            StatusConflict: the image is in another status.
        """
        if to is Status.ACTIVE and not _HAD_BYTES.intersection(allowed):
            values["activated_at"] = now()
        self.change(image_id, allowed, {"status": to, **values})
        self._outbox.note_move(image_id, allowed, to, values.get("status_reason"))

    def change(self, image_id: str, allowed: Collection[Status], fields: Mapping[str, Any]) -> None:
        """Set fields and `updated_at`, if the image is in one of the allowed statuses.

        Raises:
            StatusConflict: the image is in another status.
        """
        which = {"image_id": image_id, "allowed": list(allowed)}
        values = {"updated_at": now(), **fields}
        if self.connection.execute(_SWAP, {**which, **values}).rowcount != 1:
            raise StatusConflict(image_id)
        for carried in (self._rows, self._whole):
            if image_id in carried:
                carried[image_id] = parts.typed(values, carried[image_id])
        self._outbox.note(EventKind.CHANGED, image_id)

    def apply(self, change: Change, allowed: Collection[Status] = ALIVE, **values: Any) -> Image:
        """Lock the image, write the values that the change alters, and return the changed image.

        `values` are always set, by the same statement.

        Raises:
            StatusConflict: the image is in none of the allowed statuses.
        """
        before = self.image(change.require_image().id)
        asked = change.fields.fields.items()
        fields = {name: value for name, value in asked if value != getattr(before, name)}
        self.change(before.id, allowed, {**fields, **values})
        self._set_properties(before.id, change.properties)
        if change.fields.tags is not None:
            self.set_tags(before.id, change.fields.tags)
        return self.image(before.id)

    def _set_properties(self, image_id: str, properties: Mapping[str, str]) -> None:
        """Give the image exactly these properties."""
        before = self.any_image(image_id)
        self._replace_rows(_PROPERTIES, image_id, before.properties.items(), properties.items())
        self._whole[image_id] = replace(before, properties=dict(sorted(properties.items())))

    def set_tags(self, image_id: str, tags: Collection[str]) -> None:
        """Give the image exactly these tags."""
        before = self.any_image(image_id)
        self._replace_rows(_TAGS, image_id, zip(before.tags), zip(tags))
        self._whole[image_id] = replace(before, tags=tuple(sorted(set(tags))))

    def _replace_rows(
        self, table: Table, image_id: str, before: Iterable[tuple[str, ...]], after: Iterable[tuple[str, ...]]
    ) -> None:
        """Replace an image's rows in a table, and write only the rows that differ.

        A row is a tuple of the values of all columns except `image_id` and computed ones. The first
        is unique.
        """
        old, new = set(before), set(after)
        _, *columns = (column for column in table.c if column.computed is None)
        if stale := sorted(row[0] for row in old - new):
            mine = table.c.image_id == image_id
            self.connection.execute(delete(table).where(mine, columns[0].in_(stale)))
        if fresh := sorted(new - old):
            names = [column.name for column in columns]
            rows = [{"image_id": image_id, **dict(zip(names, row, strict=True))} for row in fresh]
            self.connection.execute(insert(table), rows)

    def set_member(self, image_id: str, project: str, **values: Any) -> None:
        """Change a member's `status` or `can_share`. A new member is pending, and may not share."""
        self._whole.pop(image_id, None)
        self._outbox.note(EventKind.SHARED, image_id)
        at, c = now(), _MEMBERS.c
        mine = (c.image_id == image_id, c.project == project)
        if not self._swap(_MEMBERS, *mine, updated_at=at, **values):
            row = {"status": MemberStatus.PENDING, "can_share": False, **values}
            row |= {"image_id": image_id, "project": project, "created_at": at, "updated_at": at}
            self.connection.execute(insert(_MEMBERS), row)

    def remove_member(self, image_id: str, project: str) -> bool:
        """End a membership; return whether there was one."""
        self._whole.pop(image_id, None)
        c = _MEMBERS.c
        gone = delete(_MEMBERS).where(c.image_id == image_id, c.project == project)
        if self.connection.execute(gone).rowcount != 1:
            return False
        self._outbox.note(EventKind.SHARED, image_id)
        return True

    def renew_leases(self, keys: Collection[str], owner: str, until: datetime.datetime) -> None:
        """Renew the leases of `owner` on locations, jobs, scrubs, upload sessions and webhooks."""
        for key in (_LOCATIONS.c.key, _JOBS.c.id, _SCRUBS.c.store, _SESSIONS.c.id, _WEBHOOKS.c.name):
            table = key.table
            mine = update(table).where(key.in_(keys), table.c.lease_owner == owner)
            self.connection.execute(mine.values(lease_until=until))
