"""The number of processes that `auto` stands for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from calotype_server import ServerSettings, ServerSettingsError
from calotype_server.cores import usable

CORES = len(os.sched_getaffinity(0))


def cgroup(folder: Path, **quotas: str) -> int:
    """Return the usable cores of a process in the cgroup /outer/inner with these quotas."""
    own, inner = folder / "own", folder / "outer" / "inner"
    own.write_text("1:name=systemd:/elsewhere\n0::/outer/inner\n")
    inner.mkdir(parents=True)
    for name, quota in quotas.items():
        ({"outer": inner.parent, "inner": inner}[name] / "cpu.max").write_text(quota + "\n")
    return usable(own, folder)


@pytest.mark.parametrize(
    ("quotas", "cores"),
    [
        ({}, CORES),
        ({"inner": "max 100000"}, CORES),
        ({"inner": "50000 100000"}, 1),
        ({"inner": "100000 100000", "outer": "max 100000"}, 1),
        ({"inner": "max 100000", "outer": "20000 100000"}, 1),
        ({"inner": "150000 100000"}, min(2, CORES)),
        ({"inner": "100000000 100000"}, CORES),
        ({"inner": "nonsense"}, CORES),
    ],
)
def test_the_smallest_quota_of_the_cgroups_limits_the_cores(tmp_path, quotas, cores):
    assert cgroup(tmp_path, **quotas) == cores


def test_without_cgroups_only_the_affinity_counts(tmp_path):
    assert usable(tmp_path / "missing", tmp_path) == CORES


def test_a_process_that_may_use_one_core_only_serves_alone():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from calotype_server import ServerSettings; print(ServerSettings(processes='auto').processes)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_the_number_of_processes_is_a_number_or_auto():
    assert ServerSettings().processes == 1
    assert ServerSettings(processes=" 3 ").processes == 3
    assert 1 <= ServerSettings(processes="Auto").processes <= CORES
    for wrong, reason in (
        ("many", "must be a whole number, or auto, not 'many'"),
        ("0", "must be at least 1"),
    ):
        with pytest.raises(ServerSettingsError, match=f"processes of the server: {reason}"):
            ServerSettings(processes=wrong)
