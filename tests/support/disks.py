"""Small disks, which fill up quickly."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

#: A shell command that mounts "$2" of memory at "$1", and keeps it mounted until standard input is closed.
_HOLD = 'mount -t tmpfs -o "size=$2,mode=0700" calotype-test "$1" && echo mounted && read -r _'


class NoDisk(Exception):
    """This process may not mount file systems. The text is the error of `mount`."""


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount an empty file system of this size (`4m`) for the block, and return its path.

    Only a helper process sees the mount on the folder, and the returned path leads into that process's mount
    namespace. For other processes, the folder does not change. If the tests are killed, no mount remains.

    Raises:
        NoDisk: this process may not mount.
    """
    # Root in a container may mount, but may not make a user namespace. Other users need one.
    users = ["--map-root-user"] if os.geteuid() else []
    command = ["unshare", "--mount", *users, "sh", "-c", _HOLD, "sh", folder, size]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as holder:
        said = holder.stdout.readline()
        if said != "mounted\n":
            raise NoDisk(said)
        yield Path(f"/proc/{holder.pid}/root{folder}")


#: A flag of unshare(2): a new mount namespace.
_CLONE_NEWNS = 0x00020000


def mount_here(folder: Path, size: str) -> None:
    """Mount an empty file system of this size (`4m`) on the folder, for this process and its children.

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
