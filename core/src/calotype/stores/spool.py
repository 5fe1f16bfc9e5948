"""SpooledParts: uploads in parts for a store that takes whole blobs only.

The folder has a directory for each upload, with a file for each part. All processes that take parts of an
upload must share the folder. `finish` adds the joined parts to the store.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from calotype.stores.abilities import Parts
from calotype.stores.contract import WritableStore
from calotype.stores.errors import BlobNotFound, StoreError, StoreFull, Unavailable
from calotype.stores.values import PartReceipt, Piece, Reader, Stored

_BLOCK = 512 << 10
_TOKEN = re.compile(r"[0-9a-f]{32}", re.ASCII)
_PART = re.compile(r"[0-9]{1,9}", re.ASCII)


class SpooledParts(Parts):
    """The ability `Parts`, in front of a store that lacks it."""

    def __init__(self, store: WritableStore[Any], folder: Path):
        self._store = store
        self._folder = folder

    def begin(self, key: str, size: int | None = None) -> str:
        token = secrets.token_hex(16)
        with self._named_errors():
            (self._folder / token).mkdir(mode=0o700)
        return token

    def put_part(self, key: str, token: str, piece: Piece, source: Reader) -> PartReceipt:
        """Write a part to a file of its own, which gets its name when all its bytes are on disk."""
        folder = self._at(token)
        with self._named_errors():
            file = tempfile.NamedTemporaryFile(dir=folder, delete=False)  # noqa: SIM115 - closed below
        try:
            with file:
                written = self._copy(source, file)
            if written != piece.size:
                raise StoreError(self._store.name, f"a part has {written} bytes instead of {piece.size}")
            with self._named_errors():
                os.replace(file.name, folder / str(piece.number))
                _sync(folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file.name)
            raise
        return PartReceipt(piece.number, written)

    def finish(self, key: str, token: str, parts: Sequence[PartReceipt]) -> Stored:
        stored = {part.number: part.size for part in self.list_parts(key, token)}
        if not parts or any(stored.get(part.number) != part.size for part in parts):
            raise BlobNotFound(self._store.name, "a part of the upload is missing")
        numbers = sorted(part.number for part in parts)
        folder = self._at(token)
        with contextlib.closing(_Joined([folder / str(number) for number in numbers])) as source:
            received = self._store.add(key, source, sum(part.size for part in parts))
        self.abort(key, token)
        return received

    def abort(self, key: str, token: str) -> None:
        with contextlib.suppress(BlobNotFound), self._named_errors():
            shutil.rmtree(self._at(token))

    def list_parts(self, key: str, token: str) -> Iterator[PartReceipt]:
        with self._named_errors():
            files = {int(file.name): file for file in self._at(token).iterdir() if _PART.fullmatch(file.name)}
            return iter([PartReceipt(number, files[number].stat().st_size) for number in sorted(files)])

    def _copy(self, source: Reader, file: IO[bytes]) -> int:
        """Copy all bytes to disk, and return their number. Exceptions of the source pass through."""
        while block := source.read(_BLOCK):
            with self._named_errors():
                file.write(block)
        with self._named_errors():
            file.flush()
            os.fsync(file.fileno())
            return file.tell()

    def _at(self, token: str) -> Path:
        """Return the directory of an upload; raises BlobNotFound if there is none."""
        folder = self._folder / token
        if not _TOKEN.fullmatch(token) or not folder.is_dir():
            raise BlobNotFound(self._store.name, "there is no such upload")
        return folder

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise BlobNotFound(self._store.name, "there is no such upload") from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(self._store.name, "the folder for parts of uploads is full") from error
            raise Unavailable(self._store.name, "the folder for parts of uploads cannot be used") from error


class _Joined(io.RawIOBase):
    """The bytes of several files, one after the other."""

    def __init__(self, files: list[Path]):
        self._files = iter(files)
        self._open: io.FileIO | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, b"" only at the end."""
        wanted = _BLOCK if size is None or size < 0 else size
        while wanted:
            if self._open is None:
                file = next(self._files, None)
                if file is None:
                    break
                self._open = io.FileIO(file)
            if block := self._open.read(wanted):
                return block
            self._open.close()
            self._open = None
        return b""

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        super().close()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
