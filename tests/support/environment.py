"""Virtual environments like those of operators, and the wheels of this checkout."""

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

from tests.support.server import ROOT

WEBDAV = "tests/third_party/calotype-store-webdav"
BLOCKS = "tests/third_party/calotype-store-blocks"
FROZEN = "tests/third_party/frozen-2.0"
GUESTBOOK = "tests/third_party/calotype-guestbook"
DRIVERS = [f"plugins/store_{name}" for name in ("file", "s3", "swift", "http")]
EXTENSIONS = ["plugins/metadefs", "plugins/console"]
PLUGINS = [*DRIVERS, *EXTENSIONS]
#: Distributions that third parties would write.
STRANGE_DRIVERS = [WEBDAV, BLOCKS, FROZEN]
STRANGERS = [*STRANGE_DRIVERS, GUESTBOOK]
#: The folder of the meta distribution: the checkout's root.
META = "."
#: The distributions that every installation needs.
BASE = ["server", "core"]
#: The command and the Python API for users, which need no server.
CLIENT = "client"
#: Files that a build would leave in the checkout, and files that a wheel does not need.
_LEFT_OUT = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "tests")


class Environment:
    """A virtual environment, separate from that of this process.

    If `linked` is true, it has links to all installed distributions except ours, including pip. Creating it
    then takes a second. Otherwise it has only pip, which installs everything else from the package index.
    """

    def __init__(self, home: Path, *, linked: bool):
        venv.create(home, with_pip=not linked, symlinks=True)
        self.bin = home / "bin"
        self.python = self.bin / "python"
        if linked:
            _link_what_others_published(Path(sysconfig.get_path("purelib", vars={"base": str(home)})))

    def run(self, command: str, *arguments: str | Path, cwd: Path | None = None) -> str:
        """Run a command of the environment, and return its output; fail with the output if it fails."""
        return _run([self.bin / command, *arguments], cwd)

    def pip(self, *arguments: str | Path) -> str:
        """Run pip in the environment."""
        return self.run("python", "-m", "pip", "--disable-pip-version-check", *arguments)


def _link_what_others_published(packages: Path) -> None:
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "calotype" not in entry.name and entry.suffix != ".pth":
            (packages / entry.name).symlink_to(entry)


def _run(command: list[str | Path], cwd: Path | None = None) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env=env,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def build_wheels(folder: Path) -> dict[str, Path]:
    """Return the wheel of each source folder: meta distribution, server, core, client and each plugin.

    The wheels are built into `folder`. Processes that share the folder build them only once.
    """
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "built").exists():
            _run(["make", "-C", ROOT, "dist", f"DIST={folder}", f"VENV={sys.prefix}"])
            for source in STRANGERS:
                _build_third_party(source, folder)
            (folder / "built").touch()
    return {source: _wheel_of(source, folder) for source in [META, *BASE, CLIENT, *PLUGINS, *STRANGERS]}


def _build_third_party(source: str, folder: Path) -> None:
    """Build a wheel from a copy of the source, because a build leaves files behind."""
    copy = folder / "sources" / source
    shutil.copytree(ROOT / source, copy, ignore=_LEFT_OUT, dirs_exist_ok=True)
    _run([sys.executable, "-m", "build", "--quiet", "--no-isolation", "--wheel", "--outdir", folder, copy])


def _wheel_of(source: str, folder: Path) -> Path:
    (wheel,) = folder.glob(f"{distribution_of(source).replace('-', '_')}-*.whl")
    return wheel


def distribution_of(source: str) -> str:
    """Return the name of the distribution in this folder of the checkout."""
    if source == META:
        return "calotype"
    return tomllib.loads((ROOT / source / "pyproject.toml").read_text())["project"]["name"]
