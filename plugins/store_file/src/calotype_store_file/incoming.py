"""Files that are being written, and do not have their final name yet."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets

from calotype.stores import give_to_owner_of
from calotype_store_file import holes

INCOMING = ".incoming-"
ATTEMPT = re.compile(re.escape(INCOMING) + r"(?P<key>[^~]*)~[0-9a-f]+")
#: The errors of a file system without O_TMPFILE: NFS, FUSE, some overlays.
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)
#: Bytes that are written before the disk begins with them.
_WRITEBACK = 32 << 20


class Incoming:
    """A file that is being written. Without O_TMPFILE, its name is `.incoming-KEY~RANDOM`."""

    def __init__(self, root: int, key: str, mode: int):
        self.name: str | None = None
        self._root = root
        self.descriptor = self._open_unnamed(root)
        if self.descriptor < 0:
            self.name = f"{INCOMING}{key}~{secrets.token_hex(8)}"
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self.descriptor = os.open(self.name, flags, 0o600, dir_fd=root)
        give_to_owner_of(root, self.descriptor)
        self._mode = mode
        self._position = 0
        self._begun = 0

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
        if self.name is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.name, dir_fd=self._root)

    def write(self, block: bytes, *, sparse: bool) -> None:
        """Write a block; with `sparse`, leave holes instead of zeros."""
        holes.write(self.descriptor, block, self._position, sparse=sparse)
        self._position += len(block)

    def begin_writeback(self, written: int) -> None:
        """Let the disk begin with the `written` bytes, so that fsync has little left to wait for.

        Otherwise, Linux begins when a tenth of its memory is dirty, or half a minute later. With
        POSIX_FADV_DONTNEED it begins now, without a wait. Errors of the writes remain for fsync to report.
        """
        if written - self._begun >= _WRITEBACK and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self.descriptor, self._begun, written - self._begun, os.POSIX_FADV_DONTNEED)
            self._begun = written

    def finish(self, size: int) -> None:
        """Set the permissions, and the length, because a hole at the end was not written."""
        os.ftruncate(self.descriptor, size)
        os.fchmod(self.descriptor, self._mode)

    def link(self, shard: int, key: str) -> None:
        """Give the file its final name; raises FileExistsError if the name is taken."""
        if self.name is None:
            os.link(f"/proc/self/fd/{self.descriptor}", key, dst_dir_fd=shard, follow_symlinks=True)
        else:
            os.link(self.name, key, src_dir_fd=self._root, dst_dir_fd=shard, follow_symlinks=False)

    @staticmethod
    def _open_unnamed(root: int) -> int:
        if not hasattr(os, "O_TMPFILE") or not os.path.isdir("/proc/self/fd"):
            return -1
        try:
            return os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=root)
        except OSError as error:
            if error.errno in _NO_TMPFILE:
                return -1
            raise
