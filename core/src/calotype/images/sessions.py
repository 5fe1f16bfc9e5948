"""The verbs on upload sessions: an image's bytes arrive in chunks, and continue after a broken connection."""

from __future__ import annotations

import secrets
import threading
from dataclasses import replace

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.errors import StatusConflict
from calotype.database.retry import retry_on_conflict
from calotype.database.rights import NO_SESSION, require_session
from calotype.database.unit_of_work import Unit
from calotype.images.new_sessions import NewSessions, locked, require_not_failed, require_taking
from calotype.model.audit import AuditVerb, Outcome
from calotype.model.errors import ImageGone, Incomplete, NotFound, SessionBusy, WrongLength, WrongOffset
from calotype.model.fields import check_size
from calotype.model.images import Image
from calotype.model.policy import Caller
from calotype.model.sessions import TAKING, SessionStatus, UploadSession
from calotype.stores.catalog import Catalog
from calotype.stores.errors import SourceRejected, for_clients
from calotype.transfers.sessions.chunks import Chunk
from calotype.transfers.sessions.committing import Writing
from calotype.transfers.sessions.upkeep import SessionUpkeep
from calotype.transfers.sessions.writers import Writers
from calotype.transfers.uploads import Uploads

_ENDED = "The client has ended the upload."


class Sessions(NewSessions):
    """The verbs on upload sessions, for one database and one catalog. All threads share an instance.

    Each verb checks the caller's right to upload to the image. If the caller may not know of the session, the
    verb raises NotFound.
    """

    def __init__(self, database: Database, stores: Catalog, settings: Settings, uploads: Uploads):
        super().__init__(database, stores, settings, uploads)
        self._writers = Writers()
        self.upkeep = SessionUpkeep(database, settings, uploads.leases, self._assembler, self._receiver.spool)

    def write(self, session_id: str, caller: Caller, chunk: Chunk) -> UploadSession:
        """Add the bytes of a chunk to a session, and return the session as it is then.

        If the source breaks, its error is raised, and the bytes that arrived before are kept.

        Raises:
            NotFound: there is no such session, or the caller may not know of it.
            NotAllowed, CallerExpired: the caller has lost its right to the image.
            SessionEnded: the session takes no more bytes.
            SessionBusy: the session is being finished.
            WrongOffset: the chunk is alone, and does not begin at the session's offset.
            Superseded: a newer chunk has continued the session.
            Overlap: bytes of the chunk have arrived before, and differ.
            WrongDigest: the chunk has another digest than declared; none of its bytes are kept.
            SourceRejected: the bytes are of a format that the image must not have; the session has failed.
            SourceTooLarge: the chunk exceeds the session's length, or a limit.
            LimitReached: the project's quota does not allow more bytes.
            SourceError, StoreError: the source or the store failed; the session stays open.
        """
        if not chunk.alone:
            return self._receive(caller, self._enter(session_id, caller, chunk, threading.Event()))
        self.state(session_id, caller)  # only a caller with the right may end other writers
        self._writers.end(session_id)
        with self._writers.writing(session_id) as stop:
            return self._receive(caller, self._enter(session_id, caller, chunk, stop))

    def _receive(self, caller: Caller, writing: Writing) -> UploadSession:
        try:
            return self._receiver.receive(writing)
        except SourceRejected as error:
            self._refuse(writing, caller, for_clients(error))
            raise

    @retry_on_conflict
    def _refuse(self, writing: Writing, caller: Caller, reason: str) -> None:
        """End a session whose bytes are not accepted, if it still takes the bytes of this request."""
        with self._database.unit(frees=True) as unit:
            unit.any_image(writing.session.image_id or "")  # lock the image first, as in all units
            session = writing.require_current(unit.sessions.lock(writing.session.id))
            self._assembler.ending.end(unit, session, reason)
            unit.audit(AuditVerb.UPLOAD, session.image_id or "", caller.actor, reason, Outcome.FAILED)

    @retry_on_conflict
    def _enter(self, session_id: str, caller: Caller, chunk: Chunk, stop: threading.Event) -> Writing:
        """Let a request write to a session. If it writes alone, it supersedes the one that did so before."""
        with self._database.unit() as unit:
            session, image = locked(unit, session_id, caller)
            require_taking(session)
            if chunk.alone and chunk.offset != session.offset:
                raise WrongOffset(session.offset, chunk.offset)
            writer, expires = secrets.token_hex(16), self._receiver.committer.expiry()
            alone = {"writer": writer} if chunk.alone else {}
            unit.sessions.change(session.id, {"expires": expires, **alone})
            return Writing(replace(session, expires=expires), image, chunk, writer, stop)

    @retry_on_conflict
    def announce(self, session_id: str, caller: Caller, length: int) -> UploadSession:
        """Set the length of a session that was begun without one. Repeating the same length is no error.

        Raises:
            WrongLength: another length was announced or declared, or more bytes have arrived already.
            RequestTooLarge, LimitReached: the length exceeds a limit.
            NotFound, NotAllowed, CallerExpired, SessionEnded, SessionBusy: see `write`.
        """
        check_size(length, self._settings)
        with self._database.unit() as unit:
            session, image = locked(unit, session_id, caller)
            if session.length == length:
                return session
            require_taking(session)
            if session.length is not None or session.demands.size not in (None, length):
                known = session.length if session.length is not None else session.demands.size
                raise WrongLength(f"The length of this upload is {known} bytes, not {length}.")
            if length < (held := unit.sessions.end_of_parts(session.id)):
                raise WrongLength(f"The upload cannot have {length} bytes, because {held} have arrived.")
            session = self._receiver.committer.count(unit, session, image, length)
            status = SessionStatus.COMPLETE if session.offset == length else SessionStatus.OPEN
            values = {"length": length, "status": status, "counted": session.counted}
            unit.sessions.change(session.id, {**values, "lease_until": self._leases.end()})
            return replace(session, length=length, status=status)

    def state(self, session_id: str, caller: Caller, *, ends_writers: bool = False) -> UploadSession:
        """Return a session. With `ends_writers`, first end the requests that write to it alone.

        Raises:
            SessionEnded: the session failed or expired; the message says why.
            NotFound, NotAllowed, CallerExpired: see `write`.
        """
        session = self._database.sessions.find(session_id)
        if session is None:
            raise NotFound(NO_SESSION)
        image = None if session.image_id is None else self._database.find(session.image_id)
        require_session(caller, session, image)
        require_not_failed(session)
        if not ends_writers or session.status not in TAKING:
            return session
        self._writers.end(session_id)
        return self._end_writers(session_id, caller)

    @retry_on_conflict
    def _end_writers(self, session_id: str, caller: Caller) -> UploadSession:
        with self._database.unit() as unit:
            session, _ = locked(unit, session_id, caller)
            unit.sessions.change(session.id, {"writer": None})
            return session

    def finish(self, session_id: str, caller: Caller) -> Image:
        """Make the image active with the bytes of its session, and return it.

        If the session has been finished already, only return the image.

        Raises:
            Incomplete: bytes are missing, or the session is partial.
            SessionBusy: another request is finishing the session.
            SourceError: the bytes are not as declared, or not acceptable; the session has failed.
            Unavailable, StoreFull: the store cannot be used now; the session stays complete.
            ImageGone: the image was deleted meanwhile.
            TakenOver: this process was paused for so long that another one finishes the session.
            NotFound, NotAllowed, CallerExpired, SessionEnded: see `write`.
        """
        session, image = self._claim(session_id, caller)
        if session.status is SessionStatus.FINISHED:
            return image
        return self._assembler.run(session, image, caller)

    @retry_on_conflict
    def _claim(self, session_id: str, caller: Caller) -> tuple[UploadSession, Image]:
        with self._database.unit() as unit:
            session, image = locked(unit, session_id, caller)
            if image is None:
                raise Incomplete("A partial upload becomes an image only together with others.")
            if session.status is SessionStatus.FINISHED:
                return session, unit.image(image.id)
            require_taking(session)
            if session.status is not SessionStatus.COMPLETE:
                of = "bytes of unknown length" if session.length is None else f"{session.length} bytes"
                raise Incomplete(f"The upload is not complete: {session.offset} of {of} have arrived.")
            try:
                claimed = self._assembler.claim(unit, session)
            except StatusConflict:
                raise ImageGone(f"Image {image.id} cannot get the bytes of this upload any more.") from None
            if not claimed:
                raise SessionBusy
            return session, unit.row(image.id)

    def abort(self, session_id: str, caller: Caller) -> None:
        """End a session, and remove its bytes. The image gets the status `on_failure` of the session.

        If the session is finished, only its record ends: its bytes belong to the image.

        Raises:
            NotFound, NotAllowed, CallerExpired, SessionEnded, SessionBusy: see `write` and `finish`.
        """
        # Only a caller with the right may end writers.
        if self.state(session_id, caller).status is SessionStatus.FINISHED:
            self._retire(session_id, caller)
            return
        self._writers.end(session_id)
        self._end(session_id, caller, _ENDED)

    @retry_on_conflict
    def _retire(self, session_id: str, caller: Caller) -> None:
        """Let a finished session be one that its client has ended. Its image keeps its bytes."""
        with self._database.unit() as unit:
            session, _ = locked(unit, session_id, caller)
            unit.sessions.retire(session.id, _ENDED)

    def end_of_image(self, unit: Unit, image_id: str, reason: str) -> None:
        """End the open session of an image that was deleted or given to another project, if it has one."""
        self._assembler.ending.end_of_image(unit, image_id, reason)
