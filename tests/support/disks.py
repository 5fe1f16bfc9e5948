"""Small disks, which are soon full."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

#: Mounts "$2" of memory at "$1", and holds it until the other end of standard input is closed.
_HOLD = 'mount -t tmpfs -o "size=$2,mode=0700" calotype-test "$1" && echo mounted && read -r _'


class NoDisk(Exception):
    """This process may not mount; the text is what `mount` said."""


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """The path of an empty file system of that size (`4m`), for as long as the `with` lasts.

    It is mounted on the folder, but in the namespace of a process that holds it, where the path leads:
    elsewhere the folder stays what it was, and a run that is killed leaves no mount.

    Raises:
        NoDisk: this process may not mount.
    """
    # Root in a container may have the right to mount, but not to make a namespace of users; others need one.
    users = ["--map-root-user"] if os.geteuid() else []
    command = ["unshare", "--mount", *users, "sh", "-c", _HOLD, "sh", folder, size]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as holder:
        said = holder.stdout.readline()
        if said != "mounted\n":
            raise NoDisk(said)
        yield Path(f"/proc/{holder.pid}/root{folder}")


#: unshare(2): give this process mounts of its own.
_CLONE_NEWNS = 0x00020000


def mount_here(folder: Path, size: str) -> None:
    """Mount an empty file system of that size (`4m`) on the folder, for this process and what it starts.

    The mount ends with the last of these processes.

    Raises:
        NoDisk: this process may not mount.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        raise NoDisk(os.strerror(ctypes.get_errno()))
    options = f"size={size},mode=0700"
    for command in (
        ["mount", "--make-rprivate", "/"],
        ["mount", "-t", "tmpfs", "-o", options, "calotype-test", folder],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise NoDisk(done.stderr)
