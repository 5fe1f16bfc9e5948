"""Assembly: make an image of a session that has all its bytes.

A process holds the session's lease meanwhile. If it dies, a worker assembles the session again: the parts are
still there, or the store has joined them already. If a store or the database is unavailable, the session
becomes complete again. If the bytes are not acceptable, the session fails, as an upload would.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.errors import (
    DatabaseError,
    DatabaseUnavailable,
    ImageNotFound,
    StatusConflict,
)
from calotype.database.retry import retry_on_conflict
from calotype.database.unit_of_work import Unit
from calotype.model.audit import Actor, Agent, AuditVerb, Origin, Outcome
from calotype.model.errors import ImageGone, NotAllowed, SessionEnded, TakenOver
from calotype.model.images import Image, Location, LocationState
from calotype.model.policy import Caller
from calotype.model.sessions import LIVING, SessionStatus, UploadSession
from calotype.model.states import Status
from calotype.model.uploads import UploadAttempt
from calotype.stores.abilities import Parts
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.errors import (
    BlobChanged,
    BlobNotFound,
    Duplicate,
    SourceError,
    SourceRejected,
    StoreError,
    TooLarge,
)
from calotype.stores.hashing import Digests
from calotype.stores.measured import BLOCK, Expectations, UploadResult, require_digests
from calotype.stores.values import PartReceipt, Reader
from calotype.transfers.inspection import Inspector, Verdict
from calotype.transfers.readers import InspectingReader, declared_format
from calotype.transfers.sessions.ending import Ending
from calotype.transfers.sessions.receiving import Receiver
from calotype.transfers.sessions.running import Result
from calotype.transfers.uploads import Uploads, reason

log = logging.getLogger(__name__)

#: Errors that end a session for good. After any other error, it can be finished again.
_FINAL = (SourceError, BlobNotFound, BlobChanged, Duplicate, TooLarge, NotAllowed)


class Assembler:
    """The assembly of sessions, for one database and one catalog. All threads share an instance."""

    def __init__(
        self, database: Database, stores: Catalog, settings: Settings, uploads: Uploads, receiver: Receiver
    ):
        self.ending = Ending(settings, uploads.leases, uploads.removal, receiver.spool)
        self._database = database
        self._stores = stores
        self._settings = settings
        self._uploads = uploads
        self._leases = uploads.leases
        self._receiver = receiver

    def claim(self, unit: Unit, session: UploadSession) -> bool:
        """Take a complete session for this process; return False if it has changed since it was read.

        Raises:
            StatusConflict: its image is neither queued nor saving.
        """
        if not unit.sessions.claim(session, self._leases.owner, self._leases.end()):
            return False
        unit.move(session.image_id or "", {Status.QUEUED, Status.SAVING}, Status.SAVING, status_reason=None)
        return True

    def run(self, session: UploadSession, image: Image, caller: Caller | None) -> Image:
        """Make the image of a claimed session active, and return it.

        `image` is the image since it is saving, and `caller` is None if a worker continues a session.

        Raises:
            SourceError, StoreError, NotAllowed, ImageGone, TakenOver, DatabaseError: see `Sessions.finish`.
        """
        attempt = UploadAttempt(
            image,
            session.key or "",
            session.store,
            session.length,
            session.on_failure or Status.KILLED,
            caller=caller,
        )
        with self._leases.held(session.id):
            try:
                received, result = self._assemble(session, image)
                attempt = replace(attempt, image=replace(result.image, status=Status.SAVING))
                return self._keep(session, attempt, received, result.verdict)
            except BaseException as error:
                kept = self._database_has(session, error)
                if kept is not None:
                    return kept
                told = self._fail(session, error, caller.actor if caller else _worker_for(session))
                if told is error:
                    raise
                raise told from error

    # ---------------------------------------------------------------- the blob

    def _assemble(self, session: UploadSession, image: Image) -> tuple[UploadResult, Result]:
        """Make the blob, and return its receipt, and what is known of its bytes."""
        store, key = self._stores.require(session.store), session.key or ""
        known = self._receiver.running.take(session.id, session.length or 0)
        try:
            if session.token is None or not session.length:
                return self._add(store, session, image)
            self._receiver.joiner.join_rest(session)
            receipts = self._receipts(session)
            stored = store.finish_parts(key, session.token, receipts)
            location = stored.location
        except (Duplicate, BlobNotFound) as error:
            # An earlier assembly may have made the blob before its process died.
            location, known = self._made_before(store, session, error), None
        result = known.result() if known is not None else self._read_back(store, location, session, image)
        self._require(session, result)
        return UploadResult(location, session.length or 0, result.digests), result

    def _add(self, store: CheckedStore, session: UploadSession, image: Image) -> tuple[UploadResult, Result]:
        """Store all parts as a whole blob."""
        if store.can(Parts):
            store.discard(session.key or "")  # an upload in parts that was begun in vain
        parts = self._database.sessions.parts(session.id)
        with contextlib.closing(self._receiver.spool.open(parts)) as source:
            inspecting = self._inspecting(source, image)
            demands = Expectations(length=session.length, digests=dict(session.demands.digests))
            received = store.add(session.key or "", inspecting, demands)
        return received, Result(received.digests, _verdict(inspecting), image)

    def _receipts(self, session: UploadSession) -> list[PartReceipt]:
        """Return the receipts of all parts, in order.

        Raises:
            BlobNotFound: there is a gap between them.
        """
        receipts, end = [], 0
        for part in self._database.sessions.parts(session.id):
            if part.start != end or part.number is None:
                raise BlobNotFound(session.store, "a part of the upload is missing")
            receipts.append(PartReceipt(part.number, part.size, part.receipt or ""))
            end = part.end
        if end != session.length:
            raise BlobNotFound(session.store, "a part of the upload is missing")
        return receipts

    def _made_before(self, store: CheckedStore, session: UploadSession, error: StoreError) -> str:
        """Return the location of the blob if it exists with the right size, otherwise raise the error."""
        location = store.locate(session.key or "") or ""
        try:
            size = store.size(location)
        except BlobNotFound:
            raise error from None
        if size != session.length:
            raise error
        return location

    def _read_back(self, store: CheckedStore, location: str, session: UploadSession, image: Image) -> Result:
        """Read the blob, and return its digests and the verdict on it."""
        with (
            contextlib.closing(store.get(location, size=session.length)) as blob,
            Digests(store.algorithms) as digests,
        ):
            source = self._inspecting(blob, image)
            while block := source.read(BLOCK):
                digests.update(block)
            return Result(digests.hexdigests(), _verdict(source), image)

    def _inspecting(self, source: Reader, image: Image) -> Reader:
        if self._settings.inspection == "off":
            return source
        cap = self._settings.virtual_size_cap
        inspector = Inspector(declared_format(image), virtual_size_cap=cap)
        return InspectingReader(source, inspector, enforce=self._settings.inspection == "enforce")

    def _require(self, session: UploadSession, result: Result) -> None:
        """Raise SourceError if the bytes are not the declared ones, or must be refused."""
        require_digests(session.demands.digests, result.digests)
        problem = None if result.verdict is None else result.verdict.problem
        if problem is not None and self._settings.inspection == "enforce":
            raise SourceRejected(problem)

    # ---------------------------------------------------------------- the end

    @retry_on_conflict
    def _keep(
        self,
        session: UploadSession,
        attempt: UploadAttempt,
        received: UploadResult,
        verdict: Verdict | None,
    ) -> Image:
        with self._database.unit() as unit:
            unit.row(attempt.image.id)  # lock the image first, as in all units
            expires = self._leases.end(self._settings.upload_expiry)
            released = unit.sessions.release(
                session.id, self._leases.owner, SessionStatus.FINISHED, expires_at=expires
            )
            if not released:
                raise self._lost(unit, session)
            unit.take_session(attempt.key, self._leases.owner)
            kept = self._uploads.keep(unit, attempt, received, verdict)
            unit.sessions.drop_parts(session.id)
            unit.after_commit(lambda: self._receiver.spool.clear(session.id))
            if attempt.caller is None:
                detail = f"{received.size} bytes in store {attempt.store}"
                unit.audit(AuditVerb.UPLOAD, kept.id, _worker_for(session), detail)
            return kept

    def _lost(self, unit: Unit, session: UploadSession) -> Exception:
        """Return the error for a session that this process does not hold any more."""
        current = unit.sessions.find(session.id)
        if current is not None and current.status in LIVING | {SessionStatus.FINISHED}:
            return TakenOver()
        return SessionEnded((current and current.reason) or "The upload session has ended.")

    def _database_has(self, session: UploadSession, error: BaseException) -> Image | None:
        """Return the image if it is active in spite of an error, because the answer to a COMMIT was lost."""
        if not isinstance(error, DatabaseUnavailable):
            return None
        with contextlib.suppress(DatabaseError):
            image = self._database.find(session.image_id or "")
            if image is not None and any(location.key == session.key for location in image.locations):
                return image
        return None

    def _fail(self, session: UploadSession, error: BaseException, actor: Actor) -> BaseException:
        """Record that an assembly has failed, and return the error to raise."""
        told = error
        if isinstance(error, (StatusConflict, ImageNotFound)):
            told = ImageGone(f"Image {session.image_id} could not be found after upload: it was deleted.")
        try:
            if isinstance(told, (ImageGone, SessionEnded)):
                # The bytes may have been joined after the end of the session had removed them.
                self._remove_blob(session)
            elif isinstance(told, _FINAL):
                self._end(session, told, actor)
            elif not isinstance(told, TakenOver):
                self._release(session)
        except DatabaseError as unavailable:
            log.exception("upload session %s: a worker will finish it later", session.id)
            return unavailable if told is not error else told
        return told

    @retry_on_conflict
    def _end(self, session: UploadSession, error: BaseException, actor: Actor) -> None:
        """End a session for good, if this process still holds it."""
        with self._database.unit(frees=True) as unit:
            unit.any_image(session.image_id or "")  # lock the image first, as in all units
            if not unit.sessions.release(session.id, self._leases.owner, SessionStatus.COMPLETE):
                return
            after = Status.QUEUED if isinstance(error, NotAllowed) else None
            self.ending.end(unit, session, reason(error), on_failure=after)
            unit.audit(AuditVerb.UPLOAD, session.image_id or "", actor, reason(error), Outcome.FAILED)

    @retry_on_conflict
    def _release(self, session: UploadSession) -> None:
        """Make a session complete again. A worker finishes it after the time of a lease."""
        with self._database.unit(frees=True) as unit:
            unit.any_image(session.image_id or "")  # lock the image first, as in all units
            if unit.sessions.release(session.id, self._leases.owner, SessionStatus.COMPLETE):
                unit.sessions.change(session.id, {"lease_until": self._leases.end()})
                with contextlib.suppress(StatusConflict):
                    unit.move(session.image_id or "", {Status.SAVING}, Status.QUEUED)

    def _remove_blob(self, session: UploadSession) -> None:
        blob = Location(session.key or "", session.store, None, LocationState.PENDING_DELETE, external=False)
        self._uploads.removal.remove(blob)


def _verdict(reader: Reader) -> Verdict | None:
    return reader.verdict if isinstance(reader, InspectingReader) else None


def _worker_for(session: UploadSession) -> Actor:
    """Return the actor of a change that a worker makes for the user who began the session."""
    return Actor(session.user, session.project, Origin(Agent.JOB))
