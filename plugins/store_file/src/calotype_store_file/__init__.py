"""FileStore: images as files below one directory.

A blob's path is computed from its key and never read from anywhere: `ab/KEY`, each
step opened relative to the one before, without following links. Bytes are written to a
file without a name and get theirs, by an exclusive link, when they are whole and on disk:
a crash at any moment leaves nothing that looks like an image.

The directory carries a marker, `.calotype-store`, with the store's name: a directory
without it (a disk that is not mounted) is an error, not an empty store.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, field_validator

from calotype.stores import (
    BadLocation,
    Blob,
    BlobChanged,
    BlobNotFound,
    Capability,
    Duplicate,
    Misconfigured,
    Reader,
    Size,
    Store,
    Stored,
    StoreError,
    StoreFull,
    StoreOptions,
    Unavailable,
    give_to_owner_of,
    make_directory,
)
from calotype.stores.contract import KEY
from calotype_store_file import layout, marker
from calotype_store_file.incoming import ATTEMPT, INCOMING, Incoming

__all__ = ["FileOptions", "FileStore"]

BLOCK = 1 << 19
#: Bytes of the file system that stay free by default, or a hundredth of it.
MIN_FREE = 256 << 20
#: Errors that stay until an operator changes a path, an owner or a mode.
OPERATORS = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


class FileOptions(StoreOptions):
    """The options `store.NAME.*` of a file store."""

    path: Path = Field(description="absolute path of the directory for the images; each store needs its own")
    file_mode: str = Field("0640", pattern="^0?[46][04][04]$", description="permissions of images, octal")
    dir_mode: str = Field(
        "0750", pattern="^0?7[0145][0145]$", description="permissions of directories, octal"
    )
    fsync: bool = Field(True, description="write an upload to disk before it is acknowledged")
    sparse: bool = Field(True, description="store blocks of zeros without using disk space")
    quota: Size | None = Field(None, description="maximum bytes of all images together")
    min_free: Size | None = Field(
        None,
        description="bytes of the file system to keep free; unset: 256 MiB, or 1 % of a smaller one",
    )

    @field_validator("path")
    @classmethod
    def _is_absolute(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise ValueError(
                "must be an absolute path, because a relative one depends on the directory in which a "
                "command is started"
            )
        return value


class FileStore(Store[FileOptions]):
    """Images as files on a local or shared file system; no state but what lies on disk."""

    Options = FileOptions
    capabilities = Capability.WRITE | Capability.DELETE | Capability.RANGES | Capability.LISTING

    def __init__(self, name: str, options: FileOptions):
        super().__init__(name, options)
        self._synced: set[tuple[int, int]] = set()

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        with self._at(location) as (shard, key):
            descriptor = self._open_blob(shard, key)
        reader = io.FileIO(descriptor, "rb")
        reader.seek(offset)
        return reader

    def size(self, location: str) -> int | None:
        with self._at(location) as (shard, key):
            descriptor = self._open_blob(shard, key)
            try:
                return os.fstat(descriptor).st_size
            finally:
                os.close(descriptor)

    def file_path(self, location: str) -> str | None:
        key = self._key(location)
        return f"{layout.shard_name(key)}/{key}"

    def add(self, key: str, source: Reader, size: int | None = None) -> Stored:
        self._key(self.locate(key))
        with contextlib.ExitStack() as stack:
            with self._translated():
                root = stack.enter_context(self._root(adopt=True))
                shard = stack.enter_context(layout.open_shard(root, key, make=int(self.options.dir_mode, 8)))
                if layout.exists(shard, key):
                    raise Duplicate(self.name, "the key is taken")
                incoming = stack.enter_context(Incoming(root, key, int(self.options.file_mode, 8)))
                left = self._quota_left(root)
                self._need_room(root, left, size or 0)
            written = self._copy(source, incoming, root, left)
            with self._translated():
                self._publish(root, shard, key, incoming, written)
        return Stored(self.locate(key), written)

    def delete(self, location: str) -> None:
        with self._at(location) as (shard, key):
            os.unlink(key, dir_fd=shard)
            self._sync(shard)

    def discard(self, key: str) -> None:
        self._key(self.locate(key))
        with self._translated(), self._root() as root:
            for name in os.listdir(root):
                if (match := ATTEMPT.fullmatch(name)) and match["key"] == key:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=root)
        super().discard(key)

    def locate(self, key: str) -> str:
        return f"file:{key}"

    def blobs(self) -> Iterator[Blob]:
        with self._translated(), self._root() as root:
            yield from layout.blobs(root)

    def attempts(self) -> Iterator[Blob]:
        with self._translated(), self._root() as root:
            for name in os.listdir(root):
                if name.startswith(INCOMING) and (status := layout.regular(root, name)):
                    match = ATTEMPT.fullmatch(name)
                    yield Blob(match["key"] if match else "", status.st_size, layout.modified(status))

    def create(self) -> None:
        """Make the directory with its marker, or mark a freshly mounted empty file system.

        An empty directory that is no mount point stays as it is: it may be the place
        where a disk is missing. Whoever means it puts an empty marker there.
        """
        with self._translated():
            path = self.options.path
            if not path.exists():
                self._make(path)
            elif path.is_mount() and not set(os.listdir(path)) - {"lost+found"}:
                with contextlib.suppress(FileExistsError):
                    marker.write_new(path / marker.MARKER, self.name)
            with self._root(adopt=True):
                pass

    def check(self) -> None:
        with self._translated(), self._root() as root:
            self._need_room(root, None, 1)

    # Where things lie.

    def _key(self, location: str) -> str:
        scheme, _, key = location.partition(":")
        if scheme != "file" or not KEY.fullmatch(key):
            raise BadLocation(self.name, "not a location of this store")
        return key

    @contextlib.contextmanager
    def _at(self, location: str) -> Iterator[tuple[int, str]]:
        """Open the directory of a location that should be there; what is missing in it is BlobNotFound."""
        key = self._key(location)
        with self._translated(), self._root() as root:
            try:
                with layout.open_shard(root, key) as shard:
                    yield shard, key
            except FileNotFoundError:
                raise BlobNotFound(self.name, "there is no such image file") from None

    @contextlib.contextmanager
    def _root(self, *, adopt: bool = False) -> Iterator[int]:
        """Open the store's directory, after a look whether it is the right one and nobody else's."""
        try:
            root = os.open(self.options.path, layout.DIRECTORY)
        except FileNotFoundError as error:
            raise Misconfigured(
                self.name,
                "its directory does not exist: is its disk mounted? "
                f"For a new store: calotype-manage stores INI --create {self.name}",
            ) from error
        try:
            if os.fstat(root).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise Misconfigured(self.name, "its directory can be written by others: chmod go-w it")
            self._check_marker(root, adopt)
            yield root
        finally:
            os.close(root)

    def _check_marker(self, root: int, adopt: bool) -> None:
        try:
            owner = marker.read(root)
        except FileNotFoundError as error:
            raise Misconfigured(
                self.name,
                f"its directory has no {marker.MARKER} marker: is its disk mounted? "
                f"To start an empty store there, touch {marker.MARKER} in it",
            ) from error
        if not owner and adopt:
            owner = marker.adopt(root, self.name)
        if owner not in ("", self.name):
            raise Misconfigured(
                self.name, f"its directory belongs to another store: see {marker.MARKER} in it"
            )

    def _make(self, path: Path) -> None:
        """Make the directory and its marker appear as one."""
        make_directory(path.parent)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        try:
            with layout.opened(str(temporary), None) as made:
                give_to_owner_of(path.parent, made)
            temporary.chmod(int(self.options.dir_mode, 8))
            marker.write_new(temporary / marker.MARKER, self.name)
            temporary.rename(path)
        except OSError as error:
            shutil.rmtree(temporary)
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # somebody else was faster
                raise
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._sync(parent)
        finally:
            os.close(parent)

    def _open_blob(self, shard: int, key: str) -> int:
        """Open an image's file; O_NONBLOCK, for somebody may have put a FIFO there."""
        try:
            descriptor = os.open(
                key, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=shard
            )
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise BlobChanged(self.name, "the image is not a regular file") from error
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BlobChanged(self.name, "the image is not a regular file")
        return descriptor

    # Writing.

    def _copy(self, source: Reader, incoming: Incoming, root: int, left: int | None) -> int:
        """Copy to the end; only what writing raises is translated, the source's errors go through."""
        written = 0
        while block := source.read(BLOCK):
            written += len(block)
            with self._translated():
                self._need_room(root, left, written, len(block))
                incoming.write(block, sparse=self.options.sparse)
        with self._translated():
            incoming.finish(written)
            if self.options.fsync:
                os.fsync(incoming.descriptor)
        return written

    def _publish(self, root: int, shard: int, key: str, incoming: Incoming, written: int) -> None:
        """Give the bytes their name. With a quota, one upload after the other: the last look decides."""
        with marker.locked(root) if self.options.quota is not None else contextlib.nullcontext():
            self._need_room(root, self._quota_left(root), written, 0)
            try:
                incoming.link(shard, key)
            except FileExistsError:
                raise Duplicate(self.name, "the key is taken") from None
        try:
            self._sync(shard)
            self._sync_entry(root, shard)
        except OSError:
            os.unlink(key, dir_fd=shard)
            raise

    def _sync_entry(self, root: int, shard: int) -> None:
        """Make the shard's own name durable, once: it may be new, and is never taken away."""
        status = os.fstat(shard)
        if (entry := (status.st_dev, status.st_ino)) not in self._synced:
            self._sync(root)
            self._synced.add(entry)

    def _quota_left(self, root: int) -> int | None:
        quota = self.options.quota
        return None if quota is None else quota - sum(blob.size for blob in layout.blobs(root))

    def _need_room(self, root: int, left: int | None, size: int, coming: int | None = None) -> None:
        """See that an image of `size` bytes fits, of which `coming` (None: all) are still to be written."""
        if left is not None and size > left:
            raise StoreFull(self.name, "it is full: its quota is used up")
        disk, coming = os.fstatvfs(root), size if coming is None else coming
        if disk.f_bavail * disk.f_frsize - coming < self._min_free(disk):
            raise StoreFull(self.name, "its disk is full: what is left must stay free (option min_free)")

    def _min_free(self, disk: os.statvfs_result) -> int:
        if self.options.min_free is not None:
            return self.options.min_free
        return min(MIN_FREE, disk.f_blocks * disk.f_frsize // 100)

    def _sync(self, directory: int) -> None:
        if self.options.fsync:
            os.fsync(directory)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the operating system's errors into ours; their paths stay in the chained cause."""
        try:
            yield
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> StoreError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StoreFull(self.name, "its disk is full")
        if error.errno == errno.EFBIG:
            return StoreFull(self.name, "its file system takes no file of that size")
        kind = Misconfigured if error.errno in OPERATORS else Unavailable
        cure = ""
        if error.errno in (errno.EACCES, errno.EPERM):
            cure = ": the user that the service runs as must own it, and may enter the directories above it"
        reason = f"its directory cannot be used ({os.strerror(error.errno or errno.EIO)}){cure}"
        return kind(self.name, reason)
