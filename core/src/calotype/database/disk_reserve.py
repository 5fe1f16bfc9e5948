"""Space on the database's disk: recognizing a full disk, and keeping a reserve for that case.

A full disk stops every write, even one that would delete something. So a file beside the SQLite database
occupies some space, and is removed if a unit of work that frees space finds the disk full. Until the disk has
space for the file again, all other units are refused, because they would use the space that deletes need.
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

#: The sqlstate of PostgreSQL for a full disk, and the numbers of MariaDB and MySQL.
_SQLSTATE = "53100"
_NUMBERS = (1021, 1114)
#: Errors of SQLite, besides SQLITE_FULL, that may mean a full disk. They have other causes, too.
_PERHAPS = (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_CANTOPEN)
#: A disk with fewer free bytes than this counts as full, because one unit of work may write this much.
_LOW = 128 << 10
#: The reserve takes at most a sixteenth of its disk. This limit matters only on small disks.
_SHARE = 16


def is_full(error: BaseException, url: URL) -> bool:
    """Return whether an error of SQLAlchemy or of a driver reports that the database's disk is full."""
    raw = getattr(error, "orig", None) or error
    code = getattr(raw, "sqlite_errorcode", None)
    if code is None:
        number = raw.args[0] if raw.args else None
        return getattr(raw, "sqlstate", None) == _SQLSTATE or number in _NUMBERS
    if code in _PERHAPS and url.database:
        return _free(Path(url.database).parent) < _LOW
    return bool(code == sqlite3.SQLITE_FULL)


class Reserve:
    """The file that reserves disk space. There is no other state, so all processes of a machine share it."""

    def __init__(self, path: Path, size: int):
        self._path = path
        self._size = size

    @property
    def is_low(self) -> bool:
        """True if the disk has almost no free space besides the reserve."""
        return _free(self._path.parent) < _LOW

    def keep(self) -> bool:
        """Create the reserve if the disk has space for twice its size, and return whether it exists."""
        held = self._held()
        if held >= self._size or held >= (wanted := self._wanted()):
            return True
        return _free(self._path.parent) >= 2 * wanted and self._make(wanted)

    def give_up(self) -> bool:
        """Remove the reserve if it exists, and return whether the disk has space now."""
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
        """Create the file, and return whether the disk had space. Other errors are left to the database."""
        # Two processes may do this at once, because both reserve the same bytes of the same file.
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
    """Return the reserve of an SQLite file; None for any other database, or if `size` is 0.

    SQLite needs some space even to open a database, so on a full disk the reserve is given up at once.
    """
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:" or size == 0:
        return None
    reserve = Reserve(Path(f"{url.database}-reserve"), size)
    if reserve.is_low:
        reserve.give_up()
    return reserve


def _free(directory: Path) -> int:
    """Return the free bytes of the disk. If they are unknown, return `sys.maxsize`, as if it were empty."""
    try:
        disk = os.statvfs(directory)
    except OSError:
        return sys.maxsize
    return disk.f_bavail * disk.f_frsize
