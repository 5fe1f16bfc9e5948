"""The scrubber: reads stored copies again, slowly, and compares them with what was stored.

One process at a time scrubs a store, under the lease of the store's row in `scrubs`. It takes the
copies that were never checked first, then those whose check is the longest ago, and is idle while
all were checked within the period. A copy is judged only while its store is there; when too many
are bad it is the store that is suspect, and the scrubber stops there until an operator has looked.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from calotype.database.database import Database
from calotype.database.errors import DatabaseError
from calotype.database.retry import LockConflict, retry_on_conflict
from calotype.database.scrubs import Copy, Scrub
from calotype.model.errors import ImageGone, TakenOver
from calotype.model.findings import FindingKind, FindingState
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import Capability
from calotype.stores.errors import BlobChanged, BlobNotFound, SourceError, StoreError, named_errors
from calotype.stores.measured import BLOCK
from calotype.transfers.copies import KINDS, Copies, Fault
from calotype.transfers.leases import LeaseMonitor, Leases
from calotype.transfers.transfers import Transfers

log = logging.getLogger(__name__)

#: Bytes that a copy costs at the least: to open it, and to write down what was found.
COPY_COST = 2 << 20
#: Copies asked of the database at a time.
_BATCH = 100
#: Seconds for which a new copy is left alone: its bytes were hashed on their way in.
_SETTLE = 600
#: Seconds after which a copy is tried again that its store could not read, or that is in quarantine.
_AGAIN = 3600
_AGAIN_QUARANTINED = datetime.timedelta(days=1)
#: A pass stops when more copies than this, and more than this share of those it checked, are bad.
_MOST_BAD = 5
_MOST_BAD_SHARE = 0.05


class Interrupted(Exception):
    """The process ends, so the check at hand is given up."""


@dataclass(frozen=True, slots=True)
class Rechecked:
    """The result of checking one copy for an operator; `fault` None: nothing is wrong with it."""

    copy: Copy
    fault: Fault | None


class Pace:
    """Makes a thread wait so that it reads no more than `rate` bytes a second; None: as fast as it can."""

    def __init__(self, rate: float | None, ending: threading.Event):
        self._rate = rate
        self._ending = ending
        self._free_at = 0.0

    def spend(self, count: int) -> None:
        """Wait until `count` more bytes may be read.

        Raises:
            Interrupted: the process ends.
        """
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + (count / self._rate if self._rate else 0)
        if self._ending.wait(self._free_at - now):
            raise Interrupted


class Scrubber:
    """The scrubber of one store in this process; one thread runs it."""

    def __init__(
        self,
        database: Database,
        store: CheckedStore,
        period: float,
        rate: float,
        leases: Leases,
        transfers: Transfers,
        copies: Copies,
        ending: threading.Event,
    ):
        """`period`: seconds between two checks of a copy; `rate`: bytes a second to read at."""
        self.store = store
        self._database = database
        self._period = datetime.timedelta(seconds=period)
        self._rate = rate
        self._leases = leases
        self._transfers = transfers
        self._copies = copies
        self._ending = ending
        self._pace = Pace(rate, ending)
        self._watch = LeaseMonitor(leases.seconds)
        self._away = False
        self._warned_of: datetime.datetime | None = None
        self._deferred: dict[str, float] = {}
        self._next_quarantined = 0.0

    def run(self) -> bool:
        """Check the copies that are due until none is. Return False: there is nothing more to do at once."""
        seen = self._database.scrubs.find(self.store.name)
        if seen is not None and seen.stopped is not None:
            return False
        copies, going_on = self._due(), seen is not None and seen.ended_at is None
        if not copies and not going_on:
            return False
        if self._is_there() and self._take(seen):
            with self._leases.held(self.store.name):
                self._scrub(copies)
        else:
            self._next_quarantined = 0.0
        return False

    def _due(self) -> list[Copy]:
        """Return the next copies to check: now and then those in quarantine, otherwise those that are due."""
        now, clock, name = datetime.datetime.now(datetime.UTC), time.monotonic(), self.store.name
        self._deferred = {key: until for key, until in self._deferred.items() if until > clock}
        if clock >= self._next_quarantined:
            self._next_quarantined = clock + _AGAIN
            if found := self._database.scrubs.quarantined(name, now - min(self._period, _AGAIN_QUARANTINED)):
                return found
        stored_before, limit = now - datetime.timedelta(seconds=_SETTLE), _BATCH + len(self._deferred)
        found = self._database.scrubs.due(name, stored_before, now - self._period, limit)
        return [copy for copy in found if copy.key not in self._deferred]

    def _is_there(self) -> bool:
        try:
            self.store.require_own()
        except StoreError as error:
            if not self._away:
                log.warning("the scrubber leaves a store alone that is away: %s", error)
            self._away = True
            return False
        self._away = False
        return True

    def _take(self, seen: Scrub | None) -> bool:
        name = self.store.name
        if not self._watch.expired({name: seen.lease_until if seen else None}):
            return False
        try:
            with self._database.unit() as unit:
                return unit.scrubs.claim(name, self._leases.owner, self._leases.end(), seen)
        except LockConflict:  # another process was faster
            return False

    def _scrub(self, copies: list[Copy]) -> None:
        """Do the pass that was taken, these copies first, and give it back however it ends."""
        ended, stopped = False, None
        try:
            began = self._database.scrubs.find(self.store.name)
            self._warn_of_the_rate(began)
            while copies:
                for copy in copies:
                    self._warn_if_behind(began)
                    if not self._check(copy):
                        return
                    stopped = self._too_many_bad()
                    if stopped is not None:
                        return
                copies = self._due()
            self._close_stale_findings()
            ended = True
        except Interrupted:
            return
        finally:
            self._give_back(ended, stopped)

    def _check(self, copy: Copy) -> bool:
        """Check one copy, and write down what was found; return whether the pass can go on."""
        try:
            fault = look_twice(self.store, copy, self._copies, self._pace.spend)
        except StoreError as error:
            if not self._is_there():
                return False
            self._deferred[copy.key] = time.monotonic() + _AGAIN
            self._copies.unreadable(copy, error)
            return True
        if fault is None:
            self._copies.keep(copy)
            return self._count(failed=False)
        is_news = self._copies.quarantine(copy, fault)
        if self.store.can(Capability.WRITE):
            self._restore(copy)
        return self._count(failed=is_news)

    @retry_on_conflict
    def _count(self, *, failed: bool) -> bool:
        with self._database.unit() as unit:
            return unit.scrubs.count(self.store.name, self._leases.owner, failed=failed)

    def _restore(self, copy: Copy) -> None:
        """Write a bad copy anew where the image has a good one in another store."""
        image = self._database.find(copy.image_id)
        damaged = next((one for one in image.locations if one.key == copy.key), None) if image else None
        if image is None or damaged is None or all(one.quarantined for one in image.locations):
            return
        try:
            self._transfers.copy(image, self.store, instead_of=damaged)
        except (StoreError, SourceError, DatabaseError, ImageGone, TakenOver) as error:
            log.warning("image %s: its copy could not be restored: %s", copy.image_id, error)
        else:
            self._copies.replaced(copy)

    def _too_many_bad(self) -> str | None:
        """Return why the pass must stop; None while few enough copies are bad."""
        scrub = self._database.scrubs.find(self.store.name)
        if scrub is None or scrub.failed <= max(_MOST_BAD, scrub.checked * _MOST_BAD_SHARE):
            return None
        return (
            f"{scrub.failed} of {scrub.checked} copies were bad: the store itself may be damaged, or another "
            "one may be in its place"
        )

    @retry_on_conflict
    def _close_stale_findings(self) -> None:
        """End the findings about copies that are no longer there."""
        name, after = self.store.name, None
        while True:
            page = self._database.findings(FindingState.OPEN, name, after=after)
            for finding in page.findings:
                if finding.kind in KINDS and not self._database.has_stored(finding.subject):
                    with self._database.unit() as unit:
                        unit.close_findings(name, finding.kind, finding.subject)
            if not page.more:
                return
            after = page.findings[-1]

    def _give_back(self, ended: bool, stopped: str | None) -> None:
        try:
            self._release(ended, stopped)
        except DatabaseError:
            log.exception(
                "store '%s': the scrubber's lease could not be given back; it runs out", self.store.name
            )

    @retry_on_conflict
    def _release(self, ended: bool, stopped: str | None) -> None:
        name = self.store.name
        with self._database.unit() as unit:
            mine = unit.scrubs.release(name, self._leases.owner, ended=ended, stopped=stopped)
            if stopped is not None and mine:
                unit.record_finding(FindingKind.SCRUB_STOPPED, name, name, None, stopped)
        if stopped is not None and mine:
            log.error(
                "store '%s': the scrubber has stopped, because %s. When the store is in order: "
                "calotype-manage scrub resume INI %s",
                name,
                stopped,
                name,
            )

    def _warn_of_the_rate(self, scrub: Scrub | None) -> None:
        """Say at the beginning of a pass when it will take longer than the period."""
        if scrub is None or scrub.checked or self._warned_of == scrub.began_at:
            return
        seconds = self._database.scrubs.count_bytes(self.store.name) / self._rate
        if seconds > self._period.total_seconds():
            self._warn(scrub, f"reading all its copies takes {seconds / 86400:.1f} days at this rate")

    def _warn_if_behind(self, scrub: Scrub | None) -> None:
        """Say once a pass that it goes on for longer than the period."""
        now = datetime.datetime.now(datetime.UTC)
        if scrub is not None and self._warned_of != scrub.began_at and now - scrub.began_at > self._period:
            self._warn(
                scrub, f"its pass has gone on for {(now - scrub.began_at).total_seconds() / 86400:.1f} days"
            )

    def _warn(self, scrub: Scrub, why: str) -> None:
        self._warned_of = scrub.began_at
        log.warning(
            "store '%s': the scrubber cannot keep to its period of %.1f days: %s. "
            "Raise calotype.scrub_rate or store.%s.scrub_rate, or calotype.scrub_period.",
            self.store.name,
            self._period.total_seconds() / 86400,
            why,
            self.store.name,
        )


def look_twice(store: CheckedStore, copy: Copy, copies: Copies, spend: Callable[[int], None]) -> Fault | None:
    """Return what is wrong with a copy, if two looks agree that something is.

    A bit can also flip on the way here, and a store can lose track of an object for a moment.

    Raises:
        StoreError: the store is away or cannot read the copy; nothing is known about it.
    """
    fault = look(store, copy, copies, spend)
    return fault and look(store, copy, copies, spend)


def look(store: CheckedStore, copy: Copy, copies: Copies, spend: Callable[[int], None]) -> Fault | None:
    """Read a copy whole, and return what is wrong with it; raises as `look_twice`."""
    spend(COPY_COST)
    try:
        size = store.size(copy.location)
        if None not in (size, copy.size) and size != copy.size:
            return Fault(FindingKind.WRONG_SIZE, f"it has {size} bytes instead of {copy.size}")
        digest = _digest(store, copy, spend)
    except (BlobNotFound, BlobChanged) as error:
        return copies.fault(store, error)
    if copy.sha256 is not None and digest != copy.sha256:
        return Fault(FindingKind.WRONG_DIGEST, f"its SHA-256 is {digest} instead of {copy.sha256}")
    return None


def _digest(store: CheckedStore, copy: Copy, spend: Callable[[int], None]) -> str:
    """Return the SHA-256 in hex of the copy's first `size` bytes."""
    digest, paid = hashlib.sha256(), COPY_COST
    with contextlib.closing(store.get(copy.location, size=copy.size)) as reader:
        while True:
            with named_errors(store.name):
                block = reader.read(BLOCK)
            if not block:
                return digest.hexdigest()
            digest.update(block)
            paid -= len(block)
            if paid < 0:
                spend(-paid)
                paid = 0
