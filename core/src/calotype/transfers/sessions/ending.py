"""Ending sessions that do not become an image: aborted, refused or expired ones."""

from __future__ import annotations

import contextlib
from functools import partial

from calotype.config.settings import Settings
from calotype.database.errors import StatusConflict
from calotype.database.unit_of_work import Unit
from calotype.model.images import Location, LocationState
from calotype.model.sessions import SessionStatus, UploadSession
from calotype.model.states import Status
from calotype.model.usage import Limits
from calotype.transfers.leases import Leases
from calotype.transfers.removal import Removal
from calotype.transfers.sessions.spool import Spool

#: The statuses of an image whose session has not ended.
_WAITING = frozenset({Status.QUEUED, Status.SAVING})


class Ending:
    """The end of sessions in one database. All threads share an instance."""

    def __init__(self, settings: Settings, leases: Leases, removal: Removal, spool: Spool):
        self._settings = settings
        self._leases = leases
        self._removal = removal
        self._spool = spool

    def end(
        self,
        unit: Unit,
        session: UploadSession,
        reason: str,
        *,
        status: SessionStatus = SessionStatus.FAILED,
        on_failure: Status | None = None,
    ) -> None:
        """End a session that the unit has locked, and release its reservation.

        Its bytes are removed after the commit. Its image becomes `on_failure` (None: as the session demands),
        with the reason.
        """
        # The row stays for a while, so that the client is told the reason.
        expires = self._leases.end(self._settings.upload_expiry)
        released = {"writer": None, "lease_owner": None, "lease_until": None, "counted": 0}
        ended = {"status": status, "reason": reason, "expires": expires}
        unit.sessions.change(session.id, {**ended, **released})
        unit.sessions.drop_parts(session.id)
        unit.after_commit(partial(self._spool.clear, session.id))
        if session.image_id is None or session.key is None:
            unit.count(session.project, Limits(), size=-session.counted)
            return
        image = unit.any_image(session.image_id)
        blob = Location(session.key, session.store, None, LocationState.PARTIAL, external=False)
        self._removal.mark(unit, image, [blob])
        with contextlib.suppress(StatusConflict):  # a deleted image stays deleted
            after = on_failure or session.on_failure or Status.KILLED
            unit.move(image.id, _WAITING, after, status_reason=reason)

    def end_of_image(self, unit: Unit, image_id: str, reason: str) -> None:
        """End the session of an image, if it has one. The image keeps its status if it was deleted."""
        session_id = unit.sessions.living_of(image_id)
        session = session_id and unit.sessions.lock(session_id)
        if session:
            self.end(unit, session, reason, on_failure=Status.QUEUED)
