"""Space on the database's disk: notice that the disk is full, and keep a reserve for that case.

A full disk stops every write, the ones that would delete something too. So a file beside the SQLite database
occupies some room, and is removed when a unit of work that frees room finds none. Until the disk has
room for the file again, all other units are refused: they would use up what deletes need.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import sys
from pathlib import Path

from sqlalchemy import URL

from calotype.config import private_files

#: The sqlstate of PostgreSQL, and the numbers of MariaDB and MySQL, that say that a disk is full.
_SQLSTATE = "53100"
_NUMBERS = (1021, 1114)
#: What SQLite reports, besides SQLITE_FULL, when one of its files cannot grow; there are other causes.
_PERHAPS = (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_CANTOPEN)
#: A disk with fewer bytes than this is full: one unit of work writes as many.
_LOW = 128 << 10
#: The largest part of its disk that the reserve may take, as on the small disks of tests.
_SHARE = 16


def is_full(error: BaseException, url: URL) -> bool:
    """Whether an error of SQLAlchemy's, or of a driver's, says that the database's disk is full."""
    raw = getattr(error, "orig", None) or error
    code = getattr(raw, "sqlite_errorcode", None)
    if code is None:
        number = raw.args[0] if raw.args else None
        return getattr(raw, "sqlstate", None) == _SQLSTATE or number in _NUMBERS
    if code in _PERHAPS and url.database:
        return _free(Path(url.database).parent) < _LOW
    return bool(code == sqlite3.SQLITE_FULL)


class Reserve:
    """The file that occupies room; it has no other state, so all processes of a machine share it."""

    def __init__(self, path: Path, size: int):
        self._path = path
        self._size = size

    @property
    def is_low(self) -> bool:
        """Whether the disk has next to no room besides the reserve."""
        return _free(self._path.parent) < _LOW

    def keep(self) -> bool:
        """Create the reserve if the disk has space for twice its size, and return whether it exists."""
        held = self._held()
        if held >= self._size or held >= (wanted := self._wanted()):
            return True
        return _free(self._path.parent) >= 2 * wanted and self._make(wanted)

    def give_up(self) -> bool:
        """Remove the reserve, and return whether there is room now, whoever made it."""
        try:
            self._path.unlink()
        except OSError:
            return not self.is_low
        return True

    def _held(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _wanted(self) -> int:
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:
            return self._size
        return min(self._size, disk.f_blocks * disk.f_frsize // _SHARE)

    def _make(self, size: int) -> bool:
        """Make the file, and return whether the disk had room; the database reports other troubles."""
        # Two processes may do this at once: both reserve the same bytes of the same file.
        try:
            descriptor = private_files.open_or_create(self._path, private_files.SECRET)
            try:
                os.posix_fallocate(descriptor, 0, size)
            finally:
                os.close(descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._path.unlink()
            return error.errno not in (errno.ENOSPC, errno.EDQUOT)
        return True


def make_reserve(url: URL, size: int) -> Reserve | None:
    """Return the reserve of the database at that URL; only SQLite's lies on a disk that is known here.

    SQLite needs some room to open a database at all, so on a full disk the reserve is given up now.
    """
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:" or size == 0:
        return None
    reserve = Reserve(Path(f"{url.database}-reserve"), size)
    if reserve.is_low:
        reserve.give_up()
    return reserve


def _free(directory: Path) -> int:
    """Return how many bytes of the disk are free; a disk that cannot be asked is not called full."""
    try:
        disk = os.statvfs(directory)
    except OSError:
        return sys.maxsize
    return disk.f_bavail * disk.f_frsize
