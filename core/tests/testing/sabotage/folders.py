"""FolderStore: a correct driver of files in one folder, and the kit for it and for what is made of it.

Each sabotaged driver overrides one of its small methods.
"""

import contextlib
import datetime
import errno
import os
import secrets
from pathlib import Path
from typing import ClassVar
from unittest import mock

import pytest
from pydantic import Field

from calotype.stores import (
    Blob,
    BlobNotFound,
    Duplicate,
    Listing,
    LocalFiles,
    Stored,
    StoreFull,
    StoreOptions,
    TooLarge,
    Unavailable,
    WritableStore,
)
from calotype.stores.contract import KEY
from calotype.stores.toolkit import key_of
from calotype.testing import StoreConformance


class FolderOptions(StoreOptions):
    path: Path = Field(description="the folder")


class FolderStore(WritableStore[FolderOptions], Listing, LocalFiles):
    """A blob is the file KEY; while it is written, it is KEY~RANDOM."""

    api_version = (2, 0)
    Options = FolderOptions
    ranges = True

    def get(self, location, offset=0, length=None):
        with self.translated():
            file = open(self.path(location), "rb", buffering=0)  # noqa: SIM115 - the reader
        file.seek(offset)
        return file

    def size(self, location):
        with self.translated():
            return os.stat(self.path(location)).st_size

    def add(self, key, source, size=None):
        final = self.path(self.locate(key))
        if final.exists():
            raise Duplicate(self.name, "the key is taken")
        part = self.part(key)
        with self.translated():
            file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
        try:
            written = self.copy(source, file)
            with self.translated():
                self.publish(part, final)
        finally:
            os.close(file)
            self.remove_part(part)
        return Stored(self.locate(key), written)

    def part(self, key):
        return self.options.path / f"{key}~{secrets.token_hex(4)}"

    def copy(self, source, file):
        written = 0
        while block := source.read(1 << 19):
            written += len(block)
            with self.translated():
                self.write(file, block)
        with self.translated():
            self.finish(file, written)
        return written

    def write(self, file, block):
        if block == bytes(len(block)):
            os.lseek(file, len(block), os.SEEK_CUR)
            return
        while block:
            block = block[os.write(file, block) :]

    def finish(self, file, written):
        os.ftruncate(file, written)
        os.fsync(file)

    def publish(self, part, final):
        try:
            os.link(part, final)
        except FileExistsError:
            raise Duplicate(self.name, "the key is taken") from None

    def remove_part(self, part):
        part.unlink(missing_ok=True)

    def delete(self, location):
        with self.translated():
            self.path(location).unlink()

    def discard(self, key):
        super().discard(key)
        for part in self.options.path.glob(f"{key}~*"):
            part.unlink(missing_ok=True)

    def locate(self, key):
        return f"folder:{key}"

    def file_path(self, location):
        return self.path(location).name

    def create(self):
        self.options.path.mkdir(parents=True, exist_ok=True)

    def blobs(self):
        for path, status in self.files():
            if KEY.fullmatch(path.name):
                yield Blob(self.locate(path.name), status.st_size, _written(status))

    def attempts(self):
        for path, status in self.files():
            key, tilde, _ = path.name.partition("~")
            if tilde:
                yield Blob(key, status.st_size, _written(status))

    def files(self):
        with self.translated():
            for path in list(self.options.path.iterdir()):
                with contextlib.suppress(FileNotFoundError):
                    yield path, path.stat()

    def path(self, location):
        return self.options.path / key_of(self.name, location, "folder:")

    @contextlib.contextmanager
    def translated(self):
        try:
            yield
        except FileNotFoundError as error:
            raise BlobNotFound(self.name, "there is no such file") from error
        except OSError as error:
            raise self.error(error) from error

    def error(self, error):
        if error.errno == errno.ENOSPC:
            return StoreFull(self.name, "its disk is full")
        if error.errno == errno.EFBIG:
            return TooLarge(self.name, "its file system has no files of this size")
        return Unavailable(self.name, "its folder cannot be used")


def _written(status):
    return datetime.datetime.fromtimestamp(status.st_mtime, datetime.UTC)


class KitOfFolders(StoreConformance):
    """The kit with FolderStore's hooks; a subclass names the driver."""

    driver: ClassVar[type[FolderStore]] = FolderStore
    part_size = 70_001
    request_max = 3 << 20
    patience = 1.0

    @pytest.fixture
    def store(self, tmp_path):
        store = self.driver("folder", self.driver.Options(path=tmp_path / "images"))
        store.create()
        return store

    def leftovers(self, store):
        return sorted(path.name for path in store.options.path.iterdir() if not KEY.fullmatch(path.name))

    @contextlib.contextmanager
    def full(self, store):
        """A disk that is full when the first bytes are written."""
        with self.write_fails(errno.ENOSPC):
            yield store

    @contextlib.contextmanager
    def too_small(self, store):
        """A file system that has no files of this size."""
        with self.write_fails(errno.EFBIG):
            yield store

    @staticmethod
    def write_fails(code):
        return mock.patch.object(os, "write", side_effect=OSError(code, os.strerror(code)))


def with_kits(namespace, kit=KitOfFolders):
    """Add a kit for each driver that a module defines to its names, as TestDRIVER."""
    for name, driver in list(namespace.items()):
        is_own = isinstance(driver, type) and driver.__module__ == namespace["__name__"]
        if is_own and issubclass(driver, kit.driver) and not name.startswith("_"):
            made = type(f"Test{name}", (kit,), {"driver": driver})
            namespace[made.__name__] = made
