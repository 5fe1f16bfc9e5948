"""Upkeep of sessions: end expired ones, finish those that a process left, and remove dropped parts."""

from __future__ import annotations

import logging

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.errors import DatabaseError, StatusConflict
from calotype.database.retry import retry_on_conflict
from calotype.model.audit import Actor, Agent, AuditVerb, Origin, Outcome
from calotype.model.images import Image
from calotype.model.sessions import TAKING, SessionStatus, UploadSession
from calotype.transfers.leases import LeaseMonitor, Leases
from calotype.transfers.sessions.assembly import Assembler
from calotype.transfers.sessions.spool import Spool

log = logging.getLogger(__name__)

_SWEEPER = Actor(origin=Origin(Agent.SWEEPER))
_EXPIRED = "The upload was not continued in time, so it has expired: upload again."
#: Maximum number of sessions that one pass examines.
_BATCH = 100


class SessionUpkeep:
    """The upkeep of the sessions of one database. All threads share an instance."""

    def __init__(
        self, database: Database, settings: Settings, leases: Leases, assembler: Assembler, spool: Spool
    ):
        self._database = database
        self._settings = settings
        self._leases = leases
        self._assembler = assembler
        self._spool = spool
        self._monitor = LeaseMonitor(leases.seconds)

    def sweep(self) -> bool:
        """End expired sessions, remove dropped parts, and return whether there may be more of them."""
        now = self._leases.end(0)
        expired = self._database.sessions.expired(now, _BATCH)
        for session in expired:
            self._expire(session)
        for session in self._database.sessions.ended(now, _BATCH):
            self._forget(session)
        return self._spool.sweep() or len(expired) == _BATCH

    def finish_next(self) -> bool:
        """Finish a session that has all its bytes and that no process finishes; return whether one was found.

        If that fails, the session is left for another try, or has ended.
        """
        found = {session.id: session for session in self._database.sessions.waiting(_BATCH)}
        expired = self._monitor.expired({one.id: one.lease_until for one in found.values()})
        for session in (found[session_id] for session_id in found if session_id in expired):
            image = self._claim(session)
            if image is None:
                continue
            try:
                self._assembler.run(session, image, None)
            except Exception as error:  # noqa: BLE001 - the session's row says what became of it
                log.warning("upload session %s could not be finished: %s", session.id, error)
            return True
        return False

    @retry_on_conflict
    def _claim(self, session: UploadSession) -> Image | None:
        """Take over a session, and return its image; None if it has changed."""
        with self._database.unit() as unit:
            image = unit.any_image(session.image_id or "")
            try:
                return unit.row(image.id) if self._assembler.claim(unit, session) else None
            except StatusConflict:
                return None

    @retry_on_conflict
    def _expire(self, session: UploadSession) -> None:
        with self._database.unit(frees=True) as unit:
            if session.image_id is not None:
                unit.any_image(session.image_id)  # lock the image first, as in all units
            current = unit.sessions.lock(session.id)
            if current is None or current.status not in TAKING or current.expires != session.expires:
                return
            self._assembler.ending.end(unit, current, _EXPIRED, status=SessionStatus.EXPIRED)
            if session.image_id is not None:
                unit.audit(AuditVerb.UPLOAD, session.image_id, _SWEEPER, _EXPIRED, Outcome.FAILED)

    @retry_on_conflict
    def _forget(self, session: UploadSession) -> None:
        try:
            with self._database.unit(frees=True) as unit:
                unit.sessions.forget(session.id)
        except DatabaseError:
            log.exception("an upload session that has ended could not be forgotten")
