"""`make dist` builds the same bytes from the same commit, whenever and by whomever it runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import BASE, CLIENT, META, PLUGINS
from tests.support.server import ROOT

ALL = [META, *BASE, CLIENT, *PLUGINS]
#: The time of an imaginary last commit, and two times at which files were checked out.
COMMITTED, CHECKED_OUT = "1700000000", (1_710_000_000, 1_720_000_000)


def build(folder: Path, parts: list[str], checked_out: int, umask: int) -> dict[str, str]:
    """Return each file that `make dist` builds from a copy of the sources -> its SHA-256."""
    copy = folder / "checkout"
    left_out = shutil.ignore_patterns("*.egg-info", "__pycache__", "build")
    copy.mkdir(parents=True)
    for file in filter(Path.is_file, ROOT.iterdir()):
        shutil.copy(file, copy)
    for part in parts:
        if part != META:
            shutil.copytree(ROOT / part, copy / part, ignore=left_out)
    shutil.copytree(ROOT / "docs" / "deploy", copy / "docs" / "deploy")
    for path in copy.rglob("*"):
        os.utime(path, (checked_out, checked_out))
    # `-o`: the environment is this one, and is as new as its requirements.
    command = ["make", "-C", copy, "dist", f"DIST={folder / 'dist'}", f"PARTS={' '.join(parts)}"]
    done = subprocess.run(
        [*command, f"VENV={sys.prefix}", "-o", f"{sys.prefix}/.dev"],
        env={**os.environ, "SOURCE_DATE_EPOCH": COMMITTED},
        umask=umask,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "dist").iterdir()}


@pytest.mark.parametrize(
    "parts", [["server"], pytest.param(ALL, marks=pytest.mark.campaign)], ids=["server", "all"]
)
def test_two_builds_of_the_same_sources_are_identical(tmp_path: Path, parts: list[str]) -> None:
    first = build(tmp_path / "first", parts, CHECKED_OUT[0], umask=0o022)
    second = build(tmp_path / "second", parts, CHECKED_OUT[1], umask=0o077)

    assert len(first) == 2 * len(parts)
    assert first == second
