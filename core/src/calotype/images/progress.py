"""The progress of the uploads, imports and copies of one image, as its processes wrote it last."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from calotype.database.database import Database
from calotype.model.images import Image
from calotype.model.jobs import Job, JobKind
from calotype.model.states import Status
from calotype.model.uploads import Transfer


class Phase(enum.StrEnum):
    """What happens to an image's bytes now."""

    WAITING = "waiting"  #: the image has no bytes, and none arrive
    RECEIVING = "receiving"
    JOINING = "joining"  #: all bytes of an upload session are there, and the image is made of them
    STAGING = "staging"
    IMPORTING = "importing"
    COPYING = "copying"  #: into more stores
    IDLE = "idle"  #: nothing moves, and nothing is waited for


class Part(enum.StrEnum):
    """The state of the bytes in one store."""

    PENDING = "pending"
    MOVING = "moving"
    STORED = "stored"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StoreProgress:
    """The progress in one store, in bytes and bytes per second. A value that is not known is None."""

    store: str
    state: Part
    moved: int
    total: int | None
    rate: float | None = None
    updated_at: datetime.datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ImageProgress:
    """The progress of an image, and of each store that has its bytes or will get them."""

    image: Image
    phase: Phase
    stores: tuple[StoreProgress, ...]
    #: The reason why an open job waits, or why it failed; "" for none.
    message: str = ""

    @property
    def moved(self) -> int:
        """The bytes that all stores together have received."""
        return sum(one.moved for one in self.stores)

    @property
    def total(self) -> int | None:
        """The bytes that all stores together will have; None if one of them does not know."""
        totals = [one.total for one in self.stores if one.state is not Part.FAILED]
        known = [total for total in totals if total is not None]
        return sum(known) if known and len(known) == len(totals) else None

    @property
    def rate(self) -> float | None:
        """The bytes per second of all transfers together; None if nothing moves."""
        return sum(one.rate or 0 for one in self.stores) or None

    @property
    def updated_at(self) -> datetime.datetime | None:
        """The time of the newest of these values; None if nothing moves."""
        return max((one.updated_at for one in self.stores if one.updated_at), default=None)

    @property
    def estimated_end(self) -> datetime.datetime | None:
        """The time at which the transfers end if the rate stays the same; None if that is not known."""
        if self.total is None or self.rate is None or self.updated_at is None:
            return None
        return self.updated_at + datetime.timedelta(seconds=max(0, self.total - self.moved) / self.rate)


_PHASES = {
    Status.QUEUED: Phase.WAITING,
    Status.SAVING: Phase.RECEIVING,
    Status.UPLOADING: Phase.STAGING,
    Status.IMPORTING: Phase.IMPORTING,
}


def progress_of(database: Database, image: Image) -> ImageProgress:
    """Return the progress of an image that was read just now."""
    sessions = database.sessions.transfers(image.id)
    transfers = [*database.transfers(image.id), *sessions]
    jobs = database.jobs_of(image.id, 1) if image.has_jobs else []
    job = next(iter(jobs), None)
    phase = _phase_of_session(sessions[0]) if sessions else _phase(image, job, transfers)
    return ImageProgress(image, phase, tuple(_stores(image, job, transfers)), job.message if job else "")


def _phase_of_session(session: Transfer) -> Phase:
    return Phase.JOINING if session.joins else Phase.RECEIVING


def _phase(image: Image, job: Job | None, transfers: Sequence[Transfer]) -> Phase:
    is_open = job is not None and job.is_open
    if is_open and job is not None and job.kind is JobKind.COPY:
        return Phase.COPYING
    if is_open and image.status in (Status.QUEUED, Status.SAVING):
        return Phase.IMPORTING
    if image.status is Status.UPLOADING and not transfers:
        return Phase.WAITING  # the bytes are staged, and wait for the import
    return _PHASES.get(image.status, Phase.IDLE)


def _stores(image: Image, job: Job | None, transfers: Sequence[Transfer]) -> Iterator[StoreProgress]:
    moving = {one.store: one for one in transfers}
    stored = {one.store for one in image.locations}
    for store in sorted(stored):
        yield StoreProgress(store, Part.STORED, image.size or 0, image.size)
    for store, one in moving.items():
        yield StoreProgress(store, Part.MOVING, one.moved or 0, one.total, one.rate, one.moved_at)
    if job is None:
        return
    total = next((one.total for one in moving.values()), image.size)
    for store in job.pending:
        if job.is_open and store not in stored and store not in moving:
            yield StoreProgress(store, Part.PENDING, 0, total)
    for store in job.failed:
        if store not in stored and store not in moving:
            yield StoreProgress(store, Part.FAILED, 0, total, reason=job.reasons.get(store))
