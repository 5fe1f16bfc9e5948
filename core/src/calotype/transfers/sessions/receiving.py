"""Receiving: store the bytes of a chunk as parts of its session.

A chunk is gathered in pieces. A piece that fills one of the backend's cells becomes a part in the session's
store. Any other piece becomes a part in the spool, and once all parts of a cell are there, they are joined.
Each part is committed as soon as its bytes are durable, so a crash loses at most the piece on its way.
"""

from __future__ import annotations

import contextlib
import datetime
import threading
from dataclasses import dataclass, replace

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.retry import retry_on_conflict
from calotype.database.unit_of_work import Unit
from calotype.model.errors import Overlap, SessionEnded, Superseded
from calotype.model.images import Image
from calotype.model.sessions import TAKING, SessionStatus, StoredPart, UploadSession
from calotype.model.usage import Limits
from calotype.stores.catalog import Catalog
from calotype.stores.errors import BlobNotFound, SourceTooLarge
from calotype.stores.values import Piece
from calotype.transfers.inspection import Inspector
from calotype.transfers.leases import Leases
from calotype.transfers.readers import declared_format
from calotype.transfers.sessions.chunks import Chunk
from calotype.transfers.sessions.intake import IN_MEMORY, Gathered, Intake
from calotype.transfers.sessions.joining import Joiner
from calotype.transfers.sessions.running import Running, RunningResults
from calotype.transfers.sessions.spool import Spool, new_part_id

#: Maximum bytes of a piece. A larger cell is spooled in pieces, so that a crash loses no more than this.
PIECE = 64 << 20


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


class Receiver:
    """The receiver of chunks, for one database and one catalog. All threads share an instance."""

    def __init__(self, database: Database, stores: Catalog, settings: Settings, leases: Leases):
        self.spool = Spool(database, stores, settings)
        self.joiner = Joiner(database, stores, self.spool)
        self.running = RunningResults()
        self._database = database
        self._stores = stores
        self._settings = settings
        self._leases = leases
        self._limits = Limits(settings.project_bytes, settings.project_images)

    def receive(self, writing: Writing) -> UploadSession:
        """Store the bytes of a chunk, and return the session as it is then.

        If the source fails, its error is raised once the bytes before it are committed.
        """
        chunk = writing.chunk
        if chunk.offset + (chunk.source.length or 0) > self._end(writing.session):
            raise SourceTooLarge(self._too_large(writing.session))
        intake = Intake(chunk, writing.stop, self._running_at(writing))
        session = self._receive(writing, intake)
        if intake.running is not None and intake.running.position == session.offset:
            self.running.keep(session.id, intake.running)
        if intake.failure is not None:
            raise intake.failure
        return session

    def _receive(self, writing: Writing, intake: Intake) -> UploadSession:
        session, held = writing.session, list[StoredPart]()
        try:
            while intake.has_more():
                part = self._next_part(writing, intake)
                if part is not None:
                    held.append(part)
                if held and not writing.chunk.digests:
                    session, held = self._commit(writing, held), []
            if held and intake.failure is None:
                intake.require_digests()
                session, held = self._commit(writing, held), []
        finally:
            self.spool.cancel(held)
        return session

    def _running_at(self, writing: Writing) -> Running | None:
        """Return the results of the bytes before the chunk, if they are known here."""
        image, offset = writing.image, writing.chunk.offset
        if image is None:
            return None
        if offset > 0:
            return self.running.take(writing.session.id, offset)
        inspector = None
        if self._settings.inspection != "off":
            cap = self._settings.virtual_size_cap
            inspector = Inspector(declared_format(image), virtual_size_cap=cap)
        return Running(image, self._stores.require(writing.session.store).algorithms, inspector)

    def _next_part(self, writing: Writing, intake: Intake) -> StoredPart | None:
        """Store the next piece, and return its part. Return None if its bytes have arrived before."""
        session, position = writing.session, intake.position
        there = self._database.sessions.next_part(session.id, position)
        if there is not None and there.start <= position:
            _compare(there, intake)
            return None
        most = self._most(session, position)
        if there is not None:
            most = min(most, there.start - position)
        if most <= 0:
            raise SourceTooLarge(self._too_large(session))
        with contextlib.closing(intake.gather(most)) as gathered:
            # Nothing is complete if the client would send more.
            if intake.position == self._end(session) and intake.has_more():
                raise SourceTooLarge(self._too_large(session))
            # A request that was superseded while it waited must not replace the bytes of the newer one.
            _require_current(self._database.sessions.find(session.id), writing)
            return self._store(session, gathered)

    def _most(self, session: UploadSession, position: int) -> int:
        """Return the size of the piece that begins here, in bytes; 0 if the session may have no more."""
        end = self._end(session)
        if session.grid is None:
            return min(IN_MEMORY, end - position)
        return min(PIECE, session.grid.cell_at(position).end - position, end - position)

    def _end(self, session: UploadSession) -> int:
        """Return the position after the last byte that the session may have."""
        ends = (session.length, session.demands.size, self._settings.image_size_cap)
        return min(end for end in ends if end is not None)

    def _too_large(self, session: UploadSession) -> str:
        most = self._end(session)
        if most == self._settings.image_size_cap:
            return f"The image is larger than the {most} bytes allowed here."
        return f"More than the announced {most} bytes were sent."

    def _store(self, session: UploadSession, gathered: Gathered) -> StoredPart:
        """Store a piece in the session's store if it fills a cell, otherwise in the spool."""
        start, size = gathered.start, gathered.size
        number: int | None = start + 1
        if session.grid is not None:
            cell = session.grid.cell_at(start)
            end = min(cell.end, session.length or cell.end)
            number = cell.number if (start, start + size) == (cell.start, end) else None
        if session.token is None or number is None:
            return self.spool.write(session, gathered)
        store = self._stores.require(session.store)
        try:
            piece = Piece(number, start, size)
            receipt = store.put_part(session.key or "", session.token, piece, gathered)
        except BlobNotFound as error:
            raise SessionEnded("The store no longer has the upload: begin a new one.") from error
        part = StoredPart(new_part_id(), session.id, start, size, sha256=gathered.sha256)
        return replace(part, number=number, receipt=receipt.token)

    # ---------------------------------------------------------------- committing

    def _commit(self, writing: Writing, parts: list[StoredPart]) -> UploadSession:
        """Make parts a part of the session, and join the cells that are complete now.

        Raises:
            Superseded: a newer request writes to the session.
            SessionEnded: the session has ended.
            Overlap: other bytes have arrived at the same place meanwhile.
            LimitReached: the project's quota does not allow the bytes.
        """
        session, repeated, clash = self._commit_once(writing, parts)
        self.spool.cancel(repeated)
        if clash:
            raise Overlap("Another request has sent other bytes for the same part of the image meanwhile.")
        if session.token is not None and session.grid is not None:
            self.joiner.join_complete(session, parts[0].start, parts[-1].end)
        return session

    @retry_on_conflict
    def _commit_once(
        self, writing: Writing, parts: list[StoredPart]
    ) -> tuple[UploadSession, list[StoredPart], bool]:
        repeated: list[StoredPart] = []
        clash = False
        with self._database.unit() as unit:
            # Lock the image first, as in all units. Its owner's usage may grow.
            image = unit.any_image(writing.image.id) if writing.image is not None else None
            session = _require_current(unit.sessions.lock(writing.session.id), writing)
            for part in parts:
                others = unit.sessions.parts_between(session.id, part.start, part.end)
                if not others:
                    _add(unit, part)
                    continue
                repeated.append(part)
                if not _is_same(part, others):
                    clash = True
                    session = _disown(unit, session, part, others)
            session = self._advance(unit, session, image)
        return session, repeated, clash

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


def _disown(unit: Unit, session: UploadSession, part: StoredPart, others: list[StoredPart]) -> UploadSession:
    """Drop the parts whose bytes in the session's store may have been replaced by those of `part`."""
    for other in others:
        if part.key is None and other.key is None:
            unit.sessions.drop_part(other)
            session = replace(session, offset=min(session.offset, other.start))
    return session


def _is_same(part: StoredPart, others: list[StoredPart]) -> bool:
    return part.sha256 is not None and [(part.start, part.size, part.sha256)] == [
        (other.start, other.size, other.sha256) for other in others
    ]


def _require_current(session: UploadSession | None, writing: Writing) -> UploadSession:
    """Return the session if it still takes the bytes of this request.

    Raises:
        SessionEnded, Superseded: it does not.
    """
    if session is None or session.status not in TAKING:
        raise SessionEnded((session and session.reason) or "The upload session has ended.")
    if writing.chunk.alone and session.writer != writing.writer:
        raise Superseded
    return session


def _compare(there: StoredPart, intake: Intake) -> None:
    """Read bytes that have arrived before, and check that they are the same.

    Raises:
        Overlap: they differ, or the chunk does not contain all bytes of the part.
    """
    if there.start < intake.position or there.sha256 is None:
        raise Overlap(f"The bytes {there.start} to {there.end - 1} have arrived already: leave them out.")
    size, sha256 = intake.skim(there.size)
    if intake.failure is None and (size, sha256) != (there.size, there.sha256):
        raise Overlap(f"The bytes {there.start} to {there.end - 1} have arrived already, and were different.")
