"""Uploads: move bytes into a store, and record the end of each attempt.

An attempt is recorded with a lease before its first byte moves. It ends in one unit of work, which changes
the attempt's row only if the row is as the attempt left it. Therefore a process cannot change anything after
its lease has expired and another process has ended its attempt.
"""

from __future__ import annotations

import contextlib
import enum
import logging
from collections.abc import Iterator
from dataclasses import replace

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.errors import DatabaseError, DatabaseUnavailable, ImageNotFound, StatusConflict
from calotype.database.retry import retry_on_conflict
from calotype.database.rights import require_uploader
from calotype.database.unit_of_work import Unit
from calotype.model.audit import AuditVerb, Outcome
from calotype.model.errors import ImageGone, NotAllowed, TakenOver
from calotype.model.images import Image, Location, LocationState
from calotype.model.states import Status
from calotype.model.uploads import UploadAttempt
from calotype.model.usage import Limits
from calotype.stores.catalog import Catalog
from calotype.stores.errors import Overdue, SourceError, SourceRejected, StoreError, for_clients
from calotype.stores.measured import Expectations, UploadResult
from calotype.stores.values import Reader
from calotype.transfers.inspection import Inspector, InspectorsUnavailable, Verdict
from calotype.transfers.leases import Leases, Meter
from calotype.transfers.readers import (
    CountingReader,
    InspectingReader,
    QuotaReader,
    declared_format,
    redeclared,
)
from calotype.transfers.removal import Removal

log = logging.getLogger(__name__)

#: Status of an image that is receiving bytes -> the verb in the audit trail.
RECEIVING = {Status.SAVING: AuditVerb.UPLOAD, Status.UPLOADING: AuditVerb.STAGE}
#: The states of an attempt's row once the attempt has succeeded.
_KEPT = (LocationState.STORED, LocationState.STAGED)
#: Errors whose messages clients may read in the image's record. Other errors are bugs, here or in a driver.
WORDED = (SourceError, StoreError, DatabaseError, InspectorsUnavailable, NotAllowed, ImageGone, TakenOver)


class _End(enum.Enum):
    """How a failed attempt has ended in the database."""

    FAILED = enum.auto()  # this process ended it
    KEPT = enum.auto()  # the attempt was committed, but the database's reply was lost
    TAKEN_OVER = enum.auto()  # a sweep considered this process dead
    DELETED = enum.auto()  # a sweep took the attempt over, and the image was deleted


class Uploads:
    """Upload attempts, for one database and one catalog. All threads share an instance."""

    def __init__(self, database: Database, stores: Catalog, settings: Settings, leases: Leases):
        self.leases = leases
        self._database = database
        self._stores = stores
        self._settings = settings
        self._limits = Limits(settings.project_bytes, settings.project_images)
        self.removal = Removal(database, stores, self._limits, leases)

    def begin(self, unit: Unit, attempt: UploadAttempt, limits: Limits | None = None) -> UploadAttempt:
        """Record an attempt before its bytes arrive, and return it.

        `limits` replaces the project's limits. The unit raises LimitReached if the announced
        bytes exceed them.
        """
        unit.count(attempt.image.owner, limits or self._limits, size=attempt.length or 0)
        unit.begin_upload(attempt, self.leases.lease())
        return attempt

    def run(self, attempt: UploadAttempt, source: Reader, demands: Expectations) -> Image:
        """Move the bytes into the store, make the image active with them, and return it.

        After an error, the bytes do not stay in the store.

        Raises:
            SourceError, StoreError, LimitReached: the upload failed; `status_reason` says why.
            NotAllowed: the caller lost its right to the image meanwhile.
            ImageGone: the image was deleted meanwhile.
            TakenOver: this process lost its lease.
        """
        gone = f"Image {attempt.image.id} could not be found after upload: it was deleted."
        with self._attempting(attempt, gone) as meter:
            reader = self._inspected(attempt, self._metered(attempt, CountingReader(source, meter)))
            received = self._stores[attempt.store].add(attempt.key, reader, demands)
            verdict = reader.verdict if isinstance(reader, InspectingReader) else None
            try:
                return self._keep(attempt, received, verdict)
            except DatabaseUnavailable:
                # The commit may have succeeded before the connection broke: look into the database.
                image = self._database.find(attempt.image.id)
                if image is not None and any(location.key == attempt.key for location in image.locations):
                    return image
                raise

    def stage(self, attempt: UploadAttempt, source: Reader, demands: Expectations) -> Image:
        """Move bytes into the staging store, and return the image. The import inspects them.

        Raises:
            SourceError, StoreError, LimitReached, NotAllowed, ImageGone, TakenOver: as in `run`.
        """
        gone = f"Image {attempt.image.id} was deleted while its bytes were staged."
        with self._attempting(attempt, gone) as meter:
            metered = self._metered(attempt, CountingReader(source, meter))
            return self._keep_staged(attempt, self._stores[attempt.store].add(attempt.key, metered, demands))

    @retry_on_conflict
    def _keep_staged(self, attempt: UploadAttempt, received: UploadResult) -> Image:
        with self._database.unit() as unit:
            unit.change(attempt.image.id, {attempt.image.status}, {"size": received.size})
            unit.count_location(attempt.key, attempt.image.owner, self._limits, received.size)
            unit.commit_location(attempt.key, self.leases.owner, received.location, LocationState.STAGED)
            staged = unit.image(attempt.image.id)
            require_uploader(attempt.caller, attempt.image.owner, staged)
            _audit(unit, attempt, f"{received.size} bytes")
            return staged

    def _inspected(self, attempt: UploadAttempt, source: Reader) -> Reader:
        """Return a reader that inspects the source, or the source itself if inspection is off."""
        if self._settings.inspection == "off":
            return source
        declared = declared_format(attempt.image)
        inspector = Inspector(declared, virtual_size_cap=self._settings.virtual_size_cap)
        return InspectingReader(source, inspector, enforce=self._settings.inspection == "enforce")

    def _metered(self, attempt: UploadAttempt, source: Reader) -> Reader:
        """Return a reader that reserves quota as bytes arrive, or the source itself if that is not needed."""
        if attempt.length is None and self._limits.bytes is not None:
            return QuotaReader(source, lambda total: self._recount(attempt, total))
        return source

    @retry_on_conflict
    def _recount(self, attempt: UploadAttempt, total: int) -> None:
        with self._database.unit() as unit:
            unit.count_location(attempt.key, attempt.image.owner, self._limits, total)

    @retry_on_conflict
    def _keep(self, attempt: UploadAttempt, received: UploadResult, verdict: Verdict | None) -> Image:
        with self._database.unit() as unit:
            return self.keep(unit, attempt, received, verdict)

    def keep(
        self, unit: Unit, attempt: UploadAttempt, received: UploadResult, verdict: Verdict | None
    ) -> Image:
        """Make the image of an attempt active with the bytes that a store has received, and return it.

        Raises:
            StatusConflict, ImageNotFound: the image or the attempt has changed meanwhile.
            NotAllowed: the caller lost its right to the image meanwhile.
            SourceRejected: the image declares another format now, which the bytes do not have.
        """
        image_id = attempt.image.id
        unit.move(
            image_id,
            {attempt.image.status},
            attempt.on_success,
            size=received.size,
            checksum=received.digests.get("md5"),
            os_hash_algo="sha256",
            os_hash_value=received.digests["sha256"],
            detected_format=verdict.format if verdict else None,
            virtual_size=verdict.virtual_size if verdict else None,
        )
        unit.commit_location(attempt.key, self.leases.owner, received.location)
        kept = unit.image(image_id)  # its owner and formats may have changed since the upload began
        require_uploader(attempt.caller, attempt.image.owner, kept)
        problem = redeclared(attempt.image, kept, kept.detected_format)
        if problem is not None and self._settings.inspection == "enforce":
            raise SourceRejected(problem)
        if received.size != attempt.length:
            unit.count_location(attempt.key, kept.owner, self._limits, received.size)
        _audit(unit, attempt, f"{received.size} bytes in store {attempt.store}")
        return kept

    @contextlib.contextmanager
    def _attempting(self, attempt: UploadAttempt, gone: str) -> Iterator[Meter]:
        """Hold the attempt's lease, and end the attempt if the block raises.

        The block counts the bytes that it moves by the meter. `gone` is the sentence for an image that was
        deleted.
        """
        with self.leases.held(attempt.key) as meter:
            try:
                yield meter
            except BaseException as error:
                told = self._fail(attempt, error, ImageGone(gone))
                if told is error:
                    raise
                raise told from error

    def _fail(self, attempt: UploadAttempt, error: BaseException, gone: ImageGone) -> BaseException:
        """Record why the attempt failed, remove what it left, and return the error to raise.

        If a sweep ended the attempt, the returned error says so. The store's own error would be misleading,
        because it may only report that the sweep removed the bytes.
        """
        told = gone if isinstance(error, (StatusConflict, ImageNotFound)) else error
        if isinstance(told, NotAllowed):
            # The image has a new owner now, who may upload to it.
            attempt = replace(attempt, on_failure=Status.QUEUED)
        try:
            end = self._write_failure(attempt, reason(told))
        except DatabaseError as unavailable:
            log.exception("image %s: its failed upload stays recorded until a sweep", attempt.image.id)
            return unavailable if told is gone else told
        # If the store did not answer in time, a sweep removes the bytes: another call would take as long
        # again, and the driver may still be writing them.
        if end is not _End.KEPT and not isinstance(error, Overdue):
            self.removal.remove(
                Location(attempt.key, attempt.store, None, LocationState.PENDING_DELETE, external=False)
            )
        if isinstance(told, (StoreError, ImageGone)):
            return {_End.TAKEN_OVER: TakenOver(), _End.DELETED: gone}.get(end, told)
        return told

    @retry_on_conflict
    def _write_failure(self, attempt: UploadAttempt, why: str) -> _End:
        """Mark the attempt's bytes for removal, update its image, and return how the attempt ended."""
        image_id = attempt.image.id
        with self._database.unit(frees=True) as unit:
            image = unit.any_image(image_id)
            if not unit.doom_location(attempt.key, LocationState.INTENDED, self.leases.end()):
                states = [one.state for one in unit.locations(image_id) if one.key == attempt.key]
                if any(state in _KEPT for state in states):
                    return _End.KEPT
                return _End.DELETED if image.status is Status.DELETED else _End.TAKEN_OVER
            unit.count_location(attempt.key, image.owner, self._limits, 0)
            if attempt.on_failure is not attempt.image.status:
                with contextlib.suppress(StatusConflict):  # an image that was deleted stays deleted
                    unit.move(image_id, {attempt.image.status}, attempt.on_failure, status_reason=why)
            _audit(unit, attempt, why, Outcome.FAILED)
            return _End.FAILED


def _audit(unit: Unit, attempt: UploadAttempt, detail: str, outcome: Outcome = Outcome.DONE) -> None:
    """Record how a client's attempt ended. The end of a job is recorded with the job."""
    if attempt.caller is not None:
        verb = RECEIVING[attempt.image.status]
        unit.audit(verb, attempt.image.id, attempt.caller.actor, detail, outcome)


def reason(error: BaseException) -> str:
    """Return a sentence about a failure that clients may read; it reveals nothing internal."""
    if isinstance(error, WORDED):
        return for_clients(error)
    return f"The upload was interrupted by {type(error).__name__}."
