"""Checks of this machine: the limits of processes, installed versions, file systems, and the certificate."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import re
import resource
import shutil
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import Requirement

from calotype.database.processes import ServingProcess
from calotype.egress.certificate import read_expiry
from calotype.operations.diagnosis import Diagnosis

#: Descriptors that a process needs at least: each connection may take three.
_DESCRIPTORS = 1024
#: The share of a limit above which little is left.
_MOST = 0.8
#: The share of a disk below which too little is free.
_LEAST_FREE = 0.05
#: File systems over a network. Their locks are not those that SQLite needs.
_NETWORK = re.compile(
    r"(nfs|cifs|smb|ceph|9p|afs|lustre|gpfs|ocfs|gfs|fuse\.(sshfs|glusterfs|ceph|s3fs|rclone))"
)
#: A certificate must be valid for this many days.
_VALID_DAYS = 14
_CONNECT_TIMEOUT = 5


def check_limits(processes: Iterable[ServingProcess], host: str) -> Iterator[Diagnosis]:
    """Check the open files and threads of the serving processes that run on this host."""
    seen = False
    for pid in sorted(process.pid for process in processes if process.host == host):
        try:
            files = len(os.listdir(f"/proc/{pid}/fd"))
            most = int(
                re.findall(r"^Max open files +(\d+)", Path(f"/proc/{pid}/limits").read_text(), re.M)[0]
            )
        except (OSError, IndexError):
            continue  # it has ended, it belongs to another user, or it has no limit
        seen = True
        yield _limit(f"process {pid}", "open files", files, most, "LimitNOFILE")
        yield from _check_tasks(pid)
    if not seen:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        yield _limit(
            "this shell, because no process of the service can be seen", "open files", 0, most, "ulimit -n"
        )


def _limit(owner: str, what: str, used: int, most: int, setting: str) -> Diagnosis:
    state = f"{owner}: {used} of {most} {what}"
    if most != resource.RLIM_INFINITY and (used > most * _MOST or most < _DESCRIPTORS):
        return Diagnosis("limits", False, f"{state}: raise the limit ({setting})")
    return Diagnosis("limits", True, state)


def _check_tasks(pid: int) -> Iterator[Diagnosis]:
    """Yield a diagnosis of the threads of a process's control group, if the group has a limit."""
    try:
        _, _, name = Path(f"/proc/{pid}/cgroup").read_text().strip().rpartition("::")
        group = Path("/sys/fs/cgroup") / name.strip("/")
        used, most = (int((group / f"pids.{what}").read_text()) for what in ("current", "max"))
    except (OSError, ValueError):
        return
    if used > most * _MOST:
        sentence = f"process {pid}: {used} of {most} threads and processes: raise the limit (TasksMax)"
        yield Diagnosis("limits", False, sentence)


def check_versions(processes: Iterable[ServingProcess]) -> Iterator[Diagnosis]:
    """Check that the installed distributions fit together, and that processes run the installed version."""
    ours = {
        one.name: one for one in importlib.metadata.distributions() if one.name.lower().startswith("calotype")
    }
    fits = True
    for name, distribution in sorted(ours.items()):
        for requirement in map(Requirement, distribution.requires or ()):
            held = ours.get(requirement.name)
            if held is not None and not requirement.specifier.contains(held.version, prereleases=True):
                fits = False
                sentence = (
                    f"{name} {distribution.version} needs {requirement.name}{requirement.specifier}, but "
                    f"{held.version} is installed: pip install --upgrade {name} {requirement.name}"
                )
                yield Diagnosis("versions", False, sentence)
    installed = importlib.metadata.version("calotype-core")
    for process in processes:
        if process.version != installed:
            fits = False
            sentence = (
                f"process {process.pid} on {process.host} runs {process.version}, but here {installed} is "
                "installed: install the same version everywhere, and reload or restart the service"
            )
            yield Diagnosis("versions", False, sentence)
    if fits:
        yield Diagnosis(
            "versions", True, f"{len(ours)} distributions of Calotype fit together, core {installed}"
        )


def check_disk(file: Path, mounts: str) -> Iterator[Diagnosis]:
    """Check the disk of an SQLite database. `mounts` is the text of /proc/self/mounts."""
    kind = _filesystem(file.resolve(), mounts)
    if _NETWORK.match(kind):
        sentence = (
            f"{file} is on a network file system ({kind}), whose locks do not protect it: move it to a local "
            "disk, or use PostgreSQL or MariaDB"
        )
        yield Diagnosis("database", False, sentence)
    disk = shutil.disk_usage(file.parent)
    if disk.free < disk.total * _LEAST_FREE:
        sentence = f"only {disk.free} bytes are free on the disk of {file}: free some, or move the database"
        yield Diagnosis("database", False, sentence)


def _filesystem(path: Path, mounts: str) -> str:
    """Return the type of the file system that a path is on, such as ext4."""
    kind, longest = "", -1
    for line in mounts.splitlines():
        _, point, found, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if path.is_relative_to(point) and len(point) >= longest:
            kind, longest = found, len(point)
    return kind


def check_certificate(endpoint: str | None) -> Iterator[Diagnosis]:
    """Check the certificate of the public endpoint, if that is an https URL."""
    parts = urlsplit(endpoint or "")
    if parts.scheme != "https" or parts.hostname is None:
        yield Diagnosis("TLS", True, "calotype.public_endpoint is no https URL, so no certificate is checked")
        return
    where = f"{parts.hostname}:{parts.port or 443}"
    try:
        until = read_expiry(parts.hostname, parts.port or 443, _CONNECT_TIMEOUT)
    except ssl.SSLCertVerificationError as error:
        why = error.verify_message.rstrip(".")
        yield Diagnosis("TLS", False, f"the certificate of {where} is refused ({why}): renew it at the proxy")
    except OSError as error:
        why = error.strerror or type(error).__name__
        sentence = f"{where} does not answer ({why}): start the proxy, or correct calotype.public_endpoint"
        yield Diagnosis("TLS", False, sentence)
    else:
        sentence = f"the certificate of {where} is valid until {until:%F}"
        left = until - datetime.datetime.now(datetime.UTC)
        fresh = left > datetime.timedelta(days=_VALID_DAYS)
        yield Diagnosis("TLS", fresh, sentence if fresh else f"{sentence}: renew it at the proxy")
