"""Look at a store that can be asked: its objects, the images in it, and what belongs to nobody."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import time
from collections.abc import Iterator

from calotype.database.database import Database
from calotype.model.findings import Finding, FindingKind
from calotype.model.images import StoredLocation
from calotype.model.uploads import keys_in
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import Blob, Capability
from calotype.stores.errors import BadLocation, BlobChanged, BlobNotFound, StoreError, named_errors
from calotype.stores.measured import BLOCK
from calotype.transfers.fsck.ledger import Ledger
from calotype.transfers.fsck.steps import Plan, Problem, Progress, Refused, Step

_BATCH = 500

#: A repair that would remove more than MANY objects, or more than FEW that are more than SHARE of the
#: store, needs an operator's agreement. A wrong database or a wrong place makes everything an orphan,
#: while what crashes leave behind is a handful; and MANY is too many to lose by mistake in any store.
FEW = 20
SHARE = 0.10
MANY = 1000


class Check:
    """One run over one store."""

    def __init__(self, database: Database, store: CheckedStore, plan: Plan, refusal: str | None = None):
        """Prepare a run; `refusal` says why nothing may be removed from this store, None if it may."""
        self.name = store.name
        self._database = database
        self._store = store
        self._plan = plan
        self._refusal = refusal
        self._oldest = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=plan.window)
        self._objects = 0
        self._parts: set[str] = set()
        #: What belongs to nobody and waits for its removal.
        self._strays: dict[FindingKind, list[str]] = {FindingKind.ORPHAN: [], FindingKind.LEFTOVER: []}
        #: key -> where an object that carries it lies, though the key's row says something else.
        self._elsewhere: dict[str, str] = {}
        #: The keys of copies that could not be looked at, and of those that are not as they should be.
        self._unread: set[str] = set()
        self._unwell: set[str] = set()
        #: Why the store could not be listed, and why it does not answer at all.
        self._unlisted: str | None = None
        self._away: str | None = None

    def run(self, after: str = "") -> Iterator[Step]:
        """Look in both directions, then repair; `after`: the key after which the images go on."""
        self._after = after
        self._ledger = Ledger(self._database, self.name, at_once=self._plan.rate is not None)
        try:
            if self._store.can(Capability.LISTING):
                yield from self._look_at_objects()
            yield from self._look_at_images()
            if reason := self._away or self._unlisted:
                yield self._problem(FindingKind.UNREACHABLE, "", detail=reason)
            yield from self._repair()
        finally:
            self._ledger.flush()
        self._ledger.settle(self._is_over)

    # ---------------------------------------------------------------- store to database

    def _look_at_objects(self) -> Iterator[Step]:
        try:
            yield from self._look_for_owners(FindingKind.ORPHAN, self._store.blobs())
            yield from self._look_for_owners(FindingKind.LEFTOVER, self._store.attempts())
        except StoreError as error:
            self._unlisted = error.reason

    def _look_for_owners(self, fault: FindingKind, listed: Iterator[Blob]) -> Iterator[Step]:
        while batch := list(itertools.islice(listed, _BATCH)):
            self._objects += len(batch)
            if fault is FindingKind.LEFTOVER:
                self._parts.update(blob.location for blob in batch)
            old = [blob.location for blob in batch if blob.modified < self._oldest]
            nobodys = self._nobodys(fault, old)
            for location in old:
                if location not in nobodys or (fault is FindingKind.ORPHAN and self._is_gone(location)):
                    yield Progress(self.name, location)
                elif self._plan.repair:
                    self._strays[fault].append(location)
                else:
                    yield self._stray(fault, location)

    def _nobodys(self, fault: FindingKind, locations: list[str]) -> set[str]:
        """Return those locations that belong to no row, neither as they are nor by a key they carry."""
        # Attempts first: one that is kept meanwhile is found among the locations.
        known = {self._store.locate(key) for key in self._database.unplaced_keys(self.name)}
        known |= self._database.known_locations(self.name, locations)
        # A driver's new version may write locations in another form; the key in them stays the same.
        keys = {location: keys_in(location) | {location} for location in locations if location not in known}
        living = self._database.known_keys(sorted(set().union(*keys.values())))
        if fault is FindingKind.ORPHAN:
            self._elsewhere |= {key: location for location in keys for key in keys[location] & living}
        return {location for location in keys if not keys[location] & living}

    def _is_gone(self, location: str) -> bool:
        """Return whether an object was deleted since it was listed, as its image's row was."""
        try:
            self._store.size(location)
        except BlobNotFound:
            return True
        except StoreError:
            return False
        return False

    # ---------------------------------------------------------------- database to store

    def _look_at_images(self) -> Iterator[Step]:
        """Look for each copy of an image's bytes, in the order of keys."""
        after = self._after
        while batch := self._database.stored_locations(self.name, after, _BATCH):
            for stored in batch:
                after = stored.key
                yield self._examine(stored) or Progress(self.name, stored.key)

    def _examine(self, stored: StoredLocation) -> Problem | None:
        if self._away is None:
            try:
                return self._compare(stored)
            except BlobNotFound:
                return self._missing(stored)
            except StoreError as error:
                if not self._is_away(error):
                    self._unread.add(stored.key)
                    return self._of_image(FindingKind.UNREADABLE, stored, error.reason + self._hint(stored))
        # No finding of its own: that of the store stands for all images in it.
        return Problem(self.name, FindingKind.UNREACHABLE, stored.key, stored.image_id, self._away or "")

    def _compare(self, stored: StoredLocation) -> Problem | None:
        size = self._store.size(stored.location)
        if size is not None and stored.size is not None and size != stored.size:
            detail = f"the store holds {size} bytes of an image of {stored.size}"
            return self._of_image(FindingKind.WRONG_SIZE, stored, detail)
        if self._plan.rate is None or stored.sha256 is None:
            return None
        digest = self._digest(stored.location, self._plan.rate)
        if digest == stored.sha256:
            return None
        return self._of_image(FindingKind.WRONG_DIGEST, stored, f"the bytes have the SHA-256 {digest}")

    def _missing(self, stored: StoredLocation) -> Problem | None:
        # An image that was deleted since its row was read misses nothing.
        if not self._database.has_stored(stored.key):
            return None
        detail, hint = f"nothing lies at {stored.location}", self._hint(stored)
        if not hint:
            return self._of_image(FindingKind.MISSING, stored, detail)
        self._unread.add(stored.key)
        return self._of_image(FindingKind.UNREADABLE, stored, detail + hint)

    def _hint(self, stored: StoredLocation) -> str:
        """Return where a copy's bytes could be instead, as the end of a sentence."""
        where = self._elsewhere.get(stored.key)
        return f"; but {where} carries its key" if where and where != stored.location else ""

    def _is_away(self, error: StoreError) -> bool:
        """Return whether the store as a whole does not answer; remember it, and so ask it no more."""
        if not isinstance(error, (BadLocation, BlobChanged)):
            try:
                self._store.check()
            except StoreError as reason:
                self._away = reason.reason
        return self._away is not None

    def _digest(self, location: str, rate: float) -> str:
        digest = hashlib.sha256()
        began, count = time.monotonic(), 0
        reader = self._store.get(location)
        try:
            with named_errors(self.name):
                while block := reader.read(BLOCK):
                    digest.update(block)
                    count += len(block)
                    time.sleep(max(0, count / rate - (time.monotonic() - began)))
        finally:
            reader.close()
        return digest.hexdigest()

    # ---------------------------------------------------------------- repair

    def _repair(self) -> Iterator[Step]:
        """Remove what belongs to nobody, all of it or nothing."""
        orphans, leftovers = self._strays[FindingKind.ORPHAN], self._strays[FindingKind.LEFTOVER]
        for location in itertools.filterfalse(self._may_go, orphans):
            detail = "it carries no key, so it could belong to an image that was not found where its row says"
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
        """Return whether an orphan can be nobody's: it carries a key, or all images were found."""
        return bool(keys_in(location)) or not (self._unwell or self._away or self._after)

    def _why_not(self, count: int) -> str | None:
        if self._refusal:
            return f"{self._refusal}. Nothing was removed."
        if self._unlisted:
            return f"It could not be listed to the end: {self._unlisted}. Nothing was removed."
        asks = count > MANY or (count > FEW and count > SHARE * self._objects)
        if not asks or self._plan.agreed >= count:
            return None
        return (
            f"--repair would remove {count} of {self._objects} objects, which is a great part. Nothing was "
            "removed. Make sure that this is the right database for this store; then repeat the command with "
            f"--store={self.name} --yes-remove={count}."
        )

    def _remove(self, fault: FindingKind, locations: list[str]) -> Iterator[Step]:
        """Remove a batch of strays, except for what a row has claimed since they were listed."""
        nobodys = self._nobodys(fault, locations)
        for location in locations:
            if location not in nobodys:
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
        return self._problem(fault, stored.key, stored.image_id, detail)

    def _stray(
        self, fault: FindingKind, location: str, detail: str = "", *, repaired: bool = False
    ) -> Problem:
        if self._refusal:
            # In a place of another database these are no orphans: show them, but keep no findings of them.
            return Problem(self.name, fault, location, detail=self._refusal)
        return self._problem(fault, location, detail=detail, repaired=repaired)

    def _problem(
        self,
        fault: FindingKind,
        key: str,
        image_id: str | None = None,
        detail: str = "",
        repaired: bool = False,
    ) -> Problem:
        return self._ledger.note(Problem(self.name, fault, key, image_id, detail, repaired))

    def _is_over(self, finding: Finding) -> bool:
        """Return whether a finding that this run did not see again is no longer true."""
        subject = finding.subject
        if finding.kind is FindingKind.UNREACHABLE:
            return True  # it is seen again whenever it is true
        if finding.kind is FindingKind.LEFTOVER:
            listed = self._unlisted is None and self._store.can(Capability.LISTING)
            return listed and (subject not in self._parts or not self._nobodys(finding.kind, [subject]))
        if finding.kind is FindingKind.ORPHAN:
            return self._is_gone(subject) or not self._nobodys(finding.kind, [subject])
        if not self._database.has_stored(subject):
            return True
        if self._away or subject in self._unread or subject <= self._after:
            return False
        return finding.kind is not FindingKind.WRONG_DIGEST or self._plan.rate is not None
