"""The scrubber: read stored copies again, slowly, and compare them with their records.

One process at a time scrubs a store, under the lease of the store's row in `scrubs`. It first reads copies
that were never checked, then those whose last check is oldest. While all copies were checked within the
period, it is idle. A copy is judged only while its store is available. If too many copies are bad, the store
itself is suspect, and the scrubber stops until an operator resumes it.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from calotype.database.database import Database
from calotype.database.errors import DatabaseError
from calotype.database.retry import LockConflict, retry_on_conflict
from calotype.database.scrubs import Copy, Scrub
from calotype.model.errors import ImageGone, TakenOver
from calotype.model.findings import FindingKind
from calotype.stores.checked import CheckedStore
from calotype.stores.contract import WritableStore
from calotype.stores.errors import BlobChanged, BlobNotFound, Busy, SourceError, StoreError
from calotype.transfers.comparing import Interrupted, Pace, compare
from calotype.transfers.copies import KINDS, Fault, fault_from
from calotype.transfers.fsck.ledger import open_findings
from calotype.transfers.leases import LeaseMonitor
from calotype.transfers.transfers import Transfers

log = logging.getLogger(__name__)

#: A copy counts as at least this many bytes, because opening it and recording the result take time.
COPY_COST = 2 << 20
#: Maximum number of copies that one query returns.
_BATCH = 100
#: Seconds for which a new copy is not checked, because its bytes were hashed during the upload.
_SETTLE = 600
#: Seconds until the scrubber retries an unreadable copy, and until it looks for copies in quarantine again.
_AGAIN = 3600
#: Seconds until a copy is read again if the store was busy.
_SOON = 60
#: A copy in quarantine is checked again after this time, or after the scrub period if that is shorter.
_AGAIN_QUARANTINED = datetime.timedelta(days=1)
#: A pass stops if more than _MOST_BAD copies and more than this share of the checked copies are bad.
_MOST_BAD = 5
_MOST_BAD_SHARE = 0.05
_DAY = 86400


@dataclass(frozen=True, slots=True)
class Rechecked:
    """The result of checking one copy for an operator. `fault` is None if the copy is good."""

    copy: Copy
    fault: Fault | None


class Scrubber:
    """The scrubber of one store in this process; one thread runs it."""

    def __init__(
        self, database: Database, store: CheckedStore, transfers: Transfers, period: float, pace: Pace
    ):
        """`period` is the time between two checks of a copy, in seconds; `pace` slows the reading down."""
        self.store = store
        self._database = database
        self._transfers = transfers
        self._copies = transfers.copies
        self._leases = transfers.leases
        self._period = datetime.timedelta(seconds=period)
        self._pace = pace
        self._monitor = LeaseMonitor(self._leases.seconds)
        self._is_away = False
        self._warned_of: datetime.datetime | None = None
        self._deferred: dict[str, float] = {}
        self._next_quarantined = 0.0

    def run(self) -> bool:
        """Check copies until none is due. Return False, because the next run can wait for the interval."""
        seen = self._database.scrubs.find(self.store.name)
        if seen is not None and seen.stopped is not None:
            return False
        copies = self._due()
        if not copies and (seen is None or seen.ended_at is not None):
            return False
        if self._is_available() and self._claim(seen):
            with self._leases.held(self.store.name):
                self._scrub(copies)
        else:
            self._next_quarantined = 0.0
        return False

    def _due(self) -> list[Copy]:
        """Return the next copies to check: those that are due, or once an hour those in quarantine."""
        now, clock, name = datetime.datetime.now(datetime.UTC), time.monotonic(), self.store.name
        self._deferred = {key: until for key, until in self._deferred.items() if until > clock}
        if clock >= self._next_quarantined:
            self._next_quarantined = clock + _AGAIN
            if found := self._database.scrubs.quarantined(name, now - min(self._period, _AGAIN_QUARANTINED)):
                return found
        stored_before, limit = now - datetime.timedelta(seconds=_SETTLE), _BATCH + len(self._deferred)
        found = self._database.scrubs.due(name, stored_before, now - self._period, limit)
        return [copy for copy in found if copy.key not in self._deferred]

    def _is_available(self) -> bool:
        try:
            self.store.require_own()
        except StoreError as error:
            if not self._is_away:
                log.warning("the scrubber skips a store that is unavailable: %s", error)
            self._is_away = True
            return False
        self._is_away = False
        return True

    def _claim(self, seen: Scrub | None) -> bool:
        """Take the lease of the store's pass, and return whether this process has it now."""
        name = self.store.name
        if not self._monitor.expired({name: seen.lease_until if seen else None}):
            return False
        try:
            with self._database.unit() as unit:
                return unit.scrubs.claim(name, self._leases.owner, self._leases.end(), seen)
        except LockConflict:  # another process was faster
            return False

    def _scrub(self, copies: list[Copy]) -> None:
        """Do the claimed pass, beginning with these copies. Always release the lease at the end."""
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
            try:
                self._release(ended, stopped)
            except DatabaseError:
                log.exception(
                    "store '%s': the scrubber's lease could not be released; it will expire", self.store.name
                )

    def _check(self, copy: Copy) -> bool:
        """Check one copy, record the result, and return whether the pass can continue."""
        try:
            fault = look_twice(self.store, copy, self._pace.spend)
        except Busy:  # clients use all slots for downloads, so the copy was not read
            self._deferred[copy.key] = time.monotonic() + _SOON
            return True
        except StoreError as error:
            if not self._is_available():
                return False
            self._deferred[copy.key] = time.monotonic() + _AGAIN
            self._copies.unreadable(copy, error)
            return True
        if fault is None:
            self._copies.keep(copy)
            return self._count(failed=False)
        is_news = self._copies.quarantine(copy, fault)
        if self.store.can(WritableStore):
            self._restore(copy)
        return self._count(failed=is_news)

    @retry_on_conflict
    def _count(self, *, failed: bool) -> bool:
        with self._database.unit() as unit:
            return unit.scrubs.count(self.store.name, self._leases.owner, failed=failed)

    def _restore(self, copy: Copy) -> None:
        """Replace a bad copy if the image has a good one in another store."""
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
        """Return the reason if too many copies are bad for the pass to continue, otherwise None."""
        scrub = self._database.scrubs.find(self.store.name)
        if scrub is None or scrub.failed <= max(_MOST_BAD, scrub.checked * _MOST_BAD_SHARE):
            return None
        return (
            f"{scrub.failed} of {scrub.checked} copies were bad: the store itself may be damaged, or a "
            "different store may be in its place"
        )

    @retry_on_conflict
    def _close_stale_findings(self) -> None:
        """Close the findings about copies that no longer exist."""
        for finding in open_findings(self._database, self.store.name):
            if finding.kind in KINDS and not self._database.has_stored(finding.subject):
                with self._database.unit() as unit:
                    unit.close_findings(finding.store, finding.kind, finding.subject)

    @retry_on_conflict
    def _release(self, ended: bool, stopped: str | None) -> None:
        """Release the lease, and report why the pass stopped if it did."""
        name = self.store.name
        with self._database.unit() as unit:
            is_ours = unit.scrubs.release(name, self._leases.owner, ended=ended, stopped=stopped)
            if stopped is not None and is_ours:
                unit.record_finding(FindingKind.SCRUB_STOPPED, name, name, None, stopped)
        if stopped is not None and is_ours:
            log.error(
                "store '%s': the scrubber has stopped, because %s. When the store is in order: "
                "calotype-manage scrub resume INI %s",
                name,
                stopped,
                name,
            )

    def _warn_of_the_rate(self, scrub: Scrub | None) -> None:
        """Warn at the beginning of a pass if the rate is too low for the period."""
        if scrub is not None and not scrub.checked:
            seconds = self._database.scrubs.count_bytes(self.store.name) / self._pace.rate
            self._warn_if_longer(scrub, seconds, "reading all its copies takes %.1f days at this rate")

    def _warn_if_behind(self, scrub: Scrub | None) -> None:
        if scrub is not None:
            seconds = (datetime.datetime.now(datetime.UTC) - scrub.began_at).total_seconds()
            self._warn_if_longer(scrub, seconds, "its pass has taken %.1f days so far")

    def _warn_if_longer(self, scrub: Scrub, seconds: float, why: str) -> None:
        """Warn, at most once per pass, if `seconds` exceeds the scrub period."""
        period, name = self._period.total_seconds(), self.store.name
        if seconds <= period or self._warned_of == scrub.began_at:
            return
        self._warned_of = scrub.began_at
        log.warning(
            "store '%s': the scrubber cannot keep to its period of %.1f days: %s. "
            "Raise calotype.scrub_rate or store.%s.scrub_rate, or calotype.scrub_period.",
            name,
            period / _DAY,
            why % (seconds / _DAY),
            name,
        )


def look_twice(store: CheckedStore, copy: Copy, spend: Callable[[int], None]) -> Fault | None:
    """Return the fault of a copy if two reads in a row show one.

    A single read can fail by chance: a bit flips on the way, or the store misses an object for a moment.

    Raises:
        StoreError: the store is unavailable or cannot read the copy, so the copy was not judged.
    """
    return _look(store, copy, spend) and _look(store, copy, spend)


def _look(store: CheckedStore, copy: Copy, spend: Callable[[int], None]) -> Fault | None:
    """Read a whole copy, and return its fault. Raises the same errors as `look_twice`."""
    spend(COPY_COST)
    try:
        return compare(store, copy, spend, COPY_COST)
    except (BlobNotFound, BlobChanged) as error:
        return fault_from(store, error)
