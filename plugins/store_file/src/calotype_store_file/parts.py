"""Uploads in parts: one file with the bytes, each at its offset, and a log of the parts.

Both have names like those of other uploads: `.incoming-KEY~TOKEN0` and `.incoming-KEY~TOKEN1`. The log has a
line for each part when its bytes begin to arrive, and another with their CRC-32 once they are on disk. Of two
lines for a part, the later one counts. So the log shows which parts are complete, and whether one of them was
overwritten since.

A lock on the file keeps parts out while the upload is finished: afterwards the file is an image, and images
never change.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from calotype.stores import BlobNotFound, PartReceipt, Piece, Reader, Unavailable, give_to_owner_of
from calotype_store_file import holes, layout
from calotype_store_file.incoming import INCOMING

#: Called before a block is written, with the bytes of the part up to the block's end, and the block's size.
Admit = Callable[[int, int], None]

_BLOCK = 1 << 19
_TOKEN = re.compile(r"[0-9a-f]{16}", re.ASCII)
_LINE = re.compile(rb"([0-9]+) ([0-9]+) ([0-9]+) ([0-9a-f]{8}|-)", re.ASCII)
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
#: Seconds that `finish` waits for parts that are being written.
_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class _Entry:
    """A part in the log: its offset, its size, and the CRC-32 of its bytes in hex (None: not complete)."""

    offset: int
    size: int
    checksum: str | None

    @property
    def end(self) -> int:
        return self.offset + self.size


class PartedFile:
    """The files of one upload in parts, below the store's directory, which is open as `root`."""

    def __init__(self, store: str, root: int, key: str, token: str, *, fsync: bool):
        if not _TOKEN.fullmatch(token):
            raise BlobNotFound(store, "there is no such upload")
        self._store = store
        self._root = root
        self._fsync = fsync
        self._data, self._log = (f"{INCOMING}{key}~{token}{kind}" for kind in "01")

    @staticmethod
    def new_token() -> str:
        """Return the token of a new upload."""
        return secrets.token_hex(8)

    def create(self) -> None:
        """Create the empty files."""
        for name in (self._log, self._data):
            descriptor = os.open(name, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._root)
            try:
                give_to_owner_of(self._root, descriptor)
            finally:
                os.close(descriptor)
        self._sync(self._root)

    def put(self, piece: Piece, source: Reader, admit: Admit, *, sparse: bool) -> PartReceipt:
        """Write the bytes of a part, and return its receipt. Errors of the source pass through."""
        with self._opened(fcntl.LOCK_SH) as data, self._opened_log() as log:
            self._append(log, piece, "-")
            sparse = sparse and holes.is_hole(data, piece.offset, piece.size)
            written = checksum = 0
            while block := source.read(_BLOCK):
                admit(written + len(block), len(block))
                holes.write(data, block, piece.offset + written, sparse=sparse)
                written += len(block)
                checksum = zlib.crc32(block, checksum)
            receipt = PartReceipt(piece.number, written, f"{checksum:08x}")
            self._sync(data)
            self._append(log, Piece(piece.number, piece.offset, written), receipt.token)
            self._sync(log)
            return receipt

    def receipts(self) -> list[PartReceipt]:
        """Return the receipts of all complete parts, in the order of their numbers."""
        with self._opened(fcntl.LOCK_SH), self._opened_log() as log:
            return [
                PartReceipt(number, entry.size, entry.checksum)
                for number, entry in sorted(_entries(log).items())
                if entry.checksum is not None
            ]

    @contextlib.contextmanager
    def finishing(self, parts: Sequence[PartReceipt]) -> Iterator[tuple[int, int]]:
        """Keep parts out, and yield the file's descriptor and the size of the joined parts in bytes.

        Raises:
            BlobNotFound: there is no such upload, or it does not have exactly these parts.
            Unavailable: a part is being written.
        """
        with self._opened(fcntl.LOCK_EX) as data, self._opened_log() as log:
            yield data, self._end_of(parts, _entries(log))

    def link(self, shard: int, key: str) -> None:
        """Give the file its final name, too; raises FileExistsError if another file has the name."""
        try:
            os.link(self._data, key, src_dir_fd=self._root, dst_dir_fd=shard, follow_symlinks=False)
        except FileExistsError:
            # A process that died after the link has left both names.
            taken, mine = layout.regular(shard, key), layout.regular(self._root, self._data)
            if taken is None or mine is None or not os.path.samestat(taken, mine):
                raise

    def remove(self) -> None:
        """Remove the names of both files."""
        for name in (self._data, self._log):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._root)
        self._sync(self._root)

    def _end_of(self, parts: Sequence[PartReceipt], entries: dict[int, _Entry]) -> int:
        """Return the size of the joined parts."""
        end = 0
        for part in sorted(parts, key=lambda part: part.number):
            entry = entries.pop(part.number, None)
            if entry is None or (entry.offset, entry.size, entry.checksum) != (end, part.size, part.token):
                raise BlobNotFound(self._store, "a part of the upload is missing, or was replaced")
            end = entry.end
        if not parts or any(entry.offset < end and entry.size for entry in entries.values()):
            raise BlobNotFound(self._store, "the parts of the upload are not those that it has")
        return end

    @contextlib.contextmanager
    def _opened(self, lock: int) -> Iterator[int]:
        """Open the file with a lock on it; raises BlobNotFound if it is gone, or an image already."""
        try:
            descriptor = os.open(self._data, _FLAGS, dir_fd=self._root)
        except FileNotFoundError as error:
            raise BlobNotFound(self._store, "there is no such upload") from error
        try:
            self._take(descriptor, lock)
            if not self._is_current(descriptor, lock):
                raise BlobNotFound(self._store, "there is no such upload")
            yield descriptor
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int, lock: int) -> None:
        """Take a lock; raises Unavailable if others hold it for _PATIENCE seconds."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, lock | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    reason = "parts of the upload are being written at this moment"
                    raise Unavailable(self._store, reason, retry_after=5) from None
                time.sleep(0.02)
            else:
                return

    def _is_current(self, descriptor: int, lock: int) -> bool:
        """Return whether the open file still has its name, and is no image unless it is being finished."""
        status = os.fstat(descriptor)
        named = layout.regular(self._root, self._data)
        return (
            named is not None
            and os.path.samestat(named, status)
            and (status.st_nlink == 1 or lock == fcntl.LOCK_EX)
        )

    @contextlib.contextmanager
    def _opened_log(self) -> Iterator[int]:
        try:
            descriptor = os.open(self._log, _FLAGS | os.O_APPEND, dir_fd=self._root)
        except FileNotFoundError as error:
            raise BlobNotFound(self._store, "there is no such upload") from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _append(self, log: int, piece: Piece, checksum: str) -> None:
        os.write(log, f"\n{piece.number} {piece.offset} {piece.size} {checksum}\n".encode("ascii"))

    def _sync(self, descriptor: int) -> None:
        if self._fsync:
            os.fsync(descriptor)


def _entries(log: int) -> dict[int, _Entry]:
    """Return the parts in the log, by number. A line that was cut short by a crash does not count."""
    entries: dict[int, _Entry] = {}
    with open(os.dup(log), "rb") as file:
        file.seek(0)
        for line in file:
            if line.endswith(b"\n") and (match := _LINE.fullmatch(line.rstrip(b"\n"))):
                number, offset, size = (int(match[group]) for group in (1, 2, 3))
                checksum = None if match[4] == b"-" else match[4].decode("ascii")
                entries[number] = _Entry(offset, size, checksum)
    return entries
