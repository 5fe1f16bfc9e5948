"""The file that receives a download until it is complete."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from calotype_client.errors import CalotypeError, Conflict, OutOfSpace, SettingsError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class PartFile:
    """A hidden file beside the one that is fetched, locked against other processes."""

    def __init__(self, target: Path, image_id: str):
        """Open the file.

        Raises:
            SettingsError: it cannot be written.
            Conflict: another process has locked it.
        """
        self.path = target.with_name(f".{target.name[:200]}.{image_id[:8]}.part")
        try:
            self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._translated(error) from None
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.descriptor)
            raise Conflict(f"Another process fetches into {target}.") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)

    @property
    def size(self) -> int:
        """Return the size in bytes, with holes."""
        return os.fstat(self.descriptor).st_size

    def empty(self) -> None:
        """Remove what an earlier download has left."""
        os.ftruncate(self.descriptor, 0)

    def prepare(self, size: int, missing: int) -> None:
        """Give the file its size, with holes; raise OutOfSpace if `missing` bytes do not fit on the disk."""
        room = os.fstatvfs(self.descriptor)
        if missing > room.f_bavail * room.f_frsize:
            raise self._full(f": {missing} more bytes are needed")
        try:
            os.ftruncate(self.descriptor, size)
        except OSError as error:
            raise self._translated(error) from error

    def write(self, block: bytes, position: int) -> None:
        """Write a block; raises OutOfSpace, SettingsError."""
        view = memoryview(block)
        try:
            while view:
                count = os.pwrite(self.descriptor, view, position)
                view, position = view[count:], position + count
        except OSError as error:
            raise self._translated(error) from error

    def rename(self, target: Path) -> None:
        """Let the complete file appear under its name; raises SettingsError."""
        try:
            os.replace(self.path, target)
        except OSError as error:
            raise self._translated(error) from error

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)

    def _translated(self, error: OSError) -> CalotypeError:
        if error.errno in _FULL:
            return self._full("")
        return SettingsError(f"{self.path.parent} cannot be written: {error.strerror}.")

    def _full(self, need: str) -> OutOfSpace:
        return OutOfSpace(
            f"The disk of {self.path.parent} is full{need}.",
            advice="Free some space, and run the command again, which goes on where it stopped.",
        )
