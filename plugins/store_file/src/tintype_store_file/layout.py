"""Where an image's file lies, and what lies there: `ab/cd/KEY`, each step relative to the one before."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import stat
from collections.abc import Iterator

from tintype.stores import Blob
from tintype.stores.contract import KEY

#: How directories are opened: they, and no link to one.
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def shard_names(key: str) -> tuple[str, str]:
    """The two directories of a key: from its first four letters and digits."""
    letters = key.replace("-", "").replace(".", "")[:4].ljust(4, "0")
    return letters[:2], letters[2:]


@contextlib.contextmanager
def open_shards(root: int, key: str, make: int | None = None) -> Iterator[tuple[int, int]]:
    """Open both directories of a key, step by step, following no link; `make` is the mode of new ones."""
    with contextlib.ExitStack() as stack:
        opened = [root]
        for name in shard_names(key):
            if make is not None:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, make, dir_fd=opened[-1])
            opened.append(os.open(name, DIRECTORY, dir_fd=opened[-1]))
            stack.callback(os.close, opened[-1])
        yield opened[1], opened[2]


def blobs(root: int) -> Iterator[Blob]:
    for first in _directories(root):
        with opened(first, root) as outer:
            for second in _directories(outer):
                with opened(second, outer) as inner:
                    for name in os.listdir(inner):
                        if not KEY.fullmatch(name) or shard_names(name) != (first, second):
                            continue
                        if status := regular(inner, name):
                            yield Blob(f"file:{name}", status.st_size, modified(status))


def _directories(directory: int) -> list[str]:
    return [name for name in os.listdir(directory) if re.fullmatch("[0-9a-z]{2}", name, re.ASCII)]


@contextlib.contextmanager
def opened(name: str, directory: int) -> Iterator[int]:
    descriptor = os.open(name, DIRECTORY, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def regular(directory: int, name: str) -> os.stat_result | None:
    """The status of a regular file; None for anything else, and for what has just gone."""
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
