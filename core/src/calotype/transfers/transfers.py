"""Transfers: how bytes come into a store, how that ends, and how what is left over goes.

An attempt is written down before its first byte moves, with a lease. It ends in one
unit of work, which changes the attempt's row only if it is as the attempt left it: so
somebody whose lease lapsed, and whose attempt was ended by others, changes nothing
any more. Bytes are removed only after a committed unit has doomed them.
"""

from __future__ import annotations

import contextlib
import datetime
import enum
import logging
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import unquote

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.errors import DatabaseError, DatabaseUnavailable, ImageNotFound, StatusConflict
from calotype.database.retry import retry_on_conflict
from calotype.database.rights import require_uploader
from calotype.database.unit_of_work import Unit
from calotype.model.audit import Actor, Agent, AuditVerb, Origin, Outcome
from calotype.model.errors import ImageGone, NotAllowed, TakenOver
from calotype.model.findings import FindingKind
from calotype.model.images import Image, LeasedLocation, Location, LocationState, Status
from calotype.model.policy import Caller
from calotype.model.usage import Limits
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import Reader
from calotype.stores.errors import (
    BlobChanged,
    BlobNotFound,
    Overdue,
    SourceError,
    SourceMismatch,
    SourceRejected,
    StoreError,
    Unavailable,
)
from calotype.stores.measured import Expectations, UploadResult
from calotype.transfers.copies import Copies, Fault
from calotype.transfers.inspection import Inspector, InspectorsUnavailable, Verdict
from calotype.transfers.leases import LeaseMonitor, Leases
from calotype.transfers.readers import InspectingReader, QuotaReader, declared_format, redeclared

log = logging.getLogger(__name__)

#: What `new_key` makes.
_KEY = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\.[0-9a-f]{12}", re.ASCII)

#: Where an image is while a client's bytes, or a job's, come in.
_RECEIVING = {Status.SAVING: AuditVerb.UPLOAD, Status.UPLOADING: AuditVerb.STAGE}
#: What an attempt's row says when it has succeeded.
_KEPT = (LocationState.STORED, LocationState.STAGED)
#: Failures whose sentences are written for whoever reads the image's record.
_WORDED = (SourceError, StoreError, DatabaseError, InspectorsUnavailable, NotAllowed, ImageGone, TakenOver)
_SWEEPER = Actor(origin=Origin(Agent.SWEEPER))
#: Rows that one sweep looks at.
_SWEEP_BATCH = 500


@dataclass(frozen=True, slots=True)
class UploadAttempt:
    """One attempt to upload: the image as it waits, the key its bytes go under, and what becomes of it.

    `caller`: who sends the bytes; None: a job of our own.
    """

    image: Image
    key: str
    store: CheckedStore
    on_failure: Status
    on_success: Status = Status.ACTIVE
    caller: Caller | None = None


class _End(enum.Enum):
    """How an attempt that failed has ended in the database."""

    FAILED = enum.auto()  # by ourselves
    KEPT = enum.auto()  # it succeeded after all, by a commit whose answer got lost
    TAKEN_OVER = enum.auto()  # a sweep took this process for dead
    DELETED = enum.auto()  # a sweep did so, and the image was deleted


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: attempts ended whose process died, blobs removed, removals that failed.

    `full`: there may be more to sweep.
    """

    ended: int = 0
    removed: int = 0
    failed: int = 0
    full: bool = False


class Transfers:
    """Attempts and removals over one database and one catalog; shared by all threads."""

    def __init__(
        self, database: Database, stores: Catalog, settings: Settings, leases: Leases, copies: Copies
    ):
        self._database = database
        self._copies = copies
        self._stores = stores
        self._settings = settings
        self._leases = leases
        self._limits = Limits(settings.project_bytes, settings.project_images)
        self._watch = LeaseMonitor(leases.seconds)

    def begin(
        self,
        unit: Unit,
        image: Image,
        store: CheckedStore,
        length: int | None,
        on_failure: Status,
        on_success: Status = Status.ACTIVE,
        limits: Limits | None = None,
        caller: Caller | None = None,
    ) -> UploadAttempt:
        """Write down that the bytes of an image that waits for them are about to come.

        `limits` are the project's unless others are given.

        Raises:
            LimitReached: the project may not have `length` bytes more.
        """
        attempt = UploadAttempt(image, new_key(image.id), store, on_failure, on_success, caller)
        unit.count(image.owner, limits or self._limits, size=length or 0)
        lease = self._leases
        unit.begin_upload(
            image.id, attempt.key, store.name, length or 0, lease.owner, lease.end(), on_failure
        )
        return attempt

    def run(self, attempt: UploadAttempt, source: Reader, demands: Expectations) -> Image:
        """Move the bytes, and make the image active with them.

        Raises:
            SourceError, StoreError, LimitReached: it failed; `status_reason` says why, nothing is left.
            NotAllowed: the caller lost its right over the image meanwhile; nothing is left.
            ImageGone: the image was deleted meanwhile; nothing is left.
            TakenOver: this process lost its lease; nothing is left.
        """
        vanished = f"Image {attempt.image.id} could not be found after upload: it was deleted."
        with self._leases.held(attempt.key), self._failing(attempt, vanished):
            intake = self._intake(attempt, source, demands.length)
            received = attempt.store.add(attempt.key, intake, demands)
            return self._activate(attempt, received, intake, demands.length)

    def stage(self, attempt: UploadAttempt, source: Reader, demands: Expectations) -> Image:
        """Move bytes to where they wait to be imported; they are looked at when they are.

        Raises:
            SourceError, StoreError, LimitReached, NotAllowed, ImageGone, TakenOver: as `carry`.
        """
        vanished = f"Image {attempt.image.id} was deleted while its bytes were staged."
        with self._leases.held(attempt.key), self._failing(attempt, vanished):
            metered = self._metered(attempt, source, demands.length)
            return self._keep_staged(attempt, attempt.store.add(attempt.key, metered, demands))

    def copy(self, image: Image, target: CheckedStore, *, instead_of: Location | None = None) -> Image:
        """Put an active image's bytes into one more store; they must be the same there.

        They come from the first copy that is good and whose store answers. `instead_of` is a bad copy in
        the target that the new one replaces: it goes once the new one is there, and does not count
        against the project's limit meanwhile.

        Raises:
            StoreError, LimitReached: it failed; the image is as before.
            ImageGone, TakenOver: as `carry`; the image is as before.
        """
        if not image.locations:
            raise ImageGone(f"Image {image.id} has no data to copy.")
        error: Exception = BlobChanged(
            image.locations[0].store, f"no copy of image {image.id} is good: all are in quarantine"
        )
        away: Unavailable | None = None
        for location in image.locations:
            if not location.quarantined and location != instead_of and location.store in self._stores:
                try:
                    return self._copy_from(location, image, target, instead_of)
                except StoreError as failure:
                    if isinstance(failure, Unavailable) and failure.store == location.store:
                        away = away or failure
                        continue
                    fault = self._fault_of_source(location, failure)
                    if fault is None:
                        raise
                    self._copies.suspect(image, location, fault)
                    error = failure
        raise away or error  # a store that is away may come back with a good copy

    def _fault_of_source(self, location: Location, error: StoreError) -> Fault | None:
        """Return what a failed copy says about where it was read from; None if it says nothing."""
        if not isinstance(error, (BlobNotFound, BlobChanged)) or error.store != location.store:
            return None
        if isinstance(error.__cause__, SourceMismatch):
            return Fault(FindingKind.WRONG_DIGEST, "a copy made from it has another SHA-256 than the image")
        return self._copies.fault(self._stores[location.store], error)

    def _copy_from(
        self, location: Location, image: Image, target: CheckedStore, instead_of: Location | None
    ) -> Image:
        digests = {"sha256": image.os_hash_value} if image.os_hash_value else None
        limits = Limits() if instead_of is not None else None
        attempt = self._begin_copy(image, target, limits)
        vanished = f"Image {image.id} was deleted while it was copied."
        with self._leases.held(attempt.key), self._failing(attempt, vanished):
            source = self._stores[location.store].get(location.location or "", size=image.size)
            with contextlib.closing(source):
                demands = Expectations(length=image.size, size=image.size, digests=digests)
                try:
                    received = target.add(attempt.key, source, demands)
                except SourceError as error:  # the source is one of our stores, and no client's
                    raise BlobChanged(location.store, "it holds other bytes than the image's") from error
            doomed = self._keep_copy(attempt, received, instead_of)
        for one in doomed:
            self.remove(one)
        return self._database.find(image.id) or image

    @retry_on_conflict
    def _keep_staged(self, attempt: UploadAttempt, received: UploadResult) -> Image:
        with self._database.unit() as unit:
            unit.change(attempt.image.id, {attempt.image.status}, {"size": received.size})
            unit.count_location(attempt.key, attempt.image.owner, self._limits, received.size)
            unit.commit_location(attempt.key, self._leases.owner, received.location, LocationState.STAGED)
            staged = unit.image(attempt.image.id)
            require_uploader(attempt.caller, attempt.image.owner, staged)
            _audit(unit, attempt, f"{received.size} bytes")
            return staged

    @retry_on_conflict
    def _begin_copy(self, image: Image, target: CheckedStore, limits: Limits | None) -> UploadAttempt:
        with self._database.unit() as unit:
            current = unit.image(image.id)
            return self.begin(unit, current, target, image.size, image.status, limits=limits)

    @retry_on_conflict
    def _keep_copy(
        self, attempt: UploadAttempt, received: UploadResult, instead_of: Location | None
    ) -> list[Location]:
        """Keep the new copy, and mark for removal the bad one that it replaces: what is to go is returned."""
        with self._database.unit() as unit:
            image = unit.image(attempt.image.id)  # a deleted one gets no bytes
            unit.commit_location(attempt.key, self._leases.owner, received.location)
            return self.mark_for_removal(unit, image, [one for one in [instead_of] if one is not None])

    def mark_for_removal(
        self, unit: Unit, image: Image, locations: Iterable[Location], grace: float = 0
    ) -> list[Location]:
        """Mark some of an image's bytes for removal in `grace` seconds; what belongs to others is forgotten.

        Returns what is to be removed, once the unit is committed. Without a grace sweepers leave
        it for as long as a lease to whoever does that.
        """
        doomed = []
        for location in locations:
            if location.external:
                unit.forget_location(location.key)
            else:
                unit.count_location(location.key, image.owner, self._limits, 0)
                owner = None if grace else self._leases.owner
                unit.doom_location(location.key, location.state, self._leases.end(grace or None), owner)
                doomed.append(location)
        return doomed

    def remove(self, location: Location) -> bool:
        """Remove doomed bytes, and then the row; what fails stays doomed, for a sweep to try again."""
        if location.store not in self._stores:
            log.error("store '%s' is not configured: bytes of a deleted image stay in it", location.store)
            return False
        store = self._stores[location.store]
        try:
            if location.location is None:
                store.discard(location.key)
            else:
                with contextlib.suppress(BlobNotFound):
                    store.delete(location.location)
            self._forget(location)
        except Unavailable as error:
            log.warning("doomed bytes could not be removed; a sweep will try again: %s", error)
            return False
        except (StoreError, DatabaseError):
            log.exception("store '%s': doomed bytes could not be removed", location.store)
            return False
        return True

    @retry_on_conflict
    def _forget(self, location: Location) -> None:
        with self._database.unit(frees=True) as unit:
            unit.forget_location(location.key)

    def sweep(self, *, once: bool = False) -> Swept:
        """End the attempts whose lease is over, and remove what is doomed; safe anywhere, at any time.

        `once`: for who has not looked before and will not again: it watches first what it is to end.
        """
        ended = removed = failed = 0
        lapsed_ones = self._lapsed()
        if once and (seconds := self._watch.seconds_until_certain()):
            time.sleep(seconds)
            lapsed_ones = self._lapsed()
        for lapsed in lapsed_ones:
            location = lapsed.location
            try:
                claimed = self._claim(lapsed)
            except DatabaseError:
                log.exception("a sweep could not claim what it found")
                failed += 1
                continue
            if claimed:
                ended += location.state is LocationState.INTENDED
                if self.remove(location):
                    removed += 1
                else:
                    failed += 1
        return Swept(ended, removed, failed, full=removed >= _SWEEP_BATCH)

    def _lapsed(self) -> list[LeasedLocation]:
        """What is nobody's any more. Doomed bytes may go by any clock, for nobody wants them."""
        now = self._leases.end(0)
        found = self._database.leased_locations(now, _SWEEP_BATCH)
        due = {one.location.key for one in found if _is_pending_delete(one) and _has_ended(one, now)}
        ends = {one.location.key: one.lease_until for one in found if one.location.key not in due}
        over = due | self._watch.expired(ends)
        return [one for one in found if one.location.key in over]

    @retry_on_conflict
    def _claim(self, lapsed: LeasedLocation) -> bool:
        """Take a lapsed row over, and end the attempt behind it if there is one."""
        location = lapsed.location
        with self._database.unit(frees=True) as unit:
            # The image first, as in all units: two orders would be a deadlock.
            attempted = unit.any_image(lapsed.image_id)
            if not unit.claim_location(lapsed, self._leases.owner, self._leases.end()):
                return False
            if location.state is LocationState.INTENDED:
                unit.count_location(location.key, attempted.owner, self._limits, 0)
                unit.doom_location(location.key, LocationState.INTENDED, self._leases.end())
                if attempted.status in _RECEIVING:
                    # A job begins again where its image was; what a client sent ends as if it had failed.
                    again = unit.has_open_job(attempted.id)
                    after = Status.QUEUED if again else lapsed.on_failure or Status.KILLED
                    why = "The server that received the image ended before the upload did."
                    verb = _RECEIVING[attempted.status]
                    unit.audit(verb, attempted.id, _SWEEPER, why, Outcome.FAILED)
                    unit.move(attempted.id, {attempted.status}, after, status_reason=why)
        return True

    # -- how bytes come in, and how an attempt ends

    def _intake(
        self, attempt: UploadAttempt, source: Reader, length: int | None
    ) -> InspectingReader | QuotaReader | Reader:
        source = self._metered(attempt, source, length)
        if self._settings.inspection == "off":
            return source
        declared = declared_format(attempt.image)
        inspector = Inspector(declared, virtual_size_cap=self._settings.virtual_size_cap)
        return InspectingReader(source, inspector, enforce=self._settings.inspection == "enforce")

    def _metered(self, attempt: UploadAttempt, source: Reader, length: int | None) -> QuotaReader | Reader:
        if length is None and self._limits.bytes is not None:
            return QuotaReader(source, lambda total: self._recount(attempt, total))
        return source

    @retry_on_conflict
    def _recount(self, attempt: UploadAttempt, total: int) -> None:
        with self._database.unit() as unit:
            unit.count_location(attempt.key, attempt.image.owner, self._limits, total)

    def _activate(
        self, attempt: UploadAttempt, received: UploadResult, intake: Reader, demanded: int | None
    ) -> Image:
        verdict = intake.verdict if isinstance(intake, InspectingReader) else None
        try:
            return self._keep(attempt, received, verdict, demanded)
        except DatabaseUnavailable:
            # The commit may have happened all the same: only the database can tell.
            image = self._database.find(attempt.image.id)
            if image is not None and any(location.key == attempt.key for location in image.locations):
                return image
            raise

    @retry_on_conflict
    def _keep(
        self, attempt: UploadAttempt, received: UploadResult, verdict: Verdict | None, demanded: int | None
    ) -> Image:
        image_id = attempt.image.id
        with self._database.unit() as unit:
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
            unit.commit_location(attempt.key, self._leases.owner, received.location)
            kept = unit.image(image_id)  # its owner and formats may have changed since the upload began
            require_uploader(attempt.caller, attempt.image.owner, kept)
            self._check_redeclared(attempt, kept)
            if received.size != demanded:
                unit.count_location(attempt.key, kept.owner, self._limits, received.size)
            _audit(unit, attempt, f"{received.size} bytes in store {attempt.store.name}")
            return kept

    def _check_redeclared(self, attempt: UploadAttempt, kept: Image) -> None:
        """Refuse bytes that are not of the format that was declared while they came."""
        problem = redeclared(attempt.image, kept, kept.detected_format)
        if problem is not None and self._settings.inspection == "enforce":
            raise SourceRejected(problem)

    @contextlib.contextmanager
    def _failing(self, attempt: UploadAttempt, vanished: str) -> Iterator[None]:
        """End the attempt if the block raises; `vanished` is the sentence for an image that was deleted."""
        try:
            yield
        except BaseException as error:
            told = self._fail(attempt, error, ImageGone(vanished))
            if told is error:
                raise
            raise told from error

    def _fail(self, attempt: UploadAttempt, error: BaseException, vanished: ImageGone) -> BaseException:
        """Write down why the attempt failed, remove what it left, and return what the caller must be told.

        An attempt that a sweep ended fails because of that, whatever its store says about bytes
        that the sweep removed.
        """
        told = vanished if isinstance(error, (StatusConflict, ImageNotFound)) else error
        if isinstance(told, NotAllowed):
            # The image is somebody else's now, who may go on with it.
            attempt = replace(attempt, on_failure=Status.QUEUED)
        try:
            end = self._write_failure(attempt, reason(told))
        except DatabaseError as away:
            log.exception("image %s: its failed upload stays written down until a sweep", attempt.image.id)
            return away if told is vanished else told
        # Bytes in a store that does not answer are left to a sweep: asking it again would take as long again,
        # and its driver may still be at work on them.
        if end is not _End.KEPT and not isinstance(error, Overdue):
            name = attempt.store.name
            self.remove(Location(attempt.key, name, None, LocationState.PENDING_DELETE, external=False))
        if isinstance(told, (StoreError, ImageGone)):
            return {_End.TAKEN_OVER: TakenOver(), _End.DELETED: vanished}.get(end, told)
        return told

    @retry_on_conflict
    def _write_failure(self, attempt: UploadAttempt, why: str) -> _End:
        """Doom the attempt's bytes, and move its image on; or find out who has ended the attempt."""
        image_id = attempt.image.id
        with self._database.unit(frees=True) as unit:
            image = unit.any_image(image_id)
            if not unit.doom_location(attempt.key, LocationState.INTENDED, self._leases.end()):
                states = [one.state for one in unit.locations(image_id) if one.key == attempt.key]
                if any(state in _KEPT for state in states):
                    return _End.KEPT
                return _End.DELETED if image.status is Status.DELETED else _End.TAKEN_OVER
            unit.count_location(attempt.key, image.owner, self._limits, 0)
            if attempt.on_failure is not attempt.image.status:
                with contextlib.suppress(StatusConflict):  # deleted meanwhile: it stays so
                    unit.move(image_id, {attempt.image.status}, attempt.on_failure, status_reason=why)
            _audit(unit, attempt, why, Outcome.FAILED)
            return _End.FAILED


def _audit(unit: Unit, attempt: UploadAttempt, detail: str, outcome: Outcome = Outcome.DONE) -> None:
    """Record how a client's attempt ended. The end of a job is recorded with the job."""
    if attempt.caller is not None:
        verb = _RECEIVING[attempt.image.status]
        unit.audit(verb, attempt.image.id, attempt.caller.actor, detail, outcome)


def _is_pending_delete(one: LeasedLocation) -> bool:
    return one.location.state is LocationState.PENDING_DELETE


def _has_ended(one: LeasedLocation, now: datetime.datetime) -> bool:
    return one.lease_until is None or one.lease_until < now


def new_key(image_id: str) -> str:
    """A key that no other attempt ever has."""
    return f"{image_id}.{secrets.token_hex(6)}"


def keys_in(location: str) -> set[str]:
    """Return the keys that a location carries, in whatever form its driver writes locations."""
    return set(_KEY.findall(unquote(location).lower()))


def reason(error: BaseException) -> str:
    """What a person may read of a failure: sentences written for them, and nothing from inside."""
    if isinstance(error, _WORDED):
        return str(error)
    return f"The upload was broken off by {type(error).__name__}."
