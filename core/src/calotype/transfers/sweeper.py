"""The sweeper: end upload attempts whose lease has expired, and remove blobs that are pending delete."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from calotype.database.database import Database
from calotype.database.errors import DatabaseError
from calotype.database.retry import retry_on_conflict
from calotype.model.audit import Actor, Agent, Origin, Outcome
from calotype.model.images import LeasedLocation, LocationState
from calotype.model.states import Status
from calotype.model.usage import Limits
from calotype.transfers.leases import LeaseMonitor, Leases
from calotype.transfers.removal import Removal
from calotype.transfers.uploads import RECEIVING

log = logging.getLogger(__name__)

_SWEEPER = Actor(origin=Origin(Agent.SWEEPER))
#: Maximum number of rows that one sweep examines.
_SWEEP_BATCH = 500


@dataclass(frozen=True, slots=True)
class Swept:
    """The result of a sweep: attempts that were ended, blobs that were removed, and removals that failed.

    `full` is true if there may be more to sweep.
    """

    ended: int = 0
    removed: int = 0
    failed: int = 0
    full: bool = False


class Sweeper:
    """The sweeps of one database. All threads share an instance."""

    def __init__(self, database: Database, leases: Leases, removal: Removal):
        self._database = database
        self._leases = leases
        self._removal = removal
        self._monitor = LeaseMonitor(leases.seconds)

    def sweep(self, *, once: bool = False) -> Swept:
        """End attempts whose lease has expired, and remove blobs that are pending delete.

        A sweep is safe at any time. `once` is for one-shot callers such as cron. They have no lease history,
        so leases that look expired are watched for a while before any attempt is ended.
        """
        ended = removed = failed = 0
        found = self._expired()
        if once and (seconds := self._monitor.seconds_until_certain()):
            time.sleep(seconds)
            found = self._expired()
        for leased in found:
            try:
                claimed = self._claim(leased)
            except DatabaseError:
                log.exception("a sweep could not claim an abandoned upload, or a blob that is pending delete")
                failed += 1
                continue
            if claimed:
                ended += leased.location.state is LocationState.INTENDED
                if self._removal.remove(leased.location):
                    removed += 1
                else:
                    failed += 1
        return Swept(ended, removed, failed, full=removed >= _SWEEP_BATCH)

    def _expired(self) -> list[LeasedLocation]:
        """Return the rows that no process holds any more.

        For blobs that are pending delete, the lease's end alone decides. A wrong clock does no harm there,
        because no image needs these blobs.
        """
        now = self._leases.end(0)
        found = self._database.leased_locations(now, _SWEEP_BATCH)
        expired = {
            one.location.key
            for one in found
            if one.location.state is LocationState.PENDING_DELETE
            and (one.lease_until is None or one.lease_until < now)
        }
        expired |= self._monitor.expired(
            {one.location.key: one.lease_until for one in found if one.location.key not in expired}
        )
        return [one for one in found if one.location.key in expired]

    @retry_on_conflict
    def _claim(self, leased: LeasedLocation) -> bool:
        """Take over a row whose lease has expired, and end its attempt if it is one.

        Returns False if the row has changed since it was read.
        """
        location = leased.location
        with self._database.unit(frees=True) as unit:
            # Lock the image first, as in all units: two different orders could deadlock.
            image = unit.any_image(leased.image_id)
            if not unit.claim_location(leased, self._leases.owner, self._leases.end()):
                return False
            if location.state is LocationState.INTENDED:
                unit.count_location(location.key, image.owner, Limits(), 0)
                unit.doom_location(location.key, LocationState.INTENDED, self._leases.end())
                if image.status in RECEIVING:
                    # An open job starts again with a queued image. Other uploads end as if they had failed.
                    again = unit.has_open_job(image.id)
                    after = Status.QUEUED if again else leased.on_failure or Status.KILLED
                    why = "The server that received the image ended before the upload did."
                    unit.audit(RECEIVING[image.status], image.id, _SWEEPER, why, Outcome.FAILED)
                    unit.move(image.id, {image.status}, after, status_reason=why)
        return True
