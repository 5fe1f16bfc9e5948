"""An environment as an operator makes it: `python -m venv`, then pip with wheels and the package index."""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from collections.abc import Iterable
from pathlib import Path

from tests.running.server import ROOT

#: What a build would leave in the checkout, and what a wheel has no use for.
_LEFT_OUT = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "tests")


class Environment:
    """A virtual environment of its own, with nothing of this process's in it."""

    def __init__(self, home: Path):
        venv.create(home, with_pip=True, symlinks=True)
        self.bin = home / "bin"
        self.python = self.bin / "python"

    def run(self, command: str, *arguments: str | Path, cwd: Path | None = None) -> str:
        """Run a command that is installed there; return what it printed, which a failure shows."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
        done = subprocess.run(
            [self.bin / command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
            env=kept,
        )
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def pip(self, *arguments: str | Path) -> str:
        """Run pip there."""
        return self.run("python", "-m", "pip", "--disable-pip-version-check", *arguments)

    def build_wheels(self, sources: Iterable[str], folder: Path) -> dict[str, Path]:
        """Build a wheel of each source folder, named from the root of the checkout: folder -> wheel.

        The copies are built without isolation, with one setuptools for all: six environments less.
        """
        self.pip("install", "--quiet", "setuptools>=77,<82")
        wheels = {}
        for name in sources:
            copy, out = folder / "sources" / name, folder / "wheels" / name
            shutil.copytree(ROOT / name, copy, ignore=_LEFT_OUT)
            self.pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", out, copy)
            (wheels[name],) = out.glob("*.whl")
        return wheels
