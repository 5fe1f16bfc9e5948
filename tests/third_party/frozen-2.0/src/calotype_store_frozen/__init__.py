"""FrozenStore: images as files in a folder, written for version 2.0 of the driver contract.

An image is the file `KEY`. Its bytes are written to `.KEY~RANDOM`, which gets the name `KEY` by a link when
all bytes are on disk. A link does not replace a file, so a key is written once.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from calotype.stores import (
    Blob,
    BlobNotFound,
    Duplicate,
    Listing,
    Misconfigured,
    Reader,
    Stored,
    StoreFull,
    StoreInfo,
    StoreOptions,
    TooLarge,
    Unavailable,
    WritableStore,
    make_directory,
)
from calotype.stores.toolkit import BLOCK, key_of


class FrozenOptions(StoreOptions):
    """The options `store.NAME.*`."""

    path: Path = Field(description="absolute path of the folder, which belongs to this store alone")


class FrozenStore(WritableStore[FrozenOptions], Listing):
    """Images in one folder. All state is on disk."""

    Options = FrozenOptions
    api_version = (2, 0)
    ranges = True

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        key = self._key(location)
        with self._folder() as folder, self._errors():
            file = io.FileIO(key, opener=lambda name, flags: os.open(name, flags, dir_fd=folder))
            file.seek(offset)
            return file

    def size(self, location: str) -> int | None:
        key = self._key(location)
        with self._folder() as folder, self._errors():
            return os.stat(key, dir_fd=folder).st_size

    def add(self, key: str, source: Reader, size: int | None = None) -> Stored:
        """Write all bytes to a file with another name. If that fails, nothing is left."""
        self._key(self.locate(key))
        name = f".{key}~{secrets.token_hex(8)}"
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(self._folder())
            with self._errors():
                file = stack.enter_context(io.FileIO(_create(folder, name), "w"))
            stack.callback(_remove, folder, name)
            written = self._copy(source, file)
            with self._errors():
                os.fsync(file.fileno())
                os.link(name, key, src_dir_fd=folder, dst_dir_fd=folder)
                try:
                    os.fsync(folder)
                except OSError:
                    os.unlink(key, dir_fd=folder)
                    raise
        return Stored(self.locate(key), written)

    def delete(self, location: str) -> None:
        key = self._key(location)
        with self._folder() as folder, self._errors():
            os.unlink(key, dir_fd=folder)
            os.fsync(folder)

    def locate(self, key: str) -> str:
        return f"frozen:{key}"

    def discard(self, key: str) -> None:
        self._key(self.locate(key))
        with self._folder() as folder, self._errors():
            for name in os.listdir(folder):
                if name.startswith(f".{key}~"):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=folder)
        super().discard(key)

    def blobs(self) -> Iterator[Blob]:
        for name, status in self._files():
            if not name.startswith("."):
                yield Blob(self.locate(name), status.st_size, _modified(status))

    def attempts(self) -> Iterator[Blob]:
        for name, status in self._files():
            if name.startswith("."):
                yield Blob(name[1:].partition("~")[0], status.st_size, _modified(status))

    def info(self) -> StoreInfo:
        with self._folder() as folder:
            disk = os.fstatvfs(folder)
            return StoreInfo(disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize)

    def create(self) -> None:
        with self._errors():
            make_directory(self.options.path)

    def check(self) -> None:
        if self.info().free == 0:
            raise StoreFull(self.name, "its disk is full")

    def _key(self, location: str) -> str:
        return key_of(self.name, location, "frozen:")

    def _copy(self, source: Reader, file: io.FileIO) -> int:
        """Write all bytes, and return their number. Exceptions of the source pass through."""
        while block := source.read(BLOCK):
            with self._errors():
                rest = memoryview(block)
                while rest:
                    rest = rest[file.write(rest) :]
        return file.tell()

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        with self._folder() as folder:
            for name in os.listdir(folder):
                with contextlib.suppress(FileNotFoundError):
                    yield name, os.stat(name, dir_fd=folder, follow_symlinks=False)

    @contextlib.contextmanager
    def _folder(self) -> Iterator[int]:
        """Open the folder. If that fails, nobody knows which images exist."""
        try:
            folder = os.open(self.options.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Misconfigured(self.name, "its folder cannot be opened: is its disk mounted?") from error
        try:
            yield folder
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise BlobNotFound(self.name, "there is no such image") from error
        except FileExistsError as error:
            raise Duplicate(self.name, "the key is taken") from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(self.name, "its disk is full") from error
            if error.errno == errno.EFBIG:
                raise TooLarge(self.name, "its file system has no files of this size") from error
            raise Unavailable(self.name, "its folder cannot be used now") from error


def _remove(folder: int, name: str) -> None:
    """Remove a file, unless `discard` has removed it already."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _create(folder: int, name: str) -> int:
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640, dir_fd=folder)


def _modified(status: os.stat_result) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(status.st_mtime, datetime.UTC)
