"""The marker `.calotype-store`, which names the store that a directory belongs to."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from calotype.stores import give_to_owner_of, make_directory
from calotype_store_file import layout

MARKER = ".calotype-store"


@contextlib.contextmanager
def open_marker(root: int, flags: int) -> Iterator[int]:
    descriptor = os.open(MARKER, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read(root: int) -> str:
    with open_marker(root, os.O_RDONLY) as marker:
        return os.read(marker, 200).decode("ascii", "replace").strip()


@contextlib.contextmanager
def locked(root: int) -> Iterator[int]:
    """Hold the lock on the marker, which excludes other threads, processes and NFS hosts."""
    with open_marker(root, os.O_RDWR) as marker:
        fcntl.flock(marker, fcntl.LOCK_EX)
        yield marker


def adopt(root: int, name: str) -> str:
    """Write the store's name into an empty marker. Return the owner, which may be another store."""
    with locked(root) as marker:
        owner = read(root)
        if not owner:
            os.pwrite(marker, f"{name}\n".encode("ascii"), 0)
            os.fsync(marker)
        return owner or name


def write_new(path: Path, name: str) -> None:
    with open(path, "x", encoding="ascii") as marker:
        give_to_owner_of(path.parent, marker.fileno())
        marker.write(f"{name}\n")
        marker.flush()
        os.fsync(marker.fileno())


def make_place(path: Path, name: str, mode: int) -> None:
    """Create the directory of a store together with its marker, atomically."""
    make_directory(path.parent)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        with layout.opened(str(temporary), None) as made:
            give_to_owner_of(path.parent, made)
        temporary.chmod(mode)
        write_new(temporary / MARKER, name)
        temporary.rename(path)
    except OSError as error:
        shutil.rmtree(temporary)
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another process has created it
            raise
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
