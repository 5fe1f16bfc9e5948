"""Beginning upload sessions: of an image, of a part of one, and by concatenation of such parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.errors import ImageNotFound, LimitReached
from calotype.database.retry import retry_on_conflict
from calotype.database.rights import NO_SESSION, require, require_session
from calotype.database.unit_of_work import Unit
from calotype.images.imports import writable_store
from calotype.images.writing import UNQUEUED, ChangeWriter
from calotype.model import policy
from calotype.model.audit import AuditVerb
from calotype.model.change import Change
from calotype.model.errors import Incomplete, NotFound, NotQueued, SessionBusy, SessionEnded
from calotype.model.fields import InvalidRequest, check_size, new_id
from calotype.model.images import Image
from calotype.model.policy import Caller
from calotype.model.sessions import TAKING, Demands, Grid, SessionStatus, UploadSession
from calotype.model.states import Status
from calotype.model.uploads import new_key
from calotype.stores.abilities import Parts
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.errors import StoreError, for_clients
from calotype.transfers.sessions.assembly import Assembler
from calotype.transfers.sessions.cells import grid_for
from calotype.transfers.sessions.receiving import Receiver
from calotype.transfers.uploads import Uploads


class NewSessions:
    """The verbs that begin upload sessions, for one database and one catalog."""

    def __init__(self, database: Database, stores: Catalog, settings: Settings, uploads: Uploads):
        self._database = database
        self._stores = stores
        self._settings = settings
        self._leases = uploads.leases
        self._writer = ChangeWriter(settings)
        self._receiver = Receiver(database, stores, settings, uploads.leases)
        self._assembler = Assembler(database, stores, settings, uploads, self._receiver)

    def begin(
        self, change: Change, length: int | None, *, on_failure: Status, note: str = ""
    ) -> UploadSession:
        """Create an image, or take a queued one, whose bytes arrive in chunks. The image is queued meanwhile.

        `length` is the number of all bytes, or None if it will be announced later. `on_failure` is the status
        of the image if the session fails or expires: killed, or queued. `note` is kept with the session.

        Raises:
            InvalidRequest, NotAllowed, UnknownStore: the change breaks a rule; nothing was recorded.
            RequestTooLarge: the length exceeds the limit; nothing was recorded.
            DuplicateImage: the image's id is taken; nothing was recorded.
            LimitReached: the project's quota or number of sessions is used up; nothing was recorded.
            NotQueued: the image already has bytes, or is getting them.
            OpenSession: the image has an open session.
            StoreError: the store cannot take the upload; the session has failed.
        """
        store = self._check(change, length)
        new = replace(self._new_session(change.caller, length, note), store=store.name, on_failure=on_failure)
        session = self._begin(change, new)
        if not store.can(Parts):
            return session
        try:
            begun = store.begin_parts(session.key or "", length)
        except StoreError as error:
            self._end(session.id, change.caller, for_clients(error))
            raise
        grid = grid_for(begun.sizes, length)
        if not self._keep_token(session, begun.token, grid):
            store.abort_parts(session.key or "", begun.token)
            raise SessionEnded("The upload session has ended.")
        return replace(session, token=begun.token, grid=grid)

    def begin_partial(self, caller: Caller, length: int | None, *, note: str = "") -> UploadSession:
        """Begin a session without an image, whose bytes become part of one by `concatenate`.

        Raises:
            NotAllowed, RequestTooLarge, LimitReached, UnknownStore: see `begin`.
        """
        check_size(length, self._settings)
        writable_store(self._stores, self._settings.staging_store).bulkhead.require_room()
        self._database.start_usage(caller.project)
        return self._begin_partial(caller, self._new_session(caller, length, note))

    @retry_on_conflict
    def _begin_partial(self, caller: Caller, new: UploadSession) -> UploadSession:
        with self._database.unit() as unit:
            require(caller, policy.CREATE)
            self._require_room(unit, caller.project)
            session = replace(new, counted=new.length or 0)
            unit.count(caller.project, self._writer.limits, size=session.counted)
            unit.sessions.add(session)
            return session

    @retry_on_conflict
    def _begin(self, change: Change, new: UploadSession) -> UploadSession:
        with self._database.unit() as unit:
            return self._add(unit, change, new)

    def _add(self, unit: Unit, change: Change, new: UploadSession, ending: int = 0) -> UploadSession:
        """Create or take the image, and insert its session, which has no bytes yet.

        `ending` is the number of sessions that end with this.
        """
        image = self._writer.write(unit, change)
        at_work = image.has_jobs and unit.has_open_job(image.id)
        if image.status is not Status.QUEUED or at_work:
            raise NotQueued.of(UNQUEUED, image.status, at_work=at_work)
        if new.length is not None and change.size not in (None, new.length):
            raise InvalidRequest(
                f"The upload has {new.length} bytes, but its declared size is {change.size}."
            )
        self._require_room(unit, change.caller.project, ending)
        session = replace(
            new,
            image_id=image.id,
            key=new_key(image.id),
            demands=Demands(change.size, dict(change.digests)),
        )
        unit.count(image.owner, self._writer.limits, size=session.length or 0)
        unit.begin_session(image.id, session.key or "", session.store, session.length or 0)
        unit.sessions.add(session)
        if image.status_reason is not None:
            unit.change(image.id, {Status.QUEUED}, {"status_reason": None})
        unit.audit(AuditVerb.BEGIN_UPLOAD, image.id, change.caller.actor, f"session {session.id}")
        return session

    def _new_session(self, caller: Caller, length: int | None, note: str) -> UploadSession:
        return UploadSession(
            new_id(),
            SessionStatus.COMPLETE if length == 0 else SessionStatus.OPEN,
            offset=0,
            length=length,
            expires=self._receiver.committer.expiry(),
            project=caller.project,
            user=caller.user,
            lease_until=self._leases.end(),
            note=note,
        )

    def _check(self, change: Change, length: int | None) -> CheckedStore:
        """Check a change, and return the store for its bytes."""
        change.check(self._settings)
        check_size(length, self._settings)
        store = writable_store(self._stores, change.fields.store)
        store.bulkhead.require_room()  # refuse before anything is recorded
        self._database.start_usage(change.owner)
        self._database.start_usage(change.caller.project)
        return store

    def _require_room(self, unit: Unit, project: str | None, ending: int = 0) -> None:
        most = self._settings.project_uploads
        if unit.sessions.count_living(project) - ending >= most:
            raise LimitReached(most, "open upload sessions")

    @retry_on_conflict
    def _keep_token(self, session: UploadSession, token: str, grid: Grid | None) -> bool:
        with self._database.unit() as unit:
            return unit.sessions.set_upload(session.id, token, grid)

    def concatenate(
        self, change: Change, session_ids: Sequence[str], *, on_failure: Status, note: str = ""
    ) -> UploadSession:
        """Begin a session that consists of complete partial sessions, in order. They end with this.

        The new session is complete, so that `finish` can follow.

        Raises:
            Incomplete: one of the sessions is not partial, or lacks bytes.
            NotFound, SessionEnded: one of the sessions does not exist, is not the caller's, or has ended.
            InvalidRequest, NotAllowed, UnknownStore, DuplicateImage, LimitReached, NotQueued: see `begin`.
        """
        if not session_ids or len(set(session_ids)) != len(session_ids):
            raise InvalidRequest("Name one or more partial uploads, each of them once.")
        store = self._check(change, None)
        new = replace(self._new_session(change.caller, None, note), store=store.name, on_failure=on_failure)
        return self._concatenate(change, new, session_ids)

    @retry_on_conflict
    def _concatenate(self, change: Change, new: UploadSession, session_ids: Sequence[str]) -> UploadSession:
        with self._database.unit() as unit:
            session, length = self._add(unit, change, new, len(session_ids)), 0
            for session_id in session_ids:
                part, image = locked(unit, session_id, change.caller)
                require_taking(part)
                if image is not None or part.status is not SessionStatus.COMPLETE:
                    raise Incomplete(f"Upload {session_id} is not a complete partial upload.")
                unit.sessions.move_parts(part.id, session.id, length)
                unit.count(part.project, self._writer.limits, size=-part.counted)
                unit.sessions.change(
                    part.id, {"status": SessionStatus.FINISHED, "counted": 0, "writer": None}
                )
                length += part.offset
            check_size(length, self._settings)
            if session.demands.size not in (None, length):
                raise InvalidRequest(f"The declared size is {session.demands.size}, not {length} bytes.")
            unit.count_location(session.key or "", change.owner, self._writer.limits, length)
            status = SessionStatus.COMPLETE
            unit.sessions.change(session.id, {"offset": length, "length": length, "status": status})
            return replace(session, offset=length, length=length, status=status)

    @retry_on_conflict
    def _end(self, session_id: str, caller: Caller, reason: str) -> None:
        with self._database.unit(frees=True) as unit:
            session, image = locked(unit, session_id, caller)
            require_taking(session)
            self._assembler.ending.end(unit, session, reason)
            if image is not None:
                unit.audit(AuditVerb.ABORT_UPLOAD, image.id, caller.actor, reason)


def locked(unit: Unit, session_id: str, caller: Caller) -> tuple[UploadSession, Image | None]:
    """Return a session and its image, both locked; the image is None if the session is partial.

    Raises:
        NotFound, NotAllowed, CallerExpired: the caller has no right to the session.
        SessionEnded: the session failed or expired, or its image was deleted.
    """
    seen = unit.sessions.find(session_id)
    if seen is None:
        raise NotFound(NO_SESSION)
    image = None
    if seen.image_id is not None:
        try:
            image = unit.row(seen.image_id)
        except ImageNotFound:
            image = None
    require_session(caller, seen, image)
    session = unit.sessions.lock(session_id)
    if session is None or (image is None and not session.is_partial):
        raise SessionEnded((session and session.reason) or "The image of this upload was deleted.")
    require_not_failed(session)
    return session, image


def require_not_failed(session: UploadSession) -> None:
    if session.status in (SessionStatus.FAILED, SessionStatus.EXPIRED):
        raise SessionEnded(session.reason or "The upload session has ended.")


def require_taking(session: UploadSession) -> None:
    """Check that a session still takes bytes.

    Raises:
        SessionBusy, SessionEnded: it is being finished, or has ended.
    """
    if session.status is SessionStatus.FINISHING:
        raise SessionBusy
    if session.status not in TAKING:
        raise SessionEnded(session.reason or "The upload is finished, and takes no more bytes.")
