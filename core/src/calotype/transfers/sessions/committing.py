"""Committing: make stored parts a part of their session, in one unit of work."""

from __future__ import annotations

import contextlib
import datetime
import threading
from dataclasses import dataclass, field, replace

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.errors import ImageNotFound
from calotype.database.retry import retry_on_conflict
from calotype.database.unit_of_work import Unit
from calotype.model.errors import Overlap, SessionEnded, Superseded
from calotype.model.images import Image
from calotype.model.sessions import TAKING, SessionStatus, StoredPart, UploadSession
from calotype.model.usage import Limits
from calotype.transfers.leases import Leases
from calotype.transfers.sessions.chunks import Chunk


@dataclass(frozen=True, slots=True)
class Writing:
    """A chunk that is being written: its session, its image, the id of its request, and the signal to stop.

    `image` is None if the session is partial.
    """

    session: UploadSession
    image: Image | None
    chunk: Chunk
    writer: str
    stop: threading.Event

    def require_current(self, session: UploadSession | None) -> UploadSession:
        """Return the session, as it is now, if it still takes the bytes of this request.

        Raises:
            SessionEnded, Superseded: it does not.
        """
        if session is None or session.status not in TAKING:
            raise SessionEnded((session and session.reason) or "The upload session has ended.")
        if self.chunk.alone and session.writer != self.writer:
            raise Superseded
        return session


@dataclass(slots=True)
class Committed:
    """The session after a commit, and the parts that it did not need, because it has their bytes already.

    `clashes` is true if some of the parts have other bytes than the session has at the same place.
    """

    session: UploadSession
    repeated: list[StoredPart] = field(default_factory=list)
    clashes: bool = False


class Committer:
    """The units of work that change the bytes of sessions. All threads share an instance."""

    def __init__(self, database: Database, settings: Settings, leases: Leases):
        self._database = database
        self._settings = settings
        self._leases = leases
        self._limits = Limits(settings.project_bytes, settings.project_images)

    @retry_on_conflict
    def commit(self, writing: Writing, parts: list[StoredPart]) -> Committed:
        """Make parts a part of the session.

        If another request has sent other bytes for the same place meanwhile, neither are kept, because the
        store may have replaced the one by the other.

        Raises:
            SessionEnded, Superseded: the session does not take the bytes of this request any more.
            LimitReached: the project's quota does not allow the bytes.
        """
        with self._database.unit() as unit:
            image = None
            if writing.image is not None:
                with contextlib.suppress(ImageNotFound):  # then its session has ended, too
                    image = unit.row(writing.image.id)  # lock the image first, as in all units
            done = Committed(writing.require_current(unit.sessions.lock(writing.session.id)))
            for part in parts:
                others = unit.sessions.parts_between(part.session_id, part.start, part.end)
                if not others:
                    _add(unit, part)
                    continue
                done.repeated.append(part)
                if not _is_same(part, others):
                    done.clashes = True
                    done.session = _disown(unit, done.session, part, others)
            done.session = self._advance(unit, done.session, image)
            return done

    @retry_on_conflict
    def require_room(self, writing: Writing, size: int) -> None:
        """Count `size` bytes that are not a part of the session yet, until the next commit counts them anew.

        Raises:
            SessionEnded, Superseded, LimitReached: see `commit`.
        """
        with self._database.unit() as unit:
            image = None if writing.image is None else unit.row(writing.image.id)
            session = writing.require_current(unit.sessions.lock(writing.session.id))
            if session.length is None:
                session = self.count(unit, session, image, unit.sessions.bytes_of(session.id) + size)
                unit.sessions.change(session.id, {"counted": session.counted})

    def _advance(self, unit: Unit, session: UploadSession, image: Image | None) -> UploadSession:
        """Set the session's offset, count its bytes, and return it."""
        offset = unit.sessions.end_of_run(session.id, session.offset)
        status = SessionStatus.COMPLETE if offset == session.length else SessionStatus.OPEN
        changed = replace(session, offset=offset, status=status, expires=self.expiry())
        if session.length is None:
            changed = self.count(unit, changed, image, unit.sessions.bytes_of(session.id))
        # If nobody finishes a complete session within the time of a lease, a worker does.
        fields = {"offset": offset, "status": status, "expires": changed.expires, "counted": changed.counted}
        unit.sessions.change(session.id, {**fields, "lease_until": self._leases.end()})
        return changed

    def count(self, unit: Unit, session: UploadSession, image: Image | None, size: int) -> UploadSession:
        """Count `size` bytes for a session against the project's limit, and return the session with them.

        Raises:
            LimitReached: the project's limit does not allow that. This is raised when the unit ends.
        """
        if image is not None and session.key is not None:
            unit.count_location(session.key, image.owner, self._limits, size)
            return session
        unit.count(session.project, self._limits, size=size - session.counted)
        return replace(session, counted=size)

    def expiry(self) -> datetime.datetime:
        """Return the time at which a session that gets bytes now expires."""
        return self._leases.end(self._settings.upload_expiry)


def _add(unit: Unit, part: StoredPart) -> None:
    if part.key is None:
        unit.sessions.add_part(part)
    elif not unit.sessions.keep_part(part):
        raise SessionEnded("The upload session has ended.")


def _is_same(part: StoredPart, others: list[StoredPart]) -> bool:
    return part.sha256 is not None and [(part.start, part.size, part.sha256)] == [
        (other.start, other.size, other.sha256) for other in others
    ]


def _disown(unit: Unit, session: UploadSession, part: StoredPart, others: list[StoredPart]) -> UploadSession:
    """Drop the parts whose bytes in the session's store may have been replaced by those of `part`."""
    for other in others:
        if part.key is None and other.key is None:
            unit.sessions.drop_part(other)
            session = replace(session, offset=min(session.offset, other.start))
    return session


def require_no_clash(done: Committed) -> None:
    """Raise Overlap if a commit has found other bytes at the place of one of its parts."""
    if done.clashes:
        raise Overlap("Another request has sent other bytes for the same part of the image meanwhile.")
