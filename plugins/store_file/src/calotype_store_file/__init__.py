"""FileStore: images as files below one directory.

The path of a blob is computed from its key: `ab/KEY`. Each directory is opened relative to its parent,
without following links. Bytes are written to a file without a name, which gets its name by an exclusive link
when all bytes are on disk. So no crash leaves anything that looks like an image.

The directory contains a marker, `.calotype-store`, with the store's name. A directory without it, such as
the mount point of a disk that is not mounted, is an error and not an empty store.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator, Sequence

from calotype.stores import (
    Blob,
    BlobChanged,
    BlobNotFound,
    Duplicate,
    Extent,
    Listing,
    LocalFiles,
    Misconfigured,
    PartReceipt,
    Parts,
    Piece,
    Reader,
    Stored,
    StoreInfo,
    WritableStore,
)
from calotype.stores.toolkit import key_of
from calotype_store_file import faults, holes, layout, marker
from calotype_store_file.incoming import ATTEMPT, INCOMING, Incoming
from calotype_store_file.options import FileOptions
from calotype_store_file.parts import PartedFile
from calotype_store_file.room import Room

__all__ = ["FileOptions", "FileStore"]

BLOCK = 1 << 19


class FileStore(WritableStore[FileOptions], Listing, LocalFiles, Parts):
    """Images as files on a local or shared file system. All state is on disk."""

    api_version = (2, 0)
    Options = FileOptions
    ranges = True

    def __init__(self, name: str, options: FileOptions):
        super().__init__(name, options)
        self._synced: set[tuple[int, int]] = set()
        self._room = Room(name, options.quota, options.min_free)

    def get(self, location: str, offset: int = 0, length: int | None = None) -> Reader:
        with self._at(location) as (shard, key):
            descriptor = self._open_blob(shard, key)
        reader = io.FileIO(descriptor, "rb")
        reader.seek(offset)
        return reader

    def size(self, location: str) -> int | None:
        with self._opened(location) as descriptor:
            return os.fstat(descriptor).st_size

    def extents(self, location: str, size: int) -> Iterator[Extent]:
        with self._opened(location) as descriptor:
            if os.fstat(descriptor).st_size != size:
                raise BlobChanged(self.name, "the image has another size")
            yield from holes.extents(descriptor, size)

    def file_path(self, location: str) -> str:
        key = self._key(location)
        return f"{layout.shard_name(key)}/{key}"

    def add(self, key: str, source: Reader, size: int | None = None) -> Stored:
        self._key(self.locate(key))
        with contextlib.ExitStack() as stack:
            with self._translated():
                root = stack.enter_context(self._root(adopt=True))
                self._room.admit(root, size or 0)
                shard = stack.enter_context(layout.open_shard(root, key, make=int(self.options.dir_mode, 8)))
                if layout.exists(shard, key):
                    raise Duplicate(self.name, "the key is taken")
                incoming = stack.enter_context(Incoming(root, key, int(self.options.file_mode, 8)))
                left = self._room.quota_left(root)
                self._room.require(root, left, size or 0)
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

    def begin(self, key: str, size: int | None = None) -> str:
        self._key(self.locate(key))
        with self._translated(), self._root(adopt=True) as root:
            self._room.admit(root, size or 0)
            with layout.open_shard(root, key, make=int(self.options.dir_mode, 8)) as shard:
                if layout.exists(shard, key):
                    raise Duplicate(self.name, "the key is taken")
            self._room.require(root, self._room.quota_left(root), size or 0)
            token = PartedFile.new_token()
            self._parted(root, key, token).create()
        return token

    def put_part(self, key: str, token: str, piece: Piece, source: Reader) -> PartReceipt:
        with self._translated(), self._root() as root:
            left = self._room.quota_left(root)

            def admit(size: int, coming: int) -> None:
                self._room.require(root, left, piece.offset + size, coming)

            upload = self._parted(root, key, token)
            return upload.put(piece, source, admit, sparse=self.options.sparse)

    def finish(self, key: str, token: str, parts: Sequence[PartReceipt]) -> Stored:
        with self._translated(), self._root() as root, layout.open_shard(root, key) as shard:
            upload = self._parted(root, key, token)
            with upload.finishing(parts) as (data, size):
                os.ftruncate(data, size)
                os.fchmod(data, int(self.options.file_mode, 8))
                self._sync(data)
                self._publish(root, shard, key, upload, size)
                upload.remove()
        return Stored(self.locate(key), size)

    def abort(self, key: str, token: str) -> None:
        with contextlib.suppress(BlobNotFound), self._translated(), self._root() as root:
            self._parted(root, key, token).remove()

    def list_parts(self, key: str, token: str) -> Iterator[PartReceipt]:
        with self._translated(), self._root() as root:
            return iter(self._parted(root, key, token).receipts())

    def create(self) -> None:
        """Create the directory with its marker, or mark an existing empty one.

        The core does not call this for an empty directory if the database has images in the store, because
        then a disk is probably not mounted.
        """
        with self._translated(), self._explained():
            if not self.options.path.exists():
                marker.make_place(self.options.path, self.name, int(self.options.dir_mode, 8))
            with self._root(adopt=True, begin=True):
                pass

    def info(self) -> StoreInfo:
        with self._translated(), self._root() as root:
            return self._room.info(root)

    def check(self) -> None:
        with self._translated(), self._explained(), self._root() as root:
            self._room.require(root, None, 1)

    def _parted(self, root: int, key: str, token: str) -> PartedFile:
        return PartedFile(self.name, root, self._key(self.locate(key)), token, fsync=self.options.fsync)

    # Paths.

    def _key(self, location: str) -> str:
        return key_of(self.name, location, "file:")

    @contextlib.contextmanager
    def _at(self, location: str) -> Iterator[tuple[int, str]]:
        """Open the directory of a location; raise BlobNotFound if it, or a file in it, is missing."""
        key = self._key(location)
        with self._translated(), self._root() as root:
            try:
                with layout.open_shard(root, key) as shard:
                    yield shard, key
            except FileNotFoundError:
                raise BlobNotFound(self.name, "there is no such image file") from None

    @contextlib.contextmanager
    def _root(self, *, adopt: bool = False, begin: bool = False) -> Iterator[int]:
        """Open the store's directory, and check that it belongs to this store.

        With `adopt` an empty marker gets the store's name, and with `begin` an empty directory gets a marker.
        """
        try:
            root = os.open(self.options.path, layout.DIRECTORY)
        except FileNotFoundError as error:
            raise Misconfigured(
                self.name,
                "its directory does not exist: is its disk mounted?",
                remedy=f" For a new store: calotype-manage stores INI --create {self.name}",
            ) from error
        try:
            if os.fstat(root).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise Misconfigured(
                    self.name, "its directory is writable by its group or others: run chmod go-w on it"
                )
            if begin and not set(os.listdir(root)) - {"lost+found"}:
                with contextlib.suppress(FileExistsError):
                    marker.write_new(self.options.path / marker.MARKER, self.name)
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
                f"its directory has no {marker.MARKER} marker: is its disk mounted?",
                remedy=f" To start an empty store there, touch {marker.MARKER} in it",
            ) from error
        if not owner and adopt:
            owner = marker.adopt(root, self.name)
        if owner not in ("", self.name):
            raise Misconfigured(
                self.name,
                "its directory belongs to another store",
                remedy=f", which is {owner!r}, as {marker.MARKER} in it says: give each store a path of its "
                f"own, or after a change of name write {self.name} into that file",
            )

    @contextlib.contextmanager
    def _opened(self, location: str) -> Iterator[int]:
        """Open an image's file for the duration of the block."""
        with self._at(location) as (shard, key):
            descriptor = self._open_blob(shard, key)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def _open_blob(self, shard: int, key: str) -> int:
        """Open an image's file with O_NONBLOCK, because it could be a FIFO."""
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
        """Copy all bytes. Convert only errors of writing; errors of the source pass through."""
        written = 0
        while block := source.read(BLOCK):
            written += len(block)
            with self._translated():
                self._room.require(root, left, written, len(block))
                incoming.write(block, sparse=self.options.sparse)
                if self.options.fsync:
                    incoming.begin_writeback(written)
        with self._translated():
            incoming.finish(written)
            if self.options.fsync:
                os.fsync(incoming.descriptor)
        return written

    def _publish(
        self, root: int, shard: int, key: str, incoming: Incoming | PartedFile, written: int
    ) -> None:
        """Give the file its name. With a quota, uploads take turns, and the check before the link decides."""
        with marker.locked(root) if self.options.quota is not None else contextlib.nullcontext():
            self._room.require(root, self._room.quota_left(root), written, 0)
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
        """Make the shard's own name durable. Once is enough, because shards are never removed."""
        status = os.fstat(shard)
        if (entry := (status.st_dev, status.st_ino)) not in self._synced:
            self._sync(root)
            self._synced.add(entry)

    def _sync(self, directory: int) -> None:
        if self.options.fsync:
            os.fsync(directory)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Convert OSErrors into StoreErrors. Paths remain in the chained cause."""
        try:
            yield
        except OSError as error:
            raise faults.store_error(self.name, error) from error

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """If this user may not create or use the directory, name its owner and the command to run."""
        try:
            yield
        except PermissionError as error:
            raise faults.refused(self.name, self.options.path) from error
