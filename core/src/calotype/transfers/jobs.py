"""Jobs: work that outlives the request that asked for it, done by whichever process has a free worker.

A job's row in the database holds everything that is needed to do it. The process that takes a job holds a
lease on it. If the lease expires, another process begins the job again, after a sweep has removed
what the first one left. A process that lost its lease cannot end the job any more. If only the bytes of a
process that stood still were swept, it leaves the job to be begun again.

A job that needs a store that is away is given back, and is tried again later (see `outages`).
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.errors import DatabaseError, DatabaseUnavailable, StatusConflict
from calotype.database.retry import retry_on_conflict
from calotype.database.rights import GIVEN_AWAY, require_uploader
from calotype.database.unit_of_work import Unit
from calotype.model.audit import Actor, Agent, Origin, Outcome
from calotype.model.errors import ImageGone, NotAllowed, TakenOver
from calotype.model.images import Image, Status
from calotype.model.jobs import Job, JobKind, JobStatus
from calotype.model.uploads import UploadAttempt, new_key
from calotype.stores.catalog import Catalog
from calotype.stores.contract import Opened
from calotype.stores.errors import SourceError, SourceMismatch, SourceTooLarge, StoreError, Unavailable
from calotype.stores.measured import Expectations
from calotype.transfers import outages
from calotype.transfers.job_spec import VERBS, JobSpec
from calotype.transfers.leases import LeaseMonitor, Leases
from calotype.transfers.transfers import Transfers
from calotype.transfers.uploads import reason

log = logging.getLogger(__name__)

#: The number of open jobs that a process looks at, oldest first: more than all processes do at a time.
_LOOKED_AT = 100
#: The fields of an image that has no bytes.
_NO_BYTES = {
    "size": None,
    "virtual_size": None,
    "detected_format": None,
    "checksum": None,
    "os_hash_algo": None,
    "os_hash_value": None,
}


@dataclass(slots=True)
class _Run:
    """The result of one run of a job: stores that failed, and why; stores that wait, and what is away.

    `progress`: some store has got the bytes.
    """

    failed: dict[str, str]
    waiting: dict[str, Unavailable] = field(default_factory=dict)
    progress: bool = False

    def left(self, order: JobSpec, image: Image) -> list[str]:
        """Return the stores that are still to get the bytes."""
        return [name for name in order.stores if name not in self.failed and not _holds(image, name)]


class Jobs:
    """Taking jobs and doing them; shared by all threads that do."""

    def __init__(
        self,
        database: Database,
        stores: Catalog,
        settings: Settings,
        leases: Leases,
        transfers: Transfers,
    ):
        self._database = database
        self._stores = stores
        self._patience = settings.job_patience
        self._leases = leases
        self._transfers = transfers
        self._watch = LeaseMonitor(leases.seconds)
        #: How many jobs of each project are being done by this process.
        self._running: Counter[str | None] = Counter()
        self._lock = threading.Lock()

    def run_next(self) -> bool:
        """Take a job that no process does, and do it; return whether there was one.

        It is the oldest job of the projects for which this process does the fewest, so that many
        jobs of one project, whose source may not answer, do not keep out those of others.
        """
        job = self._take()
        if job is None:
            return False
        with self._leases.held(job.id), self._counted(job.owner):
            run = self._do(job)
        if run.waiting:
            self._put_off(job, run)
        else:
            self._end(job, run.failed)
        return True

    @contextlib.contextmanager
    def _counted(self, project: str | None) -> Iterator[None]:
        with self._lock:
            self._running[project] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[project] -= 1

    @retry_on_conflict
    def _take(self) -> Job | None:
        now = self._leases.end(0)
        found = self._database.open_jobs(_LOOKED_AT, now, self._leases.end(outages.LONGEST))
        free = self._watch.expired({one.job.id: one.lease_until for one in found})
        for one in sorted(found, key=lambda one: self._running[one.job.owner]):
            if one.job.id in free and not one.waits:
                with self._database.unit() as unit:
                    if unit.claim_job(one, self._leases.owner, self._leases.end()):
                        return one.job
        return None

    def _do(self, job: Job) -> _Run:
        """Bring the bytes into one store after the other, as far as that is possible now."""
        order = JobSpec.from_json(job.order)
        run = _Run(failed=dict(job.reasons))
        image = self._database.find(job.image_id)
        if image is None:
            return _Run(failed=dict.fromkeys(order.stores, _deleted(job.image_id)))
        while names := [name for name in run.left(order, image) if name not in run.waiting]:
            name = names[0]
            try:
                if job.waited:
                    # An attempt would leave a row for a sweep, and read the source, for nothing.
                    self._stores[name].check()
                image = self._bring(job, order, image, name)
                run.progress = True
            except Exception as error:  # any failure is written down
                if _was_interrupted(error):
                    raise  # nothing is wrong with the job: it is begun again when its lease is over
                _log(job, error)
                away = self._waits_for(job, order, error)
                if away is None:
                    run.failed[name] = self._reason(image, error)
                else:
                    run.waiting[name] = away
                source_is_away = away is not None and away.store != name
                if order.strict or source_is_away:
                    break
            if not run.waiting:
                self._note(job, run.left(order, image), run.failed)
        return run

    def _reason(self, image: Image, error: Exception) -> str:
        """Return the sentence about a failure for clients; a deletion meanwhile explains any failure."""
        return reason(error) if self._database.find(image.id) is not None else _deleted(image.id)

    def _waits_for(self, job: Job, order: JobSpec, error: Exception) -> Unavailable | None:
        """Return what is away, if that is all that is wrong and the job has not waited too long for it."""
        away = outages.outage(error)
        return away if away is not None and job.waited < self._patience_with(away, order) else None

    def _patience_with(self, away: Unavailable, order: JobSpec) -> float:
        """Return for how many seconds a job waits for that store."""
        outside = order.staged is None and away.store == order.source
        return min(self._patience, outages.SOURCE_PATIENCE) if outside else self._patience

    def _put_off(self, job: Job, run: _Run) -> None:
        """Give a job back that waits for a store, so that its thread can do others."""
        order = JobSpec.from_json(job.order)
        waited = 0.0 if run.progress else job.waited
        most = min(self._patience_with(away, order) for away in run.waiting.values())
        pause = min(outages.pause(waited), max(most - waited, 0))
        message = "; ".join(dict.fromkeys(f"waiting for {away}" for away in run.waiting.values()))
        try:
            self._write_wait(job, run, message, pause, waited + pause)
        except DatabaseError:
            log.exception("job %s: its wait could not be written down; it will be begun again", job.id)

    @retry_on_conflict
    def _write_wait(self, job: Job, run: _Run, message: str, pause: float, waited: float) -> None:
        order = JobSpec.from_json(job.order)
        with self._database.unit() as unit:
            # The image first, as in all units: two orders would be a deadlock.
            image = unit.any_image(job.image_id)
            outcome = {
                "pending": run.left(order, image),
                "failed": sorted(run.failed),
                "reasons": run.failed,
                "waited": waited,
            }
            until = self._leases.end(pause if image.status is not Status.DELETED else 0)
            if not unit.put_job_off(job, self._leases.owner, until, message, outcome):
                return
            kept = image.status is Status.IMPORTING and image.locations and image.owner == job.owner
            if kept and not order.strict:
                # The stores that have the bytes are enough; the others come in as copies.
                unit.move(image.id, {Status.IMPORTING}, Status.ACTIVE, status_reason=None)
                unit.audit(VERBS[job.kind], image.id, _actor(job), message)
            elif image.status in (Status.QUEUED, Status.IMPORTING) and image.status_reason != message:
                unit.change(image.id, {image.status}, {"status_reason": message})

    def _bring(self, job: Job, order: JobSpec, image: Image, name: str) -> Image:
        """Put the bytes into one more store, from outside if the image has none yet."""
        if job.kind is JobKind.FETCH and image.location is None:
            return self._fetch(job, image, name, order)
        return self._transfers.copy(image, self._stores[name])

    def _fetch(self, job: Job, image: Image, target: str, order: JobSpec) -> Image:
        with self._open(order) as opened:
            _check_size(opened.size, image, order)
            attempt = self._begin(job, image, target, opened.size)
            digests = {"md5": image.checksum} if image.checksum else {}
            demands = Expectations(
                length=opened.size, size=image.size or None, limit=order.limit, digests=digests
            )
            return self._transfers.run(attempt, opened.reader, demands)

    @contextlib.contextmanager
    def _open(self, order: JobSpec) -> Iterator[Opened]:
        """Open the source. A URI is requested once, because the next answer may have other bytes."""
        store = self._stores[order.source or ""]
        if order.uri is not None:
            opened = store.open_uri(order.uri)
        else:
            opened = Opened(store.get(order.location or "", size=order.size), order.size)
        with contextlib.closing(opened.reader):
            yield opened

    @retry_on_conflict
    def _begin(self, job: Job, image: Image, target: str, size: int | None) -> UploadAttempt:
        """Begin to receive the bytes. An image that is being imported stays so until its job ends."""
        with self._database.unit() as unit:
            current = unit.image(image.id)
            require_uploader(None, job.owner, current)
            after, failed = Status.IMPORTING, Status.IMPORTING
            if current.status is not Status.IMPORTING:
                unit.move(image.id, {Status.QUEUED}, Status.SAVING, status_reason=None)
                after, failed = Status.ACTIVE, Status.QUEUED
            key, waiting = new_key(image.id), unit.image(image.id)
            return self._transfers.begin(unit, UploadAttempt(waiting, key, target, size, failed, after))

    @retry_on_conflict
    def _note(self, job: Job, pending: list[str], failed: dict[str, str]) -> None:
        outcome = {"pending": pending, "failed": sorted(failed), "reasons": failed}
        with self._database.unit() as unit:
            unit.note_job(job.id, self._leases.owner, outcome)

    def _end(self, job: Job, failed: dict[str, str]) -> None:
        status = JobStatus.FAILURE if failed else JobStatus.SUCCESS
        message = "; ".join(dict.fromkeys(failed.values()))
        try:
            self._write_end(job, status, message, sorted(failed))
        except DatabaseError:
            log.exception("job %s: its end could not be written down; it will be begun again", job.id)

    @retry_on_conflict
    def _write_end(self, job: Job, status: JobStatus, message: str, failed: list[str]) -> None:
        """End the job, if it is still ours."""
        with self._database.unit(frees=True) as unit:
            order = JobSpec.from_json(job.order)
            image = unit.any_image(job.image_id)
            if job.kind is JobKind.FETCH and image.status is Status.IMPORTING and image.owner != job.owner:
                status, message, order = JobStatus.FAILURE, message or GIVEN_AWAY, replace(order, strict=True)
            outcome = {"pending": [], "failed": failed}
            if not unit.end_job(job.id, self._leases.owner, status, message, outcome):
                return
            told = message or f"stores {', '.join(job.order['stores'])}"
            how = Outcome.FAILED if status is JobStatus.FAILURE else Outcome.DONE
            unit.audit(VERBS[job.kind], job.image_id, _actor(job), told, how)
            self._leave(unit, job, order, message)

    def _leave(self, unit: Unit, job: Job, order: JobSpec, message: str) -> None:
        """Leave a fetched image in the status that the order says, and remove what it does not keep."""
        image = unit.any_image(job.image_id)
        doomed = [one for one in unit.staged(image.id) if one.key == order.staged]
        if job.kind is JobKind.FETCH and image.status is Status.IMPORTING:
            if image.locations and not (message and order.strict):
                unit.move(image.id, {Status.IMPORTING}, Status.ACTIVE, status_reason=None)
            else:
                unit.move(image.id, {Status.IMPORTING}, order.on_failure, status_reason=message, **_NO_BYTES)
                doomed += image.locations
        elif job.kind is JobKind.FETCH and message and order.on_failure is Status.KILLED:
            with contextlib.suppress(StatusConflict):
                unit.move(image.id, {Status.QUEUED}, Status.KILLED, status_reason=message)
        self._transfers.removal.mark(unit, image, doomed)


def _actor(job: Job) -> Actor:
    return Actor(job.user, job.owner, Origin(Agent.JOB, request_id=job.request_id))


def _check_size(size: int | None, image: Image, order: JobSpec) -> None:
    """Refuse a source whose size shows that its bytes will not be taken, before any of them comes.

    Raises:
        SourceTooLarge, SourceMismatch: it is larger than the order allows, or not as large as was declared.
    """
    if size is None:
        return
    if order.limit is not None and size > order.limit:
        raise SourceTooLarge(f"The source has {size} bytes, and an image may have {order.limit} here.")
    if image.size and size != image.size:
        raise SourceMismatch(
            f"Provided image size must match the stored image size: provided {image.size}, stored {size}."
        )


def _deleted(image_id: str) -> str:
    return f"Image {image_id} was deleted."


def _was_interrupted(error: Exception) -> bool:
    """Return whether the database was away, or a sweep took this process for dead."""
    return isinstance(error, (DatabaseUnavailable, TakenOver))


def _holds(image: Image, store: str) -> bool:
    return any(location.store == store for location in image.locations)


def _log(job: Job, error: Exception) -> None:
    if isinstance(error, (SourceError, StoreError, NotAllowed, ImageGone, DatabaseError)):
        log.warning("job %s: %s", job.id, error)
    else:
        log.exception("job %s failed", job.id)
