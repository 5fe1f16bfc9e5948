"""Jobs: work that outlives the request that asked for it, done by any process with a free worker.

A job's row in the database holds everything that is needed to do it. The process that takes a job holds a
lease on it. If the lease expires, another process starts the job again, after a sweep has removed the bytes
that the first one left. A process that lost its lease cannot end the job. If a sweep took over only the job's
upload, the process gives up, and the job is started again after its lease has expired.

A job that needs an unavailable store is given back, and is retried later (see `outages`).
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.errors import DatabaseError, DatabaseUnavailable, StatusConflict
from calotype.database.retry import retry_on_conflict
from calotype.database.rights import GIVEN_AWAY, require_uploader
from calotype.database.unit_of_work import Unit
from calotype.model.audit import Actor, Agent, Origin, Outcome
from calotype.model.errors import TakenOver
from calotype.model.images import Image
from calotype.model.jobs import Job, JobKind, JobStatus
from calotype.model.states import Status
from calotype.model.uploads import UploadAttempt, new_key
from calotype.stores.catalog import Catalog
from calotype.stores.errors import SourceMismatch, SourceTooLarge, Unavailable
from calotype.stores.measured import Expectations
from calotype.stores.values import Opened
from calotype.transfers import outages
from calotype.transfers.job_spec import VERBS, JobSpec
from calotype.transfers.leases import LeaseMonitor
from calotype.transfers.transfers import Transfers
from calotype.transfers.uploads import WORDED, reason

log = logging.getLogger(__name__)

#: Maximum number of open jobs that a process considers, oldest first. Fewer run at a time in all processes.
_LOOKED_AT = 100
#: Errors that are not the job's fault. The job is started again when its lease has expired.
_INTERRUPTIONS = (DatabaseUnavailable, TakenOver)
#: The fields of an image that has no bytes.
_NO_BYTES = dict.fromkeys(
    ("size", "virtual_size", "detected_format", "checksum", "os_hash_algo", "os_hash_value")
)


@dataclass(slots=True)
class _Run:
    """One run of a job, and its result.

    `failed` maps the target stores that failed to the reasons. `waiting` maps the target stores that must be
    retried to the error of the unavailable store, which is the target or the source. `progress` is true if a
    store has received the bytes.
    """

    job: Job
    spec: JobSpec
    failed: dict[str, str]
    waiting: dict[str, Unavailable] = field(default_factory=dict)
    progress: bool = False

    def pending(self, image: Image) -> list[str]:
        """Return the stores that have not received the bytes yet."""
        held = {location.store for location in image.locations}
        return [name for name in self.spec.stores if name not in self.failed and name not in held]

    def outcome(self, image: Image, waited: float = 0.0) -> dict[str, Any]:
        """Return the progress of the job, as its row in the database holds it."""
        failed = sorted(self.failed)
        return {"pending": self.pending(image), "failed": failed, "reasons": self.failed, "waited": waited}


class Jobs:
    """The jobs that this process takes and does. All worker threads share an instance."""

    def __init__(self, database: Database, stores: Catalog, settings: Settings, transfers: Transfers):
        self._database = database
        self._stores = stores
        self._patience = settings.job_patience
        self._leases = transfers.leases
        self._transfers = transfers
        self._monitor = LeaseMonitor(self._leases.seconds)
        #: The number of jobs of each project that this process is doing.
        self._running: Counter[str | None] = Counter()
        self._lock = threading.Lock()

    def run_next(self) -> bool:
        """Take a job that no process is doing, and do it. Return whether there was one.

        The process takes the oldest job of the projects for which it is doing the fewest jobs. Therefore the
        jobs of one project cannot block those of others, even if there are many and their source hangs.
        """
        job = self._take()
        if job is None:
            return False
        with self._leases.held(job.id), self._counted(job.owner):
            run = self._do(job)
        try:
            if run.waiting:
                self._put_off(run)
            else:
                self._end(run)
        except DatabaseError:
            log.exception("job %s: its result could not be recorded; it will be started again", job.id)
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
        free = self._monitor.expired({one.job.id: one.lease_until for one in found})
        for one in sorted(found, key=lambda one: self._running[one.job.owner]):
            if one.job.id in free and not one.waits:
                with self._database.unit() as unit:
                    if unit.claim_job(one, self._leases.owner, self._leases.end()):
                        return one.job
        return None

    def _do(self, job: Job) -> _Run:
        """Bring the bytes into one store after the other, as far as that is possible now."""
        run = _Run(job, JobSpec.from_json(job.order), dict(job.reasons))
        image = self._database.find(job.image_id)
        if image is None:
            run.failed = dict.fromkeys(run.spec.stores, _deleted(job.image_id))
            return run
        while names := [name for name in run.pending(image) if name not in run.waiting]:
            name = names[0]
            try:
                if job.waited:
                    # Check the store before a retry. A failed upload would leave a row for a sweep.
                    self._stores.require(name).check()
                image = self._bring(run, image, name)
                run.progress = True
            except Exception as error:  # any failure is recorded
                if isinstance(error, _INTERRUPTIONS):
                    raise
                _log(job, error)
                away = self._outage(run, error)
                if away is None:
                    # If the image was deleted meanwhile, that explains any failure.
                    gone = self._database.find(image.id) is None
                    run.failed[name] = _deleted(image.id) if gone else reason(error)
                else:
                    run.waiting[name] = away
                source_is_away = away is not None and away.store != name
                if run.spec.strict or source_is_away:
                    break
            if not run.waiting:
                self._note(run, image)
        return run

    def _outage(self, run: _Run, error: Exception) -> Unavailable | None:
        """Return the error of the unavailable store if the job should wait for that store, otherwise None."""
        away = outages.outage(error)
        return away if away is not None and run.job.waited < self._patience_with(away, run.spec) else None

    def _patience_with(self, away: Unavailable, spec: JobSpec) -> float:
        """Return how long a job waits for the store, in seconds."""
        is_external = spec.staged is None and away.store == spec.source
        return min(self._patience, outages.SOURCE_PATIENCE) if is_external else self._patience

    def _bring(self, run: _Run, image: Image, name: str) -> Image:
        """Put the bytes into one more store, from the job's source if the image has none yet."""
        target = self._stores.require(name)
        if run.job.kind is JobKind.FETCH and image.location is None:
            return self._fetch(run, image, name)
        return self._transfers.copy(image, target)

    def _fetch(self, run: _Run, image: Image, target: str) -> Image:
        spec, store = run.spec, self._stores.require(run.spec.source or "")
        if spec.uri is not None:
            # Request the URI only once, because the next response may have different bytes.
            opened = store.open_uri(spec.uri)
        else:
            opened = Opened(store.get(spec.location or "", size=spec.size), spec.size)
        with contextlib.closing(opened.reader):
            _check_size(opened.size, image, spec)
            attempt = self._begin(run.job, image, target, opened.size)
            digests = {"md5": image.checksum} if image.checksum else {}
            demands = Expectations(
                length=opened.size, size=image.size or None, limit=spec.limit, digests=digests
            )
            return self._transfers.run(attempt, opened.reader, demands)

    @retry_on_conflict
    def _begin(self, job: Job, image: Image, target: str, size: int | None) -> UploadAttempt:
        """Begin an attempt to store the bytes. An `importing` image keeps this status until its job ends."""
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
    def _note(self, run: _Run, image: Image) -> None:
        """Record the progress of a job that has not ended."""
        with self._database.unit() as unit:
            unit.note_job(run.job.id, self._leases.owner, run.outcome(image))

    @retry_on_conflict
    def _put_off(self, run: _Run) -> None:
        """Give back a job that waits for a store, so that its thread can do others."""
        job = run.job
        waited = 0.0 if run.progress else job.waited
        most = min(self._patience_with(away, run.spec) for away in run.waiting.values())
        pause = min(outages.pause(waited), max(most - waited, 0))
        message = _sentences(f"waiting for {away}" for away in run.waiting.values())
        with self._database.unit() as unit:
            # Lock the image first, as in all units: two different orders could deadlock.
            image = unit.any_image(job.image_id)
            until = self._leases.end(pause if image.status is not Status.DELETED else 0)
            outcome = run.outcome(image, waited + pause)
            if not unit.put_job_off(job, self._leases.owner, until, message, outcome):
                return
            kept = image.status is Status.IMPORTING and image.locations and image.owner == job.owner
            if kept and not run.spec.strict:
                # The stores that have the bytes are enough; the others get copies later.
                unit.move(image.id, {Status.IMPORTING}, Status.ACTIVE, status_reason=None)
                unit.audit(VERBS[job.kind], image.id, _actor(job), message)
            elif image.status in (Status.QUEUED, Status.IMPORTING) and image.status_reason != message:
                unit.change(image.id, {image.status}, {"status_reason": message})

    @retry_on_conflict
    def _end(self, run: _Run) -> None:
        """End the job if this process still holds its lease."""
        job, spec, message = run.job, run.spec, _sentences(run.failed.values())
        with self._database.unit(frees=True) as unit:
            image = unit.any_image(job.image_id)
            if job.kind is JobKind.FETCH and image.status is Status.IMPORTING and image.owner != job.owner:
                message, spec = message or GIVEN_AWAY, replace(spec, strict=True)
            status = JobStatus.FAILURE if run.failed or message else JobStatus.SUCCESS
            outcome = {"pending": [], "failed": sorted(run.failed)}
            if not unit.end_job(job.id, self._leases.owner, status, message, outcome):
                return
            detail = message or f"stores {', '.join(spec.stores)}"
            how = Outcome.FAILED if status is JobStatus.FAILURE else Outcome.DONE
            unit.audit(VERBS[job.kind], job.image_id, _actor(job), detail, how)
            self._leave(unit, job, spec, message)

    def _leave(self, unit: Unit, job: Job, spec: JobSpec, message: str) -> None:
        """Give a fetched image its final status, and remove the bytes that it does not keep."""
        image = unit.any_image(job.image_id)
        doomed = [one for one in unit.staged(image.id) if one.key == spec.staged]
        if job.kind is JobKind.FETCH and image.status is Status.IMPORTING:
            if image.locations and not (message and spec.strict):
                unit.move(image.id, {Status.IMPORTING}, Status.ACTIVE, status_reason=None)
            else:
                unit.move(image.id, {Status.IMPORTING}, spec.on_failure, status_reason=message, **_NO_BYTES)
                doomed += image.locations
        elif job.kind is JobKind.FETCH and message and spec.on_failure is Status.KILLED:
            with contextlib.suppress(StatusConflict):
                unit.move(image.id, {Status.QUEUED}, Status.KILLED, status_reason=message)
        self._transfers.removal.mark(unit, image, doomed)


def _actor(job: Job) -> Actor:
    return Actor(job.user, job.owner, Origin(Agent.JOB, request_id=job.request_id))


def _sentences(reasons: Iterable[str]) -> str:
    """Return the distinct reasons as one text."""
    return "; ".join(dict.fromkeys(reasons))


def _check_size(size: int | None, image: Image, spec: JobSpec) -> None:
    """Refuse a source by its size, before any of its bytes is read.

    Raises:
        SourceTooLarge: the source is larger than the job allows.
        SourceMismatch: the source's size differs from the declared one.
    """
    if size is None:
        return
    if spec.limit is not None and size > spec.limit:
        raise SourceTooLarge(f"The source has {size} bytes, but an image may have at most {spec.limit}.")
    if image.size and size != image.size:
        raise SourceMismatch(
            f"Provided image size must match the stored image size: provided {image.size}, stored {size}."
        )


def _deleted(image_id: str) -> str:
    return f"Image {image_id} was deleted."


def _log(job: Job, error: Exception) -> None:
    if isinstance(error, WORDED):
        log.warning("job %s: %s", job.id, error)
    else:
        log.exception("job %s failed", job.id)
