"""A unit of work: changes that become true together, in one short transaction.

Every change of status is one compare-and-swap UPDATE; a unit that finds the image in
another status raises StatusConflict, and nothing of the unit remains. A unit loads an image
once, locked, and carries it from then on; it writes only what differs. Statements are
Core's, which cost a third of the ORM's. zope.sqlalchemy does not see them, so the database tells it
that every unit changes something.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import transaction
from sqlalchemy import Connection, bindparam, delete, insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from calotype.database import audit, findings, identity, parts, queries
from calotype.database.errors import DuplicateImage, ImageNotFound, StatusConflict
from calotype.database.jobs import JobsUnit
from calotype.database.locations import LocationsUnit
from calotype.database.processes import ProcessesUnit
from calotype.database.scrubs import ScrubsUnit
from calotype.database.tables import (
    ImageRow,
    JobRow,
    LocationRow,
    MemberRow,
    PropertyRow,
    ScrubRow,
    TagRow,
)
from calotype.model.audit import Actor, AuditRecord, AuditVerb, Outcome
from calotype.model.change import Change
from calotype.model.findings import FindingKind, FindingState
from calotype.model.images import Image, MemberStatus, Status, Visibility
from calotype.model.jobs import JobKind
from calotype.model.states import ALIVE

#: From these statuses an image becomes active again; from all others it does so for the first time.
_HAD_BYTES = frozenset({Status.DEACTIVATED, Status.DELETED})

_IMAGES, _LOCATIONS = ImageRow.__table__, LocationRow.__table__
_PROPERTIES, _TAGS, _MEMBERS = PropertyRow.__table__, TagRow.__table__, MemberRow.__table__
_JOBS, _SCRUBS = JobRow.__table__, ScrubRow.__table__

# Built once, because building a statement costs more than running it.
_SWAP = update(_IMAGES).where(
    _IMAGES.c.id == bindparam("image_id"), _IMAGES.c.status.in_(bindparam("allowed", expanding=True))
)


class Unit(LocationsUnit, JobsUnit):
    """The verbs of one unit of work; made by `Database.unit`, useless after it.

    `scrubs` has those of the scrubber. An extension changes its own tables through `connection`.
    """

    def __init__(self, session: Session, within: transaction.interfaces.ITransaction, *, keeps_audit: bool):
        super().__init__()
        self._session = session
        self._connection = session.connection()
        self._transaction = within
        self._keeps_audit = keeps_audit
        #: Images as this unit has loaded them, without what belongs to them.
        self._rows: dict[str, Image] = {}
        self._audited: list[AuditRecord] = []
        #: What is due now that the unit is committed; see `after_commit`.
        self.due: list[Callable[[], object]] = []

    def after_commit(self, call: Callable[[], object]) -> None:
        """Call this once the unit is committed and left, and never if it is not committed."""
        # A hook runs while the transaction is still the thread's own, in which no unit can begin.
        self._transaction.addAfterCommitHook(self._note_due, (call,))

    def _note_due(self, committed: bool, call: Callable[[], object]) -> None:
        if committed:
            self.due.append(call)

    def finish(self) -> None:
        """Write what is written last: the usage of projects, and the audit records by one statement.

        Raises:
            LimitReached: a project would use more than it may.
        """
        self.write_usage()
        if self._audited and self._keeps_audit:
            audit.write(self._connection, self._audited)

    def audit(
        self, verb: AuditVerb, image_id: str, actor: Actor, detail: str = "", outcome: Outcome = Outcome.DONE
    ) -> None:
        """Record a change of an image together with it, and in the log once it is committed."""
        record = audit.new_record(verb, image_id, actor, detail, outcome)
        self._audited.append(record)
        self.after_commit(lambda: audit.log_record(record))

    def forget_audit(self, ids: list[int]) -> None:
        """Remove the audit records with these ids."""
        audit.forget(self._connection, ids)

    @property
    def connection(self) -> Connection:
        """The unit's connection, on which an extension changes its own tables."""
        return self._connection

    def renew_identity(self) -> identity.Identity:
        """Give the database a new id, and return it."""
        return identity.renew(self._connection)

    @property
    def scrubs(self) -> ScrubsUnit:
        """The verbs on checked copies, and on passes of the scrubber."""
        # They change what belongs to images, of which they do not say the ids.
        self._rows.clear()
        self._whole.clear()
        return ScrubsUnit(self._connection)

    @property
    def processes(self) -> ProcessesUnit:
        """The verbs on the processes that serve."""
        return ProcessesUnit(self._connection)

    def image(self, image_id: str) -> Image:
        """Return the image as this unit sees it; no other unit changes it before this one ends.

        Raises:
            ImageNotFound: there is none, or it is deleted.
        """
        self.row(image_id)
        return self.any_image(image_id)

    def any_image(self, image_id: str) -> Image:
        """Return the image, even a deleted one; raises ImageNotFound only if there never was one."""
        if image_id not in self._whole:
            self._whole[image_id] = parts.with_parts(self._connection, self._any_row(image_id))
        return self._whole[image_id]

    def row(self, image_id: str) -> Image:
        """Return the image, locked as by `image`, without properties, tags, members, locations and jobs.

        Raises:
            ImageNotFound: there is none, or it is deleted.
        """
        image = self._any_row(image_id)
        if image.status is Status.DELETED:
            raise ImageNotFound(image_id)
        return image

    def _any_row(self, image_id: str) -> Image:
        if image_id not in self._rows:
            image = queries.lock_row(self._connection, image_id)
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
        now = _now()
        defaults = {
            "visibility": Visibility.PRIVATE,
            "protected": False,
            "min_disk": 0,
            "min_ram": 0,
            "os_hidden": False,
        }
        row = {"id": image_id, "status": status, "created_at": now, "updated_at": now}
        values = row | defaults | dict(fields)
        try:
            self._connection.execute(insert(_IMAGES), values)
        except IntegrityError:
            raise DuplicateImage(image_id) from None
        self._rows[image_id] = image = parts.typed(values)
        self._whole[image_id] = replace(image, properties=dict(sorted(properties.items())))
        self._add_properties(image_id, properties)
        return self._whole[image_id]

    def move(self, image_id: str, allowed: Collection[Status], to: Status, **values: Any) -> None:
        """Set the status, and values with it, if the image is in one of the allowed statuses.

        An image that becomes active for the first time has its bytes since then.

        Raises:
            StatusConflict: it is in another one; nothing is changed.
        """
        if to is Status.ACTIVE and not _HAD_BYTES.intersection(allowed):
            values["activated_at"] = _now()
        self._change(image_id, allowed, status=to, **values)

    def change(self, image_id: str, allowed: Collection[Status], fields: Mapping[str, Any]) -> None:
        """Set metadata, and the time of change, if the image is in one of the allowed statuses."""
        self._change(image_id, allowed, **fields)

    def _change(self, image_id: str, allowed: Collection[Status], **values: Any) -> None:
        which = {"image_id": image_id, "allowed": list(allowed)}
        values = {"updated_at": _now(), **values}
        if self._connection.execute(_SWAP, {**which, **values}).rowcount != 1:
            raise StatusConflict(image_id)
        for carried in (self._rows, self._whole):
            if image_id in carried:
                carried[image_id] = parts.typed(values, carried[image_id])

    def apply(self, change: Change, allowed: Collection[Status] = ALIVE, **values: Any) -> Image:
        """Make the image, which this unit has locked, what a change asks for; write only what differs.

        `values` are set with it. Returns the image as it is then.

        Raises:
            StatusConflict: the image is in none of the allowed statuses; nothing is changed.
        """
        before = self.image(change.require_image().id)
        fields = {
            name: value for name, value in change.fields.fields.items() if value != getattr(before, name)
        }
        self._change(before.id, allowed, **fields, **values)
        self._write_properties(before.id, before.properties, change.properties)
        if change.fields.tags is not None:
            self.set_tags(before.id, change.fields.tags)
        return self.image(before.id)

    def _write_properties(self, image_id: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        stale = [name for name, value in before.items() if after.get(name) != value]
        if stale:
            c = _PROPERTIES.c
            self._connection.execute(delete(_PROPERTIES).where(c.image_id == image_id, c.name.in_(stale)))
        self._add_properties(image_id, {n: value for n, value in after.items() if before.get(n) != value})
        if image_id in self._whole:
            self._whole[image_id] = replace(self._whole[image_id], properties=dict(sorted(after.items())))

    def _add_properties(self, image_id: str, properties: Mapping[str, str]) -> None:
        if properties:
            rows = [
                {"image_id": image_id, "name": name, "value": value} for name, value in properties.items()
            ]
            self._connection.execute(insert(_PROPERTIES), rows)

    def set_tags(self, image_id: str, tags: Collection[str]) -> None:
        """Give the image exactly these tags."""
        before, after = set(self.any_image(image_id).tags), set(tags)
        if stale := before - after:
            c = _TAGS.c
            self._connection.execute(delete(_TAGS).where(c.image_id == image_id, c.tag.in_(sorted(stale))))
        if fresh := after - before:
            rows = [{"image_id": image_id, "tag": tag} for tag in sorted(fresh)]
            self._connection.execute(insert(_TAGS), rows)
        self._whole[image_id] = replace(self._whole[image_id], tags=tuple(sorted(after)))

    def set_member(self, image_id: str, project: str, **values: Any) -> None:
        """Change a member's `status` or `can_share`; a new one starts pending, without the right to share."""
        self._whole.pop(image_id, None)
        now = _now()
        c = _MEMBERS.c
        change = update(_MEMBERS).where(c.image_id == image_id, c.project == project)
        if self._connection.execute(change.values(updated_at=now, **values)).rowcount == 0:
            row = {"status": MemberStatus.PENDING, "can_share": False, **values}
            row |= {"image_id": image_id, "project": project, "created_at": now, "updated_at": now}
            self._connection.execute(insert(_MEMBERS), row)

    def remove_member(self, image_id: str, project: str) -> bool:
        """End a membership; return whether there was one."""
        self._whole.pop(image_id, None)
        c = _MEMBERS.c
        gone = delete(_MEMBERS).where(c.image_id == image_id, c.project == project)
        return self._connection.execute(gone).rowcount == 1

    def add_job(self, kind: JobKind, image: Image, order: Mapping[str, Any], actor: Actor) -> str:
        """Write a job down, for the project that owns the image, and return its id."""
        self._whole.pop(image.id, None)
        return super().add_job(kind, image, order, actor)

    def renew_leases(self, keys: Collection[str], owner: str, until: datetime.datetime) -> None:
        """Renew the leases that `owner` still has on locations, jobs and scrubs."""
        for table, key in (
            (_LOCATIONS, _LOCATIONS.c.key),
            (_JOBS, _JOBS.c.id),
            (_SCRUBS, _SCRUBS.c.store),
        ):
            mine = update(table).where(key.in_(keys), table.c.lease_owner == owner)
            self._connection.execute(mine.values(lease_until=until))

    def record_finding(
        self, kind: FindingKind, store: str, subject: str, image_id: str | None, detail: str
    ) -> None:
        """Write down that something is wrong; of a finding that is open already the rest stays.

        Raises:
            LockConflict: another check is writing the same finding for the first time.
        """
        findings.record(self._connection, kind, store, subject, image_id, detail)

    def close_findings(
        self, store: str, kind: FindingKind, subject: str, state: FindingState = FindingState.CLOSED
    ) -> bool:
        """End the open finding about a subject, as closed or repaired; return whether there was one."""
        return findings.close(self._connection, store, kind, subject, state)

    def lift_finding(self, finding_id: str) -> bool:
        """End an open finding because an operator says so; return whether it was open."""
        return findings.lift(self._connection, finding_id)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
