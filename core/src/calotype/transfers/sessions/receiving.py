"""Receiving: store the bytes of a chunk as parts of its session.

A chunk is gathered in pieces. A piece that fills one of the backend's cells becomes a part in the session's
store. Any other piece becomes a part in the spool, and once all parts of a cell are there, they are joined.
The pieces of a chunk with declared digests wait in the spool for its check, because a store cannot take back
a part.
Each part is committed as soon as its bytes are durable, so a crash loses at most the pieces on their way: the
one that is being stored, and the one that is gathered meanwhile.
"""

from __future__ import annotations

import contextlib
import contextvars
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.model.errors import Overlap, SessionEnded
from calotype.model.sessions import StoredPart, UploadSession
from calotype.stores.catalog import Catalog
from calotype.stores.errors import BlobNotFound, SourceTooLarge
from calotype.stores.values import Piece
from calotype.transfers.inspection import Inspector
from calotype.transfers.leases import Leases
from calotype.transfers.readers import declared_format
from calotype.transfers.sessions.committing import Committer, Writing, require_no_clash
from calotype.transfers.sessions.intake import IN_MEMORY, Gathered, Intake
from calotype.transfers.sessions.joining import Joiner
from calotype.transfers.sessions.running import Running, RunningResults
from calotype.transfers.sessions.spool import Spool, new_part_id

#: Maximum bytes of a piece. A larger cell is spooled in pieces, so that a crash loses no more than this.
PIECE = 64 << 20


class Receiver:
    """The receiver of chunks, for one database and one catalog. All threads share an instance."""

    def __init__(self, database: Database, stores: Catalog, settings: Settings, leases: Leases):
        self.spool = Spool(database, stores, settings)
        self.joiner = Joiner(database, stores, self.spool)
        self.running = RunningResults()
        self.committer = Committer(database, settings, leases)
        self._database = database
        self._stores = stores
        self._settings = settings

    def receive(self, writing: Writing) -> UploadSession:
        """Store the bytes of a chunk, and return the session as it is then.

        If the source fails, its error is raised once the bytes before it are committed.

        Raises:
            SourceRejected: the first bytes are of a format that the image must not have.
        """
        chunk = writing.chunk
        if chunk.offset + (chunk.source.length or 0) > self._end(writing.session):
            raise SourceTooLarge(self._too_large(writing.session))
        enforces = self._settings.inspection == "enforce"
        intake = Intake(chunk, writing.stop, self._running_at(writing), enforces=enforces)
        with contextlib.ExitStack() as stack:
            if intake.running is not None:
                stack.callback(intake.running.pause)  # however the chunk ends, or its threads would stay
            keeper = stack.enter_context(_Keeper(self, writing))
            while intake.has_more():
                gathered = self._gather(writing, intake)
                if gathered is not None:
                    keeper.keep(gathered, intake)
            session = keeper.finish(intake)
        if intake.running is not None and intake.running.position == session.offset:
            self.running.keep(session.id, intake.running)
        if intake.failure is not None:
            raise intake.failure
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

    def _gather(self, writing: Writing, intake: Intake) -> Gathered | None:
        """Return the next piece. Return None if its bytes have arrived before, and are the same."""
        session, position = writing.session, intake.position
        there = self._database.sessions.next_part(session.id, position)
        if there is not None and there.start <= position:
            writing.require_current(self._database.sessions.find(session.id))
            _compare(there, intake)
            return None
        most = self._most(session, position)
        if there is not None:
            most = min(most, there.start - position)
        if most <= 0:
            raise SourceTooLarge(self._too_large(session))
        gathered = intake.gather(most)
        # Nothing is complete if the client would send more.
        if intake.position == self._end(session) and intake.has_more():
            gathered.close()
            raise SourceTooLarge(self._too_large(session))
        return gathered

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

    def store(self, writing: Writing, gathered: Gathered) -> StoredPart:
        """Store a piece in the session's store if it fills a cell, otherwise in the spool.

        Raises:
            SessionEnded, Superseded: the session does not take the bytes of this request any more.
        """
        session, start, size = writing.session, gathered.start, gathered.size
        # A request that was superseded while it waited must not replace the bytes of the newer one.
        writing.require_current(self._database.sessions.find(session.id))
        number: int | None = start + 1
        if session.grid is not None:
            cell = session.grid.cell_at(start)
            end = min(cell.end, session.length or cell.end)
            number = cell.number if (start, start + size) == (cell.start, end) else None
        if session.token is None or number is None or writing.chunk.digests:
            return self.spool.write(session, gathered)
        store = self._stores.require(session.store)
        try:
            piece = Piece(number, start, size)
            receipt = store.put_part(session.key or "", session.token, piece, gathered)
        except BlobNotFound as error:
            raise SessionEnded("The store no longer has the upload: begin a new one.") from error
        part = StoredPart(new_part_id(), session.id, start, size, sha256=gathered.sha256)
        return replace(part, number=number, receipt=receipt.token)

    def commit(self, writing: Writing, parts: list[StoredPart]) -> UploadSession:
        """Make parts a part of the session, and join the cells that are complete now.

        Raises:
            Overlap: other bytes have arrived at the same place meanwhile.
            SessionEnded, Superseded, LimitReached: see `Committer.commit`.
        """
        done = self.committer.commit(writing, parts)
        self.spool.cancel(done.repeated)
        require_no_clash(done)
        if done.session.token is not None:
            self.joiner.join_complete(done.session, parts[0].start, parts[-1].end)
        return done.session


class _Keeper:
    """The storing of one chunk's pieces, in a thread of its own while the next piece is gathered.

    If the chunk has declared digests, its parts are committed only after their check. Leaving the context
    removes the parts that were not committed.
    """

    def __init__(self, receiver: Receiver, writing: Writing):
        self._receiver = receiver
        self._writing = writing
        self._session = writing.session
        self._held: list[StoredPart] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pieces")
        self._running: Future[None] | None = None

    def __enter__(self) -> _Keeper:
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown()
        self._receiver.spool.cancel(self._held)

    def keep(self, gathered: Gathered, intake: Intake) -> None:
        """Store a piece, after the one before. If more bytes may follow, do not wait until it is stored."""
        try:
            self._join()
        except BaseException:
            gathered.close()
            raise
        if intake.is_over:
            self._keep(gathered)
        else:
            context = contextvars.copy_context()
            self._running = self._thread.submit(context.run, self._keep, gathered)

    def finish(self, intake: Intake) -> UploadSession:
        """Wait for the last piece, check the digests of the chunk, and return the session."""
        self._join()
        if self._held and intake.failure is None:
            intake.require_digests()
            self._commit()
        return self._session

    def _join(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def _keep(self, gathered: Gathered) -> None:
        with contextlib.closing(gathered):
            if self._writing.chunk.digests:
                held = sum(part.size for part in self._held)
                self._receiver.committer.require_room(self._writing, held + gathered.size)
            self._held.append(self._receiver.store(self._writing, gathered))
        if not self._writing.chunk.digests:
            self._commit()

    def _commit(self) -> None:
        self._session = self._receiver.commit(self._writing, self._held)
        self._held = []


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
