"""The file store is a plugin: without it the service starts and says so; with it again all is as before."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.running.server import OCTETS, ROOT, Server, StartFailed

OWN = ("core", "plugins/store_file")
#: Copying what a build would leave in the checkout is left out.
_LEFT_OUT = shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "tests")


def pip(python: Path, *arguments: str | Path) -> None:
    """Run pip in an environment."""
    done = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of the core and of the file store, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheels")
    for name in OWN:
        source = folder / "source" / name
        shutil.copytree(ROOT / name, source, ignore=_LEFT_OUT)
        pip(Path(sys.executable), "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source)
    return folder


@pytest.fixture
def python(tmp_path: Path, wheels: Path) -> Path:
    """The interpreter of an environment with both installed, and the other distributions of ours as links."""
    home = tmp_path / "environment"
    venv.create(home, with_pip=True, symlinks=True)
    python = home / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(home)}))
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "tintype" in entry.name or entry.suffix == ".pth" or (packages / entry.name).exists():
            continue
        (packages / entry.name).symlink_to(entry)
    pip(python, "install", "--no-deps", "--no-index", *wheels.glob("*.whl"))
    return python


def test_the_store_goes_and_comes_back_with_its_distribution(
    python: Path, wheels: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    server = Server(tmp_path / "run", python=python, env={"PYTHONPATH": ""})
    try:
        image_id = server.upload(b"kept on disk")["id"]
        server.stop()

        pip(python, "uninstall", "--yes", "tintype-store-file")
        server.start()
        assert "no driver 'file' is installed" in server.log
        refused = server.post("/images", OCTETS, b"bytes")
        assert refused.status == 400
        assert "not available" in refused.text
        assert server.head(f"/images/{image_id}").meta["status"] == "active"
        unreadable = server.get(f"/images/{image_id}")
        assert unreadable.status in (502, 503)
        assert "file" in unreadable.text
        assert server.reserve()["status"] == "queued"
        server.stop()

        (wheel,) = wheels.glob("tintype_store_file-*.whl")
        pip(python, "install", "--no-deps", "--no-index", wheel)
        server.start()
        assert server.get(f"/images/{image_id}").body == b"kept on disk"
        assert server.upload(b"and more")["store"] == "file"
    except StartFailed as error:
        pytest.fail(str(error))
    finally:
        server.stop()
