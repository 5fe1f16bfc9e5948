"""Create and rewrite files that are not open to everybody, and their directories; explain refused access.

A new file never gets a wider mode than the one that its caller passes. An existing file keeps its owner,
group and mode, because an operator may have chosen them. Files and directories that root creates get the
owner of their parent directory. That owner is usually the service's user, who could not use files that root
owns.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shlex
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: The mode of a file that only its owner may use.
SECRET = 0o600
#: The extended attribute that contains a file's access control list on Linux.
_ACL = "system.posix_acl_access"


def name_user(number: int) -> str:
    """Return a user's name and id for messages: "user 'calotype' (id 998)"."""
    try:
        return f"user {pwd.getpwuid(number).pw_name!r} (id {number})"
    except KeyError:  # a container may run as a user without a name
        return f"the user with the id {number}"


def _name(look_up: Callable[[int], Any], number: int) -> str:
    """Return the name of a user or group for a command; its id if it has no name."""
    try:
        return str(look_up(number)[0])
    except KeyError:
        return str(number)


def this_user() -> str:
    """Return the user that this process runs as, for messages."""
    return name_user(os.geteuid())


def refused_access(path: Path, use: str) -> str:
    """Return why this user may not use a file, and what to do about it.

    The sentence has the owner and the mode of the file, or of a directory above it. `use` is the refused
    action, such as "read".
    """
    closed = next(
        (above for above in reversed(path.absolute().parents) if not os.access(above, os.X_OK)), path
    )
    status = os.stat(closed)
    return (
        f"{this_user()} may not {use} {path}, because {closed} belongs to {name_user(status.st_uid)} and has "
        f"the mode {stat.S_IMODE(status.st_mode):04o}: run this as its owner, or change the owner or the mode"
    )


def missing_right(directory: Path) -> str:
    """Return why this user may not create or use a directory, and the command with which root permits it."""
    found = next(path for path in (directory, *directory.parents) if os.access(path, os.F_OK))
    user, group = _name(pwd.getpwuid, os.geteuid()), _name(grp.getgrgid, os.getegid())
    if found == directory:
        command = f"chown -R {user}:{group} {shlex.quote(str(found))}"
    elif os.access(found, os.X_OK):
        command = f"install -d -o {user} -g {group} -m 0750 {shlex.quote(str(directory))}"
    else:  # what is below it cannot be seen
        command = f"chmod o+x {shlex.quote(str(found))}"
    status = os.stat(found)
    return (
        f"{found} belongs to {name_user(status.st_uid)} and has the mode {stat.S_IMODE(status.st_mode):04o}, "
        f"so {this_user()} may not use it: as root, run `{command}`"
    )


class OwnerNotKept(Exception):
    """This process may not give a new file the owner and group of the file that it would replace."""


def create(path: Path, mode: int) -> None:
    """Create an empty file with this mode; leave an existing file unopened.

    Raises:
        OSError: the file cannot be created.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        return
    try:
        give_to_owner_of(path.parent, descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Create a directory and its missing parents; do nothing if it exists.

    Raises:
        OSError: a directory cannot be created, or one of the paths is not a directory.
    """
    missing = []
    while not path.is_dir():
        missing.append(path)
        if path == path.parent:
            break
        path = path.parent
    for directory in reversed(missing):
        try:
            directory.mkdir()
        except FileExistsError:
            if not directory.is_dir():
                raise
            continue  # another process was faster
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            give_to_owner_of(directory.parent, descriptor)
        finally:
            os.close(descriptor)


def open_or_create(path: Path, mode: int) -> int:
    """Open a file to read and write, and return its descriptor; create a missing one with this mode.

    A symbolic link is refused, because a link in another user's directory could lead anywhere.

    Raises:
        OSError: the file cannot be opened.
    """
    create(path, mode)
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)


def rewrite(path: Path, data: bytes) -> None:
    """Replace a file's content atomically, and keep its owner, group and mode; a new file gets mode SECRET.

    The path must not be a symbolic link, because the link itself would be replaced.

    Raises:
        OwnerNotKept: the owner or group cannot be kept. The file is unchanged.
        OSError: the file cannot be written. The old content is unchanged.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if path.exists():
                _keep_access(path, descriptor)
            else:
                give_to_owner_of(path.parent, descriptor)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _keep_access(path: Path, descriptor: int) -> None:
    """Give a new file the owner, group, mode and access control list of the file that it replaces."""
    old, new = path.stat(), os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError:
            raise OwnerNotKept(
                f"{path} belongs to user {old.st_uid} and group {old.st_gid}, which a new file would not "
                "keep: run this as that user, or as root"
            ) from None
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
    try:
        acl = os.getxattr(path, _ACL)
    except OSError:
        return  # most files have no such list, and some file systems do not support them
    os.setxattr(descriptor, _ACL, acl)


def give_to_owner_of(directory: Path | int, descriptor: int) -> None:
    """Give a file that root created to the owner and group of a directory; do nothing for other users."""
    if os.geteuid() == 0:
        owner = os.stat(directory)
        with contextlib.suppress(OSError):  # the file system has no owners, or root lacks CAP_CHOWN
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
