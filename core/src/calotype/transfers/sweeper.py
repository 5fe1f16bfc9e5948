"""The sweeper: ends upload attempts whose lease has expired, and removes bytes in pending delete."""

from __future__ import annotations

import datetime
import logging
import time
from dataclasses import dataclass

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.errors import DatabaseError
from calotype.database.retry import retry_on_conflict
from calotype.model.audit import Actor, Agent, Origin, Outcome
from calotype.model.images import LeasedLocation, LocationState, Status
from calotype.model.usage import Limits
from calotype.transfers.leases import LeaseMonitor, Leases
from calotype.transfers.removal import Removal
from calotype.transfers.uploads import RECEIVING

log = logging.getLogger(__name__)

_SWEEPER = Actor(origin=Origin(Agent.SWEEPER))
#: Rows that one sweep looks at.
_SWEEP_BATCH = 500


@dataclass(frozen=True, slots=True)
class Swept:
    """The result of a sweep: dead attempts that were ended, blobs removed, removals that failed.

    `full`: there may be more to sweep.
    """

    ended: int = 0
    removed: int = 0
    failed: int = 0
    full: bool = False


class Sweeper:
    """Sweeps over one database; shared by all threads."""

    def __init__(self, database: Database, settings: Settings, leases: Leases, removal: Removal):
        self._database = database
        self._limits = Limits(settings.project_bytes, settings.project_images)
        self._leases = leases
        self._removal = removal
        self._watch = LeaseMonitor(leases.seconds)

    def sweep(self, *, once: bool = False) -> Swept:
        """End attempts whose lease has expired, and remove bytes in pending delete; always safe.

        `once`: for one-shot callers such as cron. They have no lease history, so expired-looking leases are
        watched for a while before anything is ended.
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
                if self._removal.remove(location):
                    removed += 1
                else:
                    failed += 1
        return Swept(ended, removed, failed, full=removed >= _SWEEP_BATCH)

    def _lapsed(self) -> list[LeasedLocation]:
        """Return the rows that no process holds any more.

        Any clock may say so of bytes in pending delete, because nobody wants those.
        """
        now = self._leases.end(0)
        found = self._database.leased_locations(now, _SWEEP_BATCH)
        due = {one.location.key for one in found if _is_pending_delete(one) and _has_ended(one, now)}
        ends = {one.location.key: one.lease_until for one in found if one.location.key not in due}
        over = due | self._watch.expired(ends)
        return [one for one in found if one.location.key in over]

    @retry_on_conflict
    def _claim(self, lapsed: LeasedLocation) -> bool:
        """Take over a row whose lease has expired, and end its attempt if it has one.

        Returns False if the row is no longer as it was seen.
        """
        location = lapsed.location
        with self._database.unit(frees=True) as unit:
            # The image first, as in all units: two orders would be a deadlock.
            attempted = unit.any_image(lapsed.image_id)
            if not unit.claim_location(lapsed, self._leases.owner, self._leases.end()):
                return False
            if location.state is LocationState.INTENDED:
                unit.count_location(location.key, attempted.owner, self._limits, 0)
                unit.doom_location(location.key, LocationState.INTENDED, self._leases.end())
                if attempted.status in RECEIVING:
                    # A job begins again from the image's old status; an upload ends as if it had failed.
                    again = unit.has_open_job(attempted.id)
                    after = Status.QUEUED if again else lapsed.on_failure or Status.KILLED
                    why = "The server that received the image ended before the upload did."
                    verb = RECEIVING[attempted.status]
                    unit.audit(verb, attempted.id, _SWEEPER, why, Outcome.FAILED)
                    unit.move(attempted.id, {attempted.status}, after, status_reason=why)
        return True


def _is_pending_delete(one: LeasedLocation) -> bool:
    return one.location.state is LocationState.PENDING_DELETE


def _has_ended(one: LeasedLocation, now: datetime.datetime) -> bool:
    return one.lease_until is None or one.lease_until < now
