"""The spool: parts of sessions that are kept as blobs of the staging store.

All parts are kept there if the session's store does not take uploads in parts. Otherwise only those are that
are smaller than the parts that the store demands. A part has a row before the first byte of its blob, so that
every blob is found and removed when the session ends.
"""

from __future__ import annotations

import contextlib
import io
import logging
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from calotype.config.settings import Settings
from calotype.database.database import Database
from calotype.database.errors import DatabaseError
from calotype.database.retry import retry_on_conflict
from calotype.model.errors import SessionEnded
from calotype.model.sessions import TAKING, PartState, StoredPart, UploadSession
from calotype.model.uploads import new_key
from calotype.stores.catalog import Catalog
from calotype.stores.checked import CheckedStore
from calotype.stores.errors import BlobNotFound, StoreError, Unavailable
from calotype.stores.measured import Expectations
from calotype.stores.values import Reader
from calotype.transfers.sessions.intake import Gathered

log = logging.getLogger(__name__)

#: Maximum number of blobs that are removed when a session ends. A sweep removes the rest.
AT_ONCE = 64


def new_part_id() -> str:
    """Return the id of a new part."""
    return secrets.token_hex(16)


class Spool:
    """The blobs of parts, for one database and one catalog. All threads share an instance."""

    def __init__(self, database: Database, stores: Catalog, settings: Settings):
        self._database = database
        self._stores = stores
        self._name = settings.staging_store or stores.default

    def write(self, session: UploadSession, gathered: Gathered) -> StoredPart:
        """Store bytes as a blob, and return their part, which is not a part of the session yet.

        Raises:
            SessionEnded: the session has ended meanwhile.
            StoreError: the staging store cannot keep the bytes.
        """
        store = self._staging()
        part = StoredPart(
            new_part_id(),
            session.id,
            gathered.start,
            gathered.size,
            PartState.SENDING,
            store=store.name,
            key=new_key(session.id),
        )
        self._begin(part)
        try:
            received = store.add(part.key or "", gathered, Expectations(length=gathered.size))
        except BaseException:
            self.cancel([part])
            raise
        return replace(
            part,
            state=PartState.STORED,
            location=received.location,
            sha256=received.digests["sha256"],
        )

    def open(self, parts: Iterable[StoredPart]) -> Reader:
        """Return a reader of the bytes of these parts, one after the other. The parts have no gaps."""
        return _Joined(self._opened(part) for part in parts)

    def cancel(self, parts: Sequence[StoredPart]) -> None:
        """Remove parts that were written but did not become a part of their session."""
        try:
            for part in self._cancelled(parts) if parts else ():
                self.remove(part)
        except DatabaseError:
            log.exception("parts that were not kept stay in the staging store until their session ends")

    @retry_on_conflict
    def _cancelled(self, parts: Sequence[StoredPart]) -> list[StoredPart]:
        with self._database.unit(frees=True) as unit:
            return [part for part in parts if part.key is not None and unit.sessions.cancel_part(part)]

    def remove(self, part: StoredPart) -> bool:
        """Remove the blob of a part that was dropped, and then its row. Return whether that succeeded."""
        try:
            store = self._stores.require(part.store or "")
            if part.location is None:
                store.discard(part.key or "")
            else:
                with contextlib.suppress(BlobNotFound):
                    store.delete(part.location)
            self._forget(part)
        except Unavailable as error:
            log.warning("a part of an upload session could not be removed; a sweep will retry: %s", error)
            return False
        except (StoreError, DatabaseError):
            log.exception("store '%s': a part of an upload session could not be removed", part.store)
            return False
        return True

    def clear(self, session_id: str) -> None:
        """Remove the blobs of dropped parts of a session, at most AT_ONCE of them."""
        try:
            for part in self._database.sessions.removable_parts(AT_ONCE, session_id):
                self.remove(part)
        except DatabaseError:
            log.exception("parts of an upload session stay in the staging store until a sweep")

    def sweep(self, most: int = AT_ONCE) -> bool:
        """Remove at most `most` dropped parts, and return whether there may be more that can be removed."""
        found = self._database.sessions.removable_parts(most)
        removed = [self.remove(part) for part in found]
        return len(found) == most and any(removed)

    @retry_on_conflict
    def _begin(self, part: StoredPart) -> None:
        with self._database.unit() as unit:
            session = unit.sessions.lock(part.session_id)
            if session is None or session.status not in TAKING:
                raise SessionEnded("The upload session has ended.")
            unit.sessions.add_part(part)

    @retry_on_conflict
    def _forget(self, part: StoredPart) -> None:
        with self._database.unit(frees=True) as unit:
            unit.sessions.forget_part(part.id)

    def _staging(self) -> CheckedStore:
        return self._stores.require(self._name or "")

    def _opened(self, part: StoredPart) -> Reader:
        store = self._stores.require(part.store or "")
        return store.get(part.location or "", size=part.size)


class _Joined(io.RawIOBase):
    """The bytes of several readers, one after the other. Each is opened when the one before has ended."""

    def __init__(self, readers: Iterator[Reader]):
        self._readers = readers
        self._open: Reader | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, b"" only at the end."""
        while size != 0:
            if self._open is None:
                self._open = next(self._readers, None)
                if self._open is None:
                    break
            if block := self._open.read(size):
                return block
            self._open.close()
            self._open = None
        return b""

    def close(self) -> None:
        """Close the reader that is open."""
        if self._open is not None:
            self._open.close()
        super().close()
