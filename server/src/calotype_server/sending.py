"""Bodies that are not copied: files, which the kernel sends by sendfile, and large blocks of bytes."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import Any, cast

from waitress.buffers import ReadOnlyFileBasedBuffer

#: Errors of sendfile for a kind of file or socket that it does not support.
_CANNOT = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSOCK})


@dataclass(frozen=True, slots=True)
class FilePart:
    """The next bytes of a file to send."""

    buffer: FileBuffer
    count: int

    def __len__(self) -> int:
        return self.count


class FileBuffer(ReadOnlyFileBasedBuffer):
    """waitress's file wrapper. For a regular file, its `get` returns a FilePart instead of bytes."""

    _descriptor: int | None = None
    _offset = 0

    def prepare(self, size: int | None = None) -> int:
        """Return how many bytes will be sent from the file's position: `size`, or all the rest if it is None.

        Raises:
            OSError: the file has fewer than `size` bytes left, so the client would get a truncated response.
        """
        prepared: int = super().prepare(size)
        descriptor = _regular(self.file)
        if descriptor is not None:
            if size is not None and prepared < size:
                raise OSError(errno.EIO, "the file is shorter than Content-Length")
            self._descriptor, self._offset = descriptor, self.file.tell()
        return prepared

    def get(self, numbytes: int = -1, skip: bool = False) -> Any:
        """Return the next bytes, or the part of the file that holds them."""
        if self._descriptor is None or skip:
            return super().get(numbytes, skip)
        return FilePart(self, self.remain if numbytes < 0 else min(numbytes, self.remain))

    def skip(self, numbytes: int, allow_prune: int = 0) -> None:
        """Record that `numbytes` bytes were sent."""
        if self._descriptor is None:
            super().skip(numbytes, allow_prune)
        else:
            self._offset += numbytes
            self.remain -= numbytes

    def send(self, socket: int, count: int) -> int:
        """Send up to `count` bytes, and return how many were sent; 0 if the socket accepts none now.

        Raises:
            OSError: the connection or the file failed.
        """
        descriptor = cast(int, self._descriptor)  # a FilePart always belongs to a regular file
        try:
            sent = os.sendfile(socket, descriptor, self._offset, count)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            self.file.seek(self._offset)
            self._descriptor = None
            return 0
        if not sent:
            raise OSError(errno.EIO, "the file was truncated while it was sent")
        return sent


class BlockBuffer(ReadOnlyFileBasedBuffer):
    """A block of a response that waits for the client. waitress's own buffers copy a block twice or more."""

    def __init__(self, block: bytes):
        self._rest = memoryview(block)

    def __len__(self) -> int:
        return len(self._rest)

    def get(self, numbytes: int = -1, skip: bool = False) -> memoryview:
        """Return the next bytes."""
        return self._rest if numbytes < 0 else self._rest[:numbytes]

    def skip(self, numbytes: int, allow_prune: int = 0) -> None:
        """Record that `numbytes` bytes were sent."""
        self._rest = self._rest[numbytes:]

    def close(self) -> None:
        """Drop the bytes."""
        self._rest = self._rest[:0]


def _regular(file: Any) -> int | None:
    """Return the descriptor of a regular file; None for anything else."""
    try:
        descriptor = file.fileno()
        return descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    except (AttributeError, OSError, ValueError):
        return None
