"""A unit of work: some changes that become true together, in one short transaction.

Every change of status is one compare-and-swap UPDATE; a unit that finds the image in
another status raises StatusConflict, and nothing of the unit remains. Statements are
Core's, which cost a third of the ORM's; the database tells zope.sqlalchemy that a unit
changes something, for of Core's statements it sees none.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from calotype.database import audit, findings, identity, queries
from calotype.database.errors import DuplicateImage, ImageNotFound, LimitReached, StatusConflict
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
    UsageRow,
)
from calotype.model.audit import Actor, AuditRecord, AuditVerb, Outcome
from calotype.model.findings import FindingKind, FindingState
from calotype.model.images import (
    Image,
    LeasedLocation,
    Location,
    LocationState,
    MemberStatus,
    Status,
    Visibility,
)
from calotype.model.jobs import Job, JobKind, JobStatus, OpenJob
from calotype.model.usage import Limits

_OPEN = (JobStatus.PENDING, JobStatus.PROCESSING)
#: From these statuses an image becomes active again; from all others it does so for the first time.
_HAD_BYTES = frozenset({Status.DEACTIVATED, Status.DELETED})

_IMAGES, _LOCATIONS = ImageRow.__table__, LocationRow.__table__
_PROPERTIES, _TAGS, _MEMBERS = PropertyRow.__table__, TagRow.__table__, MemberRow.__table__
_USAGE, _JOBS, _SCRUBS = UsageRow.__table__, JobRow.__table__, ScrubRow.__table__

# Built once, for each upload needs them: building a statement costs more than running it.
_SWAP = update(_IMAGES).where(
    _IMAGES.c.id == bindparam("image_id"), _IMAGES.c.status.in_(bindparam("allowed", expanding=True))
)
_COUNT = (
    update(_USAGE)
    .where(_USAGE.c.project == bindparam("of_project"))
    .values(bytes=_USAGE.c.bytes + bindparam("more_bytes"), images=_USAGE.c.images + bindparam("more_images"))
)


class Unit:
    """The verbs of one unit of work; made by `Database.unit`, useless after it.

    `scrubs` has those of the scrubber. An extension changes its own tables through `connection`.
    """

    def __init__(self, session: Session):
        self._session = session
        self._connection = session.connection()
        #: The changes of images that this unit makes, in order.
        self.audited: list[AuditRecord] = []

    def audit(
        self, verb: AuditVerb, image_id: str, actor: Actor, detail: str = "", outcome: Outcome = Outcome.DONE
    ) -> None:
        """Have a change of an image recorded together with it."""
        self.audited.append(audit.new_record(verb, image_id, actor, detail, outcome))

    def write_audit(self) -> None:
        """Write the records of this unit's changes, by one statement if there are any."""
        if self.audited:
            audit.write(self._connection, self.audited)

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
        return ScrubsUnit(self._connection)

    @property
    def processes(self) -> ProcessesUnit:
        """The verbs on the processes that serve."""
        return ProcessesUnit(self._connection)

    def image(self, image_id: str) -> Image:
        """The image as this unit sees it; no other unit changes it before this one ends.

        Raises:
            ImageNotFound: there is none, or it is deleted.
        """
        image = self.any_image(image_id)
        if image.status is Status.DELETED:
            raise ImageNotFound(image_id)
        return image

    def any_image(self, image_id: str) -> Image:
        """The image, be it deleted; raises ImageNotFound only if there never was one."""
        image = queries.find_image(self._connection, image_id, lock=True)
        if image is None:
            raise ImageNotFound(image_id)
        return image

    def add_image(self, image_id: str, fields: Mapping[str, Any], properties: Mapping[str, str]) -> None:
        """Insert an image in status queued.

        Raises:
            DuplicateImage: the id is taken, be it by a deleted image.
        """
        now = _now()
        defaults = {
            "visibility": Visibility.PRIVATE,
            "protected": False,
            "min_disk": 0,
            "min_ram": 0,
            "os_hidden": False,
        }
        row = {"id": image_id, "status": Status.QUEUED, "created_at": now, "updated_at": now}
        try:
            self._connection.execute(insert(_IMAGES), row | defaults | dict(fields))
        except IntegrityError:
            raise DuplicateImage(image_id) from None
        self._add_properties(image_id, properties)

    def move(self, image_id: str, allowed: Collection[Status], to: Status, **values: Any) -> None:
        """Set the status, and values with it, if the image is in one of the allowed statuses.

        An image that comes to be active has its bytes since then, unless it has been active before.

        Raises:
            StatusConflict: it is not; nothing is changed.
        """
        if to is Status.ACTIVE and not _HAD_BYTES.intersection(allowed):
            values["activated_at"] = _now()
        self._change(image_id, allowed, status=to, **values)

    def change(self, image_id: str, allowed: Collection[Status], fields: Mapping[str, Any]) -> None:
        """Set metadata, and the time of change, if the image is in one of the allowed statuses."""
        self._change(image_id, allowed, **fields)

    def _change(self, image_id: str, allowed: Collection[Status], **values: Any) -> None:
        which = {"image_id": image_id, "allowed": list(allowed)}
        if self._connection.execute(_SWAP, {**which, "updated_at": _now(), **values}).rowcount != 1:
            raise StatusConflict(image_id)

    def set_properties(self, image_id: str, properties: Mapping[str, str], *, keep_others: bool) -> None:
        """Give the image these properties; the others go unless `keep_others`."""
        stale = delete(_PROPERTIES).where(_PROPERTIES.c.image_id == image_id)
        if keep_others:
            stale = stale.where(_PROPERTIES.c.name.in_(list(properties)))
        self._connection.execute(stale)
        self._add_properties(image_id, properties)

    def _add_properties(self, image_id: str, properties: Mapping[str, str]) -> None:
        if properties:
            rows = [
                {"image_id": image_id, "name": name, "value": value} for name, value in properties.items()
            ]
            self._connection.execute(insert(_PROPERTIES), rows)

    def set_tags(self, image_id: str, tags: Collection[str]) -> None:
        """Give the image exactly these tags."""
        self._connection.execute(delete(_TAGS).where(_TAGS.c.image_id == image_id))
        if tags:
            rows = [{"image_id": image_id, "tag": tag} for tag in sorted(set(tags))]
            self._connection.execute(insert(_TAGS), rows)

    def set_member(self, image_id: str, project: str, **values: Any) -> None:
        """Change a member's `status` or `can_share`; a new one starts pending, without the right to share."""
        now = _now()
        c = _MEMBERS.c
        change = update(_MEMBERS).where(c.image_id == image_id, c.project == project)
        if self._connection.execute(change.values(updated_at=now, **values)).rowcount == 0:
            row = {"status": MemberStatus.PENDING, "can_share": False, **values}
            row |= {"image_id": image_id, "project": project, "created_at": now, "updated_at": now}
            self._connection.execute(insert(_MEMBERS), row)

    def remove_member(self, image_id: str, project: str) -> bool:
        """End a membership; whether there was one."""
        c = _MEMBERS.c
        gone = delete(_MEMBERS).where(c.image_id == image_id, c.project == project)
        return self._connection.execute(gone).rowcount == 1

    def count(self, project: str | None, limits: Limits, *, images: int = 0, size: int = 0) -> None:
        """Add to what a project uses, if that stays within the limits; one statement, so none slips past.

        Raises:
            LimitReached: it would not; nothing is changed.
        """
        if project is None or (images == 0 and size == 0):
            return
        added = {"of_project": project, "more_bytes": size, "more_images": images}
        swap = _COUNT
        # What gives back is never refused, be the limit lowered meanwhile.
        if size > 0 and limits.bytes is not None:
            swap = swap.where(_USAGE.c.bytes + size <= limits.bytes)
        if images > 0 and limits.images is not None:
            swap = swap.where(_USAGE.c.images + images <= limits.images)
        if self._connection.execute(swap, added).rowcount == 1:
            return
        known = select(_USAGE.c.project).where(_USAGE.c.project == project)
        if self._connection.execute(known).first() is None:
            self.start_usage(project)
            self.count(project, limits, images=images, size=size)
        else:
            raise LimitReached(limits.bytes if size > 0 else limits.images, "bytes" if size > 0 else "images")

    def start_usage(self, project: str) -> None:
        """Count for a project from now on; raises IntegrityError when somebody else was faster."""
        self._connection.execute(insert(_USAGE), {"project": project, "bytes": 0, "images": 0})

    def begin_upload(
        self,
        image_id: str,
        key: str,
        store: str,
        counted: int,
        owner: str,
        until: datetime.datetime,
        on_failure: Status,
    ) -> None:
        """Write down that bytes are about to go to the store under the key, under a lease of `owner`'s.

        `counted` of them have been counted for the project already. `on_failure` is for
        whoever finds the lease lapsed: the status that the image is left in.
        """
        self._add_location(
            image_id,
            key,
            store,
            None,
            LocationState.INTENDED,
            counted=counted,
            lease_owner=owner,
            lease_until=until,
            on_failure=on_failure,
        )

    def add_external(self, image_id: str, key: str, store: str, location: str) -> None:
        """Write down where bytes lie that are somebody else's."""
        self._add_location(image_id, key, store, location, LocationState.STORED, external=True)

    def _add_location(
        self,
        image_id: str,
        key: str,
        store: str,
        location: str | None,
        state: LocationState,
        *,
        external: bool = False,
        counted: int = 0,
        lease_owner: str | None = None,
        lease_until: datetime.datetime | None = None,
        on_failure: Status | None = None,
    ) -> None:
        row = {
            "key": key,
            "image_id": image_id,
            "store": store,
            "location": location,
            "state": state,
            "external": external,
            "counted": counted,
            "created_at": _now(),
            "lease_owner": lease_owner,
            "lease_until": lease_until,
            "on_failure": on_failure,
        }
        self._connection.execute(insert(_LOCATIONS), row)

    def count_location(self, key: str, project: str | None, limits: Limits, size: int) -> None:
        """Set how many bytes are counted for the key, and the project's sum with it.

        Raises:
            LimitReached: the project may not have so many.
        """
        c = _LOCATIONS.c
        counted = self._connection.scalar(select(c.counted).where(c.key == key).with_for_update())
        if counted is not None and counted != size:
            self.count(project, limits, size=size - counted)
            self._change_location(key, counted=size)

    def commit_location(
        self, key: str, owner: str, location: str, state: LocationState = LocationState.STORED
    ) -> None:
        """The intended bytes are there: they are the image's, or staged for it.

        Raises:
            StatusConflict: the attempt is not `owner`'s any more.
        """
        mine = (_LOCATIONS.c.state == LocationState.INTENDED, _LOCATIONS.c.lease_owner == owner)
        values = {"state": state, "location": location}
        if not self._change_location(key, *mine, lease_owner=None, lease_until=None, **values):
            raise StatusConflict(key)

    def doom_location(
        self, key: str, state: LocationState, until: datetime.datetime, owner: str | None = None
    ) -> bool:
        """The key's bytes are to be removed, by others not before `until`; whether it was in `state`.

        Without an `owner`, who removes them now, it stays whose it is: nobody's, if they were kept.
        """
        values = {"state": LocationState.PENDING_DELETE, "lease_until": until}
        if owner is not None:
            values["lease_owner"] = owner
        return self._change_location(key, _LOCATIONS.c.state == state, **values)

    def revive_location(self, key: str) -> bool:
        """Doomed bytes that nobody has begun to remove are the image's again; whether there were any."""
        untouched = (_LOCATIONS.c.state == LocationState.PENDING_DELETE, _LOCATIONS.c.lease_owner.is_(None))
        return self._change_location(key, *untouched, state=LocationState.STORED, lease_until=None)

    def claim_location(self, seen: LeasedLocation, owner: str, until: datetime.datetime) -> bool:
        """Take over a row that is as it was `seen`; whether nobody renewed it, took it, or kept its bytes."""
        c = _LOCATIONS.c
        as_seen = (c.state == seen.location.state, c.lease_until == seen.lease_until)
        return self._change_location(seen.location.key, *as_seen, lease_owner=owner, lease_until=until)

    def renew_leases(self, keys: Collection[str], owner: str, until: datetime.datetime) -> None:
        """Put off the end of the leases that `owner` still has on locations, jobs and scrubs."""
        for table, key in (
            (_LOCATIONS, _LOCATIONS.c.key),
            (_JOBS, _JOBS.c.id),
            (_SCRUBS, _SCRUBS.c.store),
        ):
            mine = update(table).where(key.in_(keys), table.c.lease_owner == owner)
            self._connection.execute(mine.values(lease_until=until))

    def add_job(
        self,
        kind: JobKind,
        image: Image,
        order: Mapping[str, Any],
        pending: list[str],
        request_id: str,
        user: str | None,
    ) -> str:
        """Write a job down, for an image's owner; returns its id."""
        now = _now()
        job = JobRow(
            id=str(uuid.uuid4()),
            kind=kind,
            image_id=image.id,
            status=JobStatus.PENDING,
            order=dict(order),
            outcome={"pending": pending, "failed": []},
            message="",
            owner=image.owner,
            user=user,
            request_id=request_id,
            created_at=now,
            updated_at=now,
        )
        self._session.add(job)
        self._session.flush()
        return job.id

    def has_open_job(self, image_id: str) -> bool:
        """Whether somebody does something for the image, or is going to."""
        mine = select(JobRow.id).where(JobRow.image_id == image_id, JobRow.status.in_(_OPEN))
        return self._session.execute(mine.limit(1)).first() is not None

    def claim_job(self, seen: OpenJob, owner: str, until: datetime.datetime) -> bool:
        """Take a job that is as it was `seen`; whether nobody renewed its lease, took it, or put it off."""
        as_seen = (JobRow.lease_until == seen.lease_until, JobRow.not_before == seen.not_before)
        values = {"lease_owner": owner, "lease_until": until, "not_before": None}
        return self._change_job(seen.job.id, *as_seen, status=JobStatus.PROCESSING, **values)

    def note_job(self, job_id: str, owner: str, outcome: Mapping[str, Any]) -> bool:
        """Write down how far a job is, which waits for nothing; whether it is still `owner`'s."""
        mine = JobRow.lease_owner == owner
        return self._change_job(job_id, mine, outcome=dict(outcome), message="", waiting_since=None)

    def put_job_off(
        self, job: Job, owner: str, until: datetime.datetime, message: str, outcome: Mapping[str, Any]
    ) -> bool:
        """Give a job back that is to be tried again at `until`; return whether it was still `owner`'s."""
        values = {"not_before": until, "waiting_since": job.waiting_since or _now()}
        values |= {"status": JobStatus.PENDING, "lease_owner": None, "lease_until": None}
        mine = JobRow.lease_owner == owner
        return self._change_job(job.id, mine, message=message, outcome=dict(outcome), **values)

    def hurry_jobs(self, image_id: str) -> None:
        """Have the image's jobs that wait for a store tried again at once."""
        waiting = update(_JOBS).where(_JOBS.c.image_id == image_id, _JOBS.c.not_before.is_not(None))
        self._connection.execute(waiting.values(not_before=None))

    def end_job(
        self, job_id: str, owner: str, status: JobStatus, message: str, outcome: Mapping[str, Any]
    ) -> bool:
        """Write down how a job ended; whether it was still `owner`'s."""
        values = {"status": status, "message": message, "outcome": dict(outcome), "waiting_since": None}
        return self._change_job(
            job_id, JobRow.lease_owner == owner, lease_owner=None, lease_until=None, **values
        )

    def _change_job(self, job_id: str, *conditions: ColumnElement[bool], **values: Any) -> bool:
        change = (
            update(JobRow)
            .where(JobRow.id == job_id, JobRow.status.in_(_OPEN), *conditions)
            .values(updated_at=_now(), **values)
            .execution_options(synchronize_session=False)
        )
        return self._session.execute(change).rowcount == 1

    def _change_location(self, key: str, *conditions: ColumnElement[bool], **values: Any) -> bool:
        change = update(_LOCATIONS).where(_LOCATIONS.c.key == key, *conditions).values(**values)
        return self._connection.execute(change).rowcount == 1

    def forget_location(self, key: str) -> None:
        """Nothing lies under that key any more."""
        self._connection.execute(delete(_LOCATIONS).where(_LOCATIONS.c.key == key))

    def staged(self, image_id: str) -> list[Location]:
        """The bytes that wait to be imported into an image."""
        return [one for one in self.locations(image_id) if one.state is LocationState.STAGED]

    def locations(self, image_id: str) -> list[Location]:
        """All location rows of an image, intended and doomed ones too."""
        rows = self._connection.execute(select(_LOCATIONS).where(_LOCATIONS.c.image_id == image_id))
        return [
            Location(
                r.key,
                r.store,
                r.location,
                LocationState(r.state),
                r.external,
                r.counted,
                r.quarantined_at is not None,
            )
            for r in rows
        ]

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
