"""Errors: each call that a phase makes fails in turn, as full disks, broken ones and resets make it fail.

The server lives on. What it could not do it says, in an answer or in the image's reason; then it
is started again, and nothing may be lost, left over, or stuck.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.faults.campaign.databases import Databases
from tests.faults.campaign.killing import FRESH, Tally, count, spread
from tests.faults.campaign.phases import Phase, opened
from tests.faults.campaign.strace import Injection, attached

#: What may fail, and how; an error that the call never has in life would prove nothing.
_ERRORS = {
    "error=EIO": ("read", "pread64", "write", "pwrite64", "fsync", "fdatasync", "linkat", "unlinkat"),
    "error=ENOSPC": ("openat", "mkdirat", "write", "pwrite64", "ftruncate", "linkat"),
    "error=EMFILE": ("openat", "socket"),
    "error=EACCES": ("openat", "unlinkat"),
    "error=ECONNRESET": ("sendto", "recvfrom"),
}
#: After a reset that strace pretends the connection is whole, and PostgreSQL's library waits for an answer.
_SETTINGS = {"calotype.database_timeout": "1.5", "calotype.busy_timeout": "1"}


def fail(
    phase: Phase,
    databases: Databases,
    folder: Path,
    most: int,
    errors: Mapping[str, tuple[str, ...]] = _ERRORS,
) -> Tally:
    """Let each call fail in each way: all, or `most` at even distances."""
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
