"""Small disks, which are soon full."""

from __future__ import annotations

import contextlib
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
