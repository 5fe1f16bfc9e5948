"""The store's errors for errors of the operating system. Their reasons, which clients see, name no path."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from calotype.stores import Misconfigured, StoreError, StoreFull, Unavailable, missing_right

#: Errors that remain until an operator changes a path, an owner or a mode.
OPERATORS = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
_CURES = {
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM),
        ": the user that the service runs as must own it, and be able to enter its parents",
    ),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.ELOOP),
        ": a part of its path is a file, or the path is a symbolic link; correct the option path",
    ),
}


def store_error(store: str, error: OSError) -> StoreError:
    """Return the error of a store for an error of its file system."""
    code = error.errno or errno.EIO
    if code in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(store, "its disk is full")
    if code == errno.EFBIG:
        return StoreFull(store, "its file system does not allow files of this size")
    kind = Misconfigured if code in OPERATORS else Unavailable
    return kind(store, f"its directory cannot be used ({os.strerror(code)}){_CURES.get(code, '')}")


def refused(store: str, directory: Path) -> Misconfigured:
    """Return the error for a directory that this user may not create or use, with the command to run."""
    reason = "its directory cannot be created or used (Permission denied)"
    return Misconfigured(store, reason, remedy=f": {missing_right(directory)}")
