"""The file that an upload reads: its blocks, its holes, and whether it changes meanwhile."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from calotype_client.errors import Conflict, SettingsError
from calotype_client.formats import HEAD
from calotype_client.transfers.ranges import Range

#: Size of the blocks that may be left out if they are zeros, in bytes.
BLOCK = 1 << 20
#: Size of the blocks in which a file is sent: such a block stays in the processor's cache until it is sent.
_SENT = 256 << 10


class SourceFile:
    """A regular file or a block device that is open for reading."""

    def __init__(self, path: Path):
        """Open the file; raises SettingsError."""
        self.path = path.absolute()
        try:
            self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SettingsError(f"{path} cannot be read: {error.strerror}.") from None
        found = os.fstat(self.descriptor)
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISBLK(found.st_mode)):
            os.close(self.descriptor)
            raise SettingsError(f"{path} is not a file.", advice="Use `-` to send the standard input.")
        self.size = os.lseek(self.descriptor, 0, os.SEEK_END)
        self.fingerprint = self._fingerprint()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)

    def head(self) -> bytes:
        """Return the first bytes, for the inspection of the format."""
        return os.pread(self.descriptor, HEAD, 0)

    def blocks(self, start: int, end: int) -> Iterator[memoryview]:
        """Yield the bytes of a range in blocks. A block is overwritten by the next one.

        Raises:
            Conflict: the file has become shorter.
        """
        view = memoryview(bytearray(_SENT))
        while start < end:
            try:
                count = os.preadv(self.descriptor, [view[: end - start]], start)
            except OSError as error:
                raise SettingsError(f"{self.path} cannot be read: {error.strerror}.") from None
            if count == 0:
                raise self._changed()
            yield view[:count]
            start += count

    def check_unchanged(self) -> None:
        """Raise Conflict if the file has changed since it was opened."""
        if self._fingerprint() != self.fingerprint:
            raise self._changed()

    def data(self) -> Iterator[Range]:
        """Yield the ranges that are not holes, or the whole file if its file system does not know them."""
        position = 0
        while position < self.size:
            try:
                start = os.lseek(self.descriptor, position, os.SEEK_DATA)
                end = os.lseek(self.descriptor, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:  # a hole up to the end
                    return
                yield Range(position, self.size)
                return
            yield Range(start, min(end, self.size))
            position = end

    def _fingerprint(self) -> list[int]:
        """Return what changes when somebody writes to the file or replaces it."""
        found = os.fstat(self.descriptor)
        return [found.st_dev, found.st_ino, os.lseek(self.descriptor, 0, os.SEEK_END), found.st_mtime_ns]

    def _changed(self) -> Conflict:
        return Conflict(
            f"{self.path} changed while it was sent.",
            advice="Stop the program that writes to it, and run the command again.",
        )
