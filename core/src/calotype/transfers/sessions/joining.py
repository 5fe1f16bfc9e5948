"""Joining: make one of the backend's parts of the parts of a cell in the spool."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace

from calotype.database.database import Database
from calotype.database.retry import retry_on_conflict
from calotype.model.sessions import LIVING, Cell, StoredPart, UploadSession
from calotype.stores.catalog import Catalog
from calotype.stores.errors import StoreError
from calotype.stores.values import Piece, Reader
from calotype.transfers.sessions.spool import Spool, new_part_id

log = logging.getLogger(__name__)


class Joiner:
    """The joiner of parts, for one database and one catalog. All threads share an instance."""

    def __init__(self, database: Database, stores: Catalog, spool: Spool):
        self._database = database
        self._stores = stores
        self._spool = spool

    def join_complete(self, session: UploadSession, start: int, end: int) -> None:
        """Join the parts of each cell of this range that is complete.

        If a store fails, the parts stay in the spool, and are joined when the session is finished.
        """
        try:
            for cell, parts in self._cells(session, start, end):
                last = min(cell.end, session.length or cell.end)
                if sum(part.size for part in parts) == last - cell.start:
                    self.join(session, cell, parts)
        except StoreError as error:
            log.warning("parts of an upload session could not be joined yet: %s", error)

    def join_rest(self, session: UploadSession) -> None:
        """Join the parts of all cells that are still in the spool. The session has all its bytes.

        Raises:
            StoreError: a store cannot do it now.
        """
        for cell, parts in self._cells(session, 0, session.offset):
            self.join(session, cell, parts)

    def _cells(
        self, session: UploadSession, position: int, end: int
    ) -> Iterator[tuple[Cell, list[StoredPart]]]:
        """Yield the cells of a range that have parts in the spool, with their parts.

        If the store's parts may be anywhere, each part in the spool is a cell.
        """
        if session.grid is None:
            for part in self._database.sessions.parts(session.id, position, end):
                if part.key is not None:
                    yield Cell(part.start + 1, part.start, part.size), [part]
            return
        while position < end:
            cell = session.grid.cell_at(position)
            parts = list(self._database.sessions.parts(session.id, cell.start, cell.end))
            if any(part.key is not None for part in parts):
                yield cell, parts
            position = cell.end

    def join(self, session: UploadSession, cell: Cell, parts: list[StoredPart]) -> None:
        """Store the bytes of all parts of a cell as one part in the session's store."""
        size, digest = sum(part.size for part in parts), hashlib.sha256()
        store = self._stores.require(session.store)
        with contextlib.closing(_Hashing(self._spool.open(parts), digest)) as source:
            piece = Piece(cell.number, cell.start, size)
            receipt = store.put_part(session.key or "", session.token or "", piece, source)
        joined = StoredPart(new_part_id(), session.id, cell.start, size, sha256=digest.hexdigest())
        if self._replace(session, parts, replace(joined, number=cell.number, receipt=receipt.token)):
            for part in parts:
                self._spool.remove(part)

    @retry_on_conflict
    def _replace(self, session: UploadSession, parts: list[StoredPart], joined: StoredPart) -> bool:
        """Replace parts by the joined one, and return True; return False if they have changed meanwhile."""
        with self._database.unit() as unit:
            current = unit.sessions.lock(session.id)
            there = unit.sessions.parts_between(session.id, joined.start, joined.end)
            if current is None or current.status not in LIVING or there != parts:
                return False
            for part in parts:
                unit.sessions.drop_part(part)
            unit.sessions.add_part(joined)
            return True


class _Hashing:
    """A reader that hashes the bytes it passes on."""

    def __init__(self, reader: Reader, digest: hashlib._Hash):
        self._reader = reader
        self._digest = digest

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        block = self._reader.read(size)
        self._digest.update(block)
        return block

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()
