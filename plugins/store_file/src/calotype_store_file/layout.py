"""The layout of the directory: `ab/KEY`. Each directory is opened relative to its parent."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import stat
from collections.abc import Iterator

from calotype.stores import Blob, give_to_owner_of
from calotype.stores.contract import KEY

#: Flags that open a directory and refuse a symbolic link.
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def shard_name(key: str) -> str:
    """Return a key's directory: its first two letters or digits. Each holds 1/256 of the images."""
    return key.replace("-", "").replace(".", "")[:2].ljust(2, "0")


@contextlib.contextmanager
def open_shard(root: int, key: str, make: int | None = None) -> Iterator[int]:
    """Open the directory of a key, following no links; `make` is the mode of a new one."""
    name = shard_name(key)
    if make is not None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, make, dir_fd=root)
            with opened(name, root) as made:
                give_to_owner_of(root, made)
    with opened(name, root) as shard:
        yield shard


def blobs(root: int) -> Iterator[Blob]:
    """Yield the images in the directory."""
    for shard in _directories(root):
        with opened(shard, root) as directory:
            for name in os.listdir(directory):
                if not KEY.fullmatch(name) or shard_name(name) != shard:
                    continue
                if status := regular(directory, name):
                    yield Blob(f"file:{name}", status.st_size, modified(status))


def _directories(directory: int) -> list[str]:
    return [name for name in os.listdir(directory) if re.fullmatch("[0-9a-z]{2}", name, re.ASCII)]


@contextlib.contextmanager
def opened(name: str, directory: int | None) -> Iterator[int]:
    """Open a directory for the duration of the block."""
    descriptor = os.open(name, DIRECTORY, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def regular(directory: int, name: str) -> os.stat_result | None:
    """Return the status of a regular file; None for anything else, or if it was just removed."""
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            return status
    return None


def exists(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def modified(status: os.stat_result) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(status.st_mtime, datetime.UTC)
