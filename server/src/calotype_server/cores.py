"""How many cores this process may use: its affinity, and the processor time that its cgroups allow."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def usable(own: Path = _OWN, cgroups: Path = _CGROUPS) -> int:
    """Return the number of cores that this process may use, at least 1.

    Args:
        own: The file that names the cgroup of this process.
        cgroups: The directory of all cgroups (version 2).
    """
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), _quota(own, cgroups))))


def _quota(own: Path, cgroups: Path) -> float:
    """Return the smallest quota of the process's cgroup and of those around it, in cores."""
    try:
        named = [line[3:] for line in own.read_text().splitlines() if line.startswith("0::")]
    except OSError:
        return math.inf
    folder = cgroups.joinpath(*(name.lstrip("/") for name in named))
    around = [folder, *folder.parents]
    return min((_quota_of(one) for one in around if one.is_relative_to(cgroups)), default=math.inf)


def _quota_of(folder: Path) -> float:
    try:
        quota, period = folder.joinpath("cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # there is no such file, or the quota is `max`
        return math.inf
