"""The place of a block store: the file of slots, and the index that says which blob holds which slot.

A blob is `writing`, `live` or `dead`. Each process that writes or reads a blob holds a lock for it: the byte
of the file of slots whose offset is the blob's id. The kernel drops the lock when the process ends. The slots
of a dead blob become free when no process holds its lock.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import os
import sqlite3
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from calotype.stores import (
    Blob,
    BlobNotFound,
    Duplicate,
    Misconfigured,
    StoreError,
    StoreFull,
    Unavailable,
    give_to_owner_of,
    make_directory,
)

SLOTS, INDEX = "slots", "index.sqlite"
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS shape (slot_size INTEGER NOT NULL, slots INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS blobs (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, "
    "state TEXT NOT NULL, size INTEGER NOT NULL, modified REAL NOT NULL)",
    "CREATE UNIQUE INDEX IF NOT EXISTS blob_of_key ON blobs (key) WHERE state = 'live'",
    "CREATE INDEX IF NOT EXISTS blobs_of_state ON blobs (state)",
    "CREATE TABLE IF NOT EXISTS slots (number INTEGER PRIMARY KEY, blob INTEGER, position INTEGER)",
    "CREATE INDEX IF NOT EXISTS slots_of_blob ON slots (blob)",
)
_ADD_SLOTS = """
    WITH RECURSIVE new (number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM new WHERE number + 1 < ?)
    INSERT OR IGNORE INTO slots (number) SELECT number FROM new"""
_PUBLISH = "UPDATE blobs SET state = 'live', size = ?, modified = ? WHERE id = ? AND state = 'writing'"
_GROW = "UPDATE blobs SET size = ?, modified = ? WHERE id = ? AND state = 'writing'"
_FREE = "UPDATE slots SET blob = NULL, position = NULL WHERE blob = ?"


@dataclass(frozen=True, slots=True)
class Held:
    """A live blob: its id, its size in bytes, and its slots by position. A position without one is a hole."""

    id: int
    size: int
    slots: dict[int, int]


@contextlib.contextmanager
def translated(store: str) -> Iterator[None]:
    """Convert errors of the system and of SQLite into StoreErrors."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        number, code = getattr(error, "errno", None), getattr(error, "sqlite_errorcode", None)
        if number in (errno.ENOSPC, errno.EDQUOT) or code == sqlite3.SQLITE_FULL:
            raise StoreFull(store, "its disk is full") from error
        if number in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS):
            raise Misconfigured(store, f"it cannot be opened ({os.strerror(number)})") from error
        raise Unavailable(store, "its slots or their index cannot be used now") from error


def create(store: str, folder: Path, slot_size: int, slots: int) -> None:
    """Create the directory, the file of slots, and the index."""
    with translated(store):
        make_directory(folder)
        for name in (INDEX, SLOTS):
            with open(os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640), "r+b") as file:
                give_to_owner_of(folder, file.fileno())
        with contextlib.closing(_connect(folder)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            with database:
                for statement in ("BEGIN IMMEDIATE", *_SCHEMA):
                    database.execute(statement)
                if database.execute("SELECT 1 FROM shape").fetchone() is None:
                    database.execute("INSERT INTO shape VALUES (?, ?)", [slot_size, slots])
                    database.execute(_ADD_SLOTS, [slots])


class Place:
    """The open place, for one operation. Raises Misconfigured if it does not exist.

    Locks belong to `file`. They last until it and its duplicates are closed.
    """

    def __init__(self, store: str, folder: Path, slot_size: int, slots: int):
        self._store = store
        self._slot_size = slot_size
        with contextlib.ExitStack() as opened, translated(store):
            self.file = opened.enter_context(open(folder / SLOTS, "r+b", buffering=0))
            self._database = opened.enter_context(contextlib.closing(_connect(folder)))
            if self._database.execute("SELECT * FROM shape").fetchall() != [(slot_size, slots)]:
                raise Misconfigured(store, "it was created with other values of slot_size or slots")
            self._opened = opened.pop_all()

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def find(self, key: str) -> Held:
        """Return a live blob. Raises BlobNotFound."""
        query = "SELECT id, size FROM blobs WHERE key = ? AND state = 'live'"
        with translated(self._store), self._database as database:
            database.execute("BEGIN")
            for blob, size in database.execute(query, [key]).fetchall():
                rows = database.execute("SELECT position, number FROM slots WHERE blob = ?", [blob])
                return Held(blob, size, dict(rows))
        raise BlobNotFound(self._store, "there is no such blob")

    def hold(self, key: str) -> Held:
        """Return a live blob whose slots are not reused while `file` is open. Raises BlobNotFound."""
        seen = self.find(key)
        with translated(self._store):
            _lock(self.file.fileno(), fcntl.F_RDLCK, seen.id)
        if self.find(key) != seen:  # another process removed it before the lock was there
            raise BlobNotFound(self._store, "there is no such blob any more")
        return seen

    def entries(self, state: str, prefix: str = "") -> list[Blob]:
        """Return the blobs in a state. Their locations consist of the prefix and the key."""
        query = "SELECT ? || key, size, modified FROM blobs WHERE state = ?"
        with translated(self._store):
            rows = self._database.execute(query, [prefix, state]).fetchall()
        utc = datetime.UTC
        return [Blob(at, size, datetime.datetime.fromtimestamp(seconds, utc)) for at, size, seconds in rows]

    def free(self) -> int:
        """Return the number of free slots."""
        with translated(self._store):
            self._reclaim()
            query = "SELECT count(*) FROM slots WHERE blob IS NULL"
            return int(self._database.execute(query).fetchone()[0])

    def begin(self, key: str) -> int:
        """Note that a blob is being written, and return its id. Raises Duplicate."""
        insert = "INSERT INTO blobs (key, state, size, modified) VALUES (?, 'writing', 0, ?)"
        with translated(self._store), self._database as database:
            database.execute("BEGIN IMMEDIATE")
            if database.execute("SELECT 1 FROM blobs WHERE key = ? AND state = 'live'", [key]).fetchone():
                raise Duplicate(self._store, "the key is taken")
            blob = database.execute(insert, [key, time.time()]).lastrowid or 0
            _lock(self.file.fileno(), fcntl.F_RDLCK, blob)
        return blob

    def write(self, blob: int, position: int, data: bytearray) -> None:
        """Write the bytes of one position into a free slot. Raises StoreFull."""
        with translated(self._store):
            self.file.seek(self._take(blob, position) * self._slot_size)
            view = memoryview(data)
            while view:
                view = view[self.file.write(view) :]

    def publish(self, blob: int, size: int) -> None:
        """Make a blob visible. Its bytes and all changes of the index are on disk then. Raises Duplicate."""
        with translated(self._store):
            os.fsync(self.file.fileno())
            self._database.execute("PRAGMA synchronous = FULL")
            try:
                self._require(self._database.execute(_PUBLISH, [size, time.time(), blob]))
            except sqlite3.IntegrityError:
                raise Duplicate(self._store, "the key is taken") from None

    def bury(self, where: str, value: int | str) -> bool:
        """Mark blobs as dead, and return whether there were any. Their slots become free when possible."""
        with translated(self._store):
            self._database.execute("PRAGMA synchronous = FULL")
            found = self._database.execute(f"UPDATE blobs SET state = 'dead' WHERE {where}", [value]).rowcount
            self._reclaim()
        return found > 0

    def _take(self, blob: int, position: int) -> int:
        """Give a free slot to a blob that is being written, and return its number."""
        self._reclaim()
        with self._database as database:
            database.execute("BEGIN IMMEDIATE")
            self._require(database.execute(_GROW, [(position + 1) * self._slot_size, time.time(), blob]))
            found = database.execute("SELECT number FROM slots WHERE blob IS NULL LIMIT 1").fetchone()
            if found is None:
                raise StoreFull(self._store, "all its slots are in use")
            values = [blob, position, *found]
            database.execute("UPDATE slots SET blob = ?, position = ? WHERE number = ?", values)
        return int(found[0])

    def _require(self, changed: sqlite3.Cursor) -> None:
        if changed.rowcount != 1:
            raise StoreError(self._store, "the upload was discarded while it was written")

    def _reclaim(self) -> None:
        """Free the slots of dead blobs that no process reads or writes.

        The mark `dead` must be visible before: a reader looks for it after it has its lock.
        """
        dead = "SELECT id FROM blobs WHERE state = 'dead'"
        if self._database.execute(dead).fetchone() is None:
            return
        with self._database as database:
            database.execute("BEGIN IMMEDIATE")
            for (blob,) in database.execute(dead).fetchall():
                if _lock(self.file.fileno(), fcntl.F_WRLCK, blob):
                    database.execute(_FREE, [blob])
                    database.execute("DELETE FROM blobs WHERE id = ?", [blob])


def _connect(folder: Path) -> sqlite3.Connection:
    """Open the index, which must exist. A power cut may take the last changes of an unfinished upload."""
    name = f"file:{quote(str(folder / INDEX))}?mode=rw"
    database = sqlite3.connect(name, uri=True, timeout=30, isolation_level=None)
    database.execute("PRAGMA synchronous = NORMAL")
    return database


def _lock(descriptor: int, kind: int, byte: int) -> bool:
    """Lock a byte for this open file; return False if another one has a conflicting lock.

    An ordinary lock belongs to the process, and ends when any thread of it closes the file.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", kind, os.SEEK_SET, byte, 1, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True
