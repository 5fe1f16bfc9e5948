"""Environments with released wheels in them, as an operator's are, and the wheels of this checkout."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

from tests.running.server import ROOT

WEBDAV = "tests/third_party/calotype-store-webdav"
DRIVERS = [f"plugins/store_{name}" for name in ("file", "s3", "swift", "http")]
#: What a build would leave in the checkout, and what a wheel has no use for.
_LEFT_OUT = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "tests")


class Environment:
    """A virtual environment of its own, with nothing of this process's in it.

    `linked`: what others published, pip included, are links to what this process runs with, which
    takes a second; otherwise there is pip, and the package index has the rest.
    """

    def __init__(self, home: Path, *, linked: bool):
        venv.create(home, with_pip=not linked, symlinks=True)
        self.bin = home / "bin"
        self.python = self.bin / "python"
        if linked:
            _link_what_others_published(Path(sysconfig.get_path("purelib", vars={"base": str(home)})))

    def run(self, command: str, *arguments: str | Path, cwd: Path | None = None) -> str:
        """Run a command that is installed there; return what it printed, which a failure shows."""
        return _run([self.bin / command, *arguments], cwd)

    def pip(self, *arguments: str | Path) -> str:
        """Run pip there."""
        return self.run("python", "-m", "pip", "--disable-pip-version-check", *arguments)


def _link_what_others_published(packages: Path) -> None:
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "calotype" not in entry.name and entry.suffix != ".pth":
            (packages / entry.name).symlink_to(entry)


def _run(command: list[str | Path], cwd: Path | None = None, path: Path | None = None) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env={**env, "PYTHONPATH": str(path)} if path else env,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def build_wheels(folder: Path) -> dict[str, Path]:
    """Source folder -> wheel, of the core, each driver of the tree, and a third party's.

    They lie in `folder`; processes that share it build them once.
    """
    folder.mkdir(exist_ok=True)
    sources = ["core", *DRIVERS, WEBDAV]
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "built").exists():
            _build(sources, folder)
            (folder / "built").touch()
    return {source: _wheel_of(source, folder) for source in sources}


def _build(sources: list[str], folder: Path) -> None:
    """Build copies, and all with one setuptools: an environment for each would take longer."""
    copies = [folder / "sources" / name for name in sources]
    for name, copy in zip(sources, copies, strict=True):
        shutil.copytree(ROOT / name, copy, ignore=_LEFT_OUT, dirs_exist_ok=True)
    pip, tools = [sys.executable, "-m", "pip", "--disable-pip-version-check"], folder / "tools"
    _run([*pip, "install", "--quiet", "--target", tools, "setuptools>=77,<82"])
    build = [*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    _run([*build, *copies], path=tools)


def _wheel_of(source: str, folder: Path) -> Path:
    project = tomllib.loads((ROOT / source / "pyproject.toml").read_text())["project"]
    (wheel,) = folder.glob(f"{project['name'].replace('-', '_')}-*.whl")
    return wheel
