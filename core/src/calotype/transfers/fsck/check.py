"""The check of one store: its objects, the images in it, and the removal of objects without a row."""

from __future__ import annotations

import datetime
import itertools
import threading
from collections.abc import Iterator

from calotype.database.database import Database
from calotype.model.findings import Finding, FindingKind
from calotype.model.images import StoredLocation
from calotype.model.uploads import keys_in
from calotype.stores.abilities import Listing
from calotype.stores.checked import CheckedStore
from calotype.stores.errors import BadLocation, BlobChanged, BlobNotFound, StoreError
from calotype.stores.values import Blob
from calotype.transfers.comparing import Pace, compare
from calotype.transfers.fsck.ledger import Ledger
from calotype.transfers.fsck.steps import Plan, Problem, Progress, Refused, Step

_BATCH = 500

#: A repair needs an operator's agreement if it would remove more than MANY objects. It also needs it for more
#: than FEW objects, if these are more than the share SHARE of all. With a wrong database or a wrong place,
#: every object looks like an orphan, while crashes leave only a few.
FEW = 20
SHARE = 0.10
MANY = 1000


class Check:
    """One run of fsck over one store."""

    def __init__(self, database: Database, store: CheckedStore, plan: Plan, refusal: str | None = None):
        """`refusal` is the reason if nothing may be removed from this store, otherwise None."""
        self.name = store.name
        self._database = database
        self._store = store
        self._plan = plan
        self._refusal = refusal
        self._spend = None if plan.rate is None else Pace(plan.rate, threading.Event()).spend
        self._oldest = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=plan.window)
        self._objects = 0
        self._parts: set[str] = set()
        #: Kind -> the locations of objects without a row, which a repair removes.
        self._strays: dict[FindingKind, list[str]] = {FindingKind.ORPHAN: [], FindingKind.LEFTOVER: []}
        #: key -> the location of an object with this key in it, although the key's row has another location.
        self._elsewhere: dict[str, str] = {}
        #: The keys of copies that could not be checked, and of copies that have a problem.
        self._unread: set[str] = set()
        self._unwell: set[str] = set()
        #: The reason if the store could not be listed, and the reason if it is unavailable.
        self._unlisted: str | None = None
        self._away: str | None = None

    def run(self, after: str = "") -> Iterator[Step]:
        """Check in both directions, then repair. Skip the images up to the key `after`."""
        self._after = after
        self._ledger = Ledger(self._database, self.name, at_once=self._plan.rate is not None)
        try:
            if self._store.can(Listing):
                yield from self._check_objects()
            yield from self._check_images()
            if reason := self._away or self._unlisted:
                yield self._ledger.note(Problem(self.name, FindingKind.UNREACHABLE, "", detail=reason))
            yield from self._repair()
        finally:
            self._ledger.flush()
        self._ledger.settle(self._is_over)

    # ---------------------------------------------------------------- store to database

    def _check_objects(self) -> Iterator[Step]:
        try:
            yield from self._check_listed(FindingKind.ORPHAN, self._store.blobs())
            yield from self._check_listed(FindingKind.LEFTOVER, self._store.attempts())
        except StoreError as error:
            self._unlisted = error.reason

    def _check_listed(self, fault: FindingKind, listed: Iterator[Blob]) -> Iterator[Step]:
        while batch := list(itertools.islice(listed, _BATCH)):
            self._objects += len(batch)
            if fault is FindingKind.LEFTOVER:
                self._parts.update(blob.location for blob in batch)
            old = [blob.location for blob in batch if blob.modified < self._oldest]
            unowned = self._without_row(fault, old)
            for location in old:
                if location not in unowned or (fault is FindingKind.ORPHAN and self._is_gone(location)):
                    yield Progress(self.name, location)
                elif self._plan.repair:
                    self._strays[fault].append(location)
                else:
                    yield self._stray(fault, location)

    def _without_row(self, fault: FindingKind, locations: list[str]) -> set[str]:
        """Return the locations that have no row, neither for the location nor for a key in it."""
        # Read attempts before locations: an attempt that succeeds in between is then found as a location.
        unplaced = [*self._database.unplaced_keys(self.name), *self._database.sessions.keys_in(self.name)]
        known = {self._store.locate(key) for key in unplaced}
        known |= self._database.known_locations(self.name, locations)
        # A new version of a driver may write locations in another form; the key in them stays the same.
        keys = {location: keys_in(location) | {location} for location in locations if location not in known}
        sought = sorted(set().union(*keys.values()))
        living = self._database.known_keys(sought) | self._database.sessions.known_keys(sought)
        if fault is FindingKind.ORPHAN:
            self._elsewhere |= {key: location for location in keys for key in keys[location] & living}
        return {location for location in keys if not keys[location] & living}

    def _is_gone(self, location: str) -> bool:
        """Return whether an object is gone, because its image was deleted after the object was listed."""
        try:
            self._store.size(location)
        except BlobNotFound:
            return True
        except StoreError:
            return False
        return False

    # ---------------------------------------------------------------- database to store

    def _check_images(self) -> Iterator[Step]:
        after = self._after
        while batch := self._database.stored_locations(self.name, after, _BATCH):
            for stored in batch:
                after = stored.key
                yield self._check_copy(stored) or Progress(self.name, stored.key, stored.image_id)

    def _check_copy(self, stored: StoredLocation) -> Problem | None:
        if self._away is None:
            try:
                fault = compare(self._store, stored, self._spend if stored.sha256 else None)
                return self._of_image(fault.kind, stored, fault.detail) if fault else None
            except BlobNotFound:
                return self._missing(stored)
            except StoreError as error:
                if not self._is_away(error):
                    self._unread.add(stored.key)
                    return self._of_image(FindingKind.UNREADABLE, stored, error.reason + self._hint(stored))
        # No finding is recorded for each image, because one about the store covers all images in it.
        return Problem(self.name, FindingKind.UNREACHABLE, stored.key, stored.image_id, self._away or "")

    def _missing(self, stored: StoredLocation) -> Problem | None:
        # The image may have been deleted since its row was read.
        if not self._database.has_stored(stored.key):
            return None
        detail, hint = f"there is nothing at {stored.location}", self._hint(stored)
        if not hint:
            return self._of_image(FindingKind.MISSING, stored, detail)
        self._unread.add(stored.key)
        return self._of_image(FindingKind.UNREADABLE, stored, detail + hint)

    def _hint(self, stored: StoredLocation) -> str:
        """Return the end of a sentence that says where a copy's bytes could be instead, or ""."""
        where = self._elsewhere.get(stored.key)
        return f"; but {where} carries its key" if where and where != stored.location else ""

    def _is_away(self, error: StoreError) -> bool:
        """Return whether the whole store is unavailable, and remember it, so as not to ask again."""
        if not isinstance(error, (BadLocation, BlobChanged)):
            try:
                self._store.check()
            except StoreError as reason:
                self._away = reason.reason
        return self._away is not None

    # ---------------------------------------------------------------- repair

    def _repair(self) -> Iterator[Step]:
        """Remove all objects without a row, or none."""
        orphans, leftovers = self._strays[FindingKind.ORPHAN], self._strays[FindingKind.LEFTOVER]
        for location in itertools.filterfalse(self._may_go, orphans):
            detail = "its location has no key, so it could be the bytes of an image that was not found"
            yield self._stray(FindingKind.ORPHAN, location, detail)
        going = {FindingKind.ORPHAN: list(filter(self._may_go, orphans)), FindingKind.LEFTOVER: leftovers}
        count = len(going[FindingKind.ORPHAN]) + len(leftovers)
        refusal = self._why_not(count) if count or (self._plan.repair and self._unlisted) else None
        if refusal:
            yield Refused(self.name, refusal)
        for fault, locations in going.items():
            for start in range(0, len(locations), _BATCH):
                batch = locations[start : start + _BATCH]
                yield from (
                    (self._stray(fault, one) for one in batch) if refusal else self._remove(fault, batch)
                )

    def _may_go(self, location: str) -> bool:
        """Return whether an orphan certainly belongs to no image.

        This is certain if its location contains a key, because no row has that key. It is also certain if all
        images were found.
        """
        return bool(keys_in(location)) or not (self._unwell or self._away or self._after)

    def _why_not(self, count: int) -> str | None:
        """Return the reason if `count` objects must not be removed, otherwise None."""
        if self._refusal:
            return f"{self._refusal}. Nothing was removed."
        if self._unlisted:
            return f"It could not be listed to the end: {self._unlisted}. Nothing was removed."
        asks = count > MANY or (count > FEW and count > SHARE * self._objects)
        if not asks or self._plan.agreed >= count:
            return None
        return (
            f"--repair would remove {count} of {self._objects} objects, more than crashes usually leave. "
            "Nothing was removed. Make sure that this is the right database for this store; then repeat the "
            "command with "
            f"--store={self.name} --yes-remove={count}."
        )

    def _remove(self, fault: FindingKind, locations: list[str]) -> Iterator[Step]:
        """Remove the objects of a batch that still have no row, and yield a step for each of them."""
        unowned = self._without_row(fault, locations)
        for location in locations:
            if location not in unowned:
                yield Progress(self.name, location)
            else:
                yield self._stray(fault, location, repaired=self._has_removed(fault, location))

    def _has_removed(self, fault: FindingKind, location: str) -> bool:
        if not location:  # parts whose key is lost
            return False
        remove = self._store.delete if fault is FindingKind.ORPHAN else self._store.discard
        try:
            remove(location)
        except BlobNotFound:
            return True
        except StoreError:
            return False
        return True

    # ---------------------------------------------------------------- reporting

    def _of_image(self, fault: FindingKind, stored: StoredLocation, detail: str) -> Problem:
        self._unwell.add(stored.key)
        return self._ledger.note(Problem(self.name, fault, stored.key, stored.image_id, detail))

    def _stray(
        self, fault: FindingKind, location: str, detail: str = "", *, repaired: bool = False
    ) -> Problem:
        if self._refusal:
            # In a place of another database these are not orphans: show them, but record no findings.
            return Problem(self.name, fault, location, detail=self._refusal)
        return self._ledger.note(Problem(self.name, fault, location, detail=detail, repaired=repaired))

    def _is_over(self, finding: Finding) -> bool:
        """Return whether a finding no longer holds, given that this run has not seen it again."""
        subject = finding.subject
        if finding.kind is FindingKind.SCRUB_STOPPED:
            return False  # `scrub resume` closes it
        if finding.kind is FindingKind.UNREACHABLE:
            return True  # if it still held, this run would have noted it again
        if finding.kind is FindingKind.LEFTOVER:
            listed = self._unlisted is None and self._store.can(Listing)
            return listed and (subject not in self._parts or not self._without_row(finding.kind, [subject]))
        if finding.kind is FindingKind.ORPHAN:
            return self._is_gone(subject) or not self._without_row(finding.kind, [subject])
        if not self._database.has_stored(subject):
            return True
        if self._away or subject in self._unread or subject <= self._after:
            return False
        return finding.kind is not FindingKind.WRONG_DIGEST or self._plan.rate is not None
