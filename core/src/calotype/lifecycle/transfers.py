"""Transfers: how bytes come into a store, how that ends, and how what is left over goes.

An attempt is written down before its first byte moves, with a lease. It ends in one
unit of work, which changes the attempt's row only if it is as the attempt left it: so
somebody whose lease lapsed, and whose attempt was ended by others, changes nothing
any more. Bytes are removed only after a committed unit has doomed them.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass

from calotype.inspection import Inspector, InspectorsUnavailable, Verdict
from calotype.intake import Inspected, Metered
from calotype.lifecycle.copies import Copies, Fault
from calotype.lifecycle.leases import Leases, Watch
from calotype.lifecycle.states import Vanished
from calotype.registry import (
    FindingKind,
    Image,
    ImageNotFound,
    LeasedLocation,
    LimitReached,
    Limits,
    Location,
    LocationState,
    Registry,
    RegistryError,
    RegistryUnavailable,
    Status,
    StatusConflict,
    Unit,
    retried,
)
from calotype.settings import Settings
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore, Demands, Received
from calotype.stores.contract import Reader
from calotype.stores.errors import BlobChanged, BlobNotFound, SourceError, SourceMismatch, StoreError

log = logging.getLogger(__name__)

#: Where an image is while a client's bytes, or a job's, come in.
_RECEIVING = (Status.SAVING, Status.UPLOADING)
#: What an attempt's row says when it has succeeded.
_KEPT = (LocationState.STORED, LocationState.STAGED)
#: Rows that one sweep looks at.
_SWEEP_BATCH = 500


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to upload: the image as it waits, the key its bytes go under, and what becomes of it."""

    image: Image
    key: str
    store: CheckedStore
    on_failure: Status
    on_success: Status = Status.ACTIVE


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
    """Attempts and removals over one registry and one catalog; shared by all threads."""

    def __init__(
        self, registry: Registry, stores: Catalog, settings: Settings, leases: Leases, copies: Copies
    ):
        self._registry = registry
        self._copies = copies
        self._stores = stores
        self._settings = settings
        self._leases = leases
        self._limits = Limits(settings.project_bytes, settings.project_images)
        self._watch = Watch(leases.seconds)

    def begin(
        self,
        unit: Unit,
        image: Image,
        store: CheckedStore,
        length: int | None,
        on_failure: Status,
        on_success: Status = Status.ACTIVE,
        limits: Limits | None = None,
    ) -> Attempt:
        """Write down that the bytes of an image that waits for them are about to come.

        `limits` are the project's unless others are given.

        Raises:
            LimitReached: the project may not have `length` bytes more.
        """
        attempt = Attempt(image, new_key(image.id), store, on_failure, on_success)
        unit.count(image.owner, limits or self._limits, size=length or 0)
        lease = self._leases
        unit.intend(image.id, attempt.key, store.name, length or 0, lease.owner, lease.end(), on_failure)
        return attempt

    def carry(self, attempt: Attempt, source: Reader, demands: Demands) -> Image:
        """Move the bytes, and make the image active with them.

        Raises:
            SourceError, StoreError, LimitReached: it failed; `status_reason` says why, nothing is left.
            Vanished: the image was deleted meanwhile, or the lease was lost; nothing is left.
        """
        with self._leases.held(attempt.key):
            try:
                intake = self._intake(attempt, source, demands.length)
                received = attempt.store.add(attempt.key, intake, demands)
            except BaseException as error:
                self._fail(attempt, error)
                raise
            return self._activate(attempt, received, intake, demands.length)

    def stage(self, attempt: Attempt, source: Reader, demands: Demands) -> Image:
        """Move bytes to where they wait to be imported; they are looked at when they are.

        Raises:
            SourceError, StoreError, LimitReached, Vanished: as `carry`.
        """
        with self._leases.held(attempt.key):
            try:
                received = attempt.store.add(
                    attempt.key, self._metered(attempt, source, demands.length), demands
                )
                return self._keep_staged(attempt, received)
            except (StatusConflict, ImageNotFound):
                error = Vanished(f"Image {attempt.image.id} was deleted while its bytes were staged.")
                self._fail(attempt, error)
                raise error from None
            except BaseException as error:
                self._fail(attempt, error)
                raise

    def copy(self, image: Image, target: CheckedStore, *, instead_of: Location | None = None) -> Image:
        """Put an active image's bytes into one more store; they must be the same there.

        They come from the first copy that is good. `instead_of` is a bad copy in the target that the
        new one replaces: it goes once the new one is there, and does not count against the project's
        limit meanwhile.

        Raises:
            SourceError, StoreError, LimitReached: it failed; the image is as before.
            Vanished: the image was deleted meanwhile.
        """
        if not image.locations:
            raise Vanished(f"Image {image.id} has no data to copy.")
        error: Exception = BlobChanged(
            image.locations[0].store, f"no copy of image {image.id} is good: all are in quarantine"
        )
        for location in image.locations:
            if not location.quarantined and location != instead_of and location.store in self._stores:
                try:
                    return self._copy_from(location, image, target, instead_of)
                except (StoreError, SourceError) as failure:
                    fault = self._fault_of_source(location, failure)
                    if fault is None:
                        raise
                    self._copies.suspect(image, location, fault)
                    error = failure
        raise error

    def _fault_of_source(self, location: Location, error: Exception) -> Fault | None:
        """Return what a failed copy says about where it was read from; None if it says nothing."""
        if isinstance(error, SourceMismatch):
            return Fault(FindingKind.WRONG_DIGEST, "a copy made from it has another SHA-256 than the image")
        cause = error.__cause__ if isinstance(error, SourceError) else error
        if isinstance(cause, (BlobNotFound, BlobChanged)) and cause.store == location.store:
            return self._copies.fault(self._stores[location.store], cause)
        return None

    def _copy_from(
        self, location: Location, image: Image, target: CheckedStore, instead_of: Location | None
    ) -> Image:
        digests = {"sha256": image.os_hash_value} if image.os_hash_value else None
        limits = Limits() if instead_of is not None else None
        attempt = self._begin_copy(image, target, limits)
        with self._leases.held(attempt.key):
            try:
                source = self._stores[location.store].get(location.location or "", size=image.size)
                with contextlib.closing(source):
                    demands = Demands(length=image.size, size=image.size, digests=digests)
                    received = target.add(attempt.key, source, demands)
                doomed = self._keep_copy(attempt, received, instead_of)
            except (StatusConflict, ImageNotFound):
                error = Vanished(f"Image {image.id} was deleted while it was copied.")
                self._fail(attempt, error)
                raise error from None
            except BaseException as error:
                self._fail(attempt, error)
                raise
        for one in doomed:
            self.remove(one)
        return self._registry.find(image.id) or image

    @retried
    def _keep_staged(self, attempt: Attempt, received: Received) -> Image:
        with self._registry.unit() as unit:
            unit.change(attempt.image.id, {attempt.image.status}, {"size": received.size})
            unit.count_location(attempt.key, attempt.image.owner, self._limits, received.size)
            unit.keep_location(attempt.key, self._leases.owner, received.location, LocationState.STAGED)
            return unit.image(attempt.image.id)

    @retried
    def _begin_copy(self, image: Image, target: CheckedStore, limits: Limits | None) -> Attempt:
        with self._registry.unit() as unit:
            current = unit.image(image.id)
            return self.begin(unit, current, target, image.size, image.status, limits=limits)

    @retried
    def _keep_copy(self, attempt: Attempt, received: Received, instead_of: Location | None) -> list[Location]:
        """Keep the new copy, and mark for removal the bad one that it replaces: what is to go is returned."""
        with self._registry.unit() as unit:
            image = unit.image(attempt.image.id)  # a deleted one gets no bytes
            unit.keep_location(attempt.key, self._leases.owner, received.location)
            return self.doom(unit, image, [one for one in [instead_of] if one is not None])

    def doom(
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
            with self._registry.unit() as unit:
                unit.forget_location(location.key)
        except (StoreError, RegistryError):
            log.exception("store '%s': doomed bytes could not be removed", location.store)
            return False
        return True

    def sweep(self, *, once: bool = False) -> Swept:
        """End the attempts whose lease is over, and remove what is doomed; safe anywhere, at any time.

        `once`: for who has not looked before and will not again: it watches first what it is to end.
        """
        ended = removed = failed = 0
        lapsed_ones = self._lapsed()
        if once and (seconds := self._watch.doubt()):
            time.sleep(seconds)
            lapsed_ones = self._lapsed()
        for lapsed in lapsed_ones:
            location = lapsed.location
            try:
                claimed = self._claim(lapsed)
            except RegistryError:
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
        found = self._registry.leased_locations(now, _SWEEP_BATCH)
        due = {one.location.key for one in found if _is_doomed(one) and _has_ended(one, now)}
        ends = {one.location.key: one.lease_until for one in found if one.location.key not in due}
        over = due | self._watch.over(ends)
        return [one for one in found if one.location.key in over]

    @retried
    def _claim(self, lapsed: LeasedLocation) -> bool:
        """Take a lapsed row over, and end the attempt behind it if there is one."""
        location = lapsed.location
        with self._registry.unit() as unit:
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
                    unit.move(attempted.id, {attempted.status}, after, status_reason=why)
        return True

    # -- how bytes come in, and how an attempt ends

    def _intake(self, attempt: Attempt, source: Reader, length: int | None) -> Inspected | Metered | Reader:
        source = self._metered(attempt, source, length)
        if self._settings.inspection == "off":
            return source
        image = attempt.image
        declared = image.disk_format if image.container_format in (None, "bare") else None
        inspector = Inspector(declared, virtual_size_cap=self._settings.virtual_size_cap)
        return Inspected(source, inspector, enforce=self._settings.inspection == "enforce")

    def _metered(self, attempt: Attempt, source: Reader, length: int | None) -> Metered | Reader:
        if length is None and self._limits.bytes is not None:
            return Metered(source, lambda total: self._recount(attempt, total))
        return source

    def _recount(self, attempt: Attempt, total: int) -> None:
        with self._registry.unit() as unit:
            unit.count_location(attempt.key, attempt.image.owner, self._limits, total)

    def _activate(self, attempt: Attempt, received: Received, intake: Reader, demanded: int | None) -> Image:
        image_id = attempt.image.id
        verdict = intake.verdict if isinstance(intake, Inspected) else None
        try:
            return self._keep(attempt, received, verdict, demanded)
        except (StatusConflict, ImageNotFound):
            error = Vanished(f"Image {image_id} could not be found after upload: it was deleted.")
            self._fail(attempt, error)
            raise error from None
        except LimitReached as error:
            self._fail(attempt, error)
            raise
        except RegistryUnavailable as error:
            # The commit may have happened all the same: only the registry can tell.
            image = self._registry.find(image_id)
            if image is not None and any(location.key == attempt.key for location in image.locations):
                return image
            self._fail(attempt, error)
            raise

    @retried
    def _keep(
        self, attempt: Attempt, received: Received, verdict: Verdict | None, demanded: int | None
    ) -> Image:
        image_id = attempt.image.id
        with self._registry.unit() as unit:
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
            if received.size != demanded:
                owner = unit.image(image_id).owner  # it may have changed since the upload began
                unit.count_location(attempt.key, owner, self._limits, received.size)
            unit.keep_location(attempt.key, self._leases.owner, received.location)
            return unit.image(image_id)

    def _fail(self, attempt: Attempt, error: BaseException) -> None:
        """Say why, and remove what the attempt left; never hides the error that led here."""
        try:
            lost = self._write_failure(attempt, reason(error))
        except RegistryError:
            log.exception("image %s: its failed upload stays written down until a sweep", attempt.image.id)
        else:
            if lost:
                name = attempt.store.name
                self.remove(Location(attempt.key, name, None, LocationState.DOOMED, external=False))

    @retried
    def _write_failure(self, attempt: Attempt, why: str) -> bool:
        """Doom the attempt's bytes, and move its image on; whether they are nobody's now."""
        image_id = attempt.image.id
        with self._registry.unit() as unit:
            owner = unit.any_image(image_id).owner
            if not unit.doom_location(attempt.key, LocationState.INTENDED, self._leases.end()):
                # A sweep has ended this attempt, and the image is not its own; or it succeeded after
                # all, by a commit whose answer got lost.
                return all(
                    one.key != attempt.key or one.state not in _KEPT for one in unit.locations(image_id)
                )
            unit.count_location(attempt.key, owner, self._limits, 0)
            if attempt.on_failure is not attempt.image.status:
                with contextlib.suppress(StatusConflict):  # deleted meanwhile: it stays so
                    unit.move(image_id, {attempt.image.status}, attempt.on_failure, status_reason=why)
            return True


def _is_doomed(one: LeasedLocation) -> bool:
    return one.location.state is LocationState.DOOMED


def _has_ended(one: LeasedLocation, now: datetime.datetime) -> bool:
    return one.lease_until is None or one.lease_until < now


def new_key(image_id: str) -> str:
    """A key that no other attempt ever has."""
    return f"{image_id}.{secrets.token_hex(6)}"


def reason(error: BaseException) -> str:
    """What a person may read of a failure: sentences written for them, and nothing from inside."""
    if isinstance(error, (SourceError, StoreError, RegistryError, InspectorsUnavailable, Vanished)):
        return str(error)
    return f"The upload was broken off by {type(error).__name__}."
