"""Errors: make each system call of a phase fail in turn, as full or broken disks and connection resets do.

The server goes on, and reports the failure in a response or in the image's reason. After a restart nothing
may be lost, left over, or stuck.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.faults.campaign.databases import Databases
from tests.faults.campaign.killing import FRESH, Tally, count, spread
from tests.faults.campaign.phases import Phase, opened
from tests.faults.campaign.strace import Injection, attached

#: The calls that fail, by the error. Errors that a call never has in practice are left out.
_ERRORS = {
    "error=EIO": ("read", "pread64", "write", "pwrite64", "fsync", "fdatasync", "linkat", "unlinkat"),
    "error=ENOSPC": ("openat", "mkdirat", "write", "pwrite64", "ftruncate", "linkat"),
    "error=EMFILE": ("openat", "socket"),
    "error=EACCES": ("openat", "unlinkat"),
    "error=ECONNRESET": ("sendto", "recvfrom"),
}
#: After a pretended reset the connection is still open, and PostgreSQL's library waits for an answer.
_SETTINGS = {"calotype.database_timeout": "1.5", "calotype.busy_timeout": "1"}


def fail(
    phase: Phase,
    databases: Databases,
    folder: Path,
    most: int,
    errors: Mapping[str, tuple[str, ...]] = _ERRORS,
) -> Tally:
    """Make each call fail in each way: all of them, or `most` at even distances."""
    tally = Tally(f"{phase.name}: a call fails", databases.name)
    settings = {**phase.settings, **_SETTINGS}
    calls = tuple(dict.fromkeys(call for these in errors.values() for call in these))
    with opened(databases, folder / "counted", settings) as scene:
        counted = count(phase, scene, calls, folder / "calls")
    points = [
        Injection((call,), effect, str(number))
        for effect, calls in errors.items()
        for call in calls
        for number in range(1, counted[call] + 1)
    ]
    points = spread(points, most)
    for start in range(0, len(points), FRESH):
        with opened(databases, folder / f"from{start}", settings, settle=phase.settle) as scene:
            for point in points[start : start + FRESH]:
                scene.do(phase.prepare)
                with attached(scene.victim.process.pid, point):
                    scene.do(phase.deed)
                    died = scene.victim.await_death(0.2)
                scene.victim.kill()
                tally.add([*["the server ended"] * died, *scene.restart(failed=True)], point)
    return tally
